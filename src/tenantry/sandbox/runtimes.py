"""Runtime identifiers and the interpreters they run on.

`python3.13` runs on the host's python3.13 where there is one; otherwise on the nearest version found, with a warning that a
person sees (or not at all, under `--strict-runtimes`). Interpreters are looked for once, and asked who they are by running
them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tenantry.model.errors import Refusal
from tenantry.model.runtime import ResolvedRuntime

OLDEST = 10  # awslambdaric's own floor is Python 3.10
NEWEST = 15

_ASK = "import sys; print(sys.version_info[1], sys.base_prefix, sys._base_executable, sep='\\n')"

RUNTIME_MISSING = Refusal(
    "InvalidParameterValueException",
    400,
    "The runtime {runtime} needs Python {wanted}, which is not installed on this machine (found: {found}). Install it, or "
    "start tenantry without --strict-runtimes to run on the nearest version.",
    "own",
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python on this host. prefix: where its library lies; executable: the real program, no virtual environment."""

    minor: int
    prefix: Path
    executable: Path


class Runtimes:
    """Resolves runtime identifiers. `strict` refuses what has no interpreter of exactly its version."""

    def __init__(
        self,
        strict: bool = False,
        interpreters: Iterable[Interpreter] | None = None,
        candidates: Callable[[int], list[Path]] | None = None,
        identify: Callable[[Path, int], Interpreter | None] | None = None,
    ) -> None:
        """interpreters: used instead of a search. candidates, identify: how to search (tests)."""
        self._strict = strict
        self._searching = threading.Lock()
        self._resolved: dict[str, ResolvedRuntime] = {}
        self._candidates = candidates or _candidates
        self._identify = identify or _identify
        self._found: dict[int, Interpreter] | None = None
        self._asked: dict[int, Interpreter | None] = {}
        if interpreters is not None:
            self._found = {interpreter.minor: interpreter for interpreter in interpreters}

    def resolve(self, runtime: str) -> ResolvedRuntime:
        """The interpreter for a runtime identifier of Python. Raises ServiceError under strict when it is missing."""
        known = self._resolved.get(runtime)
        if known is None:
            with self._searching:  # operations ask from threads, several at a time
                known = self._resolved[runtime] = self._resolve(runtime)
        return known

    def _resolve(self, runtime: str) -> ResolvedRuntime:
        match = re.fullmatch(r"python3\.(\d+)", runtime)
        wanted = int(match[1]) if match else 0
        exact = self._exact(wanted)
        if exact is not None:
            return ResolvedRuntime(runtime, str(exact.executable), f"3.{wanted}", None)
        found = self.interpreters()
        if self._strict:
            versions = ", ".join(f"3.{minor}" for minor in sorted(found)) or "none"
            raise RUNTIME_MISSING(runtime=runtime, wanted=f"3.{wanted}", found=versions)
        nearest = found[min(found, key=lambda minor: (abs(minor - wanted), -minor))]
        warning = f"{runtime} is not installed on this machine: the function runs on Python 3.{nearest.minor} instead"
        return ResolvedRuntime(runtime, str(nearest.executable), f"3.{nearest.minor}", warning)

    def interpreters(self) -> dict[int, Interpreter]:
        """Every usable interpreter, by minor version."""
        if self._found is None:
            there = {minor: self._exact(minor) for minor in range(OLDEST, NEWEST + 1)}
            self._found = {minor: interpreter for minor, interpreter in there.items() if interpreter is not None}
        return self._found

    def _exact(self, minor: int) -> Interpreter | None:
        if self._found is not None:
            return self._found.get(minor)
        if minor == sys.version_info.minor:
            return Interpreter(minor, Path(sys.base_prefix), Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
        if not OLDEST <= minor <= NEWEST:
            return None
        if minor not in self._asked:  # asking starts a process, and every new environment resolves its runtime
            self._asked[minor] = next(filter(None, (self._identify(path, minor) for path in self._candidates(minor))), None)
        return self._asked[minor]


def _candidates(minor: int) -> list[Path]:
    """Programs that may be Python 3.`minor`: on PATH, and where version managers keep theirs."""
    name = f"python3.{minor}"
    homes = (Path.home() / ".pyenv/versions", Path.home() / ".local/share/uv/python", Path("/opt/python"))
    found = [Path(path) for path in (shutil.which(name),) if path]
    for home in homes:
        found += sorted(home.glob(f"*3.{minor}*/bin/{name}"), reverse=True)
    return found


def _identify(program: Path, minor: int) -> Interpreter | None:
    try:
        answer = subprocess.run([program, "-I", "-S", "-c", _ASK], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = answer.stdout.splitlines()
    if answer.returncode or len(lines) != 3 or lines[0] != str(minor):
        return None
    return Interpreter(minor, Path(lines[1]), Path(lines[2]).resolve())
