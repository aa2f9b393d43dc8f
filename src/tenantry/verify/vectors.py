"""The table of attacks. Each row: what is tried, which mechanism closes it, how to judge, and how its control switches that
off.

A judge returns a text that says how the attack got through, or None when it did not. Error codes
that mean "the door is shut" are named: what the policy answers, or an address that leads nowhere - never "any error", so that
a broken attack does not pass for a closed vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tenantry.verify import judgements
from tenantry.verify.lab import Lab

Judge = Callable[[Lab], str | None]


@dataclass(frozen=True, slots=True)
class Control:
    """How to make an attack succeed: another level, mechanisms left out, or the function without tenant isolation.

    host: the attack reaches for something of the host that must be made first (a network namespace with its own addresses).
    unit: the control lives in a test of the part itself, named here, because switching it off needs other code.
    """

    level: str = "namespace"
    without: frozenset[str] = frozenset()
    shared: bool = False
    host: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Vector:
    """One row. residual: levels at which it is known to be open, and written down as such (docs/SECURITY.md)."""

    id: str
    title: str
    mechanism: str
    judge: Judge
    control: Control
    residual: frozenset[str] = field(default=frozenset({"process"}))


def _without(*mechanisms: str, level: str = "namespace") -> Control:
    return Control(level=level, without=frozenset(mechanisms))


PROCESS = Control(level="process")
EVERYWHERE: frozenset[str] = frozenset()
FORKED = frozenset({"process", "namespace"})


def reaches_kernel(x86: int, arm: int, *arguments: int, shut: tuple[str, ...] = ("EPERM", "ENOSYS")) -> Judge:
    """A raw system call: open when the kernel's own code answers instead of the filter."""

    def judge(lab: Lab) -> str | None:
        answer = lab.attack("system_call", x86_64=x86, aarch64=arm, arguments=list(arguments))
        error = answer.get("error")
        return None if error in shut else f"the call reached the kernel: {error or 'it succeeded'}"

    return judge


def reads_secret(attack: str, **event: Any) -> Judge:
    """Open when the victim's secret comes back from an attack. Texts with {mark}, {pid}, {host_pid} are filled in."""

    def judge(lab: Lab) -> str | None:
        names = {
            "mark": lab.mark,
            "pid": lab.victim["pid"],
            "host_pid": lab.victim["host_pid"],
            "host_secret": str(lab.host_secret),
        }
        filled = {key: value.format(**names) if isinstance(value, str) else value for key, value in event.items()}
        return judgements.secret_in(lab, lab.attack(attack, **filled))

    return judge


