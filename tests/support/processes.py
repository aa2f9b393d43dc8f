"""Processes of this host: who made whom, and which are a sandbox's."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tenantry.sandbox.process import SandboxProcess


def children(pid: int) -> list[int]:
    """The processes that a process has made and that have not been collected."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Its children, their children and so on."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def keeper_of(sandbox: SandboxProcess) -> int:
    """The pid of a sandbox's first process."""
    facts = Path(f"/proc/self/fdinfo/{sandbox._pidfd}").read_text().splitlines()
    return int(next(line for line in facts if line.startswith("Pid:")).split()[1])


def sealed_of(sandbox: SandboxProcess) -> int:
    """The pid of what its keeper keeps: the runtime, or what waits sealed to become it."""
    (found,) = children(keeper_of(sandbox))
    return found
