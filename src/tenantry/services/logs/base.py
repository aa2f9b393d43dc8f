"""What the parts of the Logs service share: the group records, finding them, paging tokens, the read path."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from tenantry.model.clock import Clock
from tenantry.services.logs import errors
from tenantry.services.logs.insights.process import Runner, run_in_process
from tenantry.services.logs.records import DAY_MS, QUERIES_RUNNING_MAX, LogGroup, Query
from tenantry.services.operation import Context
from tenantry.store.documents import Collection, Documents
from tenantry.store.logs.records import LogReader
from tenantry.store.logs.store import LogStore, LogStoreUnavailableError

T = TypeVar("T")
TAIL_INTERVAL_S = 1.0
_ARN = re.compile(r"arn:aws:logs:([a-z0-9-]+):(\d{12}):log-group:([.\-_/#A-Za-z0-9]+)(?::\*)?")


class Base:
    """The common part of the operation classes: their state, and how they find things.

    Group records are keyed `region/name`. run_query: runs an Insights query; tail_interval_s: between a live tail's updates.
    """

    def __init__(
        self,
        documents: Documents,
        store: LogStore,
        clock: Clock,
        account_id: str,
        *,
        run_query: Runner = run_in_process,
        tail_interval_s: float = TAIL_INTERVAL_S,
    ) -> None:
        self._account_id = account_id
        self._groups: Collection[LogGroup] = documents.collection("logs.groups", LogGroup)
        self._store = store
        self._clock = clock
        self._run_query = run_query
        self._queries: dict[str, Query] = {}  # in the order of their start
        self._query_turns = asyncio.Semaphore(QUERIES_RUNNING_MAX)
        self._tail_interval_s = tail_interval_s
        self._tails = 0

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    def _group(self, ctx: Context, name: str) -> LogGroup:
        group = self._groups.get(f"{ctx.region}/{name}")
        if group is None:
            raise errors.GROUP_NOT_FOUND()
        return group

    def _identified(self, ctx: Context, identifier: str) -> LogGroup:
        """A group by name or ARN. One of another region or account does not exist here."""
        if not identifier.startswith("arn:"):
            return self._group(ctx, identifier)
        return self._group_of_arn(ctx, identifier)

    def _group_of_arn(self, ctx: Context, arn: str) -> LogGroup:
        match = _ARN.fullmatch(arn)
        if match is None:
            raise errors.BAD_ARN(arn=arn)
        if match[1] != ctx.region or match[2] != ctx.account_id:
            raise errors.GROUP_NOT_FOUND()
        return self._group(ctx, match[3])

    def _chosen(self, ctx: Context, params: dict[str, Any]) -> LogGroup:
        """The group of an operation that takes `logGroupName` or `logGroupIdentifier`."""
        name, identifier = params.get("logGroupName"), params.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise errors.BAD_GROUP_CHOICE()
        return self._group(ctx, name) if name is not None else self._identified(ctx, str(identifier))

    def _oldest_ms(self, group: LogGroup) -> int:
        """Events before this have expired, whether or not the sweeper has been there."""
        return self._now_ms() - group.retention_days * DAY_MS if group.retention_days else 0

    async def _settled(self) -> None:
        """Return when everything appended before is on disk; the groups that it made are there then as well."""
        try:
            await self._store.flush()
        except LogStoreUnavailableError:
            raise errors.UNAVAILABLE() from None

    async def _read(self, question: Callable[[LogReader], T]) -> T:
        try:
            return await self._store.read(question)
        except LogStoreUnavailableError:
            raise errors.UNAVAILABLE() from None


def make_token(position: list[Any], *query: Any) -> str:
    """A paging token: where the next page starts, and what was asked, so that it fits no other question."""
    return base64.urlsafe_b64encode(msgspec.json.encode([position, _digest(query)])).decode().rstrip("=")


def read_token(token: str | None, kind: type[T], *query: Any) -> T | None:
    """The position in a token of `make_token`, checked to be a `kind`; InvalidParameterException for any other text."""
    if token is None:
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        position, digest = msgspec.json.decode(data, type=tuple[Any, str])
        if digest == _digest(query):
            return msgspec.convert(position, kind)
    except (ValueError, msgspec.MsgspecError):
        raise errors.BAD_TOKEN() from None
    raise errors.BAD_TOKEN()


def _digest(query: tuple[Any, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(query)).hexdigest()[:16]
