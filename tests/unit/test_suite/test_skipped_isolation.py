"""A run that skips isolation tests says so in its last lines, whatever runs the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROBE = """
import pytest

@pytest.mark.isolation
def test_proof():
    pytest.skip("no namespaces here")

def test_other():
    pytest.skip("another reason")
"""


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["alone", "distributed"])
def test_skipped_isolation_tests_are_listed_last(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "test_probe.py").write_text(PROBE)
    plugin = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *plugin, *options, str(tmp_path / "test_probe.py")]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60).stdout
    last = output.strip().splitlines()[-4:]
    assert "isolation tests that did NOT run" in last[0], output
    assert "test_proof" in last[1], output
    assert last[1].endswith("no namespaces here")
    assert last[2].startswith("1 isolation tests skipped")
    assert "2 skipped" in last[3]
