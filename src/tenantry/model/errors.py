"""Errors as AWS shapes them, and the way a table of them is written.

A service keeps its refusals as a table of `Refusal` rows beside its operations; raising one is
`raise FUNCTION_NOT_FOUND(arn=arn)`. The protocol layer turns a `ServiceError` into the wire form of the caller's protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class ServiceError(Exception):
    """An AWS-shaped refusal.

    code: the error's name as clients see it (`ResourceNotFoundException`); status: HTTP status; sender: True when the
    caller is at fault (`Sender`/`User` on the wire), False for the service; members: further members of the error's shape
    (`Reason`, `retryAfterSeconds`, ...).
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, sender: bool = True, members: dict[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.sender = sender
        self.members = members or {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row of an error table. `template` takes named fields; `source` says where AWS's wording is recorded."""

    code: str
    status: int
    template: str
    source: str
    members: tuple[tuple[str, Any], ...] = ()
    sender: bool = True

    def __call__(self, **values: Any) -> ServiceError:
        """The exception to raise, with the template's fields filled in."""
        return ServiceError(
            self.code,
            self.template.format(**values),
            status=self.status,
            sender=self.sender,
            members=dict(self.members),
        )
