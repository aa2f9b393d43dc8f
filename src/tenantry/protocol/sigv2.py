"""Presigned S3 URLs of the old kind (Signature Version 2), which boto3 still makes by default in us-east-1.

    string to sign = method \\n content-md5 \\n content-type \\n expires \\n x-amz-* headers, sorted \\n path?subresources
    signature      = base64 of HMAC-SHA1(secret; string to sign)

Only such URLs are taken, not requests signed so in their headers: no client of ours makes those. An x-amz-* value that the
signer moved to the query counts as the header it stands for. Such a URL names no region: it means us-east-1, where S3 began.
Source: S3 developer guide, "Signing and authenticating REST requests", as botocore's HmacV1QueryAuth does it.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from urllib.parse import parse_qsl, unquote_to_bytes

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request
from tenantry.model.identity import Credential, CredentialSource
from tenantry.protocol.dialect import Dialect

REGION = "us-east-1"

_TOKEN = "x-amz-security-token"  # noqa: S105 - a header's name
_MARKS = ("AWSAccessKeyId=", "Signature=", "Expires=")
# The query parameters that say what a request is for, and therefore are signed.
_SUBRESOURCES = frozenset(
    (  # noqa: SIM905 - a list of words, one to a line, would fill a screen
        "accelerate acl analytics cors defaultObjectAcl delete inventory lifecycle location logging metrics notification "
        "object-lock partNumber policy replication requestPayment restore select select-type storageClass tagging torrent "
        "uploadId uploads versionId versioning versions website response-cache-control response-content-disposition "
        "response-content-encoding response-content-language response-content-type response-expires"
    ).split()
)


def is_presigned(request: Request) -> bool:
    """Whether a request's query carries such a signature."""
    return bool(request.query) and all(mark in request.query for mark in _MARKS)


def verify(request: Request, dialect: Dialect, credentials: CredentialSource, clock: Clock) -> Credential:
    """The signer's key pair. Raises the dialect's refusals: unknown key, wrong signature, expired."""
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    now = clock.now()
    expires = given.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        raise _bad_date(dialect, expires)
    if now > int(expires):
        raise dialect.presigned_expired(sent=expires, limit=int(now), now=int(now), minutes=0)
    token = given.get(_TOKEN) or request.header(_TOKEN)
    credential = credentials.lookup(given.get("AWSAccessKeyId", ""), token)
    if credential is None:
        raise dialect.unknown_key()
    if credential.expires_at is not None and credential.expires_at <= now:
        raise dialect.expired_token()
    expected = signature(credential.secret_access_key, string_to_sign(request, given))
    if not hmac.compare_digest(expected.encode(), given.get("Signature", "").encode()):
        raise dialect.wrong_signature()
    return credential


def signature(secret: str, text: str) -> str:
    """The value of the Signature parameter."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode("ascii")


def string_to_sign(request: Request, given: dict[str, str]) -> str:
    """What the signature is calculated of. `given`: the query's parameters."""
    fields = {name.lower(): value for name, value in given.items()}
    for name, value in request.headers:
        fields[name.lower()] = value.strip()
    amazon = "".join(f"{name}:{fields[name]}\n" for name in sorted(fields) if name.startswith("x-amz-"))
    head = (request.method, fields.get("content-md5", ""), fields.get("content-type", ""), given["Expires"])
    return "\n".join(head) + f"\n{amazon}{request.path}{_subresources(request.query)}"


def _subresources(query: str) -> str:
    found = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if name in _SUBRESOURCES:
            found.append((name, f"{name}={unquote_to_bytes(value).decode('utf-8', 'replace')}" if equals else name))
    return "?" + "&".join(text for _, text in sorted(found)) if found else ""


def _bad_date(dialect: Dialect, text: str) -> ServiceError:
    template = "Invalid date (should be seconds since epoch): {text}"
    return replace(dialect.presigned_expired, template=template)(text=text)
