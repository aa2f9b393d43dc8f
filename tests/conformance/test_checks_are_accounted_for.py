"""Every numbered check of aws-behaviour 8 has a test, or a reason why not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKS = tomllib.loads((Path(__file__).parent / "checks.toml").read_text())
NUMBERS = 80


def test_each_number_is_held_or_explained_once() -> None:
    held, left = set(map(int, CHECKS["tests"])), set(map(int, CHECKS["left"]))
    assert held | left == set(range(1, NUMBERS + 1))
    assert not held & left
    assert all(len(reason) > 20 for reason in CHECKS["left"].values())


def test_each_named_test_exists() -> None:
    for number, names in CHECKS["tests"].items():
        assert names, number
        for name in names:
            path, function = name.split("::")
            assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(), re.MULTILINE), f"{number}: {name}"


def test_none_is_left() -> None:
    """A ratchet: a check that is held may not be given up again."""
    assert CHECKS["left"] == {}
