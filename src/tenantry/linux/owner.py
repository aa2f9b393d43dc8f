"""Whose leftovers are these? Marks what outlives a process (control groups, temporary folders) with the process that made it.

A platform that is killed cannot tidy up; the next one to start removes what carries the mark of a process that is gone. A mark
holds the pid namespace, the pid and the process's start time, so that neither a process of another container nor a later one
under the same pid is taken for the owner.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PREFIX = "tenantry-"
_NAME = re.compile(PREFIX + r"(?P<namespace>[0-9a-f]+)-(?P<pid>[0-9]+)-(?P<start>[0-9]+)-[0-9a-z_]+(?:-platform)?")
_START_TIME = 19  # of the fields that follow the command in /proc/<pid>/stat, counted from 0


def mark(proc: Path = Path("/proc")) -> str:
    """`tenantry-<pid namespace>-<pid>-<start>-`, of this process: the beginning of a name. Raises OSError without /proc."""
    return f"{PREFIX}{_namespace(proc)}-{os.getpid()}-{_started(proc, os.getpid())}-"


def is_orphan(name: str, proc: Path = Path("/proc")) -> bool:
    """Whether a name carries the mark of a process that has ended. What cannot be told counts as somebody's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    try:
        if found["namespace"] != _namespace(proc):
            return False
    except OSError:
        return False
    try:
        return _started(proc, int(found["pid"])) != int(found["start"])
    except FileNotFoundError:
        return True
    except (OSError, ValueError, IndexError):
        return False


def _namespace(proc: Path) -> str:
    text = str((proc / "self/ns/pid").readlink())  # pid:[4026531836]
    return f"{int(text.partition('[')[2].rstrip(']')):x}"


def _started(proc: Path, pid: int) -> int:
    """When a process began, in ticks since the machine did."""
    text = (proc / str(pid) / "stat").read_text()
    return int(text.rpartition(")")[2].split()[_START_TIME])
