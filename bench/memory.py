"""What environments cost in memory: the proportional set size of every process below a platform's zygotes."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

_ABOVE = 4  # platform, launcher, reaper, zygote: what lies deeper belongs to an environment


def environment_processes(platform: int) -> list[int]:
    """The keepers and runtimes (and their children) of all environments of the platform with this process id."""
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _parent(entry)
            if parent is not None:
                children[parent].append(int(entry.name))
    generation = [platform]
    found: list[int] = []
    depth = 0
    while generation:
        if depth >= _ABOVE:
            found += generation
        generation = [child for pid in generation for child in children[pid]]
        depth += 1
    return found


def pss_mib(pids: list[int]) -> float:
    """Their proportional set size together: shared pages count in parts. Raises PermissionError without the right to look."""
    total_kib = 0
    for pid in pids:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total_kib += next(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total_kib / 1024


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None  # it has ended meanwhile
