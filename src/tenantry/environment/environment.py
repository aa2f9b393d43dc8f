"""An execution environment: one sandbox, at most one tenant, one invocation at a time.

    placement -> bind(tenant), invoke(invocation) -> Future[Outcome]
    sandbox   -> listening, started, exited, failed, gone          (driver.SandboxEvents)
    runtime   -> /next, /response, /error, /init/error             (runtime_api.Handler)
    owner     <- ready, idle, dead                                 (Owner: the router)

Everything happens on the event loop in callbacks; nothing waits, so there is nothing to lock. INIT problems follow
aws-behaviour 2.3: an INIT that fails or takes longer than ten seconds is done again inside the first invocation, under the
function's timeout; after a timeout or a crash the process is made anew while `/tmp`, log stream and tenant stay.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import msgspec
import orjson

from tenantry.environment import outcome
from tenantry.environment.lifecycle import State, move
from tenantry.environment.outcome import Outcome
from tenantry.environment.output import Event, Output
from tenantry.environment.records import Metrics, Records
from tenantry.environment.runtime_api import Refused, RuntimeApi, RuntimeConnection
from tenantry.model.clock import Clock
from tenantry.model.function import FunctionVersion
from tenantry.model.invocation import LOG_TAIL_BYTES
from tenantry.model.logging import LogSink
from tenantry.sandbox.driver import Sandbox

START_TIMEOUT_S = 30.0
"""From the order to make or restart it until its runtime must run: more is a sandbox that hangs."""

INIT_TIMEOUT_S = 10.0
_MEMORY_REFRESH_S = 0.5
_HELD_EVENTS_MAX = 500  # of an INIT that nobody has asked for yet
_UNBOUND = object()


class Invocation(msgspec.Struct, frozen=True):
    """One attempt at running the function. invocation_id is unique to the attempt; request_id is not (async retries)."""

    request_id: str
    invocation_id: str
    payload: bytes
    invoked_arn: str
    tenant_id: str | None = None
    trace_id: str | None = None
    client_context: str | None = None
    content_type: str = "application/json"
    log_tail: bool = False


class Owner(Protocol):
    """Who keeps the environment: told about what changes its place in the pool."""

    def environment_ready(self, environment: Environment) -> None:
        """INIT is done and nobody has bound it yet: it is parked."""

    def environment_idle(self, environment: Environment) -> None:
        """An invocation has ended (its result is delivered); it can take the next one."""

    def environment_dead(self, environment: Environment) -> None:
        """It is gone for good and nothing of it is left."""


class Platform(Protocol):
    """Takes the platform endpoint's socket inside a sandbox, and the forwards of its egress list."""

    def serve_inside(
        self, environment_id: str, endpoint: socket.socket | None, forwards: list[tuple[socket.socket, str, int]]
    ) -> None: ...
    def stop_inside(self, environment_id: str) -> None: ...


