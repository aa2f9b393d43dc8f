"""Invocations as values: what a caller asks, what it gets."""

from __future__ import annotations

from typing import Protocol

import msgspec


class InvokeRequest(msgspec.Struct, frozen=True):
    """One Invoke.

    function: name only; qualifier: version number, alias, `$LATEST` or None; tenant_id: as sent, unchecked, None when absent
    or empty; client_context: decoded JSON text; source_service and source_arn: set when an AWS service invokes (its
    permission is then looked up in the function's resource policy), None for a signed principal of the account.
    """

    region: str
    function: str
    request_id: str
    payload: bytes = b""
    qualifier: str | None = None
    tenant_id: str | None = None
    invocation_type: str = "RequestResponse"
    log_tail: bool = False
    client_context: str | None = None
    trace_id: str | None = None
    source_service: str | None = None
    source_arn: str | None = None
    content_type: str = "application/json"


class InvokeResult(msgspec.Struct, frozen=True):
    """What Invoke answers. status 200 | 202 | 204; function_error `Unhandled` or None; log_tail: last 4 KB, raw."""

    status: int
    payload: bytes = b""
    function_error: str | None = None
    executed_version: str | None = None
    log_tail: bytes | None = None


class Invoker(Protocol):
    """The invoke path, as its callers see it (placement/router implements it)."""

    async def invoke(self, request: InvokeRequest) -> InvokeResult:
        """Resolve, check, place and run one invocation.

        Raises ServiceError with Lambda's own codes and texts (aws-behaviour 1.6, 2.5): unknown function, no permission, bad
        tenant id, tenancy mismatch, wrong state, throttled, bad payload, too large. A function's own failure is a result with
        `function_error`, not an exception. Cancelling the call does not cancel the invocation: it runs on and is logged.
        """


# Sizes of payloads in bytes (aws-behaviour 2.5): 6 MB and 100 bytes of slack for a synchronous answer, 6 MB for its request.
REQUEST_BYTES_MAX = 6_291_456
RESPONSE_BYTES_MAX = 6_291_556
EVENT_BYTES_MAX = 1_048_576
LOG_TAIL_BYTES = 4096
