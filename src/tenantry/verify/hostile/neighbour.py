"""Looking for the neighbour: its files, sockets, shared memory and processes; and who one is oneself."""

import contextlib
import ctypes
import errno
import os
import socket
import struct

from . import state
from .tools import attempt, libc, namespaces, read_text, syscall
from .victim import SHM_KEY


def peek(event, context):
    """Read a path."""
    return attempt(lambda: read_text(event["path"]))


def listing(event, context):
    """List a folder."""
    return attempt(lambda: sorted(os.listdir(event["path"])))


def connect(event, context):
    """Connect somewhere: {"family": unix|inet, "address": ...}."""
    if event["family"] == "unix":
        return attempt(lambda: _ask(socket.AF_UNIX, event["address"]))
    return attempt(lambda: _ask(socket.AF_INET, tuple(event["address"])))


def shm_read(event, context):
    """Attach the victim's System V shared memory and read it."""
    result, error = syscall(29, 194, SHM_KEY, 4096, 0o666)
    if error:
        return {"done": False, "error": error}
    libc.shmat.restype = ctypes.c_void_p
    return {"done": True, "value": ctypes.string_at(libc.shmat(result, None, 0), 64).decode(errors="replace")}


def whole_proc(event, context):
    """Every process in sight, with its command line and environment."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            found[entry] = {
                part: attempt(lambda part=part, entry=entry: read_text(f"/proc/{entry}/{part}"))
                for part in ("environ", "cmdline")
            }
    return found


def memory_of(event, context):
    """Open and search another process's memory for a secret."""

    def search():
        pid = event["pid"]
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                bounds, mode, *rest = line.split()
                if "rw" not in mode or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                    continue
                start, end = (int(value, 16) for value in bounds.split("-"))
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(start)
                    if event["needle"].encode() in memory.read(min(end - start, 64 << 20)):
                        return event["needle"]
        return ""

    return attempt(search)


def ptrace_of(event, context):
    """Attach to a process (and let it go again)."""
    result, error = syscall(101, 117, 16, event["pid"], 0, 0)
    if error is None:
        os.waitpid(event["pid"], 0)
        syscall(101, 117, 17, event["pid"], 0, 0)
    return {"done": error is None, "error": error}


def vm_read(event, context):
    """process_vm_readv of a process, one page of its stack."""

    def read():
        with open(f"/proc/{event['pid']}/maps") as maps:
            start = next(int(line.split("-")[0], 16) for line in maps if "[stack]" in line)
        buffer = ctypes.create_string_buffer(64)
        local = struct.pack("PN", ctypes.addressof(buffer), 64)
        remote = struct.pack("PN", start, 64)
        result, error = syscall(310, 270, event["pid"], ctypes.c_char_p(local), 1, ctypes.c_char_p(remote), 1, 0)
        if error:
            raise OSError(getattr(errno, error), error)
        return result

    return attempt(read)


def signal_to(event, context):
    """Send a signal to a pid."""
    return attempt(lambda: os.kill(event["pid"], event["signal"]))


def pidfd_of(event, context):
    """pidfd_open of a pid, and the theft of its descriptors."""
    result, error = syscall(434, 434, event["pid"], 0)
    if error:
        return {"done": False, "error": error}
    stolen, error = syscall(438, 438, result, 0, 0)
    return {"done": error is None, "error": error}


def identity(event, context):
    """Who and where: ids, namespaces, capabilities, hostname, mounts, descriptors, environment."""
    status = dict(line.split(":\t", 1) for line in read_text("/proc/self/status").splitlines() if ":\t" in line)
    return {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "hostname": os.uname().nodename,
        "namespaces": namespaces(),
        "capabilities": {name: status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privs": status.get("NoNewPrivs", "").strip(),
        "seccomp": status.get("Seccomp", "").strip(),
        "descriptors": {
            name: attempt(lambda name=name: os.readlink(f"/proc/self/fd/{name}")) for name in os.listdir("/proc/self/fd")
        },
        "environ": dict(os.environ),
        "root": sorted(os.listdir("/")),
        "counter": state.COUNTER["n"],
        "memory": state.SECRET_IN_MEMORY,
        "tenant": context.tenant_id,
    }


def _ask(family, address):
    with socket.socket(family) as client:
        client.settimeout(1)
        client.connect(address)
        return client.recv(100).decode()
