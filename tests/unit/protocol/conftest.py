"""A protocol with one known key pair and a clock that stands still."""

from __future__ import annotations

import pytest

from tenantry.model.clock import ManualClock
from tenantry.model.identity import Credential
from tenantry.protocol.wire import Protocol

KEY = Credential("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "arn:aws:iam::000000000000:root", "000000000000")
TEMPORARY = Credential(
    "ASIATEMPORARY", "secret", "arn:aws:sts::000000000000:assumed-role/r/s", "AROA:s", "token", 1_767_229_200.0
)


class Credentials:
    """Two key pairs; the temporary one comes only with its token."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        for credential in (KEY, TEMPORARY):
            if credential.access_key_id == access_key_id and credential.session_token == session_token:
                return credential
        return None

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        return TEMPORARY


@pytest.fixture(scope="session")
def clock() -> ManualClock:
    """2026-01-01T00:00:00Z, for good."""
    return ManualClock()


@pytest.fixture(scope="session")
def protocol(clock: ManualClock) -> Protocol:
    """Session-wide: models are read once."""
    return Protocol(Credentials(), clock)
