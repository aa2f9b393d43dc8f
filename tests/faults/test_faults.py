"""Faults inside a platform: what is killed, refused or exhausted hurts nobody else, and nothing of it is left.

Every test ends with a census (leaks.py): no process, namespace, mount, control group, temporary file or descriptor more than
before.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from tests.faults.bench import kill, open_bench
from tests.faults.leaks import census, settled
from tests.support.processes import children

from tenantry.environment.lifecycle import State
from tenantry.linux.cgroups import Cgroups
from tenantry.linux.kernel import Kernel
from tenantry.model.errors import ServiceError
from tenantry.placement.router import Settings
from tenantry.sandbox.levels import LinuxDriver

pytestmark = pytest.mark.isolation


@pytest.fixture(autouse=True)
async def nothing_left(warm):
    """After each test the process has exactly what it had before."""
    before = census()
    yield
    await settled(before)


@pytest.fixture
async def warm(tmp_path_factory):
    """What is made once and kept (threads, the loop's own descriptors) is made before anything is counted."""
    await asyncio.to_thread(os.getpid)
    async with open_bench(tmp_path_factory.mktemp("warm")) as bench:
        bench.deploy()
        await bench.invoke()


# -- the zygote


async def test_killed_zygote_leaves_live_environments_serving_and_is_replaced(tmp_path):
    async with open_bench(tmp_path) as bench:
        function = bench.deploy()
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
        launcher, _, zygote = bench.zygote(function)
        kill(zygote)
        await bench.until(lambda: bench.zygotes.status()[0]["deaths"] == 1)
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 2}
        assert await bench.invoke("Green") == {"tenant": "Green", "seen": 1}
        assert bench.zygote(function)[0] != launcher
        (row,) = bench.router.status()["zygotes"]
        assert (row["alive"], row["starts"], row["deaths"]) == (True, 2, 1)
        # What the dead one left behind lives for as long as its environment, and no longer.
        bench.of("Blue").kill()
        await bench.until(lambda: not Path(f"/proc/{launcher}").exists())


async def test_zygote_that_dies_with_orders_on_their_way_answers_every_caller(tmp_path):
    async with open_bench(tmp_path) as bench:
        function = bench.deploy()
        await bench.invoke("Blue")
        kill(bench.zygote(function)[2])
        answers = await asyncio.gather(*(bench.invoke(f"t{n}") for n in range(10)))
        assert answers == [{"tenant": f"t{n}", "seen": 1} for n in range(10)]
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 2}


async def test_order_that_a_dying_zygote_has_taken_is_given_to_the_next_one(tmp_path):
    async with open_bench(tmp_path) as bench:
        function = bench.deploy()
        _, _, zygote = await stopped_zygote(bench, function)
        asked = asyncio.create_task(bench.invoke("Green"))
        await bench.until(lambda: bench.environments(State.STARTING))
        await asyncio.sleep(0.05)
        assert not asked.done()
        kill(zygote)
        assert await asked == {"tenant": "Green", "seen": 1}
        assert bench.zygotes.status()[0]["starts"] == 2


@pytest.mark.root
@pytest.mark.parametrize("which", ["launcher", "reaper"])
async def test_environment_that_waits_for_a_dying_reaper_is_made_by_the_next_zygote(tmp_path, which):
    if os.geteuid() != 0:
        pytest.skip("needs root: without it no environment waits for its zygote's reaper")
    async with open_bench(tmp_path) as bench:
        function = bench.deploy()
        await bench.invoke("Blue")
        for round_ in range(8):  # whether it is killed first or hears of the end first is a matter of microseconds
            launcher, reaper, _ = bench.zygote(function)
            os.kill(reaper, signal.SIGSTOP)
            asked = asyncio.create_task(bench.invoke(f"t{round_}"))
            await bench.until(lambda: bench.environments(State.STARTING))
            await asyncio.sleep(0.05)
            assert not asked.done()
            kill({"launcher": launcher, "reaper": reaper}[which])
            assert await asked == {"tenant": f"t{round_}", "seen": 1}


async def test_caller_whose_zygotes_die_again_and_again_is_told_so(tmp_path):
    async with open_bench(tmp_path) as bench:
        function = bench.deploy()
        asked = None
        for starts in (1, 2, 3):
            *_, zygote = await stopped_zygote(bench, function, starts)
            asked = asked or asyncio.create_task(bench.invoke("Green"))
            await bench.until(lambda: bench.environments(State.STARTING))
            await asyncio.sleep(0.05)
            assert not asked.done()
            kill(zygote)
        with pytest.raises(ServiceError, match="the zygote ended") as caught:
            await asked
        assert (caught.value.code, caught.value.status) == ("ServiceException", 500)


