"""Landlock rules of an environment: which file rights exist, and which of them each part of its tree keeps.

Landlock stands behind the mount namespace as a second wall: were a host file reachable after all (an inherited directory, a
mount mistake), it could still not be written or executed. It also confines signals and abstract sockets to the environment
itself. Rights by Landlock version: kernel documentation, userspace-api/landlock.
"""

from __future__ import annotations

from tenantry.linux.kernel import LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_BASE = (1 << 13) - 1  # version 1: execute ... make_sym
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE


def handled(abi: int) -> int:
    """Every file right that this Landlock version can refuse."""
    return _BASE | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0) | (_IOCTL_DEV if abi >= 5 else 0)


def scopes(abi: int) -> int:
    """The scopes this version can confine (6: signals and abstract sockets)."""
    return LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL if abi >= 6 else 0


def rules(abi: int, readable: list[str], writable: list[str], devices: list[str]) -> list[tuple[str, int]]:
    """Rules for `Kernel.landlock`: trees to read and execute from, trees to own, device files to read and write."""
    everything = handled(abi) & ~_IOCTL_DEV
    return [
        *((path, READ) for path in readable),
        *((path, everything) for path in writable),
        *((path, DEVICE | (_TRUNCATE if abi >= 3 else 0)) for path in devices),
    ]
