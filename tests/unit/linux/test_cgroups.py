"""Control groups: version 2 on a made-up tree (the kernel need not have it), 1 or 2 for real where the host offers it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tenantry.linux.cgroups import CgroupError, Cgroups, Group, limits_for
from tenantry.linux.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, Kernel


@pytest.fixture
def v2(tmp_path):
    own = tmp_path / "user.slice"
    own.mkdir()
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (own / "cgroup.controllers").write_text("cpu memory pids io\n")
    return tmp_path


def test_v2_divides_its_own_group_and_sets_every_limit(v2):
    groups = Cgroups("tenantry-x", v2, own="0::/user.slice\n")
    made = groups.create("e1", limits_for(256, 100))
    folder = v2 / "user.slice/tenantry-x/e1"
    assert (v2 / "user.slice/tenantry-x-platform/cgroup.procs").read_text() == str(os.getpid())
    assert (v2 / "user.slice/cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    values = {path.name: path.read_text() for path in folder.iterdir()}
    assert values == {
        "memory.max": str(256 << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "100",
        "cpu.weight": "14",
        "cpu.max": "100000 100000",
    }
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert made.out_of_memory() is True
    assert made.out_of_memory() is False  # told once
    (folder / "memory.peak").write_text("12345\n")
    assert made.memory_peak_bytes() == 12345


def test_v2_without_the_controllers_says_what_to_do(v2):
    (v2 / "user.slice/cgroup.controllers").write_text("cpu\n")
    with pytest.raises(CgroupError, match=r"does not offer memory, pids.*Delegate=yes"):
        Cgroups("tenantry-x", v2, own="0::/user.slice\n")


def test_v1_without_a_controller_says_which(tmp_path):
    with pytest.raises(CgroupError, match="'memory' is not mounted"):
        Cgroups("tenantry-x", tmp_path, own="4:cpu:/\n")


def test_group_that_cannot_be_limited_is_not_left_behind(v2):
    groups = Cgroups("tenantry-x", v2, own="0::/user.slice\n")
    (v2 / "user.slice/tenantry-x/e1").mkdir()
    with pytest.raises(FileExistsError):
        groups.create("e1", limits_for(128, 10))
    assert groups.leftovers() == []


@pytest.mark.root
@pytest.mark.isolation
def test_real_groups_come_and_go():
    if os.geteuid() != 0:
        pytest.skip("needs root to make control groups")
    try:
        groups = Cgroups(f"tenantry-test-{os.getpid()}")
    except CgroupError as error:
        pytest.skip(f"this host gives no control groups: {error}")
    group = groups.create("one", limits_for(64, 5))
    entrances = group.entrances()
    child = os.fork()
    if child == 0:
        for entrance in entrances:
            os.write(entrance, b"0")
        os._exit(0 if "/tenantry-test-" in Path("/proc/self/cgroup").read_text() else 1)
    for entrance in entrances:
        os.close(entrance)
    assert os.waitpid(child, 0)[1] == 0
    assert groups.leftovers() == ["one"]
    while not group.remove():
        pass
    assert groups.leftovers() == []
    groups.close()


@pytest.mark.root
@pytest.mark.isolation
def test_nothing_stays_in_a_group_that_is_removed(tmp_path):
    """On a real version 2 hierarchy, whether or not the host's controllers are on it: seen by this test alone."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a hierarchy")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if _stubborn_process_is_ended(tmp_path) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _stubborn_process_is_ended(folder):
    kernel = Kernel()
    kernel.unshare(CLONE_NEWNS)
    kernel.mount("none", "/", "none", MS_REC | MS_PRIVATE)
    kernel.mount("none", str(folder), "cgroup2")
    directory = folder / f"tenantry-test-{os.getpid()}"
    directory.mkdir()
    group = Group({"memory": directory}, v2=True)
    stubborn = subprocess.Popen(["sleep", "60"])
    (directory / "cgroup.procs").write_text(str(stubborn.pid))
    refused = not group.remove()
    ended = stubborn.wait(10)
    for _ in range(100):
        if group.remove():
            return refused and ended == -signal.SIGKILL
        time.sleep(0.01)
    return False
