"""Invoke, in its three forms (aws-behaviour 2.5): the wire's parameters to an InvokeRequest, and the result back.

Everything that depends on the function (whether it exists, tenancy, state, throttling, the payload) is decided by placement,
in AWS's order; here are only the names and the members of the request itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any

import orjson

from tenantry.model.invocation import Invoker, InvokeRequest, InvokeResult
from tenantry.services.lambda_ import errors, names
from tenantry.services.operation import Context, operation

CLIENT_CONTEXT_BYTES_MAX = 3583
_TYPES = ("RequestResponse", "Event", "DryRun")
_STREAM_TYPES = ("RequestResponse", "DryRun")


class InvocationOperations:
    """Operations that run functions."""

    name = "lambda"

    def __init__(self, invoker: Invoker) -> None:
        self._invoker = invoker

    @operation("Invoke")
    async def invoke(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Run a function, queue an event for it, or only ask whether it could run (DryRun)."""
        if params.get("DurableExecutionName"):
            raise errors.NOT_OFFERED(what="durable functions (DurableExecutionName)")
        result = await self._invoker.invoke(_request(ctx, params, _TYPES))
        return {
            "StatusCode": result.status,
            "FunctionError": result.function_error,
            "LogResult": _log_result(result),
            "Payload": result.payload,
            "ExecutedVersion": result.executed_version,
        }

    @operation("InvokeWithResponseStream")
    async def invoke_with_response_stream(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Run a function and answer as an event stream: one PayloadChunk with the whole result, then InvokeComplete.

        A function that fails has no PayloadChunk; its error is InvokeComplete's ErrorCode and ErrorDetails (how AWS splits this
        for functions that do not stream is not recorded).
        """
        result = await self._invoker.invoke(_request(ctx, params, _STREAM_TYPES))
        return {
            "StatusCode": result.status,
            "ExecutedVersion": result.executed_version,
            "EventStream": _events(result),
            "ResponseStreamContentType": "application/vnd.amazon.eventstream",
        }

    @operation("InvokeAsync")
    async def invoke_async(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The old form of an event invocation. It has no tenant, so isolated functions refuse it."""
        renamed = {"FunctionName": params["FunctionName"], "InvocationType": "Event", "Payload": params.get("InvokeArgs")}
        result = await self._invoker.invoke(_request(ctx, renamed, _TYPES))
        return {"Status": result.status}


def _request(ctx: Context, params: dict[str, Any], types: tuple[str, ...]) -> InvokeRequest:
    ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), "InvokeFunction")
    kind = params.get("InvocationType") or "RequestResponse"
    if kind not in types:
        constraint = f"Member must satisfy enum value set: [{', '.join(sorted(types))}]"
        raise errors.CONSTRAINT(value=kind, member="invocationType", constraint=constraint)
    return InvokeRequest(
        region=ctx.region,
        function=ref.name,
        request_id=ctx.request_id,
        payload=bytes(params.get("Payload") or b""),
        qualifier=ref.qualifier,
        tenant_id=params.get("TenantId") or None,
        invocation_type=kind,
        log_tail=kind == "RequestResponse" and params.get("LogType") == "Tail",
        client_context=_client_context(params.get("ClientContext")) if kind == "RequestResponse" else None,
    )


def _client_context(header: str | None) -> str | None:
    """The decoded JSON text. Raises InvalidRequestContentException."""
    if not header:
        return None
    if len(header) > CLIENT_CONTEXT_BYTES_MAX:
        constraint = f"Member must have length less than or equal to {CLIENT_CONTEXT_BYTES_MAX}"
        raise errors.CONSTRAINT(value=header, member="clientContext", constraint=constraint)
    try:
        text = base64.b64decode(header, validate=True)
        value = orjson.loads(text)
    except (binascii.Error, ValueError):
        raise errors.BAD_CLIENT_CONTEXT() from None
    if not isinstance(value, dict):
        raise errors.BAD_CLIENT_CONTEXT()
    return orjson.dumps(value).decode()  # one line: it travels in a header


def _log_result(result: InvokeResult) -> str | None:
    return None if result.log_tail is None else base64.b64encode(result.log_tail).decode()


async def _events(result: InvokeResult) -> AsyncIterator[dict[str, Any]]:
    complete: dict[str, Any] = {"LogResult": _log_result(result)}
    if result.function_error is not None:
        complete.update(ErrorCode=result.function_error, ErrorDetails=result.payload.decode("utf-8", "replace"))
    elif result.payload:
        yield {"PayloadChunk": {"Payload": result.payload}}
    yield {"InvokeComplete": {name: value for name, value in complete.items() if value is not None}}
