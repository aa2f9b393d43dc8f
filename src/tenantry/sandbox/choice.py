"""Which level of isolation this machine gives: the one that was asked for, or the strongest that works, tried out.

A kernel or a container may refuse any of the steps that make a sandbox, so a level is believed only after a zygote was opened
at it. That costs a fifth of a second; the outcome is remembered in `<data-dir>/isolation.json` and believed again while
everything that decides it is the same: boot, user, capabilities, namespaces, tenantry's version.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tenantry.sandbox.driver import SandboxError, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.zygote import own_interpreter

STRENGTH = ("process", "namespace", "exec")
"""Levels, the weakest first."""

_AUTO = ("namespace", "process")
_NAMESPACES = ("cgroup", "mnt", "net", "pid", "user")
_STATUS_LINES = ("CapEff:", "NoNewPrivs:", "Seccomp:", "Uid:")


class LevelError(Exception):
    """The isolation that was asked for cannot be had on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A driver, and what a person should know about its level (None: nothing)."""

    driver: LinuxDriver
    warning: str | None


class _Remembered(msgspec.Struct, frozen=True):
    """`works` has the levels that were tried out under `circumstances`."""

    circumstances: str
    works: tuple[str, ...] = ()


async def choose(level: str, minimal: str, data_dir: Path, version: str) -> Choice:
    """The driver of `level`, or for `auto` of the strongest that works. Raises LevelError where there is none."""
    memory = data_dir / "isolation.json"
    now = _circumstances(version)
    remembered = _recall(memory)
    works = remembered.works if remembered is not None and remembered.circumstances == now else ()
    problems: list[str] = []
    for candidate in _AUTO if level == "auto" else (level,):
        if STRENGTH.index(candidate) < STRENGTH.index(minimal):
            problems.append(f"Level {candidate} is below the minimal isolation {minimal}.")
            continue
        try:
            driver = LinuxDriver(candidate)
            if candidate != "process" and candidate not in works:
                await _try_out(driver, data_dir)
                memory.write_bytes(msgspec.json.encode(_Remembered(now, (*works, candidate))))
        except (SandboxError, OSError) as error:
            problems.append(f"Level {candidate} does not work on this machine: {error}.")
            continue
        return Choice(driver, _warning(driver, problems))
    raise LevelError(" ".join(problems))


def _warning(driver: LinuxDriver, problems: list[str]) -> str | None:
    if driver.level == "process":
        return " ".join([*problems, "Level process: tenants are kept apart by processes, not by the kernel."])
    if driver.cgroup_problem:
        return f"Memory and CPU of environments are not limited, without control groups: {driver.cgroup_problem}"
    return None


async def _try_out(driver: LinuxDriver, data_dir: Path) -> None:
    """Open a zygote and close it again: what the machine refuses shows in that."""
    code = data_dir / "empty"
    code.mkdir(exist_ok=True)
    code.chmod(0o755)  # it is read under another user id
    zygote = await driver.open(ZygoteSpec("probe", own_interpreter(), code, (), {}))
    await zygote.close()


def _circumstances(version: str) -> str:
    """Everything that decides whether a level works, as one text."""
    proc = Path("/proc")
    try:
        status = (proc / "self/status").read_text().splitlines()
        facts = [line for line in status if line.startswith(_STATUS_LINES)]
        facts += [str((proc / "self/ns" / name).readlink()) for name in _NAMESPACES]
        facts.append((proc / "sys/kernel/random/boot_id").read_text().strip())
    except OSError as error:
        return f"unknown {os.getpid()} {error}"  # never the same twice
    return "\n".join([version, *facts])


def _recall(memory: Path) -> _Remembered | None:
    try:
        return msgspec.json.decode(memory.read_bytes(), type=_Remembered)
    except (OSError, msgspec.MsgspecError):
        return None
