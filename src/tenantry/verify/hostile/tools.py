"""What the attacks are made of: raw system calls, outcomes as JSON, files, namespaces."""

import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"


def syscall(x86, arm, *arguments):
    """A raw system call: (result, name of the error or None)."""
    ctypes.set_errno(0)
    values = [value if isinstance(value, (ctypes.c_void_p, ctypes.c_char_p)) else ctypes.c_long(value) for value in arguments]
    result = libc.syscall(ctypes.c_long(x86 if X86 else arm), *values)
    return result, errno.errorcode.get(ctypes.get_errno()) if result < 0 else None


def attempt(action):
    """{"done": True, "value": ...} or {"done": False, "error": name}."""
    try:
        value = action()
    except OSError as error:
        return {"done": False, "error": errno.errorcode.get(error.errno, str(error))}
    except Exception as error:
        return {"done": False, "error": f"{type(error).__name__}: {error}"}
    return {"done": True, "value": value if isinstance(value, (str, int, float, list, dict, bool, type(None))) else str(value)}


def write_text(path, text):
    """Write a file anew; True, for `attempt`."""
    with open(path, "w") as file:
        file.write(text)
    return True


def read_text(path):
    """The beginning of a file."""
    with open(path, errors="replace") as file:
        return file.read(20000)


def namespaces():
    """The namespaces of this process, by kind."""
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "mnt", "net", "ipc", "uts", "user", "cgroup")}
