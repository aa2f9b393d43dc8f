"""The client programs themselves: each fixture is a way to run one, and skips visibly where the program is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scripts.running import CLIENTS


@pytest.fixture(scope="session")
def sam() -> str:
    """The pinned SAM CLI."""
    return _pinned("sam")


@pytest.fixture(scope="session")
def aws_v1() -> str:
    """The pinned AWS CLI 1."""
    return _pinned("aws")


@pytest.fixture(scope="session")
def aws_v2() -> str:
    """The distribution's AWS CLI 2."""
    if not Path("/usr/bin/aws").exists():
        pytest.skip("no AWS CLI 2 at /usr/bin/aws")
    return "/usr/bin/aws"


@pytest.fixture(scope="session")
def curl() -> str:
    """curl, as the machine has it."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    return "curl"


def _pinned(name: str) -> str:
    place = CLIENTS / name / "bin" / name
    if not place.exists():
        pytest.skip(f"{name} is not set up (scripts/clients/install {name})")
    return str(place)
