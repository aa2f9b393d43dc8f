"""An environment when its processes die or hang at awkward moments: stale reports, closed connections, doom."""

import asyncio

import pytest
from tests.unit.environment.test_environment import EXIT_3, Bench, ready

from tenantry.environment import environment as module
from tenantry.environment.environment import EnvironmentFailed, NeverRun
from tenantry.environment.lifecycle import State


@pytest.fixture
async def bench():
    made = Bench()
    yield made
    await made.close()


async def idle(bench):
    """Bound, one invocation done, the runtime waiting for the next."""
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    await runtime.call("POST", "invocation/r1/response", b"1")
    await future
    return runtime


async def test_exit_reported_after_a_reset_was_ordered_is_of_the_replaced_runtime(bench):
    await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    bench.environment._timed_out()
    await future
    assert bench.sandbox.resets == 1
    bench.environment.exited(EXIT_3)  # was on its way already
    assert bench.sandbox.resets == 1


async def test_start_that_a_second_reset_will_undo_does_not_count(bench):
    await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    bench.environment._timed_out()
    await future
    bench.environment._reset("init")
    assert bench.sandbox.resets == 2
    bench.environment.started()
    stale = await bench.runtime()
    stale.send("GET", "invocation/next")
    assert await stale.reader.read() == b""  # it is refused: it is about to be killed
    bench.environment.started()
    second = bench.environment.invoke(bench.invocation("r2"))
    runtime = await bench.runtime()
    assert (await runtime.call("GET", "invocation/next"))[0] == 200
    await runtime.call("POST", "invocation/r2/response", b"2")
    assert (await second).payload == b"2"


async def test_invocation_of_a_runtime_that_never_comes_back_runs_into_its_timeout():
    bench = Bench(timeout_s=0.05)
    await idle(bench)
    outcome = await asyncio.wait_for(bench.environment.invoke(bench.invocation("r2")), 5)
    assert outcome.status == "timeout"
    await bench.close()


async def test_invocation_begun_before_the_runtime_died_is_run_by_the_next_one_under_one_start(bench):
    await idle(bench)
    future = bench.environment.invoke(bench.invocation("r2"))
    bench.environment.exited(EXIT_3)
    assert bench.environment.state is State.RESETTING
    bench.environment.started()
    runtime = await bench.runtime()
    assert (await runtime.call("GET", "invocation/next"))[0] == 200
    await runtime.call("POST", "invocation/r2/response", b"2")
    assert (await future).payload == b"2"
    assert len([line for line in bench.logs.lines if '"platform.start"' in line]) == 2


async def test_sandbox_that_never_starts_is_ended(bench, monkeypatch):
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.02)
    bench.environment.attach(bench.sandbox)
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation())
    await asyncio.sleep(0.1)
    assert bench.sandbox.kills == 1
    bench.environment.gone()
    with pytest.raises(EnvironmentFailed, match="did not start"):
        await future


async def test_end_before_any_code_saw_the_invocation_is_told_apart(bench):
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation())
    bench.environment.gone()
    with pytest.raises(NeverRun) as caught:
        await future
    assert caught.value.ended.error_type == "Runtime.ExitError"


async def test_environment_that_is_about_to_be_killed_says_so_before_it_is_idle(bench):
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation())
    bench.environment.listening(bench.server, None, [])
    bench.environment.started()
    bench.environment.exited(EXIT_3)
    seen = []
    bench.owner.environment_idle = lambda environment: seen.append(environment.doomed)
    bench.environment.started()
    bench.environment.exited(EXIT_3)
    await future
    assert seen == [True]
    assert bench.sandbox.kills == 1
