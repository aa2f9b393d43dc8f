"""A Logs service on a real log store (its writer process included), called by operation name, checked against the model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.identity import Credential, Principal
from tenantry.protocol.wire import Protocol
from tenantry.services.logs.service import LogsService
from tenantry.services.operation import Context, Operations
from tenantry.store.documents import Documents
from tenantry.store.logs.store import LogStore

ACCOUNT = "000000000000"
REGION = "us-east-1"


class Nobody:
    """No key pairs: these calls are not signed."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return None

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        return Credential("", "", role_arn, "")


class Caller:
    """Logs as another service would call it: `await logs("CreateLogGroup", logGroupName=...)`."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.documents = Documents(folder / "state.db")
        self.store = LogStore(folder / "logs", self.clock)
        self.service = LogsService(self.documents, self.store, self.clock, ACCOUNT)
        self.operations = Operations(Protocol(Nobody(), self.clock).validate)
        self.operations.add(self.service)

    @property
    def now(self) -> int:
        """Epoch milliseconds."""
        return int(self.clock.now() * 1000)

    async def __call__(self, operation: str, region: str = REGION, **params: Any) -> dict[str, Any]:
        principal = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
        ctx = Context(region, ACCOUNT, "request", principal, "http://127.0.0.1:4270")
        return await self.operations.call("logs", operation, params, ctx)

    async def refused(self, operation: str, **params: Any) -> tuple[str, str]:
        """The code and text with which a call is refused."""
        with pytest.raises(ServiceError) as caught:
            await self(operation, **params)
        return caught.value.code, caught.value.message

    async def stream(self, group: str, stream: str, *messages: str) -> None:
        """A stream with events, a millisecond apart, the last one now."""
        if group not in await self.groups():
            await self("CreateLogGroup", logGroupName=group)
        await self("CreateLogStream", logGroupName=group, logStreamName=stream)
        events = [{"timestamp": self.now - len(messages) + 1 + n, "message": text} for n, text in enumerate(messages)]
        if events:
            await self("PutLogEvents", logGroupName=group, logStreamName=stream, logEvents=events)

    async def groups(self, **params: Any) -> list[str]:
        return [group["logGroupName"] for group in (await self("DescribeLogGroups", **params))["logGroups"]]

    async def filtered(self, group: str, **params: Any) -> list[str]:
        """The messages of FilterLogEvents, all pages."""
        found: list[str] = []
        while True:
            page = await self("FilterLogEvents", logGroupName=group, **params)
            found += [event["message"] for event in page["events"]]
            if page["nextToken"] is None:
                return found
            params["nextToken"] = page["nextToken"]


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Caller]:
    caller = Caller(tmp_path)
    await caller.store.start()
    await caller.service.start()
    yield caller
    await caller.service.close()
    await caller.store.close()
    caller.documents.close()
