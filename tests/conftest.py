"""What every test shares: a running platform, the place of the conformance data, and skipped isolation tests shown last.

Workers get whole files (`--dist loadfile`), so each has one platform and the tests of a file keep their order.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from scripts.running import Platform
from tests.support.aws import Aws

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A real `tenantry up`, for the whole run."""
    with Platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="session")
def aws(platform: Platform) -> Iterator[Aws]:
    """boto3 and hand-made requests against `platform`."""
    clients = Aws(platform.environment)
    yield clients
    clients.close()


@pytest.fixture(scope="session")
def conformance_data() -> Path:
    """The folder of recorded vectors; tests that need it are skipped, visibly, where it is absent."""
    place = Path(os.environ.get("TENANTRY_CONFORMANCE") or ROOT.parent / "shared" / "conformance")
    if not place.is_dir():
        pytest.skip(f"no conformance data at {place} (set TENANTRY_CONFORMANCE)")
    return place


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """After everything else: which proofs of isolation did not run here, and why. A green run must not hide them."""
    yield
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "isolation" in report.keywords]
    if not skipped:
        return
    terminalreporter.section("isolation tests that did NOT run", sep="=", red=True)
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}", yellow=True)
    terminalreporter.write_line(
        f"{len(skipped)} isolation tests skipped: what they prove is unproven on this machine", red=True
    )