class Environment:
    """See the module's docstring. `id` is 32 hexadecimal digits and the last part of its log stream's name."""

    def __init__(
        self,
        identifier: str,
        function: FunctionVersion,
        stream: str,
        records: Records,
        owner: Owner,
        platform: Platform,
        logs: LogSink,
        clock: Clock,
        output: int,
    ) -> None:
        self.id = identifier
        self.function = function
        self.stream = stream
        self.state = State.STARTING
        self.invocations = 0
        self.init_failed = False
        self.doomed = False
        self.failure: str | None = None
        self._may_try_again = False
        self._tenant: object = _UNBOUND
        self._held: list[Event] = []
        self._records = records
        self._owner = owner
        self._platform = platform
        self._logs = logs
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sandbox: Sandbox | None = None
        self._api: RuntimeApi | None = None
        self._next: RuntimeConnection | None = None
        self._current: Invocation | None = None
        self._future: asyncio.Future[Outcome] | None = None
        self._delivered = False
        self._timer: asyncio.TimerHandle | None = None
        self._begun: float | None = None  # when START of the invocation in hand was logged and its own time began
        self._restarts = 0  # asked for and not reported yet
        self._init_phase = "init"
        self._init_begun: float | None = None
        self._init_ms: float | None = None
        self._init_error: tuple[bytes, str | None] | None = None
        self._tail: bytearray | None = None
        self._peak = (0.0, 0)
        self._output = Output(output, clock.now, self._emit)
        self._loop.add_reader(output, self._output_readable)

    # -- placement's side

    @property
    def bound(self) -> bool:
        return self._tenant is not _UNBOUND

    @property
    def tenant(self) -> str | None:
        """The tenant it belongs to (None: the function is not isolated, or it is not bound yet)."""
        return self._tenant if isinstance(self._tenant, str) else None

    def bind(self, tenant: str | None) -> None:
        """Give it to a tenant, once and for ever. The only place that assigns a tenant."""
        if self.bound:
            raise AssertionError("an environment is bound once; this one belongs to a tenant already")
        self._tenant = tenant
        self._records.tenant = tenant
        held, self._held = self._held, []
        self._emit(held)

    def attach(self, sandbox: Sandbox) -> None:
        """Its sandbox is being made."""
        self._sandbox = sandbox
        if self._init_begun is None and self.state is State.STARTING:
            self._arm(START_TIMEOUT_S, self._start_timed_out)

    def invoke(self, invocation: Invocation) -> asyncio.Future[Outcome]:
        """Run one invocation. It must be bound to the invocation's tenant, and have none in hand."""
        if self._current is not None or not self.bound or self.tenant != invocation.tenant_id:
            raise AssertionError("an invocation was placed in an environment that is busy or belongs to another tenant")
        if self.state is State.DEAD:
            raise AssertionError("an invocation was placed in an environment that is gone")
        self._current = invocation
        self._future = self._loop.create_future()
        self._tail = bytearray() if invocation.log_tail else None
        if self._next is not None:
            self._deliver()
        elif self._init_error is not None:
            self._repeat_init()
        elif self.state is State.IDLE:
            self._begin(invocation)  # the runtime has not come back for more; the invocation's time runs all the same
        return self._future

    def kill(self) -> None:
        """Destroy it. An invocation in hand ends as if the process had been killed."""
        if self._sandbox is not None:
            self._sandbox.kill()
        else:
            self.gone()

    def set_failure(self, reason: str, *, again: bool = False) -> None:
        """The sandbox could not even be asked for. again: as for `failed`."""
        self.failed(reason, again=again)
        self.gone()

    # -- the sandbox's side (driver.SandboxEvents)

    def listening(self, runtime_api: socket.socket, platform: socket.socket | None, forwards: list[socket.socket]) -> None:
        if self.state is State.DEAD:
            for server in (runtime_api, platform, *forwards):
                if server is not None:
                    server.close()
            return
        self._api = RuntimeApi(runtime_api, self)
        targets = [entry.rpartition(":") for entry in self.function.egress]
        named = [(server, name, int(port)) for server, (name, _, port) in zip(forwards, targets, strict=True)]
        self._platform.serve_inside(self.id, platform, named)

    def started(self) -> None:
        self._restarts = max(0, self._restarts - 1)
        if self._restarts or self.state is State.DEAD:
            return  # it is to be killed and started once more, by an order that is on its way
        self._init_begun = self._clock.monotonic()
        self._log(self._records.init_start(self._clock.now(), self._init_phase))
        if self._init_phase == "init":
            self._arm(INIT_TIMEOUT_S, self._init_timed_out)

    def exited(self, status: int) -> None:
        if self.state is State.DEAD or self._restarts:
            return  # of a runtime that is replaced already
        self._next = None
        self._output.drain()
        memory = self._sandbox is not None and self._sandbox.out_of_memory()
        if self._init_begun is not None:
            self._init_ended_badly(status, memory)
            return
        if self._current is not None and self._delivered:
            self._finish(outcome.exited(self._current.request_id, status, memory))
        # An invocation whose time runs already, but which no runtime has seen, waits for the next one under its own timeout.
        self._reset("init" if self._begun is None else "invoke")

    def failed(self, reason: str, *, again: bool = False) -> None:
        self.failure, self._may_try_again = reason, again
        self._log([f"tenantry could not make this execution environment: {reason}\n"])

    def gone(self) -> None:
        if self.state is State.DEAD:
            return
        self._disarm()
        self.state = move(self.state, State.DEAD)
        self._next = None
        if self._output.descriptor >= 0:
            self._loop.remove_reader(self._output.descriptor)
            self._output.drain()
            self._output.close()
        if self._api is not None:
            self._api.close()
        self._platform.stop_inside(self.id)
        future, current = self._future, self._current
        self._future = self._current = None
        if future is not None and not future.done():
            request_id = current.request_id if current is not None else ""
            if self.failure is not None:
                future.set_exception((NeverRun if self._may_try_again else EnvironmentFailed)(self.failure))
            else:
                memory = self._sandbox is not None and self._sandbox.out_of_memory()
                ended = outcome.exited(request_id, 9, memory)
                if self._begun is None and not memory and not self.init_failed:
                    future.set_exception(NeverRun("it ended before the invocation reached it", ended))
                else:
                    future.set_result(ended)
        self._owner.environment_dead(self)

    # -- the runtime's side (runtime_api.Handler)

    def next_waiting(self, connection: RuntimeConnection) -> None:
        if self._restarts:
            connection.abort()  # of a runtime that is about to be killed
            return
        if self._current is not None and self._delivered:
            raise Refused(
                403,
                "InvalidStateTransition",
                "State transition from Invoking to Ready failed for runtime. Error: an invocation is in hand",
            )
        if self._next is not None and self._next is not connection:
            self._next.abort()
        self._next = connection
        if self._init_begun is not None:
            self._init_succeeded()
        if self._current is not None:
            self._deliver()

    def response(self, request_id: str, invocation_id: str | None, body: bytes, content_type: str) -> None:
        self._check(request_id, invocation_id)
        self._finish(Outcome(body))

    def response_too_large(self, request_id: str, invocation_id: str | None) -> None:
        self._check(request_id, invocation_id)
        self._finish(outcome.too_large(request_id))

    def error(self, request_id: str, invocation_id: str | None, body: bytes, error_type: str | None) -> None:
        self._check(request_id, invocation_id)
        self._finish(Outcome(body, "Unhandled", "error", error_type or _error_type(body)))

    def init_error(self, body: bytes, error_type: str | None) -> None:
        if self._init_begun is None:
            raise Refused(
                403,
                "InvalidStateTransition",
                "State transition from Ready to InitError failed for runtime. Error: INIT is over",
            )
        self._init_error = (body, error_type)

    # -- INIT

    def _init_succeeded(self) -> None:
        begun, self._init_begun = self._init_begun, None
        assert begun is not None
        duration_ms = (self._clock.monotonic() - begun) * 1000
        self._init_error = None
        if self._init_phase == "init":
            self._disarm()
            self._init_ms = duration_ms
        self._log(self._records.init_done(self._clock.now(), self._init_phase, "success", duration_ms))
        self._init_phase = "init"
        if self._current is None:
            if self.bound:
                self.state = move(self.state, State.IDLE)
            else:
                self.state = move(self.state, State.PARKED)
                self._owner.environment_ready(self)

    def _start_timed_out(self) -> None:
        """The sandbox is neither made nor gone: something in it hangs."""
        self.failed(f"its runtime did not start within {START_TIMEOUT_S:.0f} s")
        self.kill()

    def _init_timed_out(self) -> None:
        """Ten seconds have passed: end this INIT; the first invocation does it again."""
        self._init_error = (b"", "Sandbox.Timedout")
        self._report_init("timeout", None)
        if self._current is not None:
            self._repeat_init()
        else:
            self.init_failed = True
            self.kill()

    def _init_ended_badly(self, status: int, memory: bool) -> None:
        """The process ended during INIT, most often after /init/error."""
        phase, body_type = self._init_phase, self._init_error
        ended = outcome.exited(self._current.request_id if self._current else "", status, memory)
        error_type = (body_type[1] if body_type else None) or ended.error_type
        if body_type is None:
            self._init_error = (ended.payload, error_type)
        self._report_init("error", error_type)
        if phase == "init":
            if self._current is not None:
                self._repeat_init()
            elif not self.bound:
                # Parked for nobody, and broken: whoever comes first makes a new one, and is told the error there.
                self.init_failed = True
                self.kill()
            else:
                self.state = move(self.state, State.RESETTING)
            return
        self.doomed = True  # before anybody is told that the invocation is over, and places the next one here
        body = self._init_error[0] if self._init_error and self._init_error[0] else ended.payload
        self._init_phase = "init"
        if self._current is not None:
            self._finish(Outcome(body, "Unhandled", "error", error_type))
        self.init_failed = True
        self.kill()

    def _report_init(self, status: str, error_type: str | None) -> None:
        begun, self._init_begun = self._init_begun, None
        duration_ms = (self._clock.monotonic() - begun) * 1000 if begun is not None else 0.0
        self._log(self._records.init_done(self._clock.now(), self._init_phase, status, duration_ms, error_type))

    def _repeat_init(self) -> None:
        """INIT again, inside the invocation in hand and under its timeout."""
        current = self._current
        assert current is not None
        self._init_error = None
        self._begin(current)
        self._init_phase = "invoke"
        self.state = move(self.state, State.RESETTING)
        self._restart()

    def _restart(self) -> None:
        self._next = None
        self._restarts += 1
        if self._begun is None:
            self._arm(START_TIMEOUT_S, self._start_timed_out)
        if self._sandbox is not None:
            self._sandbox.reset()

    def _reset(self, phase: str) -> None:
        self._init_phase = phase
        self.state = move(self.state, State.RESETTING)
        self._restart()

    # -- INVOKE

    def _begin(self, invocation: Invocation) -> None:
        """The invocation's own time starts."""
        self._begun = self._clock.monotonic()
        self._announce(invocation, self._clock.now())

    def _announce(self, invocation: Invocation, now: float) -> None:
        """Its time has started, at `now`: START is logged, the function's timeout runs."""
        if self._tail is not None:
            self._tail.clear()  # the tail begins at START (aws-behaviour 2.6)
        self._log(self._records.start(now, invocation.request_id), now)
        self._arm(self.function.timeout_s, self._timed_out)

    def _deliver(self) -> None:
        current, connection = self._current, self._next
        assert current is not None and connection is not None  # noqa: PT018 - the callers have looked
        self._next = None
        if not connection.open:  # the runtime has just died; it is made anew when its end is reported
            if self._begun is None:
                self._arm(START_TIMEOUT_S, self._start_timed_out)
            return
        if self.state is not State.BUSY:
            self.state = move(self.state, State.BUSY)
        now, instant, begun = self._clock.now(), self._clock.monotonic(), self._begun
        self._begun = instant if begun is None else begun
        deadline_ms = int((now + self.function.timeout_s - (instant - self._begun)) * 1000)
        if connection.deliver(_next_answer(current, deadline_ms), current.payload):
            self._delivered = True
        if begun is None:
            # While the runtime wakes up. What it prints is read after this, and is not older: records are shown by their time.
            self._announce(current, now)

    def _finish(self, result: Outcome) -> None:
        """The invocation in hand is over: write its records, answer, become idle."""
        current, future = self._current, self._future
        assert current is not None
        self._disarm()
        begun, self._begun = self._begun, None
        duration_ms = (self._clock.monotonic() - begun) * 1000 if begun is not None else 0.0
        self._output.drain()
        now = self._clock.now()
        lines: list[str] = []
        if result.status == "timeout":
            lines += self._records.timed_out(now, current.request_id, self.function.timeout_s)
        if self._output.dropped_records:
            lines += self._records.logs_dropped(now, *self._output.take_dropped())
        init_ms, self._init_ms = self._init_ms, None
        metrics = Metrics(duration_ms, self._peak_mib(), len(result.payload), init_ms)
        lines += self._records.end(now, current.request_id, metrics, result.status, result.error_type)
        self._log(lines)
        tail = bytes(self._tail[-LOG_TAIL_BYTES:]) if self._tail is not None else None
        self._current = self._future = self._tail = None
        self._delivered = False
        self.invocations += 1
        if self.state is State.BUSY:
            self.state = move(self.state, State.IDLE)
        if future is not None and not future.done():
            future.set_result(msgspec.structs.replace(result, log_tail=tail) if tail is not None else result)
        self._owner.environment_idle(self)

    def _timed_out(self) -> None:
        current = self._current
        assert current is not None
        self._init_begun = None
        reset_needed = self.state is not State.DEAD
        self._finish(outcome.timed_out(current.request_id, self.function.timeout_s))
        if reset_needed and self.state is not State.DEAD:
            self._reset("init")

    def _check(self, request_id: str, invocation_id: str | None) -> None:
        current = self._current
        if current is None or not self._delivered:
            raise Refused(
                403,
                "InvalidStateTransition",
                "State transition from Ready to InvocationResponse failed for runtime. Error: no invocation is in hand",
            )
        if request_id != current.request_id or (invocation_id is not None and invocation_id != current.invocation_id):
            raise Refused(400, "InvalidRequestID", "Invalid request ID")

    # -- output, memory, timers

    def _emit(self, events: list[Event]) -> None:
        if not self.bound:
            # What a parked environment says is logged when it gets its tenant: on AWS nothing of it would exist before that.
            self._held += events[: _HELD_EVENTS_MAX - len(self._held)]
            return
        if events:
            self._logs.append(self.function.region, self.function.logging.log_group, self.stream, events)
        if self._tail is not None:
            for _, message in events:
                self._tail += message.encode()
            if len(self._tail) > 4 * LOG_TAIL_BYTES:
                del self._tail[:-LOG_TAIL_BYTES]

    def _log(self, lines: list[str], now: float | None = None) -> None:
        if lines:
            now_ms = int((self._clock.now() if now is None else now) * 1000)
            self._emit([(now_ms, line) for line in lines])

    def _output_readable(self) -> None:
        if not self._output.readable():
            self._loop.remove_reader(self._output.descriptor)

    def _peak_mib(self) -> int:
        now = self._clock.monotonic()
        measured, peak = self._peak
        if (peak == 0 or now - measured > _MEMORY_REFRESH_S) and self._sandbox is not None:
            peak = min((self._sandbox.memory_peak_bytes() or 0) >> 20, self.function.memory_mib)
            self._peak = (now, peak)
        return peak

    def _arm(self, seconds: float, action: object) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, action)  # type: ignore[arg-type]

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class EnvironmentFailed(Exception):  # noqa: N818 - says what happened to it
    """The environment could not be made; the text says at which step."""


