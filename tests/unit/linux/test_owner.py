"""Marks of owners: only what belongs to a process that is certainly gone counts as an orphan."""

import os
import subprocess

import pytest

from tenantry.linux import owner


def test_own_mark_is_no_orphan():
    assert owner.mark().startswith(f"tenantry-{owner.mark().split('-')[1]}-{os.getpid()}-")
    assert not owner.is_orphan(owner.mark() + "ab12")
    assert not owner.is_orphan(owner.mark() + "ab12-platform")


def test_ended_process_and_another_under_its_number_are_orphans():
    child = subprocess.Popen(["sleep", "60"])
    started = owner._started(owner.Path("/proc"), child.pid)
    namespace = owner.mark().split("-")[1]
    name = f"tenantry-{namespace}-{child.pid}-{started}-ab12"
    assert not owner.is_orphan(name)
    assert owner.is_orphan(f"tenantry-{namespace}-{child.pid}-{started - 1}-ab12")
    child.kill()
    child.wait()
    assert owner.is_orphan(name)


@pytest.mark.parametrize("name", ["tenantry-0-1-1-ab", "tenantry-x", "tenantry-verify-abc", "other", "tenantry-fefe-x-1-ab"])
def test_what_cannot_be_told_is_somebodys(name):
    assert not owner.is_orphan(name)


def test_without_proc_nothing_is_an_orphan(tmp_path):
    assert not owner.is_orphan(owner.mark() + "ab", tmp_path)