async def stopped_zygote(bench, function, starts=1):
    """The pids of the function's launcher, reaper and zygote; the zygote hears nothing any more."""
    await bench.until(lambda: (row := bench.zygotes.status()[0])["starts"] == starts and row["alive"], poll_s=0)
    found = bench.zygote(function)
    os.kill(found[2], signal.SIGSTOP)
    return found


async def test_zygote_of_a_function_with_parked_environments_is_replaced_before_anybody_asks(tmp_path):
    async with open_bench(tmp_path) as bench:
        function = bench.deploy(parked=1)
        await bench.until(lambda: bench.environments(State.PARKED))
        kill(bench.zygote(function)[2])
        await bench.until(lambda: bench.zygotes.status()[0]["starts"] == 2 and bench.zygotes.status()[0]["alive"])
        assert len(bench.environments(State.PARKED)) == 1


@pytest.mark.parametrize("which", ["launcher", "reaper"])
async def test_killed_launcher_or_reaper_ends_its_environments_and_the_tenant_gets_a_fresh_one(tmp_path, which):
    async with open_bench(tmp_path) as bench:
        function = bench.deploy()
        await asyncio.gather(bench.invoke("Blue"), bench.invoke("Green"))
        other = bench.deploy("other")
        await bench.invoke("Blue", "other")
        busy = asyncio.create_task(bench.invoke("Green", sleep=10))
        await bench.until(lambda: bench.environments(State.BUSY))
        launcher, reaper, _ = bench.zygote(function)
        kill({"launcher": launcher, "reaper": reaper}[which])
        assert (await busy).startswith("Runtime.ExitError: RequestId: ")
        await bench.until(lambda: len(bench.environments()) == 1)
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
        assert await bench.invoke("Blue", "other") == {"tenant": "Blue", "seen": 2}
        assert other.name == "other"


# -- an environment, at every state


class Deaf(Kernel):
    """Loses the signals for keepers, as a kernel does for as long as a process of theirs waits for a device."""

    def pidfd_kill(self, pidfd, signal):
        return


async def test_environment_that_does_not_end_is_named_and_does_not_hold_up_the_end_of_the_platform(tmp_path, caplog):
    settings = Settings(parked_per_function=0, ending_s=0.3)
    async with open_bench(tmp_path, driver=LinuxDriver("namespace", kernel=Deaf()), settings=settings) as bench:
        bench.deploy()
        await asyncio.gather(bench.invoke("Blue"), bench.invoke("Green"))
        keeper = bench.keeper(bench.of("Blue"))
        await bench.router.close()
        assert "have not ended: f (idle), f (idle)" in caplog.text
        # It went with its zygote after all, and was missed by nobody.
        await bench.until(lambda: not bench.environments() and not Path(f"/proc/{keeper}").exists())


