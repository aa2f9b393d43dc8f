"""Counts everything a platform could leave behind: processes, namespaces, mounts, control groups, temporary files, descriptors.

    before = census()
    ...
    await settled(before)        # AssertionError naming what is there now and was not

Counted is what belongs to this process: its descendants, their namespaces, its own descriptors and mounts, and the control
groups and temporary folders that carry its mark (linux/owner.py). `census(pid)` counts those of another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import descendants

from tenantry.linux import owner

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Census:
    """What exists at one moment, each thing by a name."""

    processes: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    temporary: frozenset[str]
    descriptors: frozenset[str]

    def beyond(self, other: Census) -> dict[str, list[str]]:
        """What is here and was not in `other`, by kind. Descriptors count by number: a kept one keeps its number."""
        found = {}
        for kind in self.__slots__:
            more = getattr(self, kind) - getattr(other, kind)
            if more and (kind != "descriptors" or len(self.descriptors) > len(other.descriptors)):
                found[kind] = sorted(more)
        return found


def cgroups(mark: str) -> frozenset[str]:
    """Control groups named after `mark` beside or around this process, and the environments' below them."""
    found = set()
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        base = Path("/sys/fs/cgroup", names.split(",")[0] if names else "") / path.lstrip("/")
        for parent in (base, base.parent):
            for group in _folders(parent):
                if group.name.startswith(mark):
                    # Groups made ahead of time are a few, and are there on purpose.
                    inside = (str(child) for child in _folders(group) if not child.name.startswith("spare-"))
                    found.update({str(group), *inside})
    return frozenset(found)


def _folders(parent: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:  # it may go while it is read
        return [Path(entry.path) for entry in entries if entry.is_dir()]
    return []


def census(pid: int | None = None, mark: str | None = None) -> Census:
    """What exists now of this process, or of another (whose descriptors and mounts are then counted)."""
    gc.collect()  # what earlier tests left to the collector closes its descriptors now, not between two counts
    pid = os.getpid() if pid is None else pid
    mark = owner.mark() if mark is None else mark
    processes = descendants(pid)
    namespaces = set()
    for process in (pid, *processes):
        for name in NAMESPACES:
            with contextlib.suppress(OSError):
                namespaces.add(str(Path(f"/proc/{process}/ns/{name}").readlink()))
    descriptors = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            descriptors.add(f"{entry.name} -> {entry.readlink()}")
    return Census(
        frozenset(f"{process} {_name(process)}" for process in processes),
        frozenset(namespaces),
        frozenset(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()),
        cgroups(mark),
        frozenset(str(path) for path in Path(tempfile.gettempdir()).glob(f"{mark}*")),
        frozenset(descriptors),
    )


async def settled(before: Census, wait_s: float = WAIT_S) -> None:
    """Wait until nothing is left that was not there before."""
    end = asyncio.get_running_loop().time() + wait_s
    while left := census().beyond(before):
        if asyncio.get_running_loop().time() > end:
            raise AssertionError(f"left behind: {left}")
        await asyncio.sleep(0.02)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"
