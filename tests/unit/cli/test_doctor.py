"""`tenantry doctor` on the machine that runs the tests: whatever it says must agree with what it did."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from tenantry.cli import doctor, main
from tenantry.sandbox.boot import Boot
from tenantry.sandbox.doctor import Report
from tenantry.sandbox.requirements import findings, gather


def folders() -> set[Path]:
    """The doctor's temporary folders."""
    return set(Path(tempfile.gettempdir()).glob("tenantry-doctor-*"))


@pytest.mark.isolation
def test_real_run_boots_levels_and_leaves_nothing(tmp_path):
    before = folders()
    result = CliRunner().invoke(main.main, ["doctor", "--json", "--data-dir", str(tmp_path / "data")])
    report = json.loads(result.output)
    works = {level["level"] for level in report["levels"] if level["works"] and level["as"] == report["user"]}
    assert "process" in works
    assert report["chosen"] == ("namespace" if "namespace" in works else "process")
    assert result.exit_code == 0
    states = {requirement["name"]: requirement["state"] for requirement in report["requirements"]}
    if "namespace" in works:
        assert {states[f"{name} namespace"] for name in ("user", "mount", "pid", "net", "ipc", "uts")} == {"ok"}
    assert not (tmp_path / "data").exists()
    assert folders() <= before


def test_screen_says_what_is_missing_and_how_to_get_it(tmp_path):
    facts = replace(gather(tmp_path, 10), landlock_abi=0, descriptors=8)
    boots = [Boot("process", False, None), Boot("namespace", False, "step 'namespaces' failed: [Errno 1] no")]
    report = Report(facts, findings(facts, None), boots, "auto", "namespace", None)
    console = Console(record=True, width=100)
    with console.capture() as captured:
        doctor.show(console, report)
    text = captured.get()
    assert "cannot give level auto, at least namespace" in text
    assert "[Errno 1] no" in text  # brackets are the kernel's, not markup
    assert "descriptor limit: ulimit -n 80" in text
    assert "no limits on memory and CPU" in text


@pytest.mark.parametrize("name", ["TENANTRY_LEVEL", "TENANTRY_MIN_ISOLATION"])
def test_level_that_does_not_exist_is_refused(name, monkeypatch, tmp_path):
    monkeypatch.setenv(name, "vacuum")
    result = CliRunner().invoke(main.main, ["doctor", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "process, namespace, exec" in result.output
