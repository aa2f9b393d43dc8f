"""INIT mode `snapshot`: the module is imported once, and refused where copies of the process would share what it made."""

import os

import pytest
from tests.support.folders import let_others_read

from tenantry.sandbox.checks import Recorder
from tenantry.sandbox.driver import SandboxSpec, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.zygote import own_interpreter

pytestmark = pytest.mark.isolation
HANDLER = "\ndef handler(event, context): ...\n"


async def outputs(source, folder, rootless, environments=2):
    """What two environments of a snapshotted module print at INIT, and why it was not snapshotted."""
    let_others_read(folder)
    (folder / "app.py").write_text(source + HANDLER)
    driver = LinuxDriver("namespace", rootless=rootless)
    environ = {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin"}
    zygote = await driver.open(ZygoteSpec("s", own_interpreter(), folder, (), environ, snapshot=True))
    printed = []
    for number in range(environments):
        events = Recorder()
        reading, writing = os.pipe()
        sandbox = zygote.fork(SandboxSpec(f"e{number}", {}), writing, events)
        await events.until("listening")
        connection, _ = await events.first_request()
        connection.close()
        sandbox.kill()
        await events.until("gone")
        printed.append([line for line in _all_of(reading) if line.startswith("imported")])
    await zygote.close()
    await driver.close()
    return printed, zygote.snapshot_error


def _all_of(descriptor):
    with os.fdopen(descriptor) as pipe:
        return pipe.read().splitlines()


@pytest.fixture(params=[pytest.param(False, id="root", marks=pytest.mark.root), pytest.param(True, id="rootless")])
def rootless(request):
    if not request.param and os.geteuid() != 0:
        pytest.skip("needs root")
    return request.param


async def test_module_is_imported_in_the_zygote_only(tmp_path, rootless):
    printed, error = await outputs("print('imported', flush=True)", tmp_path, rootless)
    assert (printed, error) == ([[], []], None)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import mmap\nheld = mmap.mmap(-1, 4096)", "shared memory"),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "threads"),
        ("raise ValueError('no')", "ValueError: no"),
        ("import nothing_of_this_name", "No module named"),
        ("import sys\nsys.exit(3)", "SystemExit"),
    ],
)
async def test_module_that_cannot_be_copied_is_imported_by_each_environment(source, text, tmp_path, rootless):
    harmless = f"print('imported', flush=True)\nimport os\nif os.getpid() > 1000:\n    exec({source!r})"
    printed, error = await outputs(harmless, tmp_path, rootless)
    assert text in error
    assert printed == [["imported"], ["imported"]]


async def test_callbacks_around_a_fork_run_once_and_sealed(tmp_path, rootless):
    source = """
import os
def tell(what):
    return lambda: print("imported", what, os.getuid(), "NoNewPrivs:\\t1" in open("/proc/self/status").read(), flush=True)
os.register_at_fork(before=tell("before"), after_in_child=tell("child"), after_in_parent=tell("parent"))
"""
    printed, error = await outputs(source, tmp_path, rootless)
    assert error is None
    assert printed == [["imported before 993 True", "imported child 993 True"]] * 2


def test_control_shared_memory_really_is_shared_over_a_fork():
    import mmap

    held = mmap.mmap(-1, 4096)
    child = os.fork()
    if child == 0:
        held[:5] = b"leak!"
        os._exit(0)
    os.waitpid(child, 0)
    assert held[:5] == b"leak!"
    held.close()
