"""Which interpreter a runtime identifier runs on, and how often the host is asked."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tenantry.model.errors import ServiceError
from tenantry.sandbox.runtimes import NEWEST, Interpreter, Runtimes

OTHER = 12 if sys.version_info.minor != 12 else 13


class Host:
    """A host with one more interpreter; counts the programs it was asked about."""

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def candidates(self, minor: int) -> list[Path]:
        return [Path(f"/broken/python3.{minor}"), Path(f"/good/python3.{minor}")]

    def identify(self, program: Path, minor: int) -> Interpreter | None:
        self.asked.append(program)
        return Interpreter(minor, Path("/good"), program) if minor == OTHER and program.parent == Path("/good") else None


def runtimes(host: Host, strict: bool = False) -> Runtimes:
    return Runtimes(strict, candidates=host.candidates, identify=host.identify)


def test_runtime_of_another_version_is_looked_for_once():
    host = Host()
    under_test = runtimes(host)
    first = under_test.resolve(f"python3.{OTHER}")
    assert (first.version, first.warning) == (f"3.{OTHER}", None)
    assert len(host.asked) == 2
    for _ in range(3):
        assert under_test.resolve(f"python3.{OTHER}") == first
    assert len(host.asked) == 2


def test_runtime_that_is_missing_is_looked_for_once_too():
    host = Host()
    under_test = runtimes(host)
    first = under_test.resolve(f"python3.{NEWEST}")
    assert first.warning
    asked = len(host.asked)
    assert under_test.resolve(f"python3.{NEWEST}") == first
    assert len(host.asked) == asked
    with pytest.raises(ServiceError, match=f"python3.{NEWEST}"):
        runtimes(Host(), strict=True).resolve(f"python3.{NEWEST}")


def test_own_interpreter_needs_no_search():
    host = Host()
    assert runtimes(host).resolve(f"python3.{sys.version_info.minor}").warning is None
    assert host.asked == []


def test_several_threads_that_ask_at_once_get_one_answer():
    host = Host()
    slowly = host.identify

    def identify(program: Path, minor: int) -> Interpreter | None:
        time.sleep(0.002)
        return slowly(program, minor)

    under_test = Runtimes(candidates=host.candidates, identify=identify)
    with ThreadPoolExecutor(4) as threads:
        answers = set(threads.map(under_test.resolve, [f"python3.{NEWEST}"] * 4))
    assert len(answers) == 1
    assert answers.pop().warning
