"""Control groups, version 1 and version 2: memory, number of processes and CPU share of each environment.

A `Cgroups` owns one subtree, `tenantry-<id>`, made under the group the platform itself runs in. An environment's group is
made before its first process, which then joins by itself through descriptors opened here (moving another process is slow: up
to 20 ms on version 1). What a platform that was killed has left is removed by the next one (linux/owner.py). Standard library
only.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tenantry.linux import owner

CPU_SHARES_PER_VCPU = 1024
MIB_PER_VCPU = 1769  # a function gets one vCPU at 1,769 MB (aws-behaviour 2.5)
_CONTROLLERS_V1 = ("memory", "pids", "cpu")


class CgroupError(Exception):
    """The host's control groups cannot be used; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one environment. cpu_weight: its share under contention, 1024 for a core; cpu_cores_max: what it may take of an idle
    host."""

    memory_mib: int
    processes_max: int
    cpu_weight: int
    cpu_cores_max: float


def limits_for(memory_mib: int, processes_max: int) -> Limits:
    """What a function of this MemorySize gets: memory exact, CPU in proportion.

    The proportion holds when cores are scarce. An idle core is lent whole: a hard quota of 7% (128 MB) would stretch a cold
    start of some milliseconds to a hundred, and nobody would be served better.
    """
    cores = memory_mib / MIB_PER_VCPU
    return Limits(memory_mib, processes_max, max(2, int(cores * CPU_SHARES_PER_VCPU)), max(cores, 1.0))


class Group:
    """One environment's control group."""

    def __init__(self, directories: dict[str, Path], v2: bool) -> None:
        self._directories = directories
        self._v2 = v2
        self._oom_seen = 0
        self._peak = f"{directories['memory']}/{'memory.peak' if v2 else 'memory.max_usage_in_bytes'}"

    @property
    def name(self) -> str:
        """The last part of its path."""
        return next(iter(self._directories.values())).name

    def entrances(self) -> list[int]:
        """Descriptors through which a process joins, by writing `0` to each; the caller closes them."""
        name = "cgroup.procs" if self._v2 else "tasks"  # `tasks` moves one thread without stopping the world
        opened: list[int] = []
        try:
            for directory in sorted(set(self._directories.values())):
                opened.append(os.open(directory / name, os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        return opened

    def memory_peak_bytes(self) -> int | None:
        """The most memory that was in use at one time. An answer waits for it: no file object, no buffer."""
        try:
            descriptor = os.open(self._peak, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None  # kernels before 5.19 have no memory.peak
        try:
            return int(os.read(descriptor, 32))
        except (OSError, ValueError):
            return None
        finally:
            os.close(descriptor)

    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process here for memory since the last time this was asked."""
        name = "memory.events" if self._v2 else "memory.oom_control"
        try:
            rows = dict(line.split() for line in (self._directories["memory"] / name).read_text().splitlines())
        except (OSError, ValueError):
            return False
        kills = int(rows.get("oom_kill", 0))
        seen, self._oom_seen = self._oom_seen, kills
        return kills > seen

    def remove(self) -> bool:
        """Remove the group; False while a process is still leaving it (ask again). Where the kernel can (version 2), none may
        stay."""
        done = True
        for directory in set(self._directories.values()):
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                done = False
                _kill(directory)
        return done

    def discard(self) -> None:
        """Remove a group that no process has entered, as far as the host allows it."""
        for directory in set(self._directories.values()):
            with contextlib.suppress(OSError):  # the error that led here is the one worth telling
                directory.rmdir()


class Cgroups:
    """The subtree of one platform. Raises CgroupError at construction where the host gives none."""

    def __init__(self, name: str, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> None:
        self._name = name
        own = Path("/proc/self/cgroup").read_text() if own is None else own
        paths = {tuple(line.split(":", 2)[1].split(",")): line.split(":", 2)[2] for line in own.splitlines()}
        self.v2 = (root / "cgroup.controllers").exists()
        self._parents = self._v2_parents(root, paths) if self.v2 else self._v1_parents(root, paths)
        self._spare: dict[Limits, list[Group]] = {}
        self._spare_names: set[str] = set()
        self._numbers = itertools.count()

    def take(self, identifier: str, limits: Limits) -> Group:
        """A group with these limits, made ahead of time if there is one (`stock`). Raises OSError."""
        spare = self._spare.get(limits)
        if spare:
            group = spare.pop()
            self._spare_names.discard(group.name)
            return group
        return self.create(identifier, limits)

    def stock(self, limits: Limits, count: int) -> None:
        """Make groups ahead of time until `count` with these limits are there: a new tenant need not wait for that. Raises
        OSError."""
        spare = self._spare.setdefault(limits, [])
        while len(spare) < count:
            name = f"spare-{next(self._numbers)}"
            spare.append(self.create(name, limits))
            self._spare_names.add(name)

    def create(self, identifier: str, limits: Limits) -> Group:
        """A group with its limits set. Raises OSError; nothing of it is left then."""
        directories = {controller: parent / identifier for controller, parent in self._parents.items()}
        group = Group(directories, self.v2)
        try:
            for directory in dict.fromkeys(directories.values()):
                directory.mkdir()
            for controller, name, value in self._settings(limits):
                (directories[controller] / name).write_text(value)
        except OSError:
            group.discard()
            raise
        return group

    def close(self) -> None:
        """Remove the subtree, waiting shortly for what is still leaving it."""
        for parent in dict.fromkeys(self._parents.values()):
            for child in [entry for entry in parent.glob("*") if entry.is_dir()]:
                _remove(child)
            _remove(parent)

    def leftovers(self) -> list[str]:
        """Names of the groups that exist and are in use, for leak tests."""
        found = {entry.name for parent in self._parents.values() for entry in parent.glob("*") if entry.is_dir()}
        return sorted(found - self._spare_names)

    def _settings(self, limits: Limits) -> list[tuple[str, str, str]]:
        memory = str(limits.memory_mib << 20)
        period = 100_000
        quota = int(period * limits.cpu_cores_max)
        if self.v2:
            weight = max(1, min(10_000, limits.cpu_weight * 100 // CPU_SHARES_PER_VCPU))
            return [
                ("memory", "memory.max", memory),
                ("memory", "memory.swap.max", "0"),
                ("memory", "memory.oom.group", "1"),  # what runs inside ends as one; its keeper is not in here
                ("pids", "pids.max", str(limits.processes_max)),
                ("cpu", "cpu.weight", str(weight)),
                ("cpu", "cpu.max", f"{quota} {period}"),
            ]
        return [
            ("memory", "memory.limit_in_bytes", memory),
            ("pids", "pids.max", str(limits.processes_max)),
            ("cpu", "cpu.shares", str(limits.cpu_weight)),
            ("cpu", "cpu.cfs_period_us", str(period)),
            ("cpu", "cpu.cfs_quota_us", str(quota)),
        ]

    def _v1_parents(self, root: Path, paths: dict[tuple[str, ...], str]) -> dict[str, Path]:
        parents = {}
        for controller in _CONTROLLERS_V1:
            own = next((path for names, path in paths.items() if controller in names), None)
            base = root / controller
            if own is None or not base.is_dir():
                raise CgroupError(f"the control group controller {controller!r} is not mounted at {base}")
            _sweep(base / own.lstrip("/"))
            parents[controller] = self._make(base / own.lstrip("/") / self._name)
        # Environments share what all of them together get: as much as a process for each core would.
        self._write(parents["cpu"] / "cpu.shares", str(CPU_SHARES_PER_VCPU * (os.cpu_count() or 1)))
        return parents

    def _v2_parents(self, root: Path, paths: dict[tuple[str, ...], str]) -> dict[str, Path]:
        own = root / paths.get(("",), "/").lstrip("/")
        _sweep(own)
        have = set((own / "cgroup.controllers").read_text().split())
        missing = {"memory", "pids", "cpu"} - have
        if missing:
            raise CgroupError(
                f"the control group {own} does not offer {', '.join(sorted(missing))}: start tenantry with "
                "`systemd-run --user --scope -p Delegate=yes tenantry up`, or as root"
            )
        # No process may sit in a group whose controllers are handed on: the platform moves itself into a leaf beside.
        platform, environments = self._make(own / f"{self._name}-platform"), own / self._name
        try:
            (platform / "cgroup.procs").write_text(str(os.getpid()))
            (own / "cgroup.subtree_control").write_text("+memory +pids +cpu")
            self._make(environments)
            (environments / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        except OSError as error:
            raise CgroupError(
                f"the control group {own} cannot be divided ({error}): other processes are in it, or it is not delegated"
            ) from None
        return dict.fromkeys(_CONTROLLERS_V1, environments)

    def _write(self, path: Path, value: str) -> None:
        try:
            path.write_text(value)
        except OSError as error:
            raise CgroupError(f"cannot set {path}: {error.strerror}; run as root or delegate a group") from None

    def _make(self, directory: Path) -> Path:
        try:
            directory.mkdir(exist_ok=True)
        except OSError as error:
            raise CgroupError(
                f"cannot make the control group {directory}: {error.strerror}; run as root or delegate a group"
            ) from None
        return directory


def _sweep(parent: Path) -> None:
    """Remove the subtrees of platforms that are gone. What cannot be removed (yet) is left for the next start."""
    for entry in parent.glob(f"{owner.PREFIX}*"):
        if entry.is_dir() and owner.is_orphan(entry.name):
            for directory in (*(child for child in entry.glob("*") if child.is_dir()), entry):
                _kill(directory)
                with contextlib.suppress(OSError):
                    directory.rmdir()


def _kill(directory: Path) -> None:
    """End every process in a group at once, where the kernel can: version 2, from Linux 5.14 on."""
    switch = directory / "cgroup.kill"
    if switch.exists():
        with contextlib.suppress(OSError):  # it has just gone
            switch.write_text("1")


def _remove(directory: Path) -> None:
    for _ in range(100):
        try:
            directory.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            _kill(directory)
            time.sleep(0.01)
