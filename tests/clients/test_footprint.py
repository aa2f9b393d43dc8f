"""What the platform costs its host while nobody calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scripts.running import Platform

pytestmark = [pytest.mark.client]

IDLE_MIB_MAX = 120
SLOW = {"boto3", "samtranslator", "cfnlint", "jsonschema", "rich", "airspeed", "numpy", "pydantic", "sympy", "networkx"}
"""Libraries that take from 50 ms to seconds to import."""


def test_idle_platform_is_small(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        status = Path(f"/proc/{platform.pid}/status").read_text()
        resident_mib = int(status.split("VmRSS:")[1].split()[0]) / 1024
        assert resident_mib < IDLE_MIB_MAX


def test_start_waits_for_no_library_that_only_some_requests_need() -> None:
    code = "import sys, tenantry.cli.up; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "tenantry" in loaded
    assert not SLOW & set(loaded)


def test_key_is_its_owners_alone(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        assert (platform.data_dir / "credentials.json").stat().st_mode & 0o777 == 0o600