async def test_environment_killed_while_starting(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy(source="import time; time.sleep(1)\n" + "def handler(event, context): return 'late'")
        call = asyncio.create_task(bench.invoke("Blue"))
        await bench.until(lambda: bench.environments() and bench.environments()[0]._init_begun)
        assert bench.environments()[0].state is State.STARTING
        kill(bench.keeper(bench.environments()[0]))
        assert await call == "late"  # no code had seen the invocation: another environment took it
        assert bench.router.status()["cold_starts"] == 2


async def test_parked_environment_killed_is_replaced_and_nobody_notices(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy(parked=2)
        await bench.until(lambda: len(bench.environments(State.PARKED)) == 2)
        first = bench.environments(State.PARKED)[0]
        kill(bench.keeper(first))
        await bench.until(lambda: first.state is State.DEAD)
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
        await bench.until(lambda: len(bench.environments(State.PARKED)) == 2)


async def test_idle_environment_killed_gives_its_tenant_a_fresh_one(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        await asyncio.gather(bench.invoke("Blue"), bench.invoke("Green"))
        blue = bench.of("Blue")
        kill(bench.keeper(blue))
        await bench.until(lambda: blue.state is State.DEAD)
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
        assert await bench.invoke("Green") == {"tenant": "Green", "seen": 2}


async def test_environment_killed_at_the_moment_its_tenant_calls_answers(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        for _ in range(10):
            assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
            blue = bench.of("Blue")
            kill(bench.keeper(blue))
            answer = await asyncio.wait_for(bench.invoke("Blue"), 10)
            assert isinstance(answer, dict) or answer.startswith("Runtime.ExitError"), answer
            await bench.until(lambda dead=blue: dead.state is State.DEAD)
            for left in bench.environments():
                left.kill()
            await bench.until(lambda: not bench.environments())


async def test_runtime_killed_while_idle_is_made_anew_in_the_same_environment(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        await bench.invoke("Blue")
        blue = bench.of("Blue")
        for _ in range(5):
            killed = bench.runtime(blue)
            kill(killed)
            # Not its state: it may be made anew between two looks at it.
            await bench.until(lambda killed=killed: children(bench.keeper(blue)) not in ([], [killed]))
            assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
        assert bench.of("Blue") is blue


async def test_runtime_killed_at_the_moment_its_tenant_calls_answers_and_starts_once(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        await bench.invoke("Blue")
        for pause in (0, 0, 0, 0.001, 0.002, 0.003, 0.005):
            await bench.until(lambda: bench.environments(State.IDLE))
            kill(bench.runtime(bench.of("Blue")))
            await asyncio.sleep(pause)
            answer = await asyncio.wait_for(bench.invoke("Blue"), 10)
            assert answer == {"tenant": "Blue", "seen": 1} or answer.startswith("Runtime.ExitError"), answer
        assert len([line for line in bench.logs.lines if line.startswith("START")]) == 8


@pytest.mark.parametrize("whom", ["keeper", "runtime"])
async def test_environment_killed_while_busy_ends_the_invocation(tmp_path, whom):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        await bench.invoke("Green")
        call = asyncio.create_task(bench.invoke("Blue", sleep=10))
        await bench.until(lambda: bench.environments(State.BUSY))
        kill(getattr(bench, whom)(bench.of("Blue")))
        answer = await call
        assert answer.startswith("Runtime.ExitError: RequestId: "), answer
        assert answer.endswith("Runtime exited with error: signal: killed"), answer
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}
        assert await bench.invoke("Green") == {"tenant": "Green", "seen": 2}


async def test_environment_killed_while_resetting(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy(source="import os, time\n" + "time.sleep(1 if os.path.exists('/tmp/made') else 0)\n"
                     "open('/tmp/made', 'w').close()\n" + "def handler(event, context): os._exit(3) if event else None\n"
                     "def unused(): ...")  # fmt: skip
        assert (await bench.invoke("Blue", exit=True)).startswith("Runtime.ExitError")
        blue = bench.of("Blue")
        assert blue.state is State.RESETTING
        call = asyncio.create_task(bench.invoke("Blue"))
        await bench.until(lambda: blue._init_begun)
        kill(bench.keeper(blue))
        answer = await call
        assert answer is None or answer.startswith("Runtime.ExitError"), answer
        assert await bench.invoke("Blue") is None


async def test_runtime_stopped_between_invocations_runs_into_the_timeout(tmp_path):
    """A runtime that never comes back for more is not waited for without end."""
    source = """
import os, signal, threading, time
def handler(event, context):
    if event.get("stop"):
        threading.Thread(target=lambda: (time.sleep(0.05), os.kill(os.getpid(), signal.SIGSTOP)), daemon=True).start()
    return "ok"
"""
    async with open_bench(tmp_path) as bench:
        bench.deploy(source=source, timeout_s=1)
        assert await bench.invoke("Blue", stop=True) == "ok"
        await asyncio.sleep(0.2)
        assert (await asyncio.wait_for(bench.invoke("Blue"), 5)).startswith("Sandbox.Timedout")
        assert await bench.invoke("Blue") == "ok"


# -- control groups


class Refusing(Cgroups):
    """Real control groups that refuse to make one, on demand."""

    error: OSError | None = None

    def create(self, identifier, limits):
        if self.error is not None:
            raise self.error
        return super().create(identifier, limits)

    def take(self, identifier, limits):
        return self.create(identifier, limits)


@pytest.mark.root
async def test_cgroup_that_cannot_be_made_fails_closed_and_recovers(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: control groups of its own")
    groups = Refusing(f"{LinuxDriver('process').mark}{os.urandom(2).hex()}")
    async with open_bench(tmp_path, driver=LinuxDriver("namespace", cgroups=groups)) as bench:
        bench.deploy()
        assert (await bench.invoke("Green"))["seen"] == 1
        groups.error = OSError(errno.EROFS, "Read-only file system")
        with pytest.raises(ServiceError) as caught:
            await bench.invoke("Blue")
        assert (caught.value.code, caught.value.status) == ("ServiceException", 500)
        assert "control group could not be made" in caught.value.message
        assert (await bench.invoke("Green"))["seen"] == 2
        assert len(bench.environments()) == 1
        groups.error = None
        assert await bench.invoke("Blue") == {"tenant": "Blue", "seen": 1}


# -- descriptors


async def test_descriptor_limit_refuses_new_tenants_serves_the_old_and_recovers(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        assert (await bench.invoke("first"))["seen"] == 1
        old = resource.getrlimit(resource.RLIMIT_NOFILE)
        top = max(int(entry.split()[0]) for entry in census().descriptors)
        held = [os.open("/dev/null", os.O_RDONLY)]
        while held[-1] <= top:  # no number below is free any more
            held.append(os.open("/dev/null", os.O_RDONLY))
        refusals = []
        try:
            for room in range(1, 16):  # every step on the way to an environment meets the limit once
                resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + room, old[1]))
                refusals.append(await _try(bench, f"n{room}"))
                assert (await bench.invoke("first"))["seen"] == room + 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, old)
            for descriptor in held:
                os.close(descriptor)
        refused = [error for error in refusals if error is not None]
        assert len(refused) > 5
        assert refusals[-1] is None
        assert {error.code for error in refused} == {"ServiceException"}
        unclear = [error.message for error in refused if "descriptors" not in error.message]
        assert unclear == []
        assert (await bench.invoke("n1"))["tenant"] == "n1"


async def _try(bench, tenant):
    """Invoke as a new tenant, and be rid of its environment; the refusal, if there was one."""
    try:
        await asyncio.wait_for(bench.invoke(tenant), 20)
    except ServiceError as error:
        return error
    bench.of(tenant).kill()
    await bench.until(lambda: len(bench.environments()) == 1)
    return None


async def test_burst_of_new_tenants_is_more_than_one_socket_holds(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy()
        await bench.invoke("first")
        answers = await asyncio.gather(*(bench.invoke(f"t{n}") for n in range(150)))
        assert [answer["seen"] for answer in answers] == [1] * 150


# -- memory


@pytest.mark.root
async def test_handler_that_outgrows_its_memory_hurts_nobody_else(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: control groups of its own")
    async with open_bench(tmp_path) as bench:
        bench.deploy(memory_mib=128)
        await asyncio.gather(bench.invoke("Green"), bench.invoke("Blue"))
        for _ in range(3):
            greedy = asyncio.create_task(bench.invoke("Blue", grow=400))
            fine = [await bench.invoke("Green") for _ in range(5)]
            assert [answer["tenant"] for answer in fine] == ["Green"] * 5
            assert (await greedy).startswith("Runtime.OutOfMemory: RequestId: ")
        assert (await bench.invoke("Blue", grow=40))["tenant"] == "Blue"  # near the limit is allowed
        assert bench.of("Green").invocations == 16


# -- what goes on at the same time


async def test_environments_that_expire_together_end_one_after_the_other(tmp_path):
    """So that what comes meanwhile is answered in between."""
    settings = Settings(idle_timeout_s=0.0, parked_per_function=0)
    async with open_bench(tmp_path, settings=settings, run=False) as bench:
        bench.deploy()
        await asyncio.gather(*(bench.invoke(f"t{number}") for number in range(6)))
        expiring = bench.environments()
        ends = []
        for environment in expiring:
            environment.kill = lambda kill=environment.kill: (ends.append(asyncio.get_running_loop().time()), kill())
        bench.router.sweep()
        assert ends == []
        assert await bench.invoke("new") == {"tenant": "new", "seen": 1}
        await bench.until(lambda: all(environment.state is State.DEAD for environment in expiring))
    assert len(ends) == 6
    assert all(later > earlier for earlier, later in pairwise(ends))


async def test_stopped_keeper_without_a_pid_namespace_does_not_hold_up_the_end(tmp_path):
    async with open_bench(tmp_path, driver=LinuxDriver("process")) as bench:
        bench.deploy()
        await bench.invoke("Blue")
        os.kill(bench.keeper(bench.of("Blue")), signal.SIGSTOP)  # as code of the same user can
        runtime = bench.runtime(bench.of("Blue"))
        bench.of("Blue").kill()
        await bench.until(lambda: not bench.environments())
        await bench.until(lambda: not Path(f"/proc/{runtime}").exists())


async def test_sweep_that_breaks_does_not_end_the_router(tmp_path):
    async with open_bench(tmp_path, settings=Settings(parked_per_function=1)) as bench:
        function = bench.deploy(parked=1)
        await bench.until(lambda: bench.environments(State.PARKED))
        whole = bench.router.parking
        bench.router.parking = None
        await asyncio.sleep(1.2)
        bench.router.parking = whole
        kill(bench.keeper(bench.environments(State.PARKED)[0]))
        await bench.until(lambda: bench.environments(State.PARKED))
        assert function.parked == 1


async def test_event_retried_after_an_update_runs_the_new_code_for_the_same_tenant(tmp_path):
    async with open_bench(tmp_path) as bench:
        bench.deploy(revision="1")
        await bench.invoke("Blue")
        seen = []
        bench.functions.listen(lambda old, new: seen.append(new))
        request = bench.request("Blue", invocation_type="Event")
        attempt = bench.router._run_event
        bench.deploy(source="def handler(event, context): return 'new ' + context.tenant_id", revision="2")
        assert (await attempt(request)).payload == b'"new Blue"'
        bench.functions.remove("us-east-1", "f")
        with pytest.raises(ServiceError) as caught:
            await attempt(request)
        assert caught.value.code == "ResourceNotFoundException"
        assert len(seen) == 2
