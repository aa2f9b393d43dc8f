"""Key pairs: the root key, and temporary ones that need no storage.

A temporary access key is three values that belong together. The id is random; the secret is an HMAC of the id under a key that
only the platform has; the session token says who the key stands for and until when, and is sealed by an HMAC over id and
content. So a key verifies after a restart, on nothing but the platform's secret, and none of the three can be made outside.

    token = base64url( version byte | HMAC-SHA256(token key, version | id | content) | content )      content: a msgpack array

Tokens are not secret from their holder (they say only what GetCallerIdentity would) but mean nothing without the secret key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

import msgspec

from tenantry.model.clock import Clock
from tenantry.model.identity import Credential

TEMPORARY_PREFIX = "ASIA"
_TEMPORARY_ID = re.compile(TEMPORARY_PREFIX + r"[A-Z2-7]{16}")
_VERSION = b"\x01"
_MAC_BYTES = 32
_TOKEN_CHARACTERS_MAX = 4096


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What a session token says."""

    arn: str
    user_id: str
    expires_at: float


class PlatformCredentials:
    """The platform's key pairs (model.identity.CredentialSource).

    secret: what temporary keys are derived from, at least 16 bytes; the root key where it is None, so that replacing the root
    key ends every session. role_id answers a role's unique id by its ARN, None for a role that is not there.
    """

    def __init__(
        self,
        root: Credential,
        clock: Clock,
        secret: bytes | None = None,
        role_id: Callable[[str], str | None] | None = None,
    ) -> None:
        secret = root.secret_access_key.encode() if secret is None else secret
        if len(secret) < 16:
            raise ValueError("the secret that temporary credentials are derived from needs 16 bytes at least")
        self._root = root
        self._clock = clock
        self._role_id = role_id or (lambda arn: None)
        self._secret_key = _derive(secret, b"secret access keys")
        self._token_key = _derive(secret, b"session tokens")

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The key pair with this id, or None.

        A temporary one is found only together with its own, unaltered session token; the root key only without any. One that
        has expired is still found: its `expires_at` lies in the past, so that the verifier can say ExpiredToken.
        """
        if access_key_id == self._root.access_key_id:
            return None if session_token else self._root
        if not session_token or not _TEMPORARY_ID.fullmatch(access_key_id):
            return None
        content = self._open(access_key_id, session_token)
        return None if content is None else self._credential(access_key_id, session_token, content)

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        """Credentials of a role's session. The caller has checked that the role may be assumed."""
        account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{account}:assumed-role/{role}/{session_name}"
        role_id = self._role_id(role_arn) or self._pseudo_id(role_arn)
        return self.session(arn, f"{role_id}:{session_name}", duration_s)

    def session(self, arn: str, user_id: str, duration_s: int) -> Credential:
        """Temporary credentials for a principal."""
        access_key_id = TEMPORARY_PREFIX + base64.b32encode(secrets.token_bytes(10)).decode()
        content = Content(arn, user_id, float(int(self._clock.now()) + duration_s))
        body = msgspec.msgpack.encode(content)
        token = _encode(_VERSION + self._seal(access_key_id, body) + body)
        return self._credential(access_key_id, token, content)

    def _credential(self, access_key_id: str, token: str, content: Content) -> Credential:
        return Credential(
            access_key_id=access_key_id,
            secret_access_key=self._secret(access_key_id),
            arn=content.arn,
            user_id=content.user_id,
            session_token=token,
            expires_at=content.expires_at,
        )

    def _open(self, access_key_id: str, token: str) -> Content | None:
        if len(token) > _TOKEN_CHARACTERS_MAX:
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if _encode(raw) != token:  # the same bytes, written another way: not a token of ours
            return None
        seal, body = raw[1 : 1 + _MAC_BYTES], raw[1 + _MAC_BYTES :]
        if raw[:1] != _VERSION or not hmac.compare_digest(seal, self._seal(access_key_id, body)):
            return None
        return msgspec.msgpack.decode(body, type=Content)

    def _seal(self, access_key_id: str, body: bytes) -> bytes:
        identity = access_key_id.encode()
        return _mac(self._token_key, _VERSION + len(identity).to_bytes(2, "big") + identity + body)

    def _secret(self, access_key_id: str) -> str:
        return base64.b64encode(_mac(self._secret_key, access_key_id.encode())).decode()[:40]

    def _pseudo_id(self, role_arn: str) -> str:
        """An id for a role that is gone, or was never made: a function may outlive its role."""
        return "AROA" + base64.b32encode(_mac(self._token_key, role_arn.encode())).decode()[:17]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _derive(secret: bytes, purpose: bytes) -> bytes:
    """A key of its own for each purpose, so that one kind of output never passes for another."""
    return _mac(secret, b"tenantry temporary credentials: " + purpose)


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
