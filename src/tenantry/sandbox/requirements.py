"""What a level of isolation needs of a host, what of it is there, and how to get the rest.

`Facts` is everything known of the host as one value; `findings` judges it without looking at anything else, so that tests can
describe any host. Whether a level really works is not decided here but by booting a sandbox (boot.py): a finding explains.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tenantry.sandbox.runtimes import NEWEST, OLDEST, Interpreter, Runtimes
from tenantry.sandbox.zygote import own_interpreter

OK, PARTIAL, MISSING = "ok", "partial", "missing"
DESCRIPTORS_PER_ENVIRONMENT = 8
IDS_FIRST, IDS_LAST = 0x1000 << 16, 0x8000 << 16  # the range that LinuxDriver draws the ids of zygotes from
_PROBE_TIMEOUT_S = 20.0
_PACKAGE_ROOT = str(Path(__file__).parent.parent.parent)
_PROBE = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from tenantry.linux.probe import main; main()"
_SYSCTLS = (
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "user.max_user_namespaces",
    "user.max_mnt_namespaces",
    "user.max_pid_namespaces",
    "user.max_net_namespaces",
)
_CONTROLLERS = ("cpu", "memory", "pids")
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
_DOCKER = (
    "give the container: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined (as root in it also --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
)
_DELEGATE = "systemd-run --user --scope -p Delegate=yes tenantry up, or run as root"


@dataclass(frozen=True, slots=True)
class Finding:
    """One requirement. state: ok, partial (works with a limitation) or missing; remedy: how to get it, empty where it is ok."""

    name: str
    state: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """A host as seen by this user.

    probe: linux/probe.py's answers, step to error text (None: it works); uid_map: (inside, outside, count) rows of this
    process; sysctls: values of those that exist; cgroup_version: 0 where none is mounted; cgroup_controllers: those this
    process's group offers; data_dir_problem: why the data folder cannot be written.
    """

    machine: str
    kernel: str
    rootless: bool
    container: bool
    probe: dict[str, str | None]
    landlock_abi: int
    uid_map: tuple[tuple[int, int, int], ...]
    sysctls: dict[str, int]
    cgroup_version: int
    cgroup_controllers: tuple[str, ...]
    interpreters: dict[int, Interpreter]
    descriptors: int
    environments_max: int
    data_dir: Path
    data_dir_problem: str = ""
    data_dir_free_bytes: int = 0
    shell: str = field(default="/bin/sh")


def gather(data_dir: Path, environments_max: int) -> Facts:
    """Look at this host. Takes about half a second; changes nothing that stays."""
    probe, abi = _ask_kernel()
    version, controllers = _cgroups()
    problem, free = _data_dir(data_dir)
    return Facts(
        machine=platform.machine(),
        kernel=platform.release(),
        rootless=os.geteuid() != 0,
        container=any(Path(mark).exists() for mark in _CONTAINER_MARKS),
        probe=probe,
        landlock_abi=abi,
        uid_map=_uid_map(),
        sysctls=_read_sysctls(),
        cgroup_version=version,
        cgroup_controllers=controllers,
        interpreters=Runtimes().interpreters(),
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        environments_max=environments_max,
        data_dir=data_dir,
        data_dir_problem=problem,
        data_dir_free_bytes=free,
    )


def findings(facts: Facts, cgroup_problem: str | None) -> list[Finding]:
    """Every requirement, judged. cgroup_problem: what making a group said (empty: it worked; None: nothing tried)."""
    return [
        _machine(facts),
        *_namespaces(facts),
        _step(facts, "mount api", "new mount API", "Linux 5.12 or newer has it (open_tree, move_mount, mount_setattr)"),
        _whole_proc(facts),
        _user_ids(facts),
        _step(facts, "seccomp", "system call filter", "a kernel with CONFIG_SECCOMP_FILTER"),
        _landlock(facts),
        _control_groups(facts, cgroup_problem),
        *_interpreters(facts),
        _descriptors(facts),
        _folder(facts),
    ]


def _machine(facts: Facts) -> Finding:
    known = facts.machine in ("x86_64", "aarch64")
    remedy = "" if known else "tenantry knows the system calls of x86_64 and aarch64"
    return Finding("machine", OK if known else MISSING, f"{facts.machine}, Linux {facts.kernel}", remedy)


def _namespaces(facts: Facts) -> Iterator[Finding]:
    for name in ("user", "mount", "pid", "net", "ipc", "uts", "cgroup"):
        problem = facts.probe.get(name)
        detail = "made one" if problem is None else problem
        yield Finding(f"{name} namespace", OK if problem is None else MISSING, detail, _namespace_remedy(facts, name, problem))


def _namespace_remedy(facts: Facts, name: str, problem: str | None) -> str:
    if problem is None:
        return ""
    if facts.container:
        return _DOCKER
    sysctl = f"user.max_{ {'mount': 'mnt'}.get(name, name) }_namespaces"
    if facts.sysctls.get(sysctl) == 0:
        return f"sysctl -w {sysctl}=96000"
    if facts.rootless and facts.sysctls.get("kernel.unprivileged_userns_clone") == 0:
        return "sysctl -w kernel.unprivileged_userns_clone=1, or run as root"
    if facts.rootless and facts.sysctls.get("kernel.apparmor_restrict_unprivileged_userns") == 1:
        return (
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,` for the "
            f"interpreter {own_interpreter()}, or run as root"
        )
    return "a kernel built with CONFIG_NAMESPACES and its kinds; a surrounding sandbox may refuse it: run outside of it"


def _step(facts: Facts, step: str, name: str, remedy: str) -> Finding:
    problem = facts.probe.get(step)
    if problem is None:
        return Finding(name, OK, "tried")
    return Finding(name, MISSING, problem, _DOCKER if facts.container else remedy)


def _whole_proc(facts: Facts) -> Finding:
    name, problem = "/proc in a user namespace", facts.probe.get("whole proc")
    if problem is None:
        return Finding(name, OK, "mounted one")
    remedy = (
        _DOCKER if facts.container else "nothing may be mounted over parts of /proc: unmount it, or run outside of that sandbox"
    )
    return Finding(name, MISSING, problem, remedy)


def _user_ids(facts: Facts) -> Finding:
    if facts.rootless:
        return Finding(
            "user ids",
            PARTIAL,
            "rootless: every environment is the host user who runs tenantry (kept apart by user, pid and mount namespaces)",
            "run as root for a range of ids of its own for each function, and an id for each environment",
        )
    covered = any(outside_first(row) for row in facts.uid_map)
    if covered:
        return Finding("user ids", OK, "root: 65,536 ids for each function, one for each environment")
    ids = sum(count for _, _, count in facts.uid_map)
    return Finding(
        "user ids",
        MISSING,
        f"root, but in a user namespace that knows only {ids:,} ids",
        f"ids {IDS_FIRST:,} to {IDS_LAST:,} must be mapped: run on the host, or as a user other than root (rootless)",
    )


def outside_first(row: tuple[int, int, int]) -> bool:
    """Whether a row of uid_map covers every id that zygotes may be given."""
    inside, _, count = row
    return inside <= IDS_FIRST and inside + count >= IDS_LAST


def _landlock(facts: Facts) -> Finding:
    abi, problem = facts.landlock_abi, facts.probe.get("landlock")
    if problem is not None or abi == 0:
        remedy = (
            _DOCKER if facts.container else "Linux 5.13 or newer with `landlock` in its lsm= list (/sys/kernel/security/lsm)"
        )
        return Finding("Landlock", PARTIAL, problem or "not there", f"{remedy}; without it the namespaces stand alone")
    if abi < 6:
        detail = f"version {abi}: file rights; no scopes for signals and abstract sockets"
        return Finding("Landlock", PARTIAL, detail, "Linux 6.12 or newer has the scopes; the namespaces confine both already")
    return Finding("Landlock", OK, f"version {abi}: file rights, and scopes for signals and abstract sockets")


def _control_groups(facts: Facts, problem: str | None) -> Finding:
    name = "control groups"
    if facts.cgroup_version == 0:
        return Finding(
            name, PARTIAL, "none mounted", "mount cgroup2 on /sys/fs/cgroup; without it nothing limits memory and CPU"
        )
    offered = f"version {facts.cgroup_version}, offers {', '.join(facts.cgroup_controllers) or 'none of cpu, memory, pids'}"
    if problem:
        remedy = "docker run --cgroupns=private with a writable /sys/fs/cgroup" if facts.container else _DELEGATE
        return Finding(name, PARTIAL, f"{offered}; not usable: {problem}", f"{remedy}; without it memory and CPU have no limit")
    if problem is None:
        return Finding(name, PARTIAL, f"{offered}; not tried, no sandbox could be booted")
    return Finding(name, OK, f"{offered}; made one")


def _interpreters(facts: Facts) -> Iterator[Finding]:
    found = facts.interpreters
    for minor in range(OLDEST, NEWEST):
        interpreter = found.get(minor)
        if interpreter is not None:
            yield Finding(f"runtime python3.{minor}", OK, str(interpreter.executable))
            continue
        nearest = min(found, key=lambda other: (abs(other - minor), -other), default=None)
        detail = "no interpreter" if nearest is None else f"runs on Python 3.{nearest}, with a warning"
        state = MISSING if nearest is None else PARTIAL
        remedy = f"install python3.{minor} from your system's packages, or: uv python install 3.{minor}"
        yield Finding(f"runtime python3.{minor}", state, detail, remedy)


def _descriptors(facts: Facts) -> Finding:
    holds = facts.descriptors // DESCRIPTORS_PER_ENVIRONMENT
    detail = f"{facts.descriptors:,} open files: about {holds:,} environments"
    if holds >= facts.environments_max:
        return Finding("descriptor limit", OK, detail)
    wanted = facts.environments_max * DESCRIPTORS_PER_ENVIRONMENT
    remedy = f"ulimit -n {wanted} before the start (LimitNOFILE={wanted} in a unit) for the {facts.environments_max:,} allowed"
    return Finding("descriptor limit", PARTIAL, detail, remedy)


def _folder(facts: Facts) -> Finding:
    if facts.data_dir_problem:
        return Finding("data folder", MISSING, facts.data_dir_problem, "choose another with --data-dir, or make it writable")
    return Finding("data folder", OK, f"{facts.data_dir}, {facts.data_dir_free_bytes / (1 << 30):.1f} GiB free")


# -- looking


def _ask_kernel() -> tuple[dict[str, str | None], int]:
    command = [str(own_interpreter()), "-I", "-S", "-B", "-c", _PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False, cwd="/")
        answers: dict[str, str | None] = json.loads(done.stdout)
        abi = int(answers.pop("landlock_abi") or 0)
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        steps = ("user", "mount", "pid", "net", "ipc", "uts", "cgroup", "mount api", "whole proc", "seccomp", "landlock")
        return dict.fromkeys(steps, f"could not be tried: {error}"), 0
    return answers, abi


def _uid_map() -> tuple[tuple[int, int, int], ...]:
    rows = []
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, outside, count = map(int, line.split())
        rows.append((inside, outside, count))
    return tuple(rows)


def _read_sysctls() -> dict[str, int]:
    values = {}
    for name in _SYSCTLS:
        path = Path("/proc/sys") / name.replace(".", "/")
        try:
            values[name] = int(path.read_text())
        except (OSError, ValueError):
            continue  # this kernel does not have it
    return values


def _cgroups(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, tuple[str, ...]]:
    """The version mounted, and which controllers are offered to this process."""
    try:
        if (root / "cgroup.controllers").exists():
            own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
            offered = (root / own.lstrip("/") / "cgroup.controllers").read_text().split()
            return 2, tuple(name for name in _CONTROLLERS if name in offered)
        mounted = tuple(name for name in _CONTROLLERS if (root / name / "cgroup.procs").exists())
    except (OSError, StopIteration):
        return 0, ()
    return (1, mounted) if mounted else (0, ())


def _data_dir(folder: Path) -> tuple[str, int]:
    """(why it cannot be written, free bytes). A folder that is not there yet is judged by the one it would be made in."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return "", shutil.disk_usage(place).free
    except OSError as error:
        return f"{place}: {error.strerror}", 0
