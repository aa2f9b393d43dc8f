"""Where the conformance data is, for tests that make their parameters of it while they are collected."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def conformance_place() -> Path | None:
    """The folder of recorded vectors; None where it is absent."""
    place = Path(os.environ.get("TENANTRY_CONFORMANCE") or ROOT.parent / "shared" / "conformance")
    return place if place.is_dir() else None
