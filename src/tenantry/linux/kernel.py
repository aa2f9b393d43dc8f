"""Every system call the sandbox makes, behind one small interface.

Standard library only: this module runs inside the zygote, before any user code, as well as in the platform. Python 3.11's `os`
lacks most of these calls, so they go through ctypes; each failure raises OSError carrying the call's name, and whoever seals an
environment treats any failure as fatal (fail closed). `tests` pass a recording, failing double with the same methods.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
import sys
from collections.abc import Iterable

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1
LANDLOCK_SCOPE_SIGNAL = 2

# System calls without a libc wrapper old enough to rely on: (x86_64, aarch64).
_NUMBERS = {
    "clone": (56, 220),
    "pivot_root": (155, 41),
    "capset": (126, 91),
    "seccomp": (317, 277),
    "close_range": (436, 436),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
}
_SIGCHLD = 17
_SIGSET_BYTES = 128
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_SECCOMP_SET_MODE_FILTER = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES_MIN = 38  # every kernel that can seal an environment knows as many
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_LOOPBACK_UP = struct.pack("16sh14x", b"lo", _IFF_UP)  # its other flags are not ours to set, and stay


class Kernel:
    """The real kernel. Methods raise OSError (its `filename` is the call's name) and return nothing unless said."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._held = ctypes.PyDLL(None, use_errno=True)  # calls with the interpreter lock kept
        machines = {"x86_64": 0, "aarch64": 1}
        machine = platform.machine()
        if machine not in machines:
            raise OSError(errno.ENOSYS, f"tenantry knows the system calls of x86_64 and aarch64, not of {machine}", "uname")
        self._column = machines[machine]
        self._bare_fork = getattr(self._held, "_Fork", None)  # glibc from 2.34 on
        self._capability_header = ctypes.c_char_p(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
        self._no_capabilities = ctypes.c_char_p(bytes(24))

    def _check(self, name: str, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), name)
        return result

    def _call(self, name: str, *arguments: int | ctypes.c_char_p | ctypes.c_void_p | None) -> int:
        values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
        return self._check(name, int(self._libc.syscall(ctypes.c_long(_NUMBERS[name][self._column]), *values)))

    # -- processes and namespaces

    def clone(self, flags: int) -> int:
        """fork() with namespaces: returns the child's pid, and 0 in the child, which is alone in the new namespaces.

        Single-threaded callers only. See `fork` for what is left out.
        """
        number = ctypes.c_long(_NUMBERS["clone"][self._column])
        return self._check("clone", int(self._held.syscall(number, ctypes.c_long(flags | _SIGCHLD), 0, 0, 0, 0)))

    def fork(self, handlers: bool) -> int:
        """The C library's fork(): returns the child's pid, and 0 in the child. Single-threaded callers only.

        os.fork() also runs Python's at-fork hooks (`random`, `logging`, `threading`): of no use where one thread holds no
        lock and reseeds by itself, and 200 of the 600 pages that the start of an environment copies. handlers: run those that
        libraries have asked for (pthread_atfork). Without any, nothing but the C library's own locks is left out, which no
        other thread can hold; it saves 50 pages more.
        """
        return self._check("fork", int(self._held.fork() if handlers or self._bare_fork is None else self._bare_fork()))

    def unshare(self, flags: int) -> None:
        self._check("unshare", int(self._libc.unshare(flags)))

    def setns(self, descriptor: int, flags: int) -> None:
        self._check("setns", int(self._libc.setns(descriptor, flags)))

    def prctl(self, option: int, value: int = 0) -> int:
        return self._check("prctl", int(self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)))

    def sethostname(self, name: str) -> None:
        os_name = name.encode()
        self._check("sethostname", int(self._libc.sethostname(os_name, len(os_name))))

    def pidfd_open(self, pid: int) -> int:
        return self._call("pidfd_open", pid, 0)

    def pidfd_kill(self, pidfd: int, signal_number: int) -> None:
        self._call("pidfd_send_signal", pidfd, signal_number, None, 0)

    def signalfd(self, signals: Iterable[int]) -> int:
        """A descriptor to read these signals from, which must be blocked: 128 bytes each, the number first."""
        mask = sum(1 << (number - 1) for number in signals)
        request = ctypes.create_string_buffer(mask.to_bytes(_SIGSET_BYTES, sys.byteorder), _SIGSET_BYTES)
        return self._check("signalfd", int(self._libc.signalfd(-1, request, os.O_CLOEXEC)))

    def close_range(self, first: int, last: int = 0xFFFFFFFF) -> None:
        self._call("close_range", first, last, 0)

    # -- mounts

    def mount(self, source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
        self._check(
            "mount",
            int(
                self._libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode() or None)
            ),
        )

    def umount(self, target: str, flags: int = MNT_DETACH) -> None:
        self._check("umount2", int(self._libc.umount2(target.encode(), flags)))

    def pivot_root(self, new_root: str, put_old: str) -> None:
        self._call("pivot_root", ctypes.c_char_p(new_root.encode()), ctypes.c_char_p(put_old.encode()))

    def bind(self, source: str, target: str, attributes: int) -> None:
        """Bind a file or a whole tree (with what is mounted in it), with MOUNT_ATTR_* set on every mount of the copy."""
        flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
        tree = self._call("open_tree", _AT_FDCWD, ctypes.c_char_p(source.encode()), flags)
        try:
            self._set_attributes(tree, attributes)
            self._call(
                "move_mount", tree, ctypes.c_char_p(b""), _AT_FDCWD, ctypes.c_char_p(target.encode()), _MOVE_MOUNT_F_EMPTY_PATH
            )
        finally:
            os.close(tree)

    def _set_attributes(self, tree: int, attributes: int) -> None:
        request = ctypes.create_string_buffer(struct.pack("QQQQ", attributes, 0, 0, 0), 32)
        self._call(
            "mount_setattr",
            tree,
            ctypes.c_char_p(b""),
            _AT_EMPTY_PATH | _AT_RECURSIVE,
            ctypes.cast(request, ctypes.c_void_p),
            32,
        )

    # -- privileges

    def drop_bounding_set(self) -> None:
        """Empty the capability bounding set. Must come before the user changes; checked, since it fails silently after."""
        drop, number = self._libc.prctl, ctypes.c_ulong
        for capability in range(64):
            if drop(PR_CAPBSET_DROP, number(capability), 0, 0, 0) < 0:
                if ctypes.get_errno() == errno.EINVAL and capability >= _CAPABILITIES_MIN:
                    break  # past the last one this kernel knows
                self._check("prctl", -1)

    def clear_capabilities(self) -> None:
        """Drop every effective, permitted, inheritable and ambient capability of this thread."""
        self._check("prctl", int(self._libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)))
        self._call("capset", self._capability_header, self._no_capabilities)

    def set_ids(self, uid: int, gid: int) -> None:
        """Become uid and gid for good (real, effective, saved)."""
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)

    def seccomp(self, program: bytes) -> None:
        """Install a compiled BPF filter (linux/seccomp.py). Needs no_new_privs."""
        code = ctypes.create_string_buffer(program, len(program))
        header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)), 16)
        self._call("seccomp", _SECCOMP_SET_MODE_FILTER, 0, ctypes.cast(header, ctypes.c_void_p))

    # -- Landlock

    def landlock_abi(self) -> int:
        """The kernel's Landlock version; 0 where it has none."""
        try:
            return self._call("landlock_create_ruleset", None, 0, 1)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
                return 0
            raise

    def landlock(self, handled_fs: int, scoped: int, rules: list[tuple[str, int]]) -> None:
        """Restrict this thread: file rights `handled_fs` are refused except as `rules` (path, rights) grant them.

        `scoped` are LANDLOCK_SCOPE_* bits; pass only what the kernel's version knows. A path that does not exist is an error.
        """
        layout = struct.pack("QQQ", handled_fs, 0, scoped) if scoped else struct.pack("Q", handled_fs)
        request = ctypes.create_string_buffer(layout, len(layout))
        ruleset = self._call("landlock_create_ruleset", ctypes.cast(request, ctypes.c_void_p), len(layout), 0)
        try:
            for path, rights in rules:
                anchor = os.open(path, os.O_PATH | os.O_CLOEXEC)
                try:
                    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, anchor), 12)
                    self._call("landlock_add_rule", ruleset, _LANDLOCK_RULE_PATH_BENEATH, ctypes.cast(rule, ctypes.c_void_p), 0)
                finally:
                    os.close(anchor)
            self._call("landlock_restrict_self", ruleset, 0)
        finally:
            os.close(ruleset)

    # -- network

    def loopback_up(self) -> None:
        """Bring up `lo` in this network namespace."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, _LOOPBACK_UP)
