"""What this host can do: its requirements judged (requirements.py), and every level tried with a real sandbox (boot.py).

    examine(...) -> Report          tenantry doctor shows it

Levels are booted one after the other, so that each has the machine to itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tenantry.sandbox.boot import Boot, boot
from tenantry.sandbox.choice import STRENGTH
from tenantry.sandbox.driver import LEVELS
from tenantry.sandbox.requirements import Facts, Finding, findings

_AUTO = ("namespace", "process")  # in the order tenantry tries them when nobody names a level

Booter = Callable[[str, bool, Path], Awaitable[Boot]]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. chosen: the level `tenantry up` would run at with the same options, None where it would refuse."""

    facts: Facts
    requirements: list[Finding]
    boots: list[Boot]
    wanted: str
    minimal: str
    chosen: str | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "kernel": self.facts.kernel,
            "machine": self.facts.machine,
            "user": "rootless" if self.facts.rootless else "root",
            "container": self.facts.container,
            "level": self.wanted,
            "min_isolation": self.minimal,
            "chosen": self.chosen,
            "requirements": [asdict(finding) for finding in self.requirements],
            "levels": [
                {
                    "level": one.level,
                    "as": user_of(one),
                    "works": one.works,
                    "problem": one.problem,
                    "limits_resources": one.limited,
                    "took_s": round(one.took_s, 3),
                    "leaves_open": list(next(level.residual for level in LEVELS if level.name == one.level)),
                }
                for one in self.boots
            ],
        }


async def examine(facts: Facts, wanted: str, minimal: str, booter: Booter = boot) -> Report:
    """Boot every level, as this user and (when that is root) rootless too, and judge the host."""
    boots = []
    for level, rootless in attempts(facts.rootless):
        with tempfile.TemporaryDirectory(prefix="tenantry-doctor-") as folder:
            boots.append(await booter(level, rootless, Path(folder)))
    own = [one for one in boots if one.rootless == facts.rootless]
    tried = [one for one in own if one.level != "process" and one.works]
    cgroup_problem = tried[0].cgroup_problem if tried else None
    return Report(facts, findings(facts, cgroup_problem), boots, wanted, minimal, choose(own, wanted, minimal))


def attempts(rootless: bool) -> list[tuple[str, bool]]:
    """(level, rootless) of every sandbox to boot; level process makes no user namespace, so it is tried once."""
    own = [(level, rootless) for level in STRENGTH]
    return own if rootless else [*own, *((level, True) for level in STRENGTH if level != "process")]


def choose(boots: list[Boot], wanted: str, minimal: str) -> str | None:
    """The level that `wanted` means on this host, not below `minimal`; None where there is none."""
    works = {one.level for one in boots if one.works}
    for level in _AUTO if wanted == "auto" else (wanted,):
        if level in works and STRENGTH.index(level) >= STRENGTH.index(minimal):
            return level
    return None


def user_of(one: Boot) -> str:
    """As whom a level was tried."""
    return "rootless" if one.rootless else "root"
