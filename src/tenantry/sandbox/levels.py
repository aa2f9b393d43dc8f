"""The drivers: one class, three levels. What differs is in a few fields of the orders sent to the zygote (guest/zygote.py)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import platform
import secrets
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tenantry.linux import owner
from tenantry.linux.cgroups import CgroupError, Cgroups, Group, limits_for
from tenantry.linux.kernel import Kernel
from tenantry.linux.seccomp import MACHINES, compile_policy, load_policy
from tenantry.sandbox import tree
from tenantry.sandbox.driver import NoSnapshotError, SandboxError, SandboxEvents, SandboxSpec, ZygoteSpec
from tenantry.sandbox.zygote import Ids, SandboxProcess, ZygoteProcess, start_zygote

_ZYGOTE_MAY = ("namespaces and mounts", "clone")  # what a zygote's filter leaves out: it makes namespaces for its children
_READABLE = ("/",)
_WRITABLE = ("/tmp",)  # noqa: S108 - a path inside the sandbox
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FILE_SIZE_SLACK = 1 << 20
_INODES_PER_MIB = 64
_SPARE_GROUPS = 4  # for each size of function in use
_RESTOCK_AFTER_S = 0.02  # after the environment that took one has started, not beside it
_ID_RANGES = 0x7000

MECHANISMS = frozenset(
    {"seccomp", "landlock", "cgroup", "limits", "reseed", "zygote pid", "descriptors", "environment", "reaping", "sweeping"}
)


class LinuxDriver:
    """Level `process`, `namespace` or `exec`. Give `without` to switch single mechanisms off, as the controls of security
    tests do.

    without: any of MECHANISMS. Raises SandboxError when the level needs something this host does
    not have.
    """

    def __init__(
        self,
        level: str,
        *,
        kernel: Kernel | None = None,
        rootless: bool | None = None,
        without: frozenset[str] = frozenset(),
        require_cgroups: bool = False,
        cgroups: Cgroups | None = None,
    ) -> None:
        """cgroups: used instead of a subtree of its own making (tests that let the host refuse)."""
        self.level = level
        self._namespaces = level != "process"
        self._kernel = kernel or Kernel()
        self._rootless = os.geteuid() != 0 if rootless is None else rootless
        unknown = without - MECHANISMS
        if unknown:
            raise ValueError(f"unknown mechanisms {sorted(unknown)}; known are {sorted(MECHANISMS)}")
        self._without = without
        self._closed = False
        self.mark = owner.mark()
        self.cgroups, self.cgroup_problem = self._open_cgroups() if cgroups is None else (cgroups, "")
        if not self._namespaces:
            _sweep_temporary()
        if require_cgroups and self.cgroups is None:
            raise SandboxError(f"control groups cannot be used: {self.cgroup_problem}")
        machine = platform.machine()
        if machine not in MACHINES:
            raise SandboxError(f"no system call table for {machine}: levels other than `process` need x86_64 or aarch64")
        policy = load_policy()
        self._filter = "" if "seccomp" in without else compile_policy(policy, machine).hex()
        self._zygote_filter = "" if "seccomp" in without else compile_policy(policy, machine, except_groups=_ZYGOTE_MAY).hex()
        # 64 Ki ids of its own for each zygote, out of two billion that no person and no service has; none twice.
        self._ranges = itertools.count(secrets.randbelow(_ID_RANGES))
        abi = self._kernel.landlock_abi()
        self._fence = (
            None
            if abi == 0 or "landlock" in without or not self._namespaces
            else {"abi": abi, "readable": _READABLE, "writable": _WRITABLE, "devices": _DEVICES}
        )

    async def open(self, spec: ZygoteSpec) -> LinuxZygote:
        """See driver.Driver. A module that cannot be snapshotted is imported by each environment; `snapshot_error` says why."""
        try:
            return await self._open(spec)
        except NoSnapshotError as error:
            zygote = await self._open(replace(spec, snapshot=False))
            zygote.snapshot_error = str(error)
            return zygote

    async def _open(self, spec: ZygoteSpec) -> LinuxZygote:
        ids = Ids(self._rootless, (next(self._ranges) % _ID_RANGES + 0x1000) << 16)
        zygote = start_zygote(spec.interpreter, ids, self._kernel, inherit="environment" in self._without)
        await zygote.begin(self._setup(spec))
        return LinuxZygote(self, spec, zygote, ids)

    async def close(self) -> None:
        """See driver.Driver."""
        self._closed = True
        if self.cgroups is not None:
            self.cgroups.close()

    def environment_constants(self, zygote: ZygoteSpec) -> dict[str, Any]:
        """What the orders for all environments of a zygote have in common; sent once, at its setup."""
        inside = self._namespaces
        return {
            "namespaces": inside,
            "uid": tree.UID,
            "gid": tree.GID,
            "hostname": "sandbox",
            **{name: name not in self._without for name in ("reseed", "descriptors", "reaping", "sweeping")},
            "landlock": self._fence,
            "seccomp": self._filter,
            "cwd": tree.TASK_ROOT if inside else str(zygote.code),
            "interpreter": str(zygote.interpreter) if self.level == "exec" else "",
            "bootstrap": f"{tree.RUNTIME_DIR}/bootstrap.py",
            "path": self._path(zygote),
        }

    def environment_order(self, spec: SandboxSpec, outer: int, temporary: Path | None) -> dict[str, Any]:
        """The `environment` part of a fork request: what differs from one to the next."""
        return {
            "outer": outer,
            "environ": spec.environ if self._namespaces else {**spec.environ, "TMPDIR": str(temporary)},
            "tmp_mib": spec.tmp_mib,
            "tmp_inodes": spec.tmp_mib * _INODES_PER_MIB,
            "forwards": [[tree.forward_address(index), port] for index, (_, port) in enumerate(spec.forwards)],
            "limits": {}
            if "limits" in self._without
            else {
                "CORE": 0,
                "NOFILE": spec.descriptors_max,
                "NPROC": spec.processes_max,
                "FSIZE": (spec.tmp_mib << 20) + _FILE_SIZE_SLACK,
                "MEMLOCK": 65_536,
                "MSGQUEUE": 0,
                # All the memory limit there is without control groups; it counts each process by itself.
                **({"DATA": spec.memory_mib << 20} if self.cgroups is None and "cgroup" not in self._without else {}),
            },
        }

    def make_group(self, spec: SandboxSpec) -> Group | None:
        """The environment's control group; None where the host gives none, or at level `process`."""
        if self.cgroups is None:
            return None
        try:
            return self.cgroups.take(spec.id, limits_for(spec.memory_mib, spec.processes_max))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # not the group's fault
            raise SandboxError(f"the environment's control group could not be made: {error}") from None

    def restock(self, spec: SandboxSpec) -> None:
        """Make control groups for environments like this one ahead of time. Failing is no harm: the next one asks itself."""
        if self.cgroups is not None and not self._closed:
            with contextlib.suppress(OSError):
                self.cgroups.stock(limits_for(spec.memory_mib, spec.processes_max), _SPARE_GROUPS)

    def _open_cgroups(self) -> tuple[Cgroups | None, str]:
        if not self._namespaces or "cgroup" in self._without:
            return None, "not used at this level"
        try:
            return Cgroups(f"{self.mark}{secrets.token_hex(2)}"), ""
        except CgroupError as error:
            return None, str(error)

    def _setup(self, spec: ZygoteSpec) -> dict[str, Any]:
        environ = dict(spec.environ)
        if not self._namespaces:
            environ["LAMBDA_TASK_ROOT"] = str(spec.code)
        return {
            "namespaces": self._namespaces,
            "rootless": self._rootless,
            "tree": tree.draw(spec) if self._namespaces else None,
            "environ": environ,
            "path": self._path(spec),
            "cwd": tree.TASK_ROOT if self._namespaces else str(spec.code),
            "snapshot": spec.snapshot and self.level != "exec",
            "seccomp_zygote": self._zygote_filter,
            "far_pid": "zygote pid" not in self._without,
            "environment": "environment" not in self._without,
            "constants": self.environment_constants(spec),
        }

    def _path(self, spec: ZygoteSpec) -> str:
        minor = spec.interpreter.name.removeprefix("python")
        if self._namespaces:
            entries = tree.search_path(spec, minor, task=tree.TASK_ROOT, runtime=tree.RUNTIME_DIR, layers=("/opt",))
            return ":".join(entries)
        site = tree.runtime_entries()
        guest = next(source.parent for source, name in site if name == "runtime_client.py")
        package = next(source.parent for source, name in site if name == "awslambdaric")
        runtime = f"{guest}:{package}"
        return ":".join(tree.search_path(spec, minor, task=str(spec.code), runtime=runtime, layers=map(str, spec.layers)))