class NeverRun(EnvironmentFailed):
    """No code of the function saw the invocation: another environment may take it. ended: how it ended, as an answer, if there
    was one."""

    def __init__(self, reason: str, ended: Outcome | None = None) -> None:
        super().__init__(reason)
        self.ended = ended


def _next_answer(invocation: Invocation, deadline_ms: int) -> bytes:
    """Head of the answer to `/next`. Values come from checked fields; a line break in one is a defect and refused."""
    fields = [
        f"Content-Type: {invocation.content_type}",
        f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}",
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}",
        f"Lambda-Runtime-Invoked-Function-Arn: {invocation.invoked_arn}",
        f"Lambda-Runtime-Invocation-Id: {invocation.invocation_id}",
    ]
    if invocation.tenant_id:
        fields.append(f"Lambda-Runtime-Aws-Tenant-Id: {invocation.tenant_id}")
    if invocation.trace_id:
        fields.append(f"Lambda-Runtime-Trace-Id: {invocation.trace_id}")
    if invocation.client_context:
        fields.append(f"Lambda-Runtime-Client-Context: {invocation.client_context}")
    head = "\r\n".join(fields)
    if head.count("\n") != len(fields) - 1:
        raise AssertionError("a header of an invocation holds a line break")
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(invocation.payload)}\r\n{head}\r\n\r\n".encode()


def _error_type(body: bytes) -> str | None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    value = content.get("errorType") if isinstance(content, dict) else None
    return value if isinstance(value, str) else None
