"""The drivers: one class, three levels. What differs is in a few fields of the orders sent to the zygote (guest/zygote.py)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
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
from tenantry.sandbox.driver import NoSnapshotError, SandboxError, SandboxEvents, SandboxSpec, ZygoteEndedError, ZygoteSpec
from tenantry.sandbox.ids import Ids
from tenantry.sandbox.process import SandboxProcess
from tenantry.sandbox.zygote import ZygoteProcess, start_zygote

_ZYGOTE_MAY = ("namespaces and mounts", "clone")  # what a zygote's filter leaves out: it makes namespaces for its children
_READABLE = ("/",)
_WRITABLE = ("/tmp",)  # noqa: S108 - a path inside the sandbox
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FILE_SIZE_SLACK = 1 << 20
_INODES_PER_MIB = 64
_SPARE_GROUPS = 4  # for each size of function in use
_RESTOCK_AFTER_S = 0.02  # after the environment that took one has started, not beside it
_DISCARD_S = 2.0
_ID_RANGES = 0x7000

log = logging.getLogger(__name__)

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
        self.sealed_per_function = 0
        """Environments of each zygote in use that are kept sealed, without a runtime, for the next one who asks."""
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
            "hooks": zygote.snapshot,
            "cwd": tree.TASK_ROOT if inside else str(zygote.code),
            "interpreter": str(zygote.interpreter) if self.level == "exec" else "",
            "bootstrap": f"{tree.RUNTIME_DIR}/bootstrap.py",
            "path": self._path(zygote),
        }

    def environment_order(self, spec: SandboxSpec, outer: int) -> dict[str, Any]:
        """The `environment` part of a fork request: what differs from one to the next."""
        return {
            "outer": outer,
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

    def make_group(self, identifier: str, spec: SandboxSpec) -> Group | None:
        """A control group for an environment; None where the host gives none, or at level `process`."""
        if self.cgroups is None:
            return None
        try:
            return self.cgroups.take(identifier, limits_for(spec.memory_mib, spec.processes_max))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # not the group's fault
            raise SandboxError(f"the environment's control group could not be made: {error}") from None

    def stock_groups(self, spec: SandboxSpec) -> None:
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
        self._sealed: dict[SandboxSpec, list[SandboxProcess]] = {}
        self._closing = False
        process.on_end = self._discard_sealed

    @property
    def alive(self) -> bool:
        return self._process.alive

    @property
    def ended(self) -> bool:
        return self._process.ended

    def fork(self, spec: SandboxSpec, output: int, events: SandboxEvents) -> SandboxProcess:
        """See driver.Zygote."""
        try:
            sandbox = self._begin_sealed(spec, output, events) or self._begin_new(spec, output, events)
        except BaseException:
            os.close(output)
            raise
        asyncio.get_running_loop().call_later(_RESTOCK_AFTER_S, self._restock, spec)
        return sandbox

    def _begin_sealed(self, spec: SandboxSpec, output: int, events: SandboxEvents) -> SandboxProcess | None:
        """One that was sealed ahead of time, begun; None where there is none."""
        sealed = self._sealed.get(_shape(spec), [])
        for sandbox in list(sealed):
            if sandbox.sealed:
                sealed.remove(sandbox)
                try:
                    sandbox.begin(spec.id, spec.environ, output, events)
                except OSError:
                    sandbox.kill()  # it has just ended
                    continue
                return sandbox
        return None

    def _begin_new(self, spec: SandboxSpec, output: int, events: SandboxEvents) -> SandboxProcess:
        temporary = Path(tempfile.mkdtemp(prefix=self._driver.mark)) if self._driver.level == "process" else None
        sandbox = self._seal(spec.id, spec, temporary)
        environ = spec.environ if temporary is None else {**spec.environ, "TMPDIR": str(temporary)}
        try:
            sandbox.begin(spec.id, environ, output, events)
        except OSError as error:
            sandbox.kill()
            raise ZygoteEndedError(f"the zygote ended with the order for an environment: {error}") from None
        return sandbox

    def _seal(self, identifier: str, spec: SandboxSpec, temporary: Path | None) -> SandboxProcess:
        """Ask for an environment that is nobody's yet. `temporary` is removed with it, or here when it cannot be asked for."""
        driver = self._driver
        group: Group | None = None
        entrances: list[int] = []
        sandbox: SandboxProcess | None = None
        outer: int | None = None
        try:
            outer = self._ids.take()
            group = driver.make_group(identifier, spec)
            entrances = group.entrances() if group is not None else []
            sandbox = SandboxProcess(identifier, self._ids, outer, group, driver._kernel, temporary)
            request = {"id": identifier, "environment": driver.environment_order(spec, outer)}
            self._process.fork(sandbox, request, (sandbox.theirs.fileno(), *entrances))
            sandbox.theirs.close()
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
            for descriptor in entrances:
                os.close(descriptor)
        return sandbox

    def _restock(self, spec: SandboxSpec) -> None:
        """After an environment has begun, not beside it: make what the next one like it needs. Failing is no harm."""
        driver, shape = self._driver, _shape(spec)
        driver.stock_groups(spec)
        if driver.level == "process" or self._closing or not self.alive:
            return
        sealed = self._sealed.setdefault(shape, [])
        sealed[:] = [sandbox for sandbox in sealed if not sandbox.ended.is_set()]
        with contextlib.suppress(SandboxError, OSError):
            while len(sealed) < driver.sealed_per_function:
                sealed.append(self._seal(f"sealed-{secrets.token_hex(8)}", shape, None))

    def _discard_sealed(self) -> list[SandboxProcess]:
        sealed = list(itertools.chain(*self._sealed.values()))
        self._sealed.clear()
        for sandbox in sealed:
            sandbox.kill()
        return sealed

    async def close(self) -> None:
        """See driver.Zygote."""
        self._closing = True
        sealed = self._discard_sealed()
        try:
            async with asyncio.timeout(_DISCARD_S):
                await asyncio.gather(*(sandbox.ended.wait() for sandbox in sealed))
        except TimeoutError:
            log.warning("environments sealed ahead of time end with their zygote")
        await self._process.close()


def _shape(spec: SandboxSpec) -> SandboxSpec:
    """What environments must have in common for one to take the other's place before they begin."""
    return replace(spec, id="", environ={})


def _sweep_temporary() -> None:
    """Remove the temporary folders of platforms that are gone."""
    for entry in Path(tempfile.gettempdir()).glob(f"{owner.PREFIX}*"):
        if owner.is_orphan(entry.name):
            shutil.rmtree(entry, ignore_errors=True)
