"""Seals a process into an execution environment. Every step that fails raises, and the process then ends: never a weaker
sandbox.

It has just been forked by its keeper, is in user, mount, pid, network, ipc and uts namespaces of their own (level `process`: in
none), holds every capability over them and none over anything else, and shares no descriptor but those it was given.
"""

from __future__ import annotations

import os
import resource
import socket
from typing import Any

from tenantry.linux import landlock
from tenantry.linux.kernel import (
    CLONE_NEWCGROUP,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    PR_SET_NO_NEW_PRIVS,
    Kernel,
)

RUNTIME_API = ("127.0.0.1", 9001)
PLATFORM = ("127.0.0.1", 4270)


def limits(wanted: dict[str, int]) -> None:
    """Set rlimits: {name: value}, hard and soft alike."""
    for name, value in wanted.items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))


def join_cgroups(descriptors: list[int]) -> None:
    """Move this process into its cgroups: `0` means the writer itself, which is cheap where moving another is not."""
    for descriptor in descriptors:
        os.write(descriptor, b"0")
        os.close(descriptor)


def listen(address: tuple[str, int]) -> socket.socket:
    """A listening TCP socket inside this network namespace, to be handed to the platform."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address)
    server.listen(16)
    return server


def mounts(kernel: Kernel, order: dict[str, Any]) -> None:
    """Fresh /proc of this pid namespace, and a /tmp that belongs to this environment alone."""
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    size = f"size={order['tmp_mib']}m,nr_inodes={order['tmp_inodes']},mode=0700,uid={order['uid']},gid={order['gid']}"
    kernel.mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size)


def confine(kernel: Kernel, order: dict[str, Any]) -> None:
    """Give up, in the one right order: bounding set, ids, capabilities, privileges to come, files, system calls."""
    if order["namespaces"]:
        kernel.unshare(CLONE_NEWCGROUP)
        kernel.sethostname(order["hostname"])
        kernel.drop_bounding_set()
        kernel.set_ids(order["uid"], order["gid"])
        kernel.clear_capabilities()
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    fence = order["landlock"]
    if fence is not None:
        kernel.landlock(
            landlock.handled(fence["abi"]),
            landlock.scopes(fence["abi"]),
            landlock.rules(fence["abi"], fence["readable"], fence["writable"], fence["devices"]),
        )
    if order["seccomp"]:
        kernel.seccomp(bytes.fromhex(order["seccomp"]))
