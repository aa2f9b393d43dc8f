"""Every level passes the sandbox contract's own checks, as root and (where that differs) without root."""

import os
from pathlib import Path

import pytest

from tenantry.sandbox.checks import CHECKS
from tenantry.sandbox.levels import LinuxDriver

LEVELS = ["process", "namespace", "exec"]
AS = [pytest.param(False, id="root", marks=pytest.mark.root), pytest.param(True, id="rootless")]


@pytest.mark.isolation
@pytest.mark.parametrize("rootless", AS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check, level, rootless, tmp_path_factory):
    if not rootless and os.geteuid() != 0:
        pytest.skip("needs root: private user ids for each environment")
    folder: Path = tmp_path_factory.mktemp("sandbox")
    for parent in (folder, *folder.parents):
        if parent.owner() == Path.home().owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    driver = LinuxDriver(level, rootless=rootless)
    try:
        await check(driver, folder)
        if driver.cgroups is not None:
            assert driver.cgroups.leftovers() == []
    finally:
        await driver.close()
