"""The keeper holds capabilities over its environment's namespaces; what runs in there must not get at it. Each attempt is also
made on a process of the attacker's own, where it succeeds: the attempts are real ones."""

import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.folders import let_others_read
from tests.support.processes import keeper_of, sealed_of

from tenantry.sandbox.checks import Recorder
from tenantry.sandbox.driver import SandboxSpec, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.zygote import own_interpreter

pytestmark = pytest.mark.isolation
ATTACK = """
import json, os, resource, signal, time

def attempt(action):
    try:
        action()
        return "done"
    except OSError as error:
        return type(error).__name__

def memory(pid):
    with open(f"/proc/{pid}/maps") as maps:
        first = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        file.seek(first)
        file.read(1)

def attempts(pid):
    return {
        "memory": attempt(lambda: memory(pid)),
        "environ": attempt(lambda: open(f"/proc/{pid}/environ").read()),
        "descriptors": attempt(lambda: os.listdir(f"/proc/{pid}/fd")),
        "root": attempt(lambda: os.listdir(f"/proc/{pid}/root/")),
        "limits": attempt(lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))),
        "namespaces": attempt(lambda: os.readlink(f"/proc/{pid}/ns/user")),
    }

def ended_by(number):
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    os.kill(child, number)
    return os.waitpid(child, 0)[1] == number

child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
found = {"child": attempts(child), "keeper": attempts(1)}
os.kill(child, signal.SIGKILL)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGABRT, signal.SIGSEGV)
found["signals end a child"] = all(ended_by(number) for number in SIGNALS if number != signal.SIGINT)
for number in (*SIGNALS, signal.SIGSTOP, signal.SIGTSTP, signal.SIGCHLD):
    attempt(lambda: os.kill(1, number))
time.sleep(0.1)
print(json.dumps(found), flush=True)
def handler(event, context): ...
"""


@asynccontextmanager
async def opened(folder, rootless, **options):
    let_others_read(folder)
    (folder / "app.py").write_text(ATTACK)
    driver = LinuxDriver("namespace", rootless=rootless, **options)
    variables = {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin"}
    zygote = await driver.open(ZygoteSpec("k", own_interpreter(), folder, (), variables))
    try:
        yield zygote
    finally:
        await zygote.close()
        await driver.close()


@pytest.mark.parametrize(
    "without", [frozenset(), frozenset({"seccomp", "landlock"})], ids=["sealed", "by user id and pid alone"]
)
@pytest.mark.parametrize(
    "rootless", [pytest.param(False, id="root", marks=pytest.mark.root), pytest.param(True, id="rootless")]
)
async def test_what_runs_inside_cannot_reach_its_keeper(tmp_path, rootless, without):
    if not rootless and os.geteuid() != 0:
        pytest.skip("needs root")
    async with opened(tmp_path, rootless, without=without) as zygote:
        events = Recorder()
        reading, writing = os.pipe()
        sandbox = zygote.fork(SandboxSpec("one", {}), writing, events)
        await events.until("started")
        before, _ = await events.first_request()
        sandbox.reset()  # after all that it shows that the keeper still listens
        await events.until("started", 2)
        after, _ = await events.first_request()
        sandbox.kill()
        await events.until("gone")
        before.close()
        after.close()
        with os.fdopen(reading) as pipe:
            reports = [json.loads(line) for line in pipe.read().splitlines() if line.startswith("{")]
    assert len(reports) == 2
    assert "exited" not in events.seen
    for report in reports:
        assert set(report["child"].values()) == {"done"}
        assert report["signals end a child"]
        # Without root both have the one id there is: limits can be set, descriptors counted; it harms nobody else.
        allowed = {"limits", "descriptors"} if rootless else set()
        refused = {what for what, answer in report["keeper"].items() if answer == "PermissionError"}
        assert refused | allowed == set(report["keeper"]), report["keeper"]


async def test_a_keeper_is_in_none_of_the_groups_that_limit_what_it_keeps(tmp_path):
    """So that memory running out ends the runtime, never the keeper."""
    if os.geteuid() != 0:
        pytest.skip("needs root: control groups of its own")
    async with opened(tmp_path, rootless=False, require_cgroups=True) as zygote:
        events = Recorder()
        reading, writing = os.pipe()
        sandbox = zygote.fork(SandboxSpec("one", {}), writing, events)
        await events.until("started")
        keeper, runtime = groups_inside(sandbox)
        sandbox.kill()
        await events.until("gone")
        os.close(reading)
    assert zygote._driver.mark in runtime
    assert zygote._driver.mark not in keeper


def groups_inside(sandbox):
    """The memory groups of a sandbox's keeper and of its runtime."""
    lines = [Path(f"/proc/{pid}/cgroup").read_text().splitlines() for pid in (keeper_of(sandbox), sealed_of(sandbox))]
    return [next(line for line in found if ":memory:" in line or line.startswith("0::/")) for found in lines]
