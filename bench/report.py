"""What `make bench-cold` measured, against what it must reach: a table for people, one JSON object for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """At most (or, with `at_least`, at least) this much of a figure."""

    name: str
    figure: str  # "<series> p50", or a single figure's name
    bound: float
    unit: str
    at_least: bool = False
    over: str = ""  # a ratio: how many times smaller than this series' p50


TARGETS = (
    Target("new tenant, parked, p50", "parked p50", 1.0, "ms"),
    Target("new tenant, parked, p99", "parked p99", 3.0, "ms"),
    Target("parked, faster than a RIC process", "parked p50", 30, "x", True, "ric_process p50"),
    Target("new tenant, forked, p50", "forked p50", 6.0, "ms"),
    Target("new tenant, forked, p99", "forked p99", 15.0, "ms"),
    Target("forked, faster than a RIC process", "forked p50", 5, "x", True, "ric_process p50"),
    Target("boto3 + pydantic, snapshot, p50", "snapshot_heavy p50", 7.0, "ms"),
    Target("the same, faster than that RIC process", "snapshot_heavy p50", 40, "x", True, "ric_process_heavy p50"),
    Target("memory per idle tenant (PSS)", "pss_per_tenant_mib", 2.5, "MiB"),
    Target("creations", "creations_per_s", 200, "/s", True),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One run. samples: milliseconds by series; pss_mib: None where the host does not let us see it."""

    samples: dict[str, list[float]]
    pss_mib: float | None
    creations_per_s: float
    tenants_held: int
    tenants_wanted: int

    def figure(self, name: str) -> float | None:
        """A figure by its name in TARGETS."""
        if name == "pss_per_tenant_mib":
            return self.pss_mib
        if name == "creations_per_s":
            return self.creations_per_s
        series, _, point = name.partition(" p")
        return percentile(self.samples[series], float(point))

    def as_json(self) -> dict[str, Any]:
        """The last line printed."""
        series = {
            name: {f"p{point}_ms": round(percentile(values, point), 3) for point in (50, 95, 99)}
            | {"min_ms": round(min(values), 3), "samples": len(values)}
            for name, values in self.samples.items()
        }
        ratios = {
            target.figure.split()[0]: round(ratio, 1)
            for target in TARGETS
            if target.over and (ratio := value_of(self, target)) is not None
        }
        return {
            **series,
            "pss_per_tenant_mib": None if self.pss_mib is None else round(self.pss_mib, 2),
            "creations_per_s": round(self.creations_per_s, 1),
            "tenants_held": self.tenants_held,
            "times_faster_than_ric_process": ratios,
        }


def percentile(values: list[float], point: float) -> float:
    """The value that `point` percent of the samples do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(point) // 100) - 1)]


def value_of(result: Result, target: Target) -> float | None:
    """What the target speaks of: a figure, or how many times another is larger."""
    value = result.figure(target.figure)
    if not target.over or value is None:
        return value
    other = result.figure(target.over)
    return None if other is None else other / value


def verdict(target: Target, value: float | None) -> str:
    """`hit`, or `missed by ...`, in words."""
    if value is None:
        return "not measured"
    if value >= target.bound if target.at_least else value <= target.bound:
        return "hit"
    gap = abs(value - target.bound)
    return f"missed by {gap:.2f} {target.unit} ({100 * gap / target.bound:.0f}%)"


def tables(result: Result) -> tuple[Table, Table]:
    """What was measured, and how it stands to the targets."""
    measured = Table(title="A new tenant's first answer, through the API", title_justify="left")
    for heading in ("", "min ms", "p50 ms", "p95 ms", "p99 ms", "samples"):
        measured.add_column(heading, justify="right" if heading else "left")
    for name, values in result.samples.items():
        points = (min(values), *(percentile(values, point) for point in (50, 95, 99)))
        measured.add_row(name, *(f"{point:.2f}" for point in points), str(len(values)))
    against = Table(title="Against the targets", title_justify="left")
    for heading in ("figure", "measured", "target", ""):
        against.add_column(heading, justify="left" if heading in ("figure", "") else "right")
    for target in TARGETS:
        value = value_of(result, target)
        said = verdict(target, value)
        bound = f"{'>=' if target.at_least else '<='} {target.bound:g} {target.unit}"
        shown = "-" if value is None else f"{value:.2f} {target.unit}"
        against.add_row(target.name, shown, bound, f"[{'green' if said == 'hit' else 'yellow'}]{said}[/]")
    held = f"{result.tenants_held} of {result.tenants_wanted}"
    complete = result.tenants_held == result.tenants_wanted
    against.add_row("live tenants that answered again", held, "all", "[green]hit[/]" if complete else "[red]missed[/]")
    return measured, against
