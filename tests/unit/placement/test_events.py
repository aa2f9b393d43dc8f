"""Asynchronous invocations: retries, pauses, expiry and limits, with a clock that moves when told to."""

import asyncio

import pytest

from tenantry.environment.environment import EnvironmentFailed
from tenantry.environment.outcome import Outcome
from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.function import FunctionEntry
from tenantry.model.invocation import InvokeRequest
from tenantry.placement import events
from tenantry.placement.events import EventQueue

OK, FAILED = Outcome(b"1"), Outcome(b"{}", "Unhandled", "error")
THROTTLE = ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429)
GONE = ServiceError("ResourceNotFoundException", "Function not found", status=404)


class Bench:
    """A queue whose attempts answer from a list, and whose pauses end when the clock has moved far enough."""

    def __init__(self, *answers):
        self.clock = ManualClock()
        self.answers = list(answers)
        self.attempts = []
        self.moved = asyncio.Event()
        self.queue = EventQueue(self.run, self.clock, self.pause)

    async def run(self, request):
        self.attempts.append((self.clock.monotonic(), request))
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def pause(self, wake, seconds):
        end = None if seconds is None else self.clock.monotonic() + seconds
        while not wake.is_set() and (end is None or self.clock.monotonic() < end):
            self.moved.clear()
            waits = [asyncio.ensure_future(event.wait()) for event in (wake, self.moved)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    async def advance(self, seconds):
        self.clock.advance(seconds)
        self.moved.set()
        await self.settle()

    async def settle(self):
        for _ in range(20):
            await asyncio.sleep(0)

    async def emptied(self):
        for _ in range(100_000):
            if not len(self.queue):
                return
            await asyncio.sleep(0)
        raise AssertionError("the queue does not empty")

    @property
    def times(self):
        return [at for at, _ in self.attempts]


@pytest.fixture
async def bench():
    """Makes a queue with these answers, running."""
    tasks = []

    def make(*answers):
        made = Bench(*answers)
        tasks.append(asyncio.get_running_loop().create_task(made.queue.run()))
        return made

    yield make
    for task in tasks:
        assert not task.done(), "the queue ended by itself"
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def entry(**changes):
    return FunctionEntry("1", "us-east-1", "f", {}, **changes)


def request(tenant="Blue", payload=b"{}", **changes):
    return InvokeRequest("us-east-1", "f", "r1", payload, tenant_id=tenant, invocation_type="Event", **changes)


async def test_success_is_run_once(bench):
    made = bench(OK)
    made.queue.put(entry(), request())
    await made.settle()
    await made.advance(100_000)
    assert made.times == [0.0]
    assert (len(made.queue), made.queue.dropped) == (0, 0)


async def test_error_of_the_function_is_retried_after_one_and_two_minutes_with_the_same_tenant(bench):
    made = bench(FAILED, FAILED, FAILED)
    made.queue.put(entry(), request("Blue"))
    await made.settle()
    await made.advance(59)
    assert made.times == [0.0]
    await made.advance(1)
    await made.advance(119)
    assert made.times == [0.0, 60.0]
    await made.advance(1)
    await made.advance(100_000)
    assert made.times == [0.0, 60.0, 180.0]
    assert {(asked.tenant_id, asked.request_id) for _, asked in made.attempts} == {("Blue", "r1")}
    assert made.queue.dropped == 1


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3)])
async def test_configured_retries_are_kept(bench, retries, attempts):
    made = bench(*[FAILED] * 5)
    made.queue.put(entry(async_retries={"": retries}), request())
    await made.settle()
    for _ in range(10):
        await made.advance(200)
    assert len(made.attempts) == attempts


async def test_settings_of_the_qualifier_that_was_invoked_count(bench):
    made = bench(*[FAILED] * 5)
    made.queue.put(entry(async_retries={"": 2, "live": 0}), request(qualifier="live"))
    await made.settle()
    await made.advance(1000)
    assert len(made.attempts) == 1


@pytest.mark.parametrize("problem", [THROTTLE, EnvironmentFailed("no"), ServiceError("ServiceException", "no", status=500)])
async def test_throttles_and_defects_of_the_platform_double_the_pause_and_cost_no_retry(bench, problem):
    made = bench(problem, problem, problem, FAILED, OK)
    made.queue.put(entry(async_retries={"": 1}), request())
    await made.settle()
    for _ in range(100):
        await made.advance(1)
    assert made.times == [0.0, 1.0, 3.0, 7.0, 67.0]
    assert made.queue.dropped == 0


async def test_pause_grows_to_five_minutes_and_no_further(bench):
    made = bench(*[THROTTLE] * 30)
    made.queue.put(entry(), request())
    await made.settle()
    for _ in range(20):
        await made.advance(300)
    gaps = [later - sooner for sooner, later in zip(made.times, made.times[1:], strict=False)]
    assert max(gaps) == 300.0


async def test_event_older_than_its_age_is_dropped(bench):
    made = bench(*[THROTTLE] * 100)
    made.queue.put(entry(async_max_age_s={"": 60}), request())
    await made.settle()
    for _ in range(200):
        await made.advance(1)
    assert made.times == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]  # the next would come at 63 s
    assert (len(made.queue), made.queue.dropped) == (0, 1)


async def test_event_of_a_function_that_is_gone_is_dropped(bench):
    made = bench(THROTTLE, GONE)
    made.queue.put(entry(), request())
    await made.settle()
    await made.advance(1)
    await made.advance(100_000)
    assert len(made.attempts) == 2
    assert (len(made.queue), made.queue.dropped) == (0, 1)


async def test_full_queue_refuses_and_takes_again_later(bench, monkeypatch):
    made = Bench()
    for _ in range(events.QUEUED_MAX):
        made.queue.put(entry(), request())
    with pytest.raises(ServiceError) as caught:
        made.queue.put(entry(), request())
    assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
    task = asyncio.get_running_loop().create_task(made.queue.run())
    await made.emptied()
    made.queue.put(entry(), request())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_bytes_of_the_queue_are_bounded_and_given_back(bench):
    made = Bench()
    big = request(payload=b"x" * (1 << 20))
    for _ in range(events.QUEUED_BYTES_MAX >> 20):
        made.queue.put(entry(), big)
    with pytest.raises(ServiceError):
        made.queue.put(entry(), big)
    task = asyncio.get_running_loop().create_task(made.queue.run())
    await made.emptied()
    for _ in range(events.QUEUED_BYTES_MAX >> 20):
        made.queue.put(entry(), big)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_event_that_breaks_does_not_end_the_queue(bench):
    made = bench(AssertionError("a defect"), OK)
    made.queue.put(entry(), request())
    await made.settle()
    made.queue.put(entry(), request("Green"))
    await made.settle()
    assert [asked.tenant_id for _, asked in made.attempts] == ["Blue", "Green"]
    assert made.queue.dropped == 1


async def test_not_more_than_the_bound_run_at_once(bench):
    running = asyncio.Event()
    started = []

    async def run(asked):
        started.append(asked)
        await running.wait()
        return OK

    queue = EventQueue(run, ManualClock())
    for _ in range(events.RUNNING_MAX + 10):
        queue.put(entry(), request())
    task = asyncio.get_running_loop().create_task(queue.run())
    for _ in range(300):
        await asyncio.sleep(0)
    assert len(started) == events.RUNNING_MAX
    running.set()
    for _ in range(300):
        await asyncio.sleep(0)
    assert len(started) == events.RUNNING_MAX + 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
