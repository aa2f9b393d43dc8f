"""What `make bench-cold` says about its figures."""

from __future__ import annotations

import json

import pytest
from bench.report import TARGETS, Result, Target, percentile, tables, value_of, verdict
from rich.console import Console

SERIES = ("parked", "forked", "snapshot_heavy", "exec", "ric_process", "forked_heavy", "ric_process_heavy")
RESULT = Result({name: [float(place)] * 3 for place, name in enumerate(SERIES, 1)}, 2.5, 150.0, 999, 1000)


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, point) for point in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 50) == 1.0


@pytest.mark.parametrize(
    ("at_least", "value", "said"),
    [
        (False, 6.0, "hit"),
        (False, 9.0, "missed by 3.00 ms (50%)"),
        (True, 6.0, "hit"),
        (True, 3.0, "missed by 3.00 ms (50%)"),
        (False, None, "not measured"),
    ],
)
def test_verdict_says_by_how_much(at_least: bool, value: float | None, said: str) -> None:
    assert verdict(Target("a", "forked p50", 6.0, "ms", at_least), value) == said


def test_ratio_is_of_two_series_of_the_same_run() -> None:
    ratio = next(target for target in TARGETS if target.figure == "parked p50" and target.over)
    assert value_of(RESULT, ratio) == 5.0


def test_last_line_has_every_figure() -> None:
    line = json.loads(json.dumps(RESULT.as_json()))
    assert {"p50_ms", "p95_ms", "p99_ms"} <= line["parked"].keys()
    assert line.keys() >= {*SERIES, "pss_per_tenant_mib", "creations_per_s", "tenants_held"}
    assert (line["pss_per_tenant_mib"], line["creations_per_s"], line["tenants_held"]) == (2.5, 150.0, 999)


def test_table_shows_what_is_missed() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        for table in tables(RESULT):
            console.print(table)
    shown = captured.get()
    assert "999 of 1000" in shown
    assert "missed by 50.00 /s (25%)" in shown
