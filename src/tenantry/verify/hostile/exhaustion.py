"""Exhaustion, bounded: disk, inodes, processes, memory, CPU time, descriptors; and what is left behind."""

import contextlib
import errno
import mmap
import os
import resource
import signal
import time

from .tools import read_text


def fill_disk(event, context):
    """Write into the temporary folder, at most event["mib"]."""
    folder, chunk, written = os.environ.get("TMPDIR", "/tmp"), b"x" * (1 << 20), 0
    failure = None
    paths = []
    try:
        for number in range(event["mib"]):
            if number % 64 == 0:
                paths.append(f"{folder}/fill-{number}")
            with open(paths[-1], "ab") as file:
                file.write(chunk)
            written += 1
    except OSError as error:
        failure = errno.errorcode.get(error.errno)
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return {"mib": written, "error": failure}


def fill_inodes(event, context):
    """Make empty files, at most event["files"]."""
    folder, made, failure = os.environ.get("TMPDIR", "/tmp") + "/inodes", 0, None
    os.mkdir(folder)
    try:
        for number in range(event["files"]):
            os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        failure = errno.errorcode.get(error.errno)
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
    return {"files": made, "error": failure}


def fork_bomb(event, context):
    """Children that sleep, at most event["processes"], all ended again."""
    children, failure = [], None
    for _ in range(event["processes"]):
        try:
            pid = os.fork()
        except OSError as error:
            failure = errno.errorcode.get(error.errno)
            break
        if pid == 0:
            time.sleep(5)
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {"processes": len(children), "error": failure}


def memory_bomb(event, context):
    """Touch event["mib"] of memory."""
    pieces = []
    for _ in range(event["mib"]):
        piece = mmap.mmap(-1, 1 << 20)
        piece.write(b"x" * (1 << 20))
        pieces.append(piece)
    return {"mib": len(pieces)}


def burn(event, context):
    """Busy processes for event["seconds"]; how much CPU time they got together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    end = time.monotonic() + event["seconds"]
    children = []
    for _ in range(event["processes"]):
        pid = os.fork()
        if pid == 0:
            os.setsid()  # some kernels share CPU time among sessions: be many
            while time.monotonic() < end:
                pass
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": used, "seconds": event["seconds"]}


def open_many(event, context):
    """Open descriptors, at most event["descriptors"]."""
    opened, failure = [], None
    try:
        for _ in range(event["descriptors"]):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        failure = errno.errorcode.get(error.errno)
    for descriptor in opened:
        os.close(descriptor)
    return {"descriptors": len(opened), "error": failure}


def zombies(event, context):
    """Leave orphans behind that end, and count what is not reaped."""
    for _ in range(event["processes"]):
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.waitpid(pid, 0)
    time.sleep(0.3)
    states = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if "State:\tZ" in read_text(f"/proc/{entry}/status"):
                    states.append(entry)
    return {"zombies": len(states)}


def stay(event, context):
    """Leave a process behind that outlives the invocation and would write later."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(event["seconds"])
            with contextlib.suppress(OSError):
                print("late output of " + event["mark"], flush=True)
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
    return {"left": True}
