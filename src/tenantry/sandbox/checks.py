"""The sandbox contract as checks that any driver must pass (driver.py says the contract in words).

`CHECKS` lists them; each takes a driver and an empty folder, and raises AssertionError. They need no framework: tests run
them over every level, and so may whoever writes a new one.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from tenantry.sandbox.driver import Driver, Sandbox, SandboxError, SandboxSpec, Zygote, ZygoteSpec
from tenantry.sandbox.zygote import own_interpreter

WAIT_S = 15.0
Check = Callable[[Driver, Path], Awaitable[None]]


class Recorder:
    """SandboxEvents that remembers, and lets a check wait."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.statuses: list[int] = []
        self.reasons: list[str] = []
        self.servers: list[socket.socket] = []
        self._changed = asyncio.Event()

    def listening(self, runtime_api: socket.socket, platform: socket.socket | None, forwards: list[socket.socket]) -> None:
        self.servers = [runtime_api, *([platform] if platform else []), *forwards]
        self._note("listening")

    def started(self) -> None:
        self._note("started")

    def exited(self, status: int) -> None:
        self.statuses.append(status)
        self._note("exited")

    def failed(self, reason: str, *, again: bool = False) -> None:
        self.reasons.append(reason)
        self._note("failed")

    def gone(self) -> None:
        for server in self.servers:
            server.close()
        self._note("gone")

    async def until(self, event: str, times: int = 1) -> None:
        """Wait until `event` has come `times` times."""
        async with asyncio.timeout(WAIT_S):
            while self.seen.count(event) < times:
                self._changed.clear()
                await self._changed.wait()

    async def first_request(self) -> tuple[socket.socket, bytes]:
        """The connection of the runtime and its first request: INIT is over when it comes."""
        loop = asyncio.get_running_loop()
        server = self.servers[0]
        server.setblocking(False)
        async with asyncio.timeout(WAIT_S):
            connection, _ = await loop.sock_accept(server)
            return connection, await loop.sock_recv(connection, 65_536)

    def _note(self, event: str) -> None:
        self.seen.append(event)
        self._changed.set()


