"""A router with real sandboxes and nothing around it: no HTTP, no stores. Tests see, and kill, what it is made of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.support.folders import let_others_read
from tests.support.processes import children, keeper_of, sealed_of

from tenantry.environment.environment import Environment
from tenantry.environment.lifecycle import State
from tenantry.environment.zygotes import Zygotes
from tenantry.model.clock import SystemClock
from tenantry.model.function import FunctionEntry, FunctionVersion, LoggingConfig
from tenantry.model.identity import Credential
from tenantry.model.invocation import InvokeRequest
from tenantry.placement.functions import Functions
from tenantry.placement.pool import Limits
from tenantry.placement.router import Router, Settings
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.runtimes import Runtimes

REGION, ACCOUNT = "us-east-1", "000000000000"
WAIT_S = 15.0

HANDLER = """
import os, time
seen = 0
def handler(event, context):
    global seen
    seen += 1
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "exit" in event:
        os._exit(event["exit"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "grow" in event:
        held = bytearray(event["grow"] << 20)
        for place in range(0, len(held), 4096):
            held[place] = 1
    return {"tenant": context.tenant_id, "seen": seen}
"""


class NoCredentials:
    """Mints keys that open nothing."""

    def lookup(self, access_key_id: str, session_token: str | None) -> None:
        return None

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        return Credential("ASIATEST", "secret", role_arn, "AROATEST", "token")


class NoNetwork:
    """Serves nothing inside."""

    def serve_inside(self, environment_id, endpoint, forwards):
        for server in (endpoint, *(forward[0] for forward in forwards)):
            if server is not None:
                server.close()

    def stop_inside(self, environment_id):
        pass


class Logs:
    """Keeps what is logged, if it is asked to."""

    def __init__(self, keep: bool = True) -> None:
        self.lines: list[str] = []
        self._keep = keep

    def append(self, region, group, stream, events):
        if self._keep:
            self.lines += [message for _, message in events]


class Bench:
    """See the module's docstring. Use `open_bench`."""

    def __init__(self, driver: LinuxDriver, folder: Path, limits: Limits, settings: Settings, keep_logs: bool) -> None:
        self.driver = driver
        self.clock = SystemClock()
        self.functions = Functions(ACCOUNT)
        self.logs = Logs(keep_logs)
        runtimes = Runtimes()
        self.zygotes = Zygotes(driver, runtimes, folder, "http://127.0.0.1:4270", self.clock)
        self.router = Router(
            self.functions, self.zygotes, runtimes, NoCredentials(), NoNetwork(), self.logs, self.clock, limits, settings
        )
        self._folder = folder
        self._ids = 0

    # -- what users do

    def deploy(self, name: str = "f", source: str = HANDLER, revision: str = "1", **changes: Any) -> FunctionVersion:
        """Publish a function, or a new revision of it."""
        code = self._folder / f"{name}-{revision}"
        code.mkdir(exist_ok=True)
        (code / "app.py").write_text(source)
        code.chmod(0o755)
        settings = {"tenancy": True, "timeout_s": 20, "parked": 0, "logging": LoggingConfig(f"/aws/lambda/{name}"), **changes}
        function = FunctionVersion(
            ACCOUNT, REGION, name, "$LATEST", revision, "python3.11", "app.handler", "role", code.name, **settings
        )
        self.functions.put(FunctionEntry(ACCOUNT, REGION, name, {"$LATEST": function}))
        return function

    async def invoke(self, tenant: str | None = "Blue", name: str = "f", **event: Any) -> Any:
        """The answer: what the handler returned, or `errorType: errorMessage`."""
        result = await self.router.invoke(self.request(tenant, name, event))
        value = json.loads(result.payload)
        if result.function_error is not None:
            return f"{value['errorType']}: {value['errorMessage']}"
        return value

    def request(self, tenant: str | None = "Blue", name: str = "f", event: Any = None, **changes: Any) -> InvokeRequest:
        """An invocation, not made yet."""
        self._ids += 1
        return InvokeRequest(REGION, name, f"r{self._ids}", json.dumps(event or {}).encode(), tenant_id=tenant, **changes)

    # -- what tests look at

    def environments(self, state: State | None = None) -> list[Environment]:
        """Those that live, in order of their making."""
        found = [resident.environment for resident in self.router._residents.values()]
        return [environment for environment in found if state is None or environment.state is state]

    def of(self, tenant: str) -> Environment:
        """A tenant's only environment."""
        (found,) = [environment for environment in self.environments() if environment.tenant == tenant]
        return found

    def keeper(self, environment: Environment) -> int:
        """The pid, on the host, of the environment's first process."""
        return keeper_of(environment._sandbox)

    def runtime(self, environment: Environment) -> int:
        """The pid, on the host, of the process that runs the handler."""
        return sealed_of(environment._sandbox)

    def zygote(self, function: FunctionVersion) -> tuple[int, int, int]:
        """The pids of the function's launcher, reaper and zygote."""
        entry = self.zygotes._entries[(function.arn, function.version, function.revision)]
        launcher = entry.task.result()._process._process.pid
        (reaper,) = children(launcher)
        zygote, *_ = children(reaper)
        return launcher, reaper, zygote

    async def until(self, condition: Callable[[], object], wait_s: float = WAIT_S, poll_s: float = 0.005) -> None:
        """Wait for something to come true. poll_s 0: look at every turn of the event loop."""
        end = asyncio.get_running_loop().time() + wait_s
        while not condition():
            if asyncio.get_running_loop().time() > end:
                raise AssertionError("it does not come true")
            await asyncio.sleep(poll_s)


@contextlib.asynccontextmanager
async def open_bench(
    folder: Path,
    *,
    driver: LinuxDriver | None = None,
    limits: Limits | None = None,
    settings: Settings | None = None,
    keep_logs: bool = True,
    run: bool = True,
) -> AsyncIterator[Bench]:
    """A bench at level `namespace`. Closed, nothing of it may be left."""
    let_others_read(folder)
    driver = driver or LinuxDriver("namespace")
    bench = Bench(driver, folder, limits or Limits(), settings or Settings(parked_per_function=0), keep_logs)
    task = asyncio.get_running_loop().create_task(bench.router.run()) if run else None
    try:
        yield bench
        assert task is None or not task.done(), "the router's background care has ended by itself"
    finally:
        async with asyncio.timeout(30):
            await bench.router.close()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await driver.close()


def kill(pid: int) -> None:
    """As the out-of-memory killer would."""
    os.kill(pid, signal.SIGKILL)
