"""Runs the table in a laboratory and says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tenantry.verify.lab import Lab, Refused
from tenantry.verify.vectors import VECTORS, Vector

CLOSED, OPEN, RESIDUAL = "closed", "open", "residual"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the report. result: closed | open | residual (open, and known to be at this level)."""

    vector: str
    mechanism: str
    result: str
    detail: str


def run(
    lab: Lab, vectors: Iterable[Vector] = VECTORS, progress: Callable[[Vector, Finding], None] | None = None
) -> list[Finding]:
    """Try every vector. A judgement that breaks counts as open: what could not be shown is not proven."""
    findings = []
    for vector in vectors:
        finding = try_one(lab, vector)
        findings.append(finding)
        if progress is not None:
            progress(vector, finding)
    return findings


def try_one(lab: Lab, vector: Vector) -> Finding:
    """One vector's finding."""
    try:
        leak = vector.judge(lab)
    except Refused as refusal:
        leak = f"the attack could not be tried: {refusal}"
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        leak = f"the attack could not be judged: {type(error).__name__}: {error}"
    if leak is None:
        return Finding(vector.title, vector.mechanism, CLOSED, "")
    result = RESIDUAL if lab.level in vector.residual else OPEN
    return Finding(vector.title, vector.mechanism, result, leak)


def report(level: str, findings: list[Finding]) -> dict[str, Any]:
    """The report as one JSON value."""
    return {"level": level, "vectors": [asdict(finding) for finding in findings]}
