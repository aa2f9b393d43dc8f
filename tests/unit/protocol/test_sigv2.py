"""Presigned URLs of the old kind: what botocore's own signer makes is taken, and nothing that was changed afterwards."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request
from tenantry.model.identity import Credential
from tenantry.protocol.dialect import REST_JSON, S3
from tenantry.protocol.sigv4 import Verifier

LATER = ManualClock(4_000_000_000.0)  # botocore signs by the machine's clock, which is far behind this
KEY = Credential("AKIA", "secret", "arn", "id")
SESSION = Credential("ASIA", "secret", "arn", "id", "token", 5_000_000_000.0)


class Keys:
    """Two key pairs, one of them temporary."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return next(
            (key for key in (KEY, SESSION) if (key.access_key_id, key.session_token) == (access_key_id, session_token)), None
        )

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        raise AssertionError("not asked for")


def presigned(
    path: str = "/bucket/key",
    *,
    method: str = "GET",
    key: Credential = KEY,
    headers: dict[str, str] | None = None,
    expires_s: int = 3600,
) -> Request:
    """What botocore makes, as the listener would hand it on."""
    signer = HmacV1QueryAuth(Credentials(key.access_key_id, key.secret_access_key, key.session_token), expires=expires_s)
    signed = AWSRequest(method, f"http://localhost{path}", headers=headers or {})
    signer.add_auth(signed)
    parts = urlsplit(signed.url)
    return Request(method, parts.path, parts.query, [("Host", "localhost")])


def verify(request: Request, clock: ManualClock | None = None) -> Any:
    return Verifier(Keys(), clock or ManualClock(0.0)).verify(request, S3, ("s3",))


@pytest.mark.parametrize(
    "request_",
    [
        presigned(),
        presigned("/bucket/a%20b%2Bc/%C3%A9?versionId=v&partNumber=2"),
        presigned("/bucket?list-type=2&prefix=a"),
        presigned("/bucket/key?response-content-disposition=a%3B%20b%3D%22c%22&uploadId=x"),
        presigned("/bucket?versioning"),
        presigned(method="PUT", headers={"Content-Type": "text/plain", "x-amz-meta-a": "b", "x-amz-acl": "private"}),
        presigned(key=SESSION),
    ],
    ids=lambda request: f"{request.method} {request.path}",
)
def test_what_botocore_signs_is_taken(request_: Request) -> None:
    verified = verify(request_)
    assert verified.principal.arn == "arn"
    assert verified.region == "us-east-1"
    assert verified.request is request_


@pytest.mark.parametrize(
    ("says", "change", "code"),
    [
        ("another object", {"path": "/bucket/other"}, "SignatureDoesNotMatch"),
        ("another method", {"method": "DELETE"}, "SignatureDoesNotMatch"),
        ("a later end", {"query": ("Expires=", "Expires=9")}, "SignatureDoesNotMatch"),
        ("another version", {"query": ("versionId=v", "versionId=w")}, "SignatureDoesNotMatch"),
        ("one more subresource", {"query": ("versionId=v", "versionId=v&acl")}, "SignatureDoesNotMatch"),
        ("one more header of Amazon's", {"headers": [("x-amz-meta-a", "b")]}, "SignatureDoesNotMatch"),
        ("another key", {"query": ("AWSAccessKeyId=AKIA", "AWSAccessKeyId=AKIB")}, "InvalidAccessKeyId"),
        ("a token that is none", {"headers": [("x-amz-security-token", "token")]}, "InvalidAccessKeyId"),
        ("no date", {"query": ("Expires=", "Expires=x")}, "AccessDenied"),
        ("an absurd date", {"query": ("Expires=", "Expires=999")}, "AccessDenied"),
    ],
)
def test_what_was_changed_is_refused(says: str, change: dict[str, Any], code: str) -> None:
    good = presigned("/bucket/key?versionId=v")
    verify(good)
    if "query" in change:
        assert change["query"][0] in good.query
        change = change | {"query": good.query.replace(*change["query"])}
    parts = {"method": good.method, "path": good.path, "query": good.query, "headers": good.headers} | change
    with pytest.raises(ServiceError) as caught:
        verify(Request(**parts))
    assert caught.value.code == code, says
    assert caught.value.status == 403


def test_it_ends() -> None:
    with pytest.raises(ServiceError, match="Request has expired"):
        verify(presigned(), LATER)


def test_an_expired_session_says_so() -> None:
    with pytest.raises(ServiceError, match="ExpiredToken"):
        verify(presigned(key=SESSION, expires_s=9_000_000_000), ManualClock(5_000_000_001.0))


def test_it_is_for_s3_only() -> None:
    with pytest.raises(ServiceError, match="MissingAuthenticationToken"):
        Verifier(Keys(), ManualClock(0.0)).verify(presigned(), REST_JSON, ("lambda",))
