"""What the doctor concludes from a described host; no kernel is asked here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tenantry.sandbox.boot import NAMESPACES, Boot, Inside, faults
from tenantry.sandbox.doctor import attempts, choose, examine
from tenantry.sandbox.requirements import IDS_LAST, MISSING, OK, PARTIAL, Facts, findings, gather
from tenantry.sandbox.runtimes import Interpreter

STEPS = ("user", "mount", "pid", "net", "ipc", "uts", "cgroup", "mount api", "whole proc", "seccomp", "landlock")
GOOD = Facts(
    machine="x86_64",
    kernel="6.18.0",
    rootless=False,
    container=False,
    probe=dict.fromkeys(STEPS),
    landlock_abi=7,
    uid_map=((0, 0, 4_294_967_295),),
    sysctls={"user.max_user_namespaces": 90_000},
    cgroup_version=2,
    cgroup_controllers=("cpu", "memory", "pids"),
    interpreters={minor: Interpreter(minor, Path("/usr"), Path(f"/usr/bin/python3.{minor}")) for minor in range(10, 15)},
    descriptors=20_000,
    environments_max=2_500,
    data_dir=Path("/data"),
    data_dir_free_bytes=1 << 30,
)
HOST = {name: f"{name}:[1]" for name in NAMESPACES}
SEALED = Inside(
    namespaces={name: f"{name}:[2]" for name in NAMESPACES},
    status={"CapBnd": "0" * 16, "CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"},
    uid=993,
    processes=2,
    interfaces=["lo"],
)


def judged(facts: Facts, cgroup_problem: str | None = ""):
    return {finding.name: finding for finding in findings(facts, cgroup_problem)}


def test_host_that_has_everything_needs_nothing():
    assert [finding for finding in findings(GOOD, "") if finding.state != OK or finding.remedy] == []


@pytest.mark.parametrize(
    ("changes", "name", "state", "remedy"),
    [
        ({"rootless": True}, "user ids", PARTIAL, "run as root"),
        ({"uid_map": ((0, 100_000, 65_536),)}, "user ids", MISSING, "must be mapped"),
        ({"uid_map": ((0, 0, IDS_LAST - 1),)}, "user ids", MISSING, "must be mapped"),
        ({"machine": "riscv64"}, "machine", MISSING, "aarch64"),
        ({"landlock_abi": 0}, "Landlock", PARTIAL, "5.13"),
        ({"landlock_abi": 4}, "Landlock", PARTIAL, "6.12"),
        ({"cgroup_version": 0}, "control groups", PARTIAL, "mount cgroup2"),
        ({"interpreters": {}}, "runtime python3.12", MISSING, "install python3.12"),
        ({"interpreters": {10: GOOD.interpreters[10]}}, "runtime python3.12", PARTIAL, "install python3.12"),
        ({"descriptors": 1024}, "descriptor limit", PARTIAL, "ulimit -n 20000"),
        ({"data_dir_problem": "/data: Read-only file system"}, "data folder", MISSING, "--data-dir"),
    ],
)
def test_what_is_missing_is_named_with_a_way_to_get_it(changes, name, state, remedy):
    finding = judged(replace(GOOD, **changes))[name]
    assert finding.state == state
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("sysctls", "rootless", "container", "remedy"),
    [
        ({"user.max_user_namespaces": 0}, True, False, "sysctl -w user.max_user_namespaces=96000"),
        ({"kernel.unprivileged_userns_clone": 0}, True, False, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"kernel.apparmor_restrict_unprivileged_userns": 1}, True, False, "kernel.apparmor_restrict_unprivileged_userns=0"),
        ({"kernel.unprivileged_userns_clone": 0}, False, False, "a kernel built with"),
        ({}, True, True, "docker run --security-opt"),
    ],
)
def test_refused_namespace_leads_to_the_setting_that_refuses_it(sysctls, rootless, container, remedy):
    probe = {**GOOD.probe, "user": "[Errno 1] Operation not permitted: 'unshare'"}
    facts = replace(GOOD, probe=probe, sysctls=sysctls, rootless=rootless, container=container)
    finding = judged(facts)["user namespace"]
    assert finding.state == MISSING
    assert "Operation not permitted" in finding.detail
    assert remedy in finding.remedy


def test_control_groups_are_believed_only_when_one_was_made():
    assert judged(GOOD, "")["control groups"].state == OK
    refused = judged(GOOD, "it is not delegated")["control groups"]
    assert refused.state == PARTIAL
    assert "not delegated" in refused.detail
    assert "Delegate=yes" in refused.remedy
    assert judged(GOOD, None)["control groups"].state == PARTIAL


def test_sealed_sandbox_has_no_fault_and_each_loose_end_is_one():
    assert faults("namespace", SEALED, HOST) == []
    loose = [
        {"namespaces": {**SEALED.namespaces, "net": HOST["net"]}},
        {"status": {**SEALED.status, "CapBnd": "00000000a80425fb"}},
        {"status": {**SEALED.status, "CapEff": "0000000000000001"}},
        {"status": {**SEALED.status, "NoNewPrivs": "0"}},
        {"status": {**SEALED.status, "Seccomp": "0"}},
        {"uid": 0},
        {"processes": 3},
        {"interfaces": ["lo", "eth0"]},
    ]
    for change in loose:
        values = {name: change.get(name, getattr(SEALED, name)) for name in Inside.__struct_fields__}
        assert len(faults("namespace", Inside(**values), HOST)) == 1, change


def test_process_level_is_held_to_what_it_promises_alone():
    shared = Inside(HOST, SEALED.status, 0, 200, ["lo", "eth0"])
    assert faults("process", shared, HOST) == []
    assert faults("process", Inside(HOST, {**SEALED.status, "Seccomp": "0"}, 0, 2, ["lo"]), HOST)


def works(*levels: str) -> list[Boot]:
    return [Boot(level, False, None if level in levels else "refused") for level in ("process", "namespace", "exec")]


@pytest.mark.parametrize(
    ("there", "wanted", "minimal", "chosen"),
    [
        (("process", "namespace", "exec"), "auto", "process", "namespace"),
        (("process",), "auto", "process", "process"),
        (("process",), "auto", "namespace", None),
        (("process", "namespace"), "exec", "process", None),
        (("process", "namespace", "exec"), "exec", "namespace", "exec"),
        (("process", "namespace", "exec"), "namespace", "exec", None),
        ((), "auto", "process", None),
    ],
)
def test_choice_follows_what_booted(there, wanted, minimal, chosen):
    assert choose(works(*there), wanted, minimal) == chosen


async def test_examination_boots_every_level_as_root_and_rootless():
    seen: list[tuple[str, bool]] = []
    contents: list[list[Path]] = []

    async def booter(level: str, rootless: bool, folder: Path) -> Boot:
        contents.append(list(folder.iterdir()))  # noqa: ASYNC240 - an empty folder
        seen.append((level, rootless))
        return Boot(level, rootless, "refused" if level == "namespace" and not rootless else None, cgroup_problem="no group")

    report = await examine(GOOD, "namespace", "process", booter)
    assert seen == attempts(rootless=False)
    assert contents == [[]] * len(seen)
    assert ("namespace", True) in seen
    assert report.chosen is None  # what works rootless does not help root
    shown = report.as_json()
    assert [level["works"] for level in shown["levels"]] == [True, False, True, True, True]
    assert next(r for r in shown["requirements"] if r["name"] == "control groups")["state"] == PARTIAL
    assert attempts(rootless=True) == [("process", True), ("namespace", True), ("exec", True)]


def test_gathering_leaves_nothing_behind(tmp_path):
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    facts = gather(tmp_path / "not" / "there", 10)
    assert facts.data_dir_problem == ""
    assert not list(tmp_path.iterdir())
    assert set(facts.probe) == set(STEPS)
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before
    assert gather(Path("/proc/none"), 10).data_dir_problem.startswith("/proc: ")
