"""Builds the read-only file tree a sandbox sees, and makes it the root.

The tree is a small tmpfs with read-only binds of what the interpreter needs and nothing else of the host (sandbox/tree.py
draws it up). Works with root, and inside a user namespace without any.

A tree: {"directories": [path], "binds": [[source, target, is it a device]], "files": {path: text}, "links": {path: target}},
all paths absolute and inside the new root. `/proc` and `/tmp` are made as empty directories for what each environment mounts
there.
"""

from __future__ import annotations

import os
from typing import Any

from tenantry.linux.kernel import (
    MNT_DETACH,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    Kernel,
)

_BASE = "/sys"  # a directory that exists and holds none of the sources: the tree is mounted over it, in this namespace only


def build(kernel: Kernel, tree: dict[str, Any]) -> None:
    """Build the tree and pivot into it. Raises OSError; the caller must then end, for its root may be half made."""
    kernel.mount("none", "/", "", MS_REC | MS_PRIVATE)
    kernel.mount("tmpfs", _BASE, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=0755")
    for path in ("/proc", "/tmp", "/dev", *tree["directories"]):
        os.makedirs(_BASE + path, exist_ok=True)
    for source, target, device in tree["binds"]:
        _bind(kernel, source, _BASE + target, device)
    for path, text in tree["files"].items():
        os.makedirs(os.path.dirname(_BASE + path), exist_ok=True)
        with open(_BASE + path, "w") as file:
            file.write(text)
    for path, target in tree["links"].items():
        os.makedirs(os.path.dirname(_BASE + path), exist_ok=True)
        os.symlink(target, _BASE + path)
    # The kernel lets a user namespace mount /proc only where a whole /proc is in sight already; each environment covers it.
    kernel.mount("/proc", _BASE + "/proc", "", MS_BIND | MS_REC)
    kernel.pivot_root(_enter(), ".")
    kernel.umount(".", MNT_DETACH)
    kernel.mount("none", "/", "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir("/")


def _enter() -> str:
    os.chdir(_BASE)
    return "."


def _bind(kernel: Kernel, source: str, target: str, device: bool) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    attributes = MOUNT_ATTR_NOSUID | (MOUNT_ATTR_NOEXEC if device else MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)
    kernel.bind(source, target, attributes)
