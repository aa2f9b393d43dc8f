"""AWS's Signature Version 4 test suite: canonical request, string to sign, and a verification that holds, for every case."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.vectors import conformance_place

from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request
from tenantry.model.identity import Credential
from tenantry.protocol.dialect import JSON
from tenantry.protocol.sigv4 import Verifier, canonical_request, read_signature, string_to_sign

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SIGNED_AT = 1_440_938_160.0  # 20150830T123600Z
CASES_MIN = 34


class Suite:
    """The suite's key pair; with a token or without."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        if access_key_id != "AKIDEXAMPLE":
            return None
        return Credential(access_key_id, SECRET, "arn:aws:iam::000000000000:root", "000000000000", session_token)

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        raise AssertionError("nobody assumes a role here")


def cases() -> list[Any]:
    """Every case's path, without its ending."""
    place = conformance_place()
    if place is None:
        return [pytest.param(None, id="absent", marks=pytest.mark.skip("no conformance data (set TENANTRY_CONFORMANCE)"))]
    return [pytest.param(path.with_suffix(""), id=path.stem) for path in sorted((place / "sigv4").rglob("*.req"))]


def read(case: Path, kind: str) -> str:
    return case.with_suffix(f".{kind}").read_bytes().decode("latin-1").replace("\r\n", "\n")


def request_of(case: Path) -> Request:
    """The request as the listener hands it over: heads read as Latin-1, folded lines joined."""
    head, _, body = read(case, "req").partition("\n\n")
    first, *lines = head.split("\n")
    method, _, target = first.removesuffix(" HTTP/1.1").partition(" ")
    path, _, query = target.partition("?")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1].isspace():
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip()}")
        else:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
    token = re.search(r"\nx-amz-security-token:(.+)", read(case, "creq"))
    if token and not any(name.lower() == "x-amz-security-token" for name, _ in headers):
        headers.append(("X-Amz-Security-Token", token[1]))  # the signer adds it: it is not in the request to sign
    headers.append(("Authorization", read(case, "authz")))
    return Request(method, path, query, headers, body.encode("latin-1"))


@pytest.mark.parametrize("case", cases())
def test_vector(case: Path) -> None:
    request = request_of(case)
    signature = read_signature(request, JSON)
    assert signature is not None
    canonical = canonical_request(request, signature, JSON, None)
    assert canonical == read(case, "creq")
    assert string_to_sign(signature, canonical) == read(case, "sts")
    verified = Verifier(Suite(), ManualClock(SIGNED_AT)).verify(request, JSON, ["service"])
    assert verified.region == "us-east-1"
    assert verified.principal.access_key_id == "AKIDEXAMPLE"


@pytest.mark.parametrize("case", cases())
def test_vector_of_another_method(case: Path) -> None:
    request = request_of(case)
    request.method = "PUT"
    with pytest.raises(ServiceError, match="InvalidSignatureException"):
        Verifier(Suite(), ManualClock(SIGNED_AT)).verify(request, JSON, ["service"])


def test_all_are_there(conformance_data: Path) -> None:
    assert len(cases()) >= CASES_MIN