VECTORS: tuple[Vector, ...] = (
    # -- other processes
    Vector(
        "ptrace",
        "attach a debugger to a neighbour's process",
        "pid namespace, seccomp",
        judgements.ptrace,
        _without("seccomp", level="process"),
    ),
    Vector("proc-mem", "read a neighbour's memory through /proc", "pid namespace, user id", judgements.memory, PROCESS),
    Vector(
        "vm-readv",
        "copy from a neighbour's memory (process_vm_readv)",
        "pid namespace, seccomp",
        judgements.vm_read,
        _without("seccomp", level="process"),
    ),
    Vector(
        "proc-environ",
        "read a neighbour's environment in /proc",
        "pid namespace, fresh /proc",
        judgements.environ_in_proc,
        PROCESS,
    ),
    Vector(
        "proc-list", "see processes that are not one's own", "pid namespace, fresh /proc", judgements.foreign_processes, PROCESS
    ),
    Vector("signal", "signal a neighbour whose pid is known", "pid namespace, Landlock scope", judgements.signal, PROCESS),
    Vector(
        "pidfd",
        "steal a descriptor of a neighbour (pidfd_getfd)",
        "pid namespace, seccomp",
        judgements.pidfd,
        _without("seccomp", level="process"),
    ),
    Vector("setns", "enter another namespace", "seccomp", reaches_kernel(308, 268, -1, 0), _without("seccomp")),
    # -- talking and sharing
    Vector(
        "abstract-socket",
        "connect to a neighbour's abstract socket",
        "network namespace, Landlock scope",
        reads_secret("connect", family="unix", address="\0victim-{mark}"),
        PROCESS,
    ),
    Vector(
        "path-socket",
        "connect to a neighbour's socket in /tmp",
        "mount namespace",
        reads_secret("connect", family="unix", address="/tmp/victim-{mark}.sock"),
        PROCESS,
    ),
    Vector(
        "loopback", "connect to a neighbour's service on loopback", "network namespace", judgements.neighbour_loopback, PROCESS
    ),
    Vector(
        "sysv-shm",
        "attach a neighbour's System V shared memory",
        "ipc namespace, seccomp",
        reads_secret("shm_read"),
        _without("seccomp", level="process"),
    ),
    Vector(
        "sysv-surface",
        "use System V message queues at all",
        "seccomp",
        reaches_kernel(68, 186, 0x7E5A, 0o1666),
        _without("seccomp"),
    ),
    Vector(
        "posix-shm",
        "open a neighbour's POSIX shared memory",
        "no /dev/shm",
        reads_secret("peek", path="/dev/shm/victim-{mark}"),
        PROCESS,
    ),
    Vector(
        "tmp", "read a neighbour's file in /tmp", "mount namespace", reads_secret("peek", path="/tmp/victim-secret"), PROCESS
    ),
    # -- what a fork could leave behind
    Vector(
        "descriptors",
        "use descriptors inherited from the platform",
        "close_range, own pipes",
        judgements.descriptors,
        _without("descriptors"),
        EVERYWHERE,
    ),
    Vector(
        "environment",
        "read the platform's own variables",
        "explicit environment",
        judgements.environment,
        _without("environment"),
        EVERYWHERE,
    ),
    Vector(
        "random",
        "predict a neighbour's random numbers",
        "reseed after fork",
        judgements.same("random", "fork"),
        Control(unit="test_controls_of_parts::test_random_without_reseeding"),
        EVERYWHERE,
    ),
    Vector(
        "tls-random",
        "predict a neighbour's TLS randomness (snapshot INIT)",
        "reseed after fork, far zygote pid",
        judgements.same("tls", "snapshot"),
        _without("reseed", "zygote pid"),
        EVERYWHERE,
    ),
    Vector(
        "uuid1",
        "share a neighbour's uuid1 node (snapshot INIT)",
        "reseed after fork",
        judgements.same("uuid1_node", "snapshot"),
        _without("reseed"),
        EVERYWHERE,
    ),
    Vector(
        "uuid4",
        "repeat a neighbour's uuid4 or secret (snapshot INIT)",
        "the kernel's random numbers",
        judgements.repeated_tokens,
        Control(unit="test_controls_of_parts::test_uuid4"),
        EVERYWHERE,
    ),
    Vector(
        "hash-seed",
        "share the hash seed with a neighbour",
        "a fresh interpreter (level exec)",
        judgements.same("hash", "fork"),
        _without(),
        FORKED,
    ),
    Vector(
        "aslr",
        "share the address layout with a neighbour",
        "a fresh interpreter (level exec)",
        judgements.same("address", "fork"),
        _without(),
        FORKED,
    ),
    # -- the kernel's surfaces
    Vector("keyrings", "reach a keyring", "seccomp", reaches_kernel(250, 219, 0, -3, 1), _without("seccomp")),
    Vector("userfaultfd", "userfaultfd", "seccomp", reaches_kernel(323, 282, 1), _without("seccomp")),
    Vector("io-uring", "io_uring", "seccomp", reaches_kernel(425, 425, 1, 0), _without("seccomp")),
    Vector(
        "perf", "perf_event_open", "seccomp", reaches_kernel(298, 241, 0, 0, -1, -1, 0, shut=("ENOSYS",)), _without("seccomp")
    ),
    Vector("bpf", "bpf", "seccomp", reaches_kernel(321, 280, 99, 0, 0, shut=("ENOSYS",)), _without("seccomp")),
    Vector("mount", "mount and unmount", "capabilities, seccomp", judgements.mounts, _without("seccomp")),
    Vector("unshare", "make a user namespace (unshare)", "seccomp", judgements.new_namespace("unshare"), _without("seccomp")),
    Vector("clone", "make a user namespace (clone)", "seccomp", judgements.new_namespace("clone"), _without("seccomp")),
    Vector("clone3", "make a user namespace (clone3)", "seccomp", judgements.new_namespace("clone3"), _without("seccomp")),
    Vector(
        "sockets",
        "packet, vsock, crypto and raw sockets",
        "seccomp, capabilities",
        judgements.socket_families,
        _without("seccomp", level="process"),
    ),
    # -- privileges
    Vector("capabilities", "hold a capability", "bounding set dropped, capabilities cleared", judgements.capabilities, PROCESS),
    Vector(
        "setuid", "become root (setuid, set-user-id programs)", "own user id, no_new_privs, nosuid", judgements.root, PROCESS
    ),
    Vector(
        "terminal", "type into a terminal (TIOCSTI)", "setsid, no terminal, seccomp", judgements.terminal, _without("seccomp")
    ),
    Vector("core-dump", "leave a core dump", "RLIMIT_CORE 0", judgements.core_dump, _without("limits")),
    # -- exhaustion
    Vector(
        "disk", "fill the disk", "tmpfs size, charged to the memory limit", judgements.disk, _without("limits", level="process")
    ),
    Vector("inodes", "use up inodes", "tmpfs nr_inodes", judgements.inodes, _without("limits", level="process")),
    Vector(
        "fork-bomb",
        "fork without end",
        "pids cgroup, RLIMIT_NPROC, memory cgroup",
        judgements.fork_bomb,
        _without("limits", "cgroup"),
    ),
    Vector("memory-bomb", "use more memory than MemorySize", "memory cgroup", judgements.memory_bomb, _without("cgroup")),
    Vector("cpu-hog", "take every core", "cpu quota and weight", judgements.cpu_hog, _without("cgroup")),
    Vector("fd-exhaustion", "open descriptors without end", "RLIMIT_NOFILE", judgements.open_files, _without("limits")),
    Vector("zombies", "leave zombies", "the environment's pid 1 reaps", judgements.zombies, _without("reaping"), EVERYWHERE),
    Vector(
        "survivors",
        "leave a process behind over a crash",
        "reset kills the pid namespace",
        judgements.survivors,
        _without("sweeping"),
        EVERYWHERE,
    ),
    # -- network
    Vector(
        "host-service", "reach a service on the host's loopback", "empty network namespace", judgements.host_service, PROCESS
    ),
    Vector(
        "metadata",
        "reach the metadata address",
        "empty network namespace",
        judgements.metadata,
        Control(level="process", host=True),
    ),
    Vector("dns", "ask a name server over UDP", "empty network namespace", judgements.dns, Control(level="process", host=True)),
    Vector("runtime-api", "speak to a neighbour's Runtime API", "network namespace", judgements.neighbour_runtime_api, PROCESS),
    # -- files
    Vector(
        "host-file",
        "read a file of the host",
        "pivot_root into a tree of its own",
        reads_secret("peek", path="{host_secret}"),
        PROCESS,
    ),
    Vector("links", "symbolic and hard links out of the sandbox", "no host tree", judgements.links, PROCESS),
    Vector(
        "write-code", "write to the code, the runtime or the interpreter", "read-only binds", judgements.write_code, PROCESS
    ),
    Vector(
        "zip-slip",
        "unpack a package outside its folder",
        "checked names, resolved beneath",
        judgements.zip_slip,
        Control(unit="test_controls_of_parts::test_naive_unpacking_escapes"),
        EVERYWHERE,
    ),
    # -- tenancy and the invoke path
    Vector(
        "globals",
        "see a neighbour's module globals",
        "an environment for each tenant",
        judgements.module_globals,
        Control(shared=True),
        EVERYWHERE,
    ),
    Vector(
        "reuse-timeout",
        "get a neighbour's environment after its timeout",
        "bound once, for life",
        judgements.reuse_after("sleep", seconds=30),
        Control(shared=True),
        EVERYWHERE,
    ),
    Vector(
        "reuse-crash",
        "get a neighbour's environment after its crash",
        "bound once, for life",
        judgements.reuse_after("exit_now", status=1),
        Control(shared=True),
        EVERYWHERE,
    ),
    Vector(
        "reuse-update",
        "get a neighbour's environment after an update",
        "revisions retire environments",
        judgements.reuse_after_update,
        Control(shared=True),
        EVERYWHERE,
    ),
    Vector(
        "forged-answer",
        "answer another invocation's id",
        "the id in hand is checked",
        judgements.forged_answers,
        Control(unit="test_controls_of_parts::test_unchecked_id"),
        EVERYWHERE,
    ),
    Vector(
        "late-answer",
        "answer after the timeout, into the next invocation",
        "attempt id, reset",
        judgements.late_answer,
        Control(unit="test_controls_of_parts::test_unchecked_id"),
        EVERYWHERE,
    ),
    Vector(
        "large-answer",
        "answer with more than 6 MB",
        "bounded Runtime API",
        judgements.large_answer,
        Control(unit="test_controls_of_parts::test_answer_within_the_limit"),
        EVERYWHERE,
    ),
    Vector(
        "header-injection",
        "inject a header through a tenant id",
        "pattern, header checks",
        judgements.header_injection,
        Control(unit="test_controls_of_parts::test_unchecked_tenant_id"),
        EVERYWHERE,
    ),
    Vector(
        "look-alikes",
        "pass for a tenant with a similar id",
        "ids compared byte for byte",
        judgements.look_alikes,
        Control(shared=True),
        EVERYWHERE,
    ),
    Vector(
        "log-injection",
        "write into a neighbour's log stream",
        "a pipe for each environment",
        judgements.log_injection,
        Control(shared=True),
        EVERYWHERE,
    ),
    Vector(
        "credentials",
        "read logs, invoke as another tenant, with the role's credentials",
        "short-lived credentials, the role's policies",
        judgements.credentials,
        Control(unit="test_controls_of_parts::test_role_with_every_right"),
        EVERYWHERE,
    ),
)

assert len({vector.id for vector in VECTORS}) == len(VECTORS)
