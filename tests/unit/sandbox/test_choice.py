"""Choosing a level of isolation. What works depends on the machine; what is refused does not."""

from __future__ import annotations

import msgspec
import pytest

from tenantry.sandbox import choice
from tenantry.sandbox.choice import LevelError, choose


async def test_process_always_works_and_says_what_it_is(tmp_path):
    chosen = await choose("process", "process", tmp_path, "1")
    assert chosen.driver.level == "process"
    assert "not by the kernel" in (chosen.warning or "")
    await chosen.driver.close()


async def test_level_below_the_minimum_is_refused(tmp_path):
    with pytest.raises(LevelError, match="below the minimal isolation namespace"):
        await choose("process", "namespace", tmp_path, "1")
    with pytest.raises(LevelError, match="below the minimal isolation exec"):
        await choose("auto", "exec", tmp_path, "1")


async def test_auto_takes_the_strongest_that_works_and_remembers_it(tmp_path):
    first = await choose("auto", "process", tmp_path, "1")
    await first.driver.close()
    memory = tmp_path / "isolation.json"
    if first.driver.level == "process":
        assert not memory.exists()
        pytest.skip("no namespaces on this machine")
    remembered = msgspec.json.decode(memory.read_bytes())
    assert remembered["works"] == ["namespace"]
    before = memory.stat().st_mtime_ns
    (tmp_path / "empty").rmdir()
    again = await choose("auto", "process", tmp_path, "1")
    await again.driver.close()
    assert again.driver.level == "namespace"
    assert not (tmp_path / "empty").exists(), "it was believed, not tried again"
    assert memory.stat().st_mtime_ns == before


async def test_other_circumstances_are_tried_anew(tmp_path):
    first = choice._circumstances("1")
    assert first == choice._circumstances("1") != choice._circumstances("2")
    for text in ("", "{", '{"circumstances": 3}'):
        (tmp_path / "isolation.json").write_text(text)
        chosen = await choose("auto", "process", tmp_path, "1")
        await chosen.driver.close()
