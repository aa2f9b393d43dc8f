"""Tries, one by one, what the kernel lets this user do: each step in a process of its own, which then ends.

Run as a program it prints one JSON object, {step: null where it works, else the error}. A step counts only when it was done,
not when a file or flag says that it could be. Standard library only; a fresh interpreter runs it, so that whoever asks stays
outside of every namespace made here.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable

from tenantry.linux.kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    PR_SET_NO_NEW_PRIVS,
    Kernel,
)
from tenantry.linux.landlock import handled, scopes
from tenantry.linux.seccomp import compile_policy, load_policy

NAMESPACES = {
    "mount": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
}
_BASE = "/sys"  # as linux/root.py: it exists everywhere, and nothing needed here lies in it


def main() -> None:
    """Try everything and print what came of it."""
    kernel = Kernel()
    rootless = os.geteuid() != 0
    results = {name: attempt(step) for name, step in steps(kernel, rootless).items()}
    print(json.dumps({**results, "landlock_abi": _landlock_abi(kernel)}))


def steps(kernel: Kernel, rootless: bool) -> dict[str, Callable[[], None]]:
    """Every step by name. rootless: make a user namespace first, as the sandbox does without root."""
    return {
        "user": lambda: _enter(kernel, True),
        **{name: (lambda flag=flag: _enter(kernel, rootless, flag)) for name, flag in NAMESPACES.items()},  # type: ignore[misc]
        "mount api": lambda: _bind(kernel, rootless),
        "whole proc": lambda: _mount_proc(kernel),
        "seccomp": lambda: _filter(kernel),
        "landlock": lambda: _fence(kernel),
    }


def attempt(step: Callable[[], None]) -> str | None:
    """Do a step in a child process; the error's text where it fails."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            step()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
            os.write(writing, f"{error}"[:4000].encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        return None
    return text or f"the process ended with status {status}"


def _enter(kernel: Kernel, user: bool, flags: int = 0) -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(flags | (CLONE_NEWUSER if user else 0))
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"1 {uid} 1"), ("gid_map", f"1 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib is not worth its import here
                file.write(text)


def _bind(kernel: Kernel, rootless: bool) -> None:
    _enter(kernel, rootless, CLONE_NEWNS)
    kernel.mount("none", "/", "", MS_REC | MS_PRIVATE)
    kernel.mount("tmpfs", _BASE, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755")
    os.mkdir(f"{_BASE}/usr")  # noqa: PTH102
    kernel.bind("/usr", f"{_BASE}/usr", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)


def _mount_proc(kernel: Kernel) -> None:
    """In a user namespace this needs a /proc without anything mounted over parts of it."""
    _enter(kernel, True, CLONE_NEWNS | CLONE_NEWPID)
    failed = attempt(lambda: kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC))
    if failed is not None:
        raise OSError(failed)


def _filter(kernel: Kernel) -> None:
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    kernel.seccomp(compile_policy(load_policy(), platform.machine()))
    try:
        kernel.unshare(0)  # does nothing, and anybody may do it
    except PermissionError:
        return
    raise OSError("the filter is installed, but lets through what it refuses")


def _fence(kernel: Kernel) -> None:
    abi = kernel.landlock_abi()
    if abi == 0:
        raise OSError("the kernel has no Landlock, or it is switched off")
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    kernel.landlock(handled(abi), scopes(abi), [])
    try:
        os.listdir("/")  # noqa: PTH208
    except PermissionError:
        return
    raise OSError("the rules are in force, but let through what they refuse")


def _landlock_abi(kernel: Kernel) -> int:
    try:
        return kernel.landlock_abi()
    except OSError:
        return 0  # a container's filter refuses the question


if __name__ == "__main__":
    main()
