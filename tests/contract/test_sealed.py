"""Environments sealed ahead of time: nobody's until they are begun, handed out once, and never dead ones. What the zygote has
compiled for them leaves no trace."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest
from tests.support.folders import let_others_read
from tests.support.processes import sealed_of

from tenantry.sandbox.checks import Recorder
from tenantry.sandbox.driver import SandboxSpec, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.zygote import own_interpreter

pytestmark = pytest.mark.isolation
TELLS = """
import os, sys
print("mark", os.environ["MARK"], flush=True)
print("loader", type(__loader__).__name__, "get_code" in vars(__loader__), __file__, __spec__.origin, flush=True)
print("finders", [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path], flush=True)
def handler(event, context): ...
"""


@pytest.fixture(params=[pytest.param(False, id="root", marks=pytest.mark.root), pytest.param(True, id="rootless")])
def rootless(request):
    if not request.param and os.geteuid() != 0:
        pytest.skip("needs root")
    return request.param


@asynccontextmanager
async def opened(folder, rootless, source=TELLS):
    let_others_read(folder)
    (folder / "app.py").write_text(source)
    driver = LinuxDriver("namespace", rootless=rootless)
    driver.sealed_per_function = 1
    zygote = await driver.open(
        ZygoteSpec("s", own_interpreter(), folder, (), {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin"})
    )
    try:
        yield zygote
    finally:
        await zygote.close()
        await driver.close()


async def run(zygote, mark, **limits):
    """Begin an environment, wait for its INIT, end it. Returns (sandbox, lines it printed)."""
    events = Recorder()
    reading, writing = os.pipe()
    sandbox = zygote.fork(SandboxSpec(mark, {"MARK": mark}, **limits), writing, events)
    await events.until("listening")
    connection, _ = await events.first_request()
    connection.close()
    sandbox.kill()
    await events.until("gone")
    with os.fdopen(reading) as pipe:
        return sandbox, dict(line.split(" ", 1) for line in pipe.read().splitlines() if " " in line)


async def stocked(zygote):
    """The one environment that waits, sealed."""
    async with asyncio.timeout(10):
        while True:
            found = [sandbox for group in zygote._sealed.values() for sandbox in group if sandbox.sealed]
            if found:
                return found[0]
            await asyncio.sleep(0.01)


async def test_the_next_environment_is_the_one_that_waits_with_its_own_variables(tmp_path, rootless):
    async with opened(tmp_path, rootless) as zygote:
        await run(zygote, "first")
        waiting = await stocked(zygote)
        second, printed = await run(zygote, "second")
        assert second is waiting
        assert second.id == printed["mark"] == "second"
        third, printed = await run(zygote, "third")
        assert third is not waiting
        assert printed["mark"] == "third"


async def test_one_of_another_size_is_not_taken(tmp_path, rootless):
    async with opened(tmp_path, rootless) as zygote:
        await run(zygote, "small")
        waiting = await stocked(zygote)
        other, _ = await run(zygote, "large", memory_mib=512)
        assert other is not waiting
        assert waiting.sealed


async def test_dead_one_is_not_handed_out(tmp_path, rootless):
    async with opened(tmp_path, rootless) as zygote:
        await run(zygote, "first")
        waiting = await stocked(zygote)
        signal.pidfd_send_signal(waiting._pidfd, signal.SIGKILL)
        await asyncio.wait_for(waiting.ended.wait(), 10)
        second, printed = await run(zygote, "second")
        assert printed["mark"] == "second"
        assert second is not waiting


async def test_one_whose_process_was_killed_is_not_handed_out(tmp_path, rootless):
    async with opened(tmp_path, rootless) as zygote:
        await run(zygote, "first")
        waiting = await stocked(zygote)
        os.kill(sealed_of(waiting), signal.SIGKILL)
        await asyncio.wait_for(waiting.ended.wait(), 10)
        _, printed = await run(zygote, "second")
        assert printed["mark"] == "second"


async def test_one_killed_as_it_is_handed_out_is_gone_without_having_failed(tmp_path, rootless):
    """So that another takes its place: it has run nobody's code."""
    async with opened(tmp_path, rootless) as zygote:
        await run(zygote, "first")
        waiting = await stocked(zygote)
        os.kill(sealed_of(waiting), signal.SIGKILL)
        events = Recorder()
        reading, writing = os.pipe()
        assert zygote.fork(SandboxSpec("second", {}), writing, events) is waiting
        await events.until("gone")
        os.close(reading)
        assert "failed" not in events.seen
        assert "started" not in events.seen


async def test_it_ends_with_its_zygote(tmp_path, rootless):
    async with opened(tmp_path, rootless) as zygote:
        await run(zygote, "first")
        waiting = await stocked(zygote)
        zygote._process._end("ended by the test")
        await asyncio.wait_for(waiting.ended.wait(), 10)


async def test_compiled_handler_leaves_no_trace(tmp_path, rootless):
    async with opened(tmp_path, rootless) as zygote:
        _, printed = await run(zygote, "any")
    assert printed["loader"] == "SourceFileLoader False /var/task/app.py /var/task/app.py"
    assert printed["finders"] == "['BuiltinImporter', 'FrozenImporter', 'PathFinder']"


async def test_source_that_does_not_compile_is_told_by_the_environment(tmp_path, rootless):
    async with opened(tmp_path, rootless, "def handler(:\n") as zygote:
        _, printed = await run(zygote, "broken")
    assert "Syntax error in module 'app'" in printed["[ERROR]"]
