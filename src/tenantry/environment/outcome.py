"""How an invocation ended, and the error payloads the platform itself writes (aws-behaviour 2.4)."""

from __future__ import annotations

import os
import signal

import msgspec
import orjson

from tenantry.model.invocation import RESPONSE_BYTES_MAX


class Outcome(msgspec.Struct, frozen=True):
    """payload: the result or the error JSON; function_error: `Unhandled` or None; status as in platform records."""

    payload: bytes
    function_error: str | None = None
    status: str = "success"
    error_type: str | None = None
    log_tail: bytes | None = None


def _error(error_type: str, message: str, status: str) -> Outcome:
    payload = orjson.dumps({"errorType": error_type, "errorMessage": message})
    return Outcome(payload, "Unhandled", status, error_type)


def timed_out(request_id: str, timeout_s: float) -> Outcome:
    """The function ran for longer than its timeout."""
    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return _error("Sandbox.Timedout", message, "timeout")


def exited(request_id: str, status: int, out_of_memory: bool) -> Outcome:
    """The runtime process ended in the middle of an invocation, with this wait status."""
    error_type = "Runtime.OutOfMemory" if out_of_memory else "Runtime.ExitError"
    return _error(error_type, f"RequestId: {request_id} Error: {describe_exit(status)}", "error")


def too_large(request_id: str) -> Outcome:
    """The result does not fit."""
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
    return _error("Function.ResponseSizeTooLarge", message, "error")


def describe_exit(status: int) -> str:
    """AWS's words for the end of a process."""
    if os.WIFSIGNALED(status):
        name = "killed" if os.WTERMSIG(status) == signal.SIGKILL else signal.strsignal(os.WTERMSIG(status)) or "unknown"
        return f"Runtime exited with error: signal: {name.lower()}"
    code = os.WEXITSTATUS(status)
    return "Runtime exited without providing a reason" if code == 0 else f"Runtime exited with error: exit status {code}"
