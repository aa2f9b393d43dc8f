"""The platform's own log lines about an environment: text and JSON (aws-behaviour 2.6 and 2.7), and stream names.

Which records a function gets depends on its format and, with JSON, on the system log level. Times are epoch seconds, durations
milliseconds.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from tenantry.model.clock import iso_ms
from tenantry.model.function import FunctionVersion

_LEVELS = ("DEBUG", "INFO", "WARN")
# The system log level a platform record needs; the three INFO ones are what CloudWatch shows by default.
_RECORD_LEVELS = {
    "platform.initStart": "INFO",
    "platform.initRuntimeDone": "DEBUG",
    "platform.initReport": "DEBUG",
    "platform.start": "INFO",
    "platform.runtimeDone": "DEBUG",
    "platform.report": "INFO",
    "platform.logsDropped": "WARN",
}


@dataclass(frozen=True, slots=True)
class Metrics:
    """Measured of one invocation. init_ms is set on the first one of an environment."""

    duration_ms: float
    max_memory_mib: int
    produced_bytes: int = 0
    init_ms: float | None = None

    @property
    def billed_ms(self) -> int:
        """INIT is billed with the first invocation (aws-behaviour 1.9)."""
        return math.ceil(self.duration_ms + (self.init_ms or 0.0))


def stream_name(function: FunctionVersion, identifier: str, now: float) -> str:
    """`2026/01/01/[$LATEST]<32 hex>`; in a group of the user's own choice the function's name goes in front of the version."""
    day = datetime.fromtimestamp(now, UTC).strftime("%Y/%m/%d")
    shared = function.logging.log_group != f"/aws/lambda/{function.name}"
    return f"{day}/{function.name if shared else ''}[{function.version}]{identifier}"


def runtime_version(function: FunctionVersion, version: str) -> tuple[str, str]:
    """(runtime version, its ARN): which interpreter really runs, in the place where AWS names its runtime build."""
    wanted = function.runtime.removeprefix("python")
    name = f"python:{wanted}.tenantry" if version == wanted else f"python:{wanted}.substituted-by-{version}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    return name, f"arn:aws:lambda:{function.region}::runtime:{digest}"


class Records:
    """Writes the records of one environment. `tenant` is set when it is bound; INIT records never carry it."""

    def __init__(self, function: FunctionVersion, stream: str, runtime: tuple[str, str]) -> None:
        self._function = function
        self._stream = stream
        self._runtime = runtime
        self._json = function.logging.log_format == "JSON"
        wanted = function.logging.system_log_level or "INFO"
        floor = _LEVELS.index(wanted) if wanted in _LEVELS else 1
        self._wanted = {kind for kind, level in _RECORD_LEVELS.items() if _LEVELS.index(level) >= floor}
        self.tenant: str | None = None

    def init_start(self, now: float, phase: str) -> list[str]:
        if not self._json:
            return [f"INIT_START Runtime Version: {self._runtime[0]}\tRuntime Version ARN: {self._runtime[1]}\n"]
        record = {
            "initializationType": "on-demand",
            "phase": phase,
            "runtimeVersion": self._runtime[0],
            "runtimeVersionArn": self._runtime[1],
            "functionName": self._function.name,
            "functionVersion": self._function.version,
            "instanceId": self._stream,
            "instanceMaxMemory": self._function.memory_mib << 20,
        }
        return self._platform(now, "platform.initStart", record)

    def init_done(self, now: float, phase: str, status: str, duration_ms: float, error_type: str | None = None) -> list[str]:
        """After an INIT. In text only a failed one is told (`INIT_REPORT`, aws-behaviour 2.3)."""
        if not self._json:
            if status == "success":
                return []
            error = f"\tError Type: {error_type}" if error_type else ""
            return [f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{error}\n"]
        done: dict[str, object] = {"initializationType": "on-demand", "phase": phase, "status": status}
        if error_type:
            done["errorType"] = error_type
        report = {**done, "metrics": {"durationMs": round(duration_ms, 3)}}
        return self._platform(now, "platform.initRuntimeDone", done) + self._platform(now, "platform.initReport", report)

    def start(self, now: float, request_id: str) -> list[str]:
        function = self._function
        if not self._json:
            return [f"START RequestId: {request_id} Version: {function.version}\n"]
        record: dict[str, object] = {"requestId": request_id, "functionArn": function.arn, "version": function.version}
        if self.tenant is not None:
            record["tenantId"] = self.tenant
        return self._platform(now, "platform.start", record)

    def end(self, now: float, request_id: str, metrics: Metrics, status: str, error_type: str | None = None) -> list[str]:
        """END and REPORT, or runtimeDone and report. status: success | failure | error | timeout."""
        if not self._json:
            return [f"END RequestId: {request_id}\n", self._report_line(request_id, metrics, status, error_type)]
        base: dict[str, object] = {"requestId": request_id}
        if self.tenant is not None:
            base["tenantId"] = self.tenant
        outcome: dict[str, object] = {"status": status}
        if error_type:
            outcome["errorType"] = error_type
        done = {"metrics": {"durationMs": round(metrics.duration_ms, 3), "producedBytes": metrics.produced_bytes}}
        measured: dict[str, object] = {
            "durationMs": round(metrics.duration_ms, 3),
            "billedDurationMs": metrics.billed_ms,
            "memorySizeMB": self._function.memory_mib,
            "maxMemoryUsedMB": metrics.max_memory_mib,
        }
        if metrics.init_ms is not None:
            measured["initDurationMs"] = round(metrics.init_ms, 3)
        return self._platform(now, "platform.runtimeDone", {**base, **outcome, **done}) + self._platform(
            now, "platform.report", {**base, "metrics": measured, **outcome}
        )

    def timed_out(self, now: float, request_id: str, timeout_s: float) -> list[str]:
        """The line that says so (text only; the JSON report has the status)."""
        if self._json:
            return []
        return [f"{iso_ms(now)} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n"]

    def logs_dropped(self, now: float, records: int, size: int) -> list[str]:
        """Output beyond the rate limit was thrown away."""
        reason = "output faster than the platform's limit for one environment"
        if not self._json:
            return [f"LOGS_DROPPED {records} records, {size} bytes: {reason}\n"]
        return self._platform(now, "platform.logsDropped", {"reason": reason, "droppedRecords": records, "droppedBytes": size})

    def _report_line(self, request_id: str, metrics: Metrics, status: str, error_type: str | None) -> str:
        line = (
            f"REPORT RequestId: {request_id}\tDuration: {metrics.duration_ms:.2f} ms\tBilled Duration: {metrics.billed_ms} ms\t"
            f"Memory Size: {self._function.memory_mib} MB\tMax Memory Used: {metrics.max_memory_mib} MB\t"
        )
        if metrics.init_ms is not None:
            line += f"Init Duration: {metrics.init_ms:.2f} ms\t"
        # A handler's own exception leaves no mark here; what the platform found out does.
        if status == "timeout":
            line += "Status: timeout\t"
        elif status == "error" and error_type and error_type.startswith(("Runtime.", "Function.")):
            line += f"Status: error\tError Type: {error_type}\t"
        return line + "\n"

    def _platform(self, now: float, kind: str, record: dict[str, object]) -> list[str]:
        if kind not in self._wanted:
            return []
        return [orjson.dumps({"time": iso_ms(now), "type": kind, "record": record}).decode() + "\n"]
