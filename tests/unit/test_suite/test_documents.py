"""What the documents say is so: links, generated pages, the specification's tests, every setting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts import docs

ROOT = Path(__file__).resolve().parents[3]


def test_documents_have_no_fault() -> None:
    assert list(docs.faults()) == []


def test_broken_link_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("[a](there.md) [b](here.md#yes) [c](here.md#no) [d](https://elsewhere.example/)\n")
    (tmp_path / "here.md").write_text("# Yes\n")
    assert list(docs.link_faults(tmp_path)) == [
        "README.md: there.md leads nowhere",
        "README.md: here.md#no names a heading that is not there",
    ]


def test_promise_without_a_test_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    rows = ["| promise | number | held by |", "|---|---|---|", "| a | 1 | nobody |", "| b | 2 | `tests/test_x.py::test_y` |"]
    (tmp_path / "docs" / "SPECIFICATION.md").write_text("\n".join(rows))
    faults = list(docs.specification_faults(tmp_path))
    assert len(faults) == 2
    assert "no test or benchmark holds: | a |" in faults[0]
    assert "tests/test_x.py::test_y does not exist" in faults[1]


def test_help_names_every_target() -> None:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    for target in ("demo", "test", "check", "bench", "docs", "help", "clean"):
        assert f"make {target} " in printed


def test_wrong_use_of_the_script_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "scripts/docs.py check" in done.stderr
