"""Placement: from (function version, tenant) to an environment, and back with a result. READ pool.py for the decisions.

    invoke(request) = resolve -> permission -> tenant id -> tenancy -> state -> throttle -> payload -> place -> run

The order is the one aws-behaviour 1.6 infers. The router owns the environments and the pool; it alone binds and kills. An
invocation runs to its end even if its caller has gone.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from tenantry.environment import variables
from tenantry.environment.environment import Environment, EnvironmentFailed, Invocation, NeverRun, Platform
from tenantry.environment.lifecycle import State
from tenantry.environment.outcome import Outcome
from tenantry.environment.records import Records, runtime_version, stream_name
from tenantry.environment.zygotes import Zygotes
from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.function import FunctionEntry, FunctionVersion
from tenantry.model.identity import CredentialSource
from tenantry.model.invocation import InvokeRequest, InvokeResult
from tenantry.model.logging import LogSink
from tenantry.model.runtime import Runtimes
from tenantry.placement import admission
from tenantry.placement.events import EventQueue
from tenantry.placement.functions import Functions
from tenantry.placement.parking import Parking
from tenantry.placement.pool import Bind, FunctionKey, Limits, Pool, Refuse, Reuse, Slot, Start
from tenantry.sandbox.driver import SandboxError, SandboxSpec, ZygoteEndedError

_CREDENTIALS_S = 12 * 3600
_AGE_MAX_S = 4 * 3600.0  # AWS recycles environments every few hours; credentials live longer than that
_SWEEP_S = 1.0
_PLACED_AGAIN = 2  # what a dying zygote takes along may end before the zygote does, and so may one more that it was asked for
_EXPIRED_PER_SWEEP = 80
_BETWEEN_EXPIRED_S = 0.01  # an end takes a millisecond or two of the loop; requests go in between

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Resident:
    """An environment and its slot; `starting` is the task that makes its sandbox."""

    environment: Environment
    slot: Slot
    starting: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the router takes from the configuration."""

    idle_timeout_s: float = 600.0
    parked_per_function: int = 2
    ending_s: float = 15.0


