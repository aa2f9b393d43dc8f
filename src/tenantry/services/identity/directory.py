"""What IAM keeps: roles and customer managed policies, for all regions: their keys start with `global/`."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from tenantry.services.identity import errors
from tenantry.services.identity.managed import MANAGED
from tenantry.store.documents import Collection, Documents

T = TypeVar("T")

PAGE_DEFAULT = 100
TAGS_MAX = 50
_KEY_MAX, _VALUE_MAX = 128, 256


class Role(msgspec.Struct, frozen=True):
    """A role. trust: its trust policy as sent; inline: policy text by name; attached: ARNs, in the order of attachment."""

    name: str
    path: str
    role_id: str
    arn: str
    created: float
    trust: str
    description: str = ""
    max_session_s: int = 3600
    boundary: str | None = None
    tags: dict[str, str] = {}
    inline: dict[str, str] = {}
    attached: tuple[str, ...] = ()


class PolicyVersion(msgspec.Struct, frozen=True):
    """One version of a customer managed policy."""

    version_id: str
    document: str
    created: float


class Policy(msgspec.Struct, frozen=True):
    """A customer managed policy. next_version: the number of the next version; numbers are never used again."""

    name: str
    path: str
    policy_id: str
    arn: str
    created: float
    updated: float
    description: str
    default: str
    next_version: int
    versions: tuple[PolicyVersion, ...]
    tags: dict[str, str] = {}


class Directory:
    """Roles and policies, found by what requests call them. Names differ by more than case, as IAM demands."""

    def __init__(self, documents: Documents) -> None:
        self._roles: Collection[Role] = documents.collection("iam-roles", Role)
        self._policies: Collection[Policy] = documents.collection("iam-policies", Policy)

    # Roles

    def role(self, name: str) -> Role:
        """Raises NoSuchEntity."""
        role = self._roles.get(_key(name))
        if role is None or role.name != name:
            raise errors.NO_ROLE(name=name)
        return role

    def find_role(self, name: str) -> Role | None:
        """The role of a name, in any case; None where there is none."""
        return self._roles.get(_key(name))

    def role_by_arn(self, arn: str) -> Role | None:
        """The role of an ARN, None where there is none."""
        role = self._roles.get(_key(arn.rpartition("/")[2]))
        return role if role is not None and role.arn == arn else None

    def role_id(self, arn: str) -> str | None:
        """The unique id of the role of an ARN, for `PlatformCredentials`."""
        role = self.role_by_arn(arn)
        return None if role is None else role.role_id

    def roles(self) -> list[Role]:
        """Every role, by name."""
        return self._roles.values()

    def put_role(self, role: Role) -> None:
        self._roles.put(_key(role.name), role)

    def delete_role(self, role: Role) -> None:
        self._roles.delete(_key(role.name))

    # Policies

    def policy(self, arn: str) -> Policy:
        """A customer managed policy. Raises NoSuchEntity."""
        policy = self._policies.get(_key(arn.rpartition("/")[2]))
        if policy is None or policy.arn != arn:
            raise errors.NO_POLICY(arn=arn)
        return policy

    def has_policy_named(self, name: str) -> bool:
        """Whether a customer managed policy is there whose name differs by case at most."""
        return _key(name) in self._policies

    def has_policy(self, arn: str) -> bool:
        """Whether an ARN names a policy: AWS's or the account's."""
        policy = self._policies.get(_key(arn.rpartition("/")[2]))
        return arn in MANAGED or (policy is not None and policy.arn == arn)

    def policies(self) -> list[Policy]:
        """Every customer managed policy, by name."""
        return self._policies.values()

    def put_policy(self, policy: Policy) -> None:
        self._policies.put(_key(policy.name), policy)

    def delete_policy(self, policy: Policy) -> None:
        self._policies.delete(_key(policy.name))

    def attached_to(self, arn: str) -> list[Role]:
        """The roles that a policy is attached to."""
        return [role for role in self.roles() if arn in role.attached]

    def bounded_by(self, arn: str) -> list[Role]:
        """The roles whose permissions boundary a policy is."""
        return [role for role in self.roles() if role.boundary == arn]


def _key(name: str) -> str:
    return f"global/{name.lower()}"


def new_id(prefix: str) -> str:
    """A unique id: 21 characters, the first four telling the kind (AROA role, ANPA managed policy)."""
    return prefix + base64.b32encode(secrets.token_bytes(11)).decode()[:17]


def escaped(document: str) -> str:
    """A policy document as IAM answers it: percent-encoded (RFC 3986)."""
    return quote(document, safe="")


def read_tags(sent: Sequence[dict[str, Any]], existing: dict[str, str] | None = None) -> dict[str, str]:
    """Tags added to those there are. Raises InvalidInput, LimitExceeded."""
    tags = dict(existing or {})
    seen: set[str] = set()
    for tag in sent:
        key, value = tag["Key"], tag.get("Value") or ""
        if key.lower() in seen:
            raise errors.DUPLICATE_TAGS()
        seen.add(key.lower())
        if not 1 <= len(key) <= _KEY_MAX or len(value) > _VALUE_MAX or key.lower().startswith("aws:"):
            raise errors.INVALID_INPUT(reason=f"Tag {key} is not valid.")
        tags = {name: old for name, old in tags.items() if name.lower() != key.lower()} | {key: value}
    if len(tags) > TAGS_MAX:
        raise errors.QUOTA(quota="TagsPerResource", limit=TAGS_MAX)
    return tags


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def paged(params: dict[str, Any], rows: Sequence[tuple[str, T]], member: str) -> dict[str, Any]:
    """One page of (sort key, row), rows being in order: the answer's `member`, IsTruncated and Marker. Raises InvalidInput."""
    marker, limit = params.get("Marker"), params.get("MaxItems") or PAGE_DEFAULT
    after = _read_marker(marker) if marker else None
    rest = [row for row in rows if after is None or row[0] > after]
    shown = rest[:limit]
    truncated = len(shown) < len(rest)
    return {
        member: [row for _, row in shown],
        "IsTruncated": truncated,
        "Marker": base64.urlsafe_b64encode(shown[-1][0].encode()).decode() if truncated else None,
    }


def _read_marker(marker: str) -> str:
    try:
        return base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise errors.INVALID_MARKER() from None
