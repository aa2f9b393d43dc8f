"""Privileges and kernel surfaces: raw calls, namespaces, mounts, root, terminals, core dumps."""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import struct
import subprocess

from .tools import attempt, libc, syscall


def system_call(event, context):
    """One raw call by its numbers; the arguments are integers."""
    result, error = syscall(event["x86_64"], event["aarch64"], *event.get("arguments", [0, 0, 0, 0]))
    return {"done": error is None, "value": result if error is None else None, "error": error}


def new_namespace(event, context):
    """unshare, and clone and clone3 with the same flag, each in a child."""
    flag = event["flag"]

    def child(action):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if action() else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def by_clone():
        result, _ = syscall(56, 220, flag | 17, 0, 0, 0, 0)
        if result == 0:
            os._exit(0)
        return result > 0

    def by_clone3():
        arguments = ctypes.create_string_buffer(struct.pack("QQQQQQQQ", flag, 0, 0, 0, 17, 0, 0, 0), 64)
        result, _ = syscall(435, 435, ctypes.cast(arguments, ctypes.c_void_p), 64)
        if result == 0:
            os._exit(0)
        return result > 0

    return {"unshare": child(lambda: libc.unshare(flag) == 0), "clone": child(by_clone), "clone3": child(by_clone3)}


def enter_namespace(event, context):
    """setns into a namespace of another process in sight."""

    def enter():
        descriptor = os.open(f"/proc/{event['pid']}/ns/{event['kind']}", os.O_RDONLY)
        if libc.setns(descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        return True

    return attempt(enter)


def mount_something(event, context):
    """Mount a tmpfs, remount the root writable, unmount /proc."""
    outcomes = {}
    for name, arguments in {
        "tmpfs": (b"tmpfs", b"/tmp", b"tmpfs", 0, None),
        "remount": (b"none", b"/", b"", 32 | 4096, None),
        "proc": (b"proc", b"/proc", b"proc", 0, None),
    }.items():
        ctypes.set_errno(0)
        done = libc.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(arguments[3]), arguments[4]) == 0
        outcomes[name] = {"done": done, "error": errno.errorcode.get(ctypes.get_errno())}
        if done and name == "tmpfs":
            libc.umount2(b"/tmp", 2)
    ctypes.set_errno(0)
    done = libc.umount2(b"/proc", 2) == 0
    outcomes["umount"] = {"done": done, "error": errno.errorcode.get(ctypes.get_errno())}
    return outcomes


def become_root(event, context):
    """setuid(0), a set-user-id program of our own, new capabilities."""
    folder = os.environ.get("TMPDIR", "/tmp")
    program = f"{folder}/suid"

    def suid():
        with open("/usr/bin/sh" if os.path.exists("/usr/bin/sh") else "/bin/sh", "rb") as source, open(program, "wb") as target:
            target.write(source.read())
        os.chmod(program, 0o4755)
        answer = subprocess.run(
            [program, "-c", "exec cat /proc/self/status || read x </proc/self/status"],
            capture_output=True,
            text=True,
            timeout=5,
        )
        return answer.returncode

    found = []
    for base in ("/usr/bin", "/bin", "/usr/sbin", "/usr/lib"):
        for folder_, _, names in os.walk(base):
            for name in names:
                path = os.path.join(folder_, name)
                with contextlib.suppress(OSError):
                    powerful = os.lstat(path).st_mode & 0o6000 and os.access(path, os.X_OK)
                    if powerful and not os.statvfs(path).f_flag & os.ST_NOSUID:
                        found.append(path)
    return {"setuid": attempt(lambda: os.setuid(0)), "suid": attempt(suid), "uid": os.getuid(), "setuid_programs": found[:20]}


def terminal(event, context):
    """Type into a terminal that is not ours."""
    import fcntl
    import termios

    def sti():
        descriptor = os.open("/dev/tty", os.O_RDWR)
        fcntl.ioctl(descriptor, termios.TIOCSTI, b"x")
        return True

    def sti_anywhere():
        fcntl.ioctl(0, termios.TIOCSTI, b"x")
        return True

    return {"tty": attempt(sti), "stdin": attempt(sti_anywhere)}


def core_dump(event, context):
    """Crash a child, and see whether a core was written."""
    folder = os.environ.get("TMPDIR", "/tmp")
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return {"dumped": os.WCOREDUMP(status), "limit": resource.getrlimit(resource.RLIMIT_CORE)[1]}
