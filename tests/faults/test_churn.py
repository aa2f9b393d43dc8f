"""Ten thousand tenants made and evicted in a row: nothing grows.

`TENANTRY_CHURN` sets another number of tenants, for a quick look (the bounds stay the same).
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from tests.faults.bench import open_bench
from tests.faults.leaks import census

from tenantry.placement.pool import Limits
from tenantry.placement.router import Settings

TENANTS = int(os.environ.get("TENANTRY_CHURN") or 10_000)
ENVIRONMENTS = 64
AT_ONCE = 16
STEP = 1000
DESCRIPTORS_MORE, CGROUPS_MORE, PROCESSES_MORE, RSS_MORE_KIB = 64, 64, 64, 16 << 10
"""What may differ between two looks: environments on their way in or out, and what the allocator keeps."""

SOURCE = "def handler(event, context): return context.tenant_id"


def rss_kib(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def look(bench, zygote: int) -> dict[str, int]:
    """Everything that must not grow."""
    now = census()
    return {
        "descriptors": len(now.descriptors),
        "cgroups": len(now.cgroups),
        "processes": len(now.processes),
        "mounts": len(now.mounts),
        "temporary": len(now.temporary),
        "rss_kib": rss_kib(os.getpid()),
        "zygote_rss_kib": rss_kib(zygote),
        "environments": len(bench.environments()),
    }


async def make_and_evict(bench, first: int, count: int) -> None:
    """Invoke once as each of `count` new tenants, a few at a time."""
    waiting = iter(range(first, first + count))

    async def some() -> None:
        for number in waiting:
            assert await bench.invoke(f"tenant-{number}") == f"tenant-{number}"

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


@pytest.mark.slow
@pytest.mark.isolation
@pytest.mark.timeout(600)
async def test_tenants_made_and_evicted_in_a_row_leave_no_growth(tmp_path, record_property):
    limits = Limits(concurrency=1_000_000, environments=ENVIRONMENTS)
    settings = Settings(parked_per_function=0)
    async with open_bench(tmp_path, limits=limits, settings=settings, keep_logs=False) as bench:
        function = bench.deploy(source=SOURCE)
        await make_and_evict(bench, -2 * STEP, min(STEP, TENANTS))  # pools and caches fill
        zygote = bench.zygote(function)[2]
        first, began = look(bench, zygote), time.monotonic()
        looks = [first]
        for done in range(0, TENANTS, STEP):
            await make_and_evict(bench, done, min(STEP, TENANTS - done))
            looks.append(look(bench, zygote))
        per_s = TENANTS / (time.monotonic() - began)
        record_property("churn", {"tenants": TENANTS, "per_s": round(per_s, 1), "first": first, "last": looks[-1]})
        print(f"{TENANTS} tenants, {per_s:.0f} a second; first {first}; last {looks[-1]}")
        assert bench.router.status()["evictions"] >= TENANTS
        for now in looks[1:]:
            assert now["descriptors"] <= first["descriptors"] + DESCRIPTORS_MORE, looks
            assert now["cgroups"] <= first["cgroups"] + CGROUPS_MORE, looks
            assert now["processes"] <= first["processes"] + PROCESSES_MORE, looks
            assert now["mounts"] == first["mounts"], looks
            assert now["temporary"] == first["temporary"], looks
            assert now["rss_kib"] <= first["rss_kib"] + RSS_MORE_KIB, looks
            assert now["zygote_rss_kib"] <= first["zygote_rss_kib"] + 1024, looks
            assert now["environments"] <= ENVIRONMENTS + AT_ONCE * 2, looks