class Router:
    """See the module's docstring. Implements model.invocation.Invoker and environment.Owner."""

    def __init__(
        self,
        functions: Functions,
        zygotes: Zygotes,
        runtimes: Runtimes,
        credentials: CredentialSource,
        platform: Platform,
        logs: LogSink,
        clock: Clock,
        limits: Limits,
        settings: Settings,
    ) -> None:
        self._functions = functions
        self._zygotes = zygotes
        self._runtimes = runtimes
        self._credentials = credentials
        self._platform = platform
        self._logs = logs
        self._clock = clock
        self._settings = settings
        self.pool = Pool(limits)
        self._residents: dict[int, _Resident] = {}
        self._by_environment: dict[str, _Resident] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._empty = asyncio.Event()
        self._draining = False
        self.parking = Parking(settings.parked_per_function)
        self.events = EventQueue(self._run_event, clock)
        self._counters = {"invocations": 0, "cold_starts": 0, "bound_parked": 0, "throttles": 0, "evictions": 0}
        for entry in functions.entries():
            self._published(None, entry)
        functions.listen(self._published)

    # -- the invoke path

    async def invoke(self, request: InvokeRequest) -> InvokeResult:
        """See model.invocation.Invoker."""
        entry, function, invoked_arn = admission.resolve(self._functions, request)
        admission.check(entry, function, request)
        if request.invocation_type == "DryRun":
            return InvokeResult(204)
        if request.invocation_type == "Event":
            self.events.put(entry, request)
            return InvokeResult(202)
        try:
            outcome = await asyncio.shield(self.place(entry, function, request, invoked_arn))
        except NeverRun:
            function, outcome = await self._again(request)
        except EnvironmentFailed as error:
            raise admission.ENVIRONMENT_FAILED(reason=str(error)) from None
        return InvokeResult(200, outcome.payload, outcome.function_error, function.version, outcome.log_tail)

    async def _again(self, request: InvokeRequest, left: int = _PLACED_AGAIN) -> tuple[FunctionVersion, Outcome]:
        """Its environment ended before it saw the invocation: place it again. The answer tells of the last time."""
        entry, function, invoked_arn = admission.resolve(self._functions, request)
        try:
            return function, await asyncio.shield(self.place(entry, function, request, invoked_arn))
        except EnvironmentFailed as error:
            if isinstance(error, NeverRun) and left > 1:
                return await self._again(request, left - 1)
            if isinstance(error, NeverRun) and error.ended is not None:
                return function, error.ended
            raise admission.ENVIRONMENT_FAILED(reason=str(error)) from None

    def place(
        self, entry: FunctionEntry, function: FunctionVersion, request: InvokeRequest, invoked_arn: str
    ) -> asyncio.Future[Outcome]:
        """Choose an environment and start the invocation. Raises ServiceError when it is throttled."""
        if self._draining:
            raise admission.SHUTTING_DOWN()
        invocation = Invocation(
            request_id=request.request_id,
            invocation_id=str(uuid.uuid4()),
            payload=request.payload or b"{}",
            invoked_arn=invoked_arn,
            tenant_id=request.tenant_id,
            trace_id=request.trace_id,
            client_context=request.client_context,
            content_type=request.content_type,
            log_tail=request.log_tail,
        )
        now = self._clock.monotonic()
        key = key_of(function)
        decision = self.pool.acquire(key, request.tenant_id, function.memory_mib, now)
        if isinstance(decision, Refuse):
            self._counters["throttles"] += 1
            raise admission.throttled(decision)
        self._counters["invocations"] += 1
        if isinstance(decision, Start):
            for slot in decision.evict:
                self._counters["evictions"] += 1
                self._kill(slot)
            self._counters["cold_starts"] += 1
            self.parking.missed(key, now)
            try:
                resident = self._make(function, decision.slot)
            except OSError as error:
                self.pool.lost(decision.slot)
                raise admission.ENVIRONMENT_FAILED(reason=_said(error)) from None
            resident.environment.bind(request.tenant_id)
        else:
            resident = self._residents[decision.slot.id]
            if isinstance(decision, Bind):
                self._counters["bound_parked"] += 1
                resident.environment.bind(request.tenant_id)
        future = resident.environment.invoke(invocation)
        self._in_flight += 1
        self._quiet.clear()
        future.add_done_callback(self._landed)
        if not isinstance(decision, Reuse):
            self._park_later(function)
        return future

    # -- environment.Owner

    def environment_ready(self, environment: Environment) -> None:
        resident = self._by_environment[environment.id]
        if not self.pool.parked(resident.slot, self._clock.monotonic()):
            environment.kill()

    def environment_idle(self, environment: Environment) -> None:
        resident = self._by_environment.get(environment.id)
        if resident is not None and environment.doomed:
            resident.slot.retired = True
        if resident is not None and not self.pool.release(resident.slot, self._clock.monotonic()):
            environment.kill()

    def environment_dead(self, environment: Environment) -> None:
        resident = self._by_environment.pop(environment.id, None)
        if resident is None:
            return
        if not self._by_environment:
            self._empty.set()
        self.pool.lost(resident.slot)
        self._residents.pop(resident.slot.id, None)
        key = resident.slot.key
        if (environment.init_failed or environment.failure is not None) and self._current(environment.function):
            self.parking.failed(key, self._clock.monotonic())
        if resident.slot.retired and self.pool.count(key) == 0 and not self._current(environment.function):
            self.pool.forget(key)
            self._spawn(self._zygotes.release(environment.function))

    # -- life of the platform

    async def run(self) -> None:
        """Background care, until cancelled: expiry, parking, the event queue."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run())
            while True:
                await asyncio.sleep(_SWEEP_S)
                try:
                    self.sweep()
                except Exception:
                    log.exception("looking after the environments failed; it is tried again in a second")

    def sweep(self) -> None:
        """Retire what has been idle or alive too long, and top up parked environments."""
        now = self._clock.monotonic()
        expired = self.pool.expire(now, self._settings.idle_timeout_s, _AGE_MAX_S, _EXPIRED_PER_SWEEP)
        for position, slot in enumerate(expired):
            asyncio.get_running_loop().call_later(position * _BETWEEN_EXPIRED_S, self._kill, slot)
        self._zygotes.revive()
        for entry in self._functions.entries():
            for function in entry.versions.values():
                if function.tenancy:
                    self.park(function)

    async def drain(self, deadline_s: float) -> bool:
        """Take no new invocations; wait until those in flight have ended. False when the deadline came first."""
        self._draining = True
        try:
            async with asyncio.timeout(deadline_s):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Kill every environment and wait until nothing is left of them, then close the zygotes.

        What the kernel cannot end in time (a process that waits for a disk or a network file system, say) is named and left
        to end by itself: it has been killed.
        """
        self._draining = True
        for resident in list(self._residents.values()):
            resident.environment.kill()
        if self._by_environment:
            self._empty.clear()
            try:
                async with asyncio.timeout(self._settings.ending_s):
                    await self._empty.wait()
            except TimeoutError:
                left = [resident.environment for resident in self._by_environment.values()]
                names = sorted(f"{environment.function.name} ({environment.state.value})" for environment in left)
                log.error(
                    "environments were killed and have not ended: %s. A process of theirs waits for the kernel "
                    "(state D in `ps`), for a disk say, and ends when it answers",
                    ", ".join(names),
                )
        await self._zygotes.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def evict_all(self) -> int:
        """Destroy every idle environment; returns how many (`tenantry evict`, tests)."""
        slots = self.pool.expire(self._clock.monotonic(), -1.0, float("inf"))
        for slot in slots:
            self._kill(slot)
        return len(slots)

    def status(self) -> dict[str, object]:
        """Figures and rows for `tenantry status`. Tenant ids are in it: it is for the operator."""
        return {
            **self._counters,
            "in_flight": self._in_flight,
            "events_queued": len(self.events),
            "environments": [
                {
                    "function": resident.environment.function.name,
                    "version": resident.environment.function.version,
                    "tenant": resident.environment.tenant,
                    "state": resident.environment.state.value,
                    "invocations": resident.environment.invocations,
                    "age_s": round(self._clock.monotonic() - resident.slot.born, 1),
                }
                for resident in self._residents.values()
            ],
            "zygotes": self._zygotes.status(),
        }

    # -- parking

    def park(self, function: FunctionVersion) -> None:
        """Make parked environments until the function has as many as it should."""
        if self._draining:
            return
        key = key_of(function)
        now = self._clock.monotonic()
        missing = self.parking.target(key, function.parked, now) - self.pool.parked_count(key)
        for _ in range(missing):
            slot = self.pool.park(key, function.memory_mib, now)
            if slot is None:
                return
            try:
                self._make(function, slot)
            except OSError as error:
                self.pool.lost(slot)
                self.parking.failed(key, now)
                log.warning("no environment of %s could be parked: %s", function.name, _said(error))
                return

    def _park_later(self, function: FunctionVersion) -> None:
        """After the first request is through, not beside it: a fork costs a core some milliseconds."""
        if function.tenancy:
            asyncio.get_running_loop().call_later(0.01, self._park_if_current, function)

    def _park_if_current(self, function: FunctionVersion) -> None:
        if self._current(function):
            self.park(function)

    # -- environments

    def _make(self, function: FunctionVersion, slot: Slot) -> _Resident:
        identifier = secrets.token_hex(16)
        stream = stream_name(function, identifier, self._clock.now())
        runtime = runtime_version(function, self._runtimes.resolve(function.runtime).version)
        records = Records(function, stream, runtime)
        reading, writing = os.pipe()
        try:
            environment = Environment(
                identifier, function, stream, records, self, self._platform, self._logs, self._clock, reading
            )
        except BaseException:
            os.close(reading)
            os.close(writing)
            raise
        resident = _Resident(environment, slot)
        self._residents[slot.id] = self._by_environment[identifier] = resident
        resident.starting = self._spawn(self._start(resident, writing))
        return resident

    async def _start(self, resident: _Resident, output: int) -> None:
        """Ask for the environment's sandbox. `output` is closed here whatever happens."""
        environment = resident.environment
        try:
            await self._ask(environment, output)
        except (SandboxError, OSError, ServiceError) as error:
            environment.set_failure(_said(error), again=isinstance(error, ZygoteEndedError))
        except Exception as error:
            log.exception("an environment of %s could not be made", environment.function.name)
            environment.set_failure(repr(error))
        except asyncio.CancelledError:
            environment.set_failure("the platform is shutting down")
            raise
        finally:
            os.close(output)

    async def _ask(self, environment: Environment, output: int) -> None:
        function = environment.function
        zygote = await self._zygotes.get(function)
        if environment.state is State.DEAD:
            return
        credential = self._credentials.assume(function.role, function.name, _CREDENTIALS_S)
        spec = SandboxSpec(
            id=environment.id,
            environ=variables.own(environment.stream, credential),
            memory_mib=function.memory_mib,
            tmp_mib=function.ephemeral_mib,
            forwards=tuple((name, int(port)) for name, _, port in (entry.rpartition(":") for entry in function.egress)),
        )
        environment.attach(zygote.fork(spec, os.dup(output), environment))

    def _kill(self, slot: Slot) -> None:
        resident = self._residents.get(slot.id)
        if resident is not None:
            resident.environment.kill()

    def _published(self, old: FunctionEntry | None, new: FunctionEntry | None) -> None:
        """A function has changed: retire what belongs to revisions that are no more, warm what is new."""
        fresh = new.versions if new is not None else {}
        if new is not None:
            self.pool.reserve(new.arn, new.reserved)
        elif old is not None:
            self.pool.reserve(old.arn, None)
        for version, function in (old.versions if old is not None else {}).items():
            if version not in fresh or fresh[version].revision != function.revision:
                self._retire(function)
        for version, function in fresh.items():
            known = old.versions.get(version) if old is not None else None
            if (known is None or known.revision != function.revision) and version == "$LATEST":
                self._warm(function)

    def _warm(self, function: FunctionVersion) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # not running yet: the first invocation, or the first sweep, does it
        self._zygotes.warm(function)
        if function.tenancy:
            loop.call_later(0.01, self._park_if_current, function)

    def _retire(self, function: FunctionVersion) -> None:
        key = key_of(function)
        self.parking.forget(key)
        for slot in self.pool.retire(key):
            self._kill(slot)
        if self.pool.count(key) == 0:
            self.pool.forget(key)
            self._spawn(self._zygotes.release(function))

    def _current(self, function: FunctionVersion) -> bool:
        entry = self._functions.get(function.region, function.name)
        known = entry.versions.get(function.version) if entry is not None else None
        return known is not None and known.revision == function.revision

    def _landed(self, future: asyncio.Future[Outcome]) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._quiet.set()
        if not future.cancelled():
            future.exception()  # the caller may have gone

    async def _run_event(self, request: InvokeRequest) -> Outcome:
        entry, function, invoked_arn = admission.resolve(self._functions, request)
        admission.recheck(entry, function, request)
        return await asyncio.shield(self.place(entry, function, request, invoked_arn))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def key_of(function: FunctionVersion) -> FunctionKey:
    """The pool's key of a function version."""
    return FunctionKey(function.arn, function.version, function.revision)


def _said(error: Exception) -> str:
    """An error's own words; of the system's errors the reason."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "the platform has no file descriptors left; raise its limit (ulimit -n) or lower its number of environments"
    return error.message if isinstance(error, ServiceError) else str(error)
