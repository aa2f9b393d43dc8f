"""The door for AWS operations, whole:

    identify -> verify the signature -> find the operation -> parse -> validate -> authorize -> call -> serialise

Which service a request is for is known first, and never fails; so every refusal after that, a bad signature, an unknown
operation, a failure of our own, goes out in the words and the format of that service, with the request's id.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from tenantry.edge.listener import Report, report_to_stderr
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request, Response
from tenantry.protocol.wire import Protocol, Wire
from tenantry.services.operation import Context, Operations

T = TypeVar("T")
Authorize = Callable[[Context, str, str, dict[str, Any]], None]

OFF_LOOP_BYTES = 256 * 1024
"""Bodies from this size on are hashed and parsed in a thread: a 50 MiB package would stop every other request for a moment."""

_REGION = re.compile(r"[a-z0-9-]{1,32}")


class AwsDoor:
    """Answers AWS requests. `report` hears of failures that are nobody's refusal."""

    def __init__(
        self,
        protocol: Protocol,
        operations: Operations,
        account_id: str,
        report: Report = report_to_stderr,
        authorize: Authorize | None = None,
    ) -> None:
        self._protocol = protocol
        self._operations = operations
        self._account_id = account_id
        self._report = report
        self._authorize = authorize

    async def __call__(self, request: Request) -> Response:
        """Answer one request; refusals and failures are answers too."""
        wire = self._protocol.identify(request)
        request_id = str(uuid.uuid4())
        try:
            return await self._answer(request, wire, request_id)
        except ServiceError as error:
            return wire.error(error, request_id, request)
        except Exception as error:  # noqa: BLE001 - whatever an operation's mistake is, its caller gets an AWS-shaped 500
            self._report(error)
            return wire.error(wire.internal_error(), request_id, request)

    async def _answer(self, request: Request, wire: Wire, request_id: str) -> Response:
        large = len(request.body) >= OFF_LOOP_BYTES
        verified = await _run(large, lambda: self._protocol.verify(request, wire))
        if not _REGION.fullmatch(verified.region):
            raise replace(wire.dialect.wrong_signature, template="Credential should be scoped to a valid region.")()
        target = wire.target(verified.request)
        plan = target.plan
        handler = self._operations.handler(plan.service, plan.name)
        params = await _run(large, lambda: target.parse(verified.request))
        plan.validate(params)
        endpoint = f"http://{request.header('host', '')}"
        context = Context(verified.region, self._account_id, request_id, verified.principal, endpoint)
        if self._authorize is not None:
            self._authorize(context, plan.service, plan.name, params)
        return plan.serialize(await handler(context, params) or {}, request_id)


async def _run(off_loop: bool, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if off_loop else work()