class LinuxZygote:
    """A zygote of a LinuxDriver."""

    def __init__(self, driver: LinuxDriver, spec: ZygoteSpec, process: ZygoteProcess, ids: Ids) -> None:
        self._driver = driver
        self._spec = spec
        self._process = process
        self.snapshot_error: str | None = None
        self._ids = ids

    @property
    def alive(self) -> bool:
        return self._process.alive

    @property
    def ended(self) -> bool:
        return self._process.ended

    def fork(self, spec: SandboxSpec, output: int, events: SandboxEvents) -> SandboxProcess:
        """See driver.Zygote. `output` is closed here whatever happens."""
        driver = self._driver
        group: Group | None = None
        entrances: list[int] = []
        sandbox: SandboxProcess | None = None
        temporary: Path | None = None
        outer: int | None = None
        try:
            outer = self._ids.take()
            group = driver.make_group(spec)
            entrances = group.entrances() if group is not None else []
            if driver.level == "process":
                temporary = Path(tempfile.mkdtemp(prefix=driver.mark))
            sandbox = SandboxProcess(spec, events, self._ids, outer, group, driver._kernel, temporary)
            request = {"id": spec.id, "environment": driver.environment_order(spec, outer, temporary)}
            self._process.fork(sandbox, request, (sandbox.theirs.fileno(), output, *entrances))
            sandbox.theirs.close()
            asyncio.get_running_loop().call_later(_RESTOCK_AFTER_S, driver.restock, spec)
        except BaseException:
            if outer is not None:
                self._ids.give_back(outer)
            if sandbox is not None:
                sandbox.discard()
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            if group is not None:
                group.discard()
            raise
        finally:
            for descriptor in (output, *entrances):
                os.close(descriptor)
        return sandbox

    async def close(self) -> None:
        """See driver.Zygote."""
        await self._process.close()


def _sweep_temporary() -> None:
    """Remove the temporary folders of platforms that are gone."""
    for entry in Path(tempfile.gettempdir()).glob(f"{owner.PREFIX}*"):
        if owner.is_orphan(entry.name):
            shutil.rmtree(entry, ignore_errors=True)
