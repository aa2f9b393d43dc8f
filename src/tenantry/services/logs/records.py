"""Records of the Logs service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec


class LogGroup(msgspec.Struct, frozen=True):
    """A log group. created_ms: epoch milliseconds; retention_days: None keeps events for ever."""

    region: str
    account_id: str
    name: str
    created_ms: int
    retention_days: int | None = None
    kms_key_id: str | None = None
    group_class: str = "STANDARD"
    protected: bool = False
    tags: dict[str, str] = {}

    @property
    def key(self) -> str:
        return f"{self.region}/{self.name}"

    @property
    def arn(self) -> str:
        """The ARN as tags and identifiers use it; `arn` in answers has `:*` after it."""
        return f"arn:aws:logs:{self.region}:{self.account_id}:log-group:{self.name}"


@dataclass(slots=True)
class Query:
    """A query and what became of it. created_ms: epoch milliseconds; duration_ms: 0 while it runs."""

    query_id: str
    region: str
    text: str
    groups: tuple[str, ...]
    user: str
    created_ms: int
    status: str = "Scheduled"
    duration_ms: int = 0
    results: list[list[list[str]]] = field(default_factory=list)
    statistics: dict[str, int] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


# fmt: off
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)
# fmt: on
"""What PutRetentionPolicy takes (aws-behaviour 6.2)."""

DAY_MS = 86_400_000
EVENT_BYTES_MAX = 1_048_576
"""One event, its 26 bytes of overhead included (aws-behaviour 6.2)."""
BATCH_BYTES_MAX = 1_048_576
PAGE_BYTES_MAX = 1_048_576
EVENTS_PER_PAGE = 10_000
GROUPS_PER_PAGE = 50
QUERIES_RUNNING_MAX = 2
TAGS_MAX = 50
