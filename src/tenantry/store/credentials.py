"""The root access key: made at the first start, kept in `credentials.json` (mode 0600), and what clients sign with.

It only ever opens this platform. It has AWS's shape (20 characters beginning with AKIA, and 40), because clients check it.
"""

from __future__ import annotations

import secrets
import string
from pathlib import Path

import msgspec

from tenantry.model.identity import Credential
from tenantry.store.data_dir import write_private

FILE_NAME = "credentials.json"

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"


class RootKey(msgspec.Struct, frozen=True):
    """The file's content."""

    access_key_id: str
    secret_access_key: str


class CredentialsFileError(Exception):
    """The file is there but is not ours to use: unreadable, or not what we wrote."""


def load(data_dir: Path) -> RootKey | None:
    """The root key of a data folder, None before its first start. Raises CredentialsFileError."""
    path = data_dir / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=RootKey)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise CredentialsFileError(f"{path} cannot be read as a root access key: {error}") from None


def load_or_create(data_dir: Path) -> tuple[RootKey, bool]:
    """(the root key, whether it was made now). Raises CredentialsFileError, OSError."""
    key = load(data_dir)
    if key is not None:
        path = data_dir / FILE_NAME
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return key, False
    key = RootKey("AKIA" + _draw(_ID_ALPHABET, 16), _draw(_SECRET_ALPHABET, 40))
    write_private(data_dir / FILE_NAME, msgspec.json.format(msgspec.json.encode(key)) + b"\n")
    return key, True


def root_credential(key: RootKey, account_id: str) -> Credential:
    """The account's root user, as GetCallerIdentity shows it: its user id is the account's id."""
    return Credential(key.access_key_id, key.secret_access_key, f"arn:aws:iam::{account_id}:root", account_id)


def _draw(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
