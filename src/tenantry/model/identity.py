"""Who calls: the principal behind a verified signature, and the credentials that signatures are checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair of the platform. `session_token` and `expires_at` (epoch seconds) are set on temporary ones."""

    access_key_id: str
    secret_access_key: str
    arn: str
    user_id: str
    session_token: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an operation. `service` names an AWS service acting for itself (`apigateway.amazonaws.com`)."""

    arn: str
    user_id: str
    access_key_id: str = ""
    service: str | None = None


class CredentialSource(Protocol):
    """Looks up key pairs and mints temporary ones for an execution role."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The key pair with this id, or None. A temporary one is found only together with its session token."""

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        """Short-lived credentials of a role."""
