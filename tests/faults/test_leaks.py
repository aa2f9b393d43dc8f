"""What users do all day leaves nothing behind, and the census that says so sees what a test leaks on purpose."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path

import pytest
from tests.faults.bench import open_bench
from tests.faults.leaks import census, settled
from tests.support.folders import let_others_read

from tenantry.environment.lifecycle import State
from tenantry.linux import owner
from tenantry.placement.router import Settings
from tenantry.sandbox.checks import Recorder
from tenantry.sandbox.driver import SandboxSpec, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.zygote import own_interpreter

pytestmark = pytest.mark.isolation


@pytest.fixture(autouse=True)
async def nothing_left(tmp_path_factory):
    """As in test_faults: first what is made once and kept, then the count."""
    await asyncio.to_thread(os.getpid)
    async with open_bench(tmp_path_factory.mktemp("warm")) as bench:
        bench.deploy()
        await bench.invoke()
    before = census()
    yield
    await settled(before)


async def test_deploy_invoke_update_delete(tmp_path):
    async with open_bench(tmp_path, settings=Settings(parked_per_function=1)) as bench:
        empty = census()
        for round_ in range(3):
            for name in ("one", "two"):
                bench.deploy(name, revision=f"{round_}a")
                await asyncio.gather(*(bench.invoke(tenant, name) for tenant in ("Blue", "Green")))
                bench.deploy(name, revision=f"{round_}b", parked=2)
                assert (await bench.invoke("Blue", name))["seen"] == 1
                bench.functions.remove("us-east-1", name)
            await bench.until(lambda: not bench.environments() and not bench.zygotes.status())
            await settled(empty)


async def test_deletion_while_everything_starts(tmp_path):
    async with open_bench(tmp_path) as bench:
        empty = census()
        for revision in range(5):
            bench.deploy(revision=str(revision), parked=3)
            await asyncio.sleep(0.03 * revision)
            bench.functions.remove("us-east-1", "f")
        await bench.until(lambda: not bench.environments())
        await settled(empty)


async def test_timeouts_crashes_and_errors(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy(timeout_s=1)
        await bench.invoke("Blue")
        running = census()
        for _ in range(3):
            assert (await bench.invoke("Blue", sleep=5)).startswith("Sandbox.Timedout")
            assert (await bench.invoke("Blue", exit=3)).startswith("Runtime.ExitError")
            assert (await bench.invoke("Blue", **{"raise": "no"})) == "ValueError: no"
        assert (await bench.invoke("Blue"))["tenant"] == "Blue"
        after = census()
        assert len(after.descriptors) <= len(running.descriptors)
        assert len(after.processes) == len(running.processes)
        assert after.cgroups == running.cgroups


async def test_failing_init(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy(source="raise ValueError('broken')", parked=2)
        for _ in range(2):
            assert (await bench.invoke("Blue")).startswith("ValueError: broken")
        await bench.until(lambda: not bench.environments(State.STARTING))


async def test_retirement(tmp_path):
    async with open_bench(tmp_path, settings=Settings(idle_timeout_s=0.0, parked_per_function=0)) as bench:
        bench.deploy()
        for _ in range(3):
            await asyncio.gather(*(bench.invoke(f"t{number}") for number in range(5)))
            await bench.until(lambda: not bench.environments())


async def test_level_process_removes_its_temporary_folders(tmp_path):
    async with open_bench(tmp_path, driver=LinuxDriver("process", rootless=True)) as bench:
        bench.deploy()
        await asyncio.gather(bench.invoke("Blue"), bench.invoke("Green"))
        assert len(census().temporary) == 2


def test_what_a_dead_platform_left_is_swept_and_a_living_ones_is_not(tmp_path_factory):
    living = LinuxDriver("namespace")
    gone = f"{owner.PREFIX}{owner.mark().removeprefix(owner.PREFIX).split('-')[0]}-{os.getpid()}-1-abcd"  # started long ago
    elsewhere = f"{owner.PREFIX}0-1-1-abcd"  # of another pid namespace
    folder = Path(tempfile.gettempdir())
    left = []
    for name in (gone, elsewhere, "tenantry-unmarked"):
        (folder / name / "within").mkdir(parents=True)
        left.append(folder / name)
    groups = []
    if living.cgroups is not None:
        for parent in dict.fromkeys(living.cgroups._parents.values()):
            (parent.parent / gone / "environment").mkdir(parents=True)
            groups.append((parent, parent.parent / gone))
    try:
        LinuxDriver("process")
        assert [path.exists() for path in left] == [False, True, True]
        second = LinuxDriver("namespace")
        assert [(own.exists(), dead.exists()) for own, dead in groups] == [(True, False)] * len(groups)
        asyncio.run(second.close())
    finally:
        asyncio.run(living.close())
        for path in left[1:]:
            (path / "within").rmdir()
            path.rmdir()


# -- the control: leaks that are really there


async def test_census_reports_a_sandbox_that_was_not_killed(tmp_path):
    let_others_read(tmp_path)
    (tmp_path / "app.py").write_text("def handler(event, context): ...")
    before = census()
    driver = LinuxDriver("namespace")
    spec = ZygoteSpec("leak", own_interpreter(), tmp_path, (), {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin"})
    zygote = await driver.open(spec)
    events = Recorder()
    reading, writing = os.pipe()
    sandbox = zygote.fork(SandboxSpec("leaked", {}), writing, events)
    try:
        await events.until("started")
        with pytest.raises(AssertionError, match="left behind") as caught:
            await settled(before, 0.1)
        kinds = ("processes", "namespaces", "descriptors", *(("cgroups",) if driver.cgroups is not None else ()))
        for kind in kinds:
            assert f"'{kind}'" in str(caught.value)
    finally:
        sandbox.kill()
        await events.until("gone")
        os.close(reading)
        await zygote.close()
        await driver.close()


async def test_census_reports_a_descriptor_a_folder_and_a_child():
    before = census()
    kept = socket.socket()
    folder = tempfile.mkdtemp(prefix=owner.mark())
    child = await asyncio.create_subprocess_exec("sleep", "60")
    found = census().beyond(before)
    assert set(found) >= {"descriptors", "temporary", "processes"}
    kept.close()
    os.rmdir(folder)  # noqa: PTH106
    child.kill()
    await child.wait()
    child._transport.close()
