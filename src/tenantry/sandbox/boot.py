"""Boots a real sandbox of a level and looks at it from inside: the only proof that a level can be had.

A sandbox passes when it keeps the contract's order of events (checks.py) and a module loaded in it finds what the level
promises: other namespaces than the host's, a system call filter, no capability, another user, nobody else's processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tenantry.sandbox.checks import Recorder, order_of_events
from tenantry.sandbox.driver import Driver, SandboxError, SandboxSpec, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.tree import UID
from tenantry.sandbox.zygote import own_interpreter

BOOT_TIMEOUT_S = 30.0
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_STATUS = ("CapBnd", "CapEff", "NoNewPrivs", "Seccomp")
_LOOK = f"""
import json, os, socket
status = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps({{
    "namespaces": {{name: os.readlink("/proc/self/ns/" + name) for name in {NAMESPACES!r}}},
    "status": {{name: status.get(name, "") for name in {_STATUS!r}}},
    "uid": os.getuid(),
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    "interfaces": [name for _, name in socket.if_nameindex()],
}}), flush=True)
def handler(event, context): ...
"""


class Inside(msgspec.Struct, frozen=True):
    """What the module inside found. status: lines of /proc/self/status; namespaces: their identities by name."""

    namespaces: dict[str, str]
    status: dict[str, str]
    uid: int
    processes: int
    interfaces: list[str]


@dataclass(frozen=True, slots=True)
class Boot:
    """One level tried. problem: None where it works; limited: whether control groups hold memory, CPU and processes."""

    level: str
    rootless: bool
    problem: str | None
    limited: bool = False
    cgroup_problem: str = ""
    took_s: float = 0.0
    inside: Inside | None = field(default=None, repr=False)

    @property
    def works(self) -> bool:
        return self.problem is None


async def boot(level: str, rootless: bool, folder: Path) -> Boot:
    """Try a level for real. `folder` is empty and this call's own. Never raises for what the host refuses."""
    began = time.monotonic()
    try:
        driver = LinuxDriver(level, rootless=rootless)
    except (SandboxError, OSError) as error:
        return Boot(level, rootless, str(error))
    inside, problem = None, None
    try:
        async with asyncio.timeout(BOOT_TIMEOUT_S):
            await order_of_events(driver, _empty(folder / "contract"))
            inside = await _look(driver, _empty(folder / "look"))
        problem = "; ".join(faults(level, inside, outside())) or None
    except TimeoutError:
        problem = f"a sandbox did not answer within {BOOT_TIMEOUT_S:.0f} s"
    except AssertionError as error:
        problem = f"the order of events is broken: {error}"
    except (SandboxError, OSError, msgspec.MsgspecError) as error:
        problem = str(error)
    finally:
        with contextlib.suppress(OSError):  # a group that will not go is no reason to hide the outcome
            await driver.close()
    limited = driver.cgroups is not None
    return Boot(level, rootless, problem, limited, driver.cgroup_problem, time.monotonic() - began, inside)


def outside() -> dict[str, str]:
    """The identities of this process's own namespaces."""
    return {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in NAMESPACES}


def faults(level: str, inside: Inside, host: dict[str, str]) -> list[str]:
    """What the sandbox lacks of what its level promises, a clause each."""
    status = inside.status
    found = []
    if status["Seccomp"].strip() != "2":
        found.append("no system call filter is in force")
    if status["NoNewPrivs"].strip() != "1":
        found.append("new privileges can be gained")
    if level == "process":
        return found
    shared = [name for name in NAMESPACES if inside.namespaces[name] == host[name]]
    if shared:
        found.append(f"namespaces shared with the host: {', '.join(shared)}")
    if int(status["CapEff"], 16) or int(status["CapBnd"], 16):
        found.append("capabilities are left")
    if inside.uid != UID:
        found.append(f"it runs as user {inside.uid}")
    if inside.processes > 2:  # the keeper and the runtime
        found.append(f"it sees {inside.processes} processes")
    if inside.interfaces != ["lo"]:
        found.append(f"it sees network interfaces: {', '.join(inside.interfaces)}")
    return found


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


async def _look(driver: Driver, folder: Path) -> Inside:
    code = _empty(folder / "code")
    (code / "app.py").write_text(_LOOK)
    for path in (folder, code):
        path.chmod(0o755)  # it is read under another user id
    environ = {"_HANDLER": "app.handler", "LANG": "C.UTF-8"}
    zygote = await driver.open(ZygoteSpec("doctor", own_interpreter(), code, (), environ))
    try:
        return await _first_line(zygote.fork, Recorder())
    finally:
        await zygote.close()


async def _first_line(fork: Any, events: Recorder) -> Inside:
    """Make an environment, take the line its module prints while it is loaded, and end it."""
    reading, writing = os.pipe()
    try:
        sandbox = fork(SandboxSpec("doctor", {}), writing, events)
        line = await _line(reading, events)
        sandbox.kill()
        await events.until("gone")
    finally:
        os.close(reading)
    if not line:
        raise SandboxError("; ".join(events.reasons) or "the sandbox ended without a word")
    return msgspec.json.decode(line, type=Inside)


async def _line(reading: int, events: Recorder) -> bytes:
    """Everything up to the first line's end, or to the end of the pipe."""
    loop = asyncio.get_running_loop()
    os.set_blocking(reading, False)
    readable = asyncio.Event()
    loop.add_reader(reading, readable.set)
    data = b""
    try:
        while b"\n" not in data:
            await readable.wait()
            readable.clear()
            try:
                more = os.read(reading, 65_536)
            except BlockingIOError:
                continue
            if not more:
                break
            data += more
    finally:
        loop.remove_reader(reading)
    return data.partition(b"\n")[0]
