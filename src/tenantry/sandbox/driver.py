"""The sandbox contract: what makes execution environments, and what it promises.

    Driver   one level of isolation (process, namespace, exec)         .open(ZygoteSpec) -> Zygote
    Zygote   a warmed interpreter of one function version              .fork(SandboxSpec, events) -> Sandbox
    Sandbox  one execution environment's processes                     .reset() .kill()

Ownership: whoever opens a zygote closes it; a sandbox lives until `kill` or its own end, its zygote's end does not end it. The
descriptor handed to `fork` (the write end of the output pipe) is the driver's, which closes it before `gone`; sockets handed
to `listening` belong to the receiver.

Order of events for one sandbox: `listening` once, `started` once and again after each reset, `exited` at most once for each
start, `failed` at most once, `gone` exactly once and last - after it no process, mount, namespace or cgroup of the sandbox is
left. A call after `gone` does nothing. Sealing fails closed: where any step of it fails, `failed` says which, and `gone`
follows.

Every driver passes the suite in sandbox/checks.py.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ZygoteSpec:
    """A function version as the sandbox sees it.

    environ: what every environment of it has in common, reserved variables included; layers: unpacked layer directories, in
    order; snapshot: import the user's module once, in the zygote; hosts: the names
    of its egress list, in order.
    """

    name: str
    interpreter: Path
    code: Path
    layers: tuple[Path, ...]
    environ: dict[str, str]
    snapshot: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One environment: its own variables and its limits. forwards: (name, port) pairs reachable from inside (egress)."""

    id: str
    environ: dict[str, str] = field(hash=False)
    memory_mib: int = 128
    tmp_mib: int = 512
    processes_max: int = 1024
    descriptors_max: int = 1024
    forwards: tuple[tuple[str, int], ...] = ()


class SandboxEvents(Protocol):
    """What a sandbox tells its owner; called from the event loop."""

    def listening(self, runtime_api: socket.socket, platform: socket.socket | None, forwards: list[socket.socket]) -> None:
        """Listening sockets made inside the sandbox: the Runtime API, the platform's endpoint, egress forwards."""

    def started(self) -> None:
        """The runtime process runs (INIT begins)."""

    def exited(self, status: int) -> None:
        """The runtime process ended, with this wait status."""

    def failed(self, reason: str, *, again: bool = False) -> None:
        """The environment could not be made: which step, and why. again: its zygote ended first, and another may make one."""

    def gone(self) -> None:
        """Nothing of the sandbox is left."""


class Sandbox(Protocol):
    """One execution environment's processes."""

    id: str

    def reset(self) -> None:
        """Kill every process but the keeper and start the runtime anew; `/tmp` stays (aws-behaviour 2.3)."""

    def kill(self) -> None:
        """End everything in it, at once. `gone` follows."""

    def memory_peak_bytes(self) -> int | None:
        """The most memory it has used, where the level measures it."""

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of it for memory since the last call."""


class Zygote(Protocol):
    """A warmed interpreter."""

    @property
    def alive(self) -> bool:
        """Whether it can still fork."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it is left, its environments' keepers included: there is nothing to close."""

    @property
    def snapshot_error(self) -> str | None:
        """Why importing the user's module here failed, where that was asked for."""

    def fork(self, spec: SandboxSpec, output: int, events: SandboxEvents) -> Sandbox:
        """Begin an environment; returns at once, the rest is events. Raises SandboxError, ZygoteEndedError among them."""

    async def close(self) -> None:
        """End the zygote. Its environments live on until they are killed."""


class Driver(Protocol):
    """One level of isolation."""

    level: str

    async def open(self, spec: ZygoteSpec) -> Zygote:
        """Start and warm a zygote. Raises SandboxError naming the step that failed; nothing is left behind then."""

    async def close(self) -> None:
        """Release what the driver holds for all of its sandboxes (cgroups)."""


class SandboxError(Exception):
    """A sandbox or zygote could not be made or reached. The text says which step failed and what would help."""


class ZygoteEndedError(SandboxError):
    """The zygote has ended and forks no more; another one of the same function may."""


class NoSnapshotError(SandboxError):
    """The user's module cannot be imported once for all; the text says why. Its environments must import for themselves."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level as users choose it: what it closes and what it leaves open (docs/SECURITY.md has the long form)."""

    name: str
    summary: str
    residual: tuple[str, ...] = field(default=())


LEVELS = (
    Level(
        "process",
        "a process of its own; no kernel isolation",
        (
            "the host's file system, network and processes are visible",
            "/tmp is shared (TMPDIR is private)",  # noqa: S108 - a text
            "handlers run as the user who runs the platform, root included",
            "no memory, CPU or process accounting",
        ),
    ),
    Level(
        "namespace",
        "own namespaces, user id, file tree, cgroup; seccomp and Landlock",
        ("the kernel is shared", "address layout and hash seed are those of the zygote", "timing of shared hardware"),
    ),
    Level(
        "exec",
        "namespace, and a fresh interpreter for every environment",
        ("the kernel is shared", "timing of shared hardware"),
    ),
)