async def _zygote(driver: Driver, folder: Path, source: str) -> Zygote:
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(source)
    for path in (folder, code):
        path.chmod(0o755)
    environ = {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return await driver.open(ZygoteSpec("checks", own_interpreter(), code, (), environ))


def _fork(zygote: Zygote, events: Recorder, name: str = "one", **limits: int) -> tuple[Sandbox, int]:
    reading, writing = os.pipe()
    try:
        sandbox = zygote.fork(SandboxSpec(id=name, environ={"MARK": name}, **limits), writing, events)  # type: ignore[arg-type]
    except BaseException:
        os.close(reading)
        raise
    return sandbox, reading


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _written(descriptor: int) -> str:
    with open(descriptor, "rb") as pipe:
        return pipe.read().decode()


async def order_of_events(driver: Driver, folder: Path) -> None:
    """listening, started, gone; the runtime asks for its first invocation in between; no event after gone."""
    zygote = await _zygote(driver, folder, "def handler(event, context): ...")
    events = Recorder()
    sandbox, reading = _fork(zygote, events)
    await events.until("started")
    connection, request = await events.first_request()
    assert request.startswith(b"GET /2018-06-01/runtime/invocation/next"), request
    sandbox.kill()
    await events.until("gone")
    sandbox.kill()
    sandbox.reset()
    await asyncio.sleep(0.05)
    assert events.seen == ["listening", "started", "gone"], events.seen
    connection.close()
    os.close(reading)
    await zygote.close()


async def output_and_variables(driver: Driver, folder: Path) -> None:
    """What the process writes arrives on its own pipe, its variables are its own, and the pipe ends with it."""
    zygote = await _zygote(driver, folder, "import os\nprint('I am', os.environ['MARK'], flush=True)\ndef handler(e, c): ...")
    texts = []
    for name in ("one", "two"):
        events = Recorder()
        sandbox, reading = _fork(zygote, events, name)
        await events.until("started")
        connection, _ = await events.first_request()
        connection.close()
        sandbox.kill()
        await events.until("gone")
        texts.append(_written(reading))
    assert [text.splitlines()[0] for text in texts] == ["I am one", "I am two"], texts
    await zygote.close()


async def end_of_runtime(driver: Driver, folder: Path) -> None:
    """A runtime that exits is reported with its status; the sandbox stays, and a reset starts it again."""
    zygote = await _zygote(driver, folder, "import os\nos._exit(7)")
    events = Recorder()
    sandbox, reading = _fork(zygote, events)
    await events.until("exited")
    assert os.waitstatus_to_exitcode(events.statuses[0]) == 7, events.statuses
    sandbox.reset()
    await events.until("exited", 2)
    assert events.seen.count("started") == 2, events.seen
    assert "gone" not in events.seen
    sandbox.kill()
    await events.until("gone")
    os.close(reading)
    await zygote.close()


async def reset_kills_everything(driver: Driver, folder: Path) -> None:
    """After a reset no process of before is left, and what was in the temporary folder still is."""
    source = """
import os, subprocess, tempfile, time
mark = os.path.join(os.environ.get("TMPDIR", "/tmp"), "mark")
print("mark", os.path.exists(mark), flush=True)
open(mark, "w").close()
if os.fork() == 0:
    time.sleep(0.5)
    print("survivor", flush=True)
    os._exit(0)
def handler(event, context): ...
"""
    zygote = await _zygote(driver, folder, source)
    events = Recorder()
    sandbox, reading = _fork(zygote, events)
    await events.until("started")
    first, _ = await events.first_request()
    sandbox.reset()
    await events.until("started", 2)
    second, _ = await events.first_request()
    sandbox.kill()
    await events.until("gone")
    await asyncio.sleep(0.6)
    lines = _written(reading).splitlines()
    assert [line for line in lines if line.startswith("mark")] == ["mark False", "mark True"], lines
    assert "survivor" not in lines, lines
    first.close()
    second.close()
    await zygote.close()


async def nothing_inherited(driver: Driver, folder: Path) -> None:
    """A sandbox starts with four descriptors, an explicit environment and no way to the platform's memory of others."""
    source = """
import os
print("fds", sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)), flush=True)
print("secret", os.environ.get("CHECKS_SECRET"), flush=True)
def handler(event, context): ...
"""
    os.environ["CHECKS_SECRET"] = "of the platform"  # noqa: S105 - a marker that must not be seen inside
    held = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        zygote = await _zygote(driver, folder, source)
    finally:
        del os.environ["CHECKS_SECRET"]
        os.close(held)
    events = Recorder()
    sandbox, reading = _fork(zygote, events)
    await events.until("started")
    connection, _ = await events.first_request()
    sandbox.kill()
    await events.until("gone")
    text = _written(reading)
    assert "fds [0, 1, 2, 3]" in text, text
    assert "secret None" in text, text
    connection.close()
    await zygote.close()


async def killed_before_it_is_made(driver: Driver, folder: Path) -> None:
    """A kill right after the fork was asked for still ends in gone, with nothing left."""
    zygote = await _zygote(driver, folder, "def handler(event, context): ...")
    for _ in range(10):
        events = Recorder()
        sandbox, reading = _fork(zygote, events)
        sandbox.kill()
        await events.until("gone")
        assert events.seen[-1] == "gone"
        os.close(reading)
    await zygote.close()


async def zygote_gone(driver: Driver, folder: Path) -> None:
    """A zygote that has been closed refuses to fork, and leaves no descriptor behind doing so."""
    zygote = await _zygote(driver, folder, "def handler(event, context): ...")
    await zygote.close()
    before = _descriptors()
    try:
        _, reading = _fork(zygote, Recorder())
    except SandboxError:
        assert _descriptors() <= before, "descriptors were left behind"
        return
    os.close(reading)
    raise AssertionError("a closed zygote made an environment")


async def many_at_once(driver: Driver, folder: Path) -> None:
    """Thirty environments made at the same moment all start, apart from each other, and all go."""
    zygote = await _zygote(driver, folder, "import os\nprint(os.environ['MARK'], flush=True)\ndef handler(e, c): ...")
    made = []
    for number in range(30):
        events = Recorder()
        made.append((events, *_fork(zygote, events, f"m{number}")))
    for number, (events, sandbox, reading) in enumerate(made):
        await events.until("started")
        connection, _ = await events.first_request()
        connection.close()
        sandbox.kill()
        await events.until("gone")
        assert _written(reading).splitlines()[0] == f"m{number}"
    await zygote.close()


CHECKS: tuple[Check, ...] = (
    order_of_events,
    output_and_variables,
    end_of_runtime,
    reset_kills_everything,
    nothing_inherited,
    killed_before_it_is_made,
    zygote_gone,
    many_at_once,
)
