"""The seccomp policy: compiled, installed in a child, and shown to be what refuses (control: without the group it does not)."""

import errno
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import tenantry
from tenantry.linux import syscalls
from tenantry.linux.seccomp import MACHINES, compile_policy, load_policy

POLICY = load_policy()
GROUPS = [group["name"] for group in POLICY["group"]]
linux_machine = pytest.mark.skipif(platform.machine() not in MACHINES, reason="no system call table for this machine")

CHILD = """
import ctypes, json, os, sys
sys.path.insert(0, sys.argv[1])
from tenantry.linux.kernel import Kernel
kernel = Kernel()
kernel.prctl(38, 1)
kernel.seccomp(bytes.fromhex(sys.stdin.read()))
libc = ctypes.CDLL(None, use_errno=True)
answers = {}
for name, number, *arguments in json.loads(sys.argv[2]):
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    answers[name] = ctypes.get_errno() if result < 0 else 0
print(json.dumps(answers))
"""


def answers(calls, **compile_options):
    program = compile_policy(POLICY, platform.machine(), **compile_options).hex()
    source = str(Path(tenantry.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHILD, source, json.dumps(calls)],
        input=program,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return json.loads(done.stdout)


def number(name):
    return MACHINES[platform.machine()][1][name]


def test_policy_has_a_reason_for_every_row():
    for row in [*POLICY["group"], *POLICY["argument"]]:
        assert len(row["reason"]) > 10, row
        assert hasattr(errno, row["answer"])


def test_unknown_call_in_the_policy_is_refused():
    broken = {"group": [{"name": "x", "reason": "y", "answer": "EPERM", "calls": ["no_such_call"]}], "argument": []}
    with pytest.raises(ValueError, match="no_such_call"):
        compile_policy(broken, "x86_64")


@pytest.mark.parametrize("machine", MACHINES)
def test_program_fits_the_kernel_and_every_jump_lands(machine):
    program = compile_policy(POLICY, machine)
    instructions = [program[i : i + 8] for i in range(0, len(program), 8)]
    assert len(instructions) < 4096
    for position, instruction in enumerate(instructions):
        code = int.from_bytes(instruction[:2], "little")
        if code in (0x15, 0x35, 0x45):
            assert position + 1 + max(instruction[2], instruction[3]) < len(instructions)


def simulate(program, architecture, call, argument=0):
    """Run a filter in Python: the verdict for a call with one argument in every place."""
    position, accumulator = 0, 0
    while True:
        code, yes, no, constant = (
            int.from_bytes(program[position * 8 + a : position * 8 + b], "little") for a, b in ((0, 2), (2, 3), (3, 4), (4, 8))
        )
        position += 1
        if code == 0x06:
            return constant
        if code == 0x20:
            accumulator = {0: call, 4: architecture}.get(constant, argument)
        elif code == 0x05:
            position += constant
        else:
            hit = {0x15: accumulator == constant, 0x35: accumulator >= constant, 0x45: bool(accumulator & constant)}[code]
            position += yes if hit else no


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_gets_the_verdict_of_its_row(machine):
    architecture, numbers = MACHINES[machine]
    program = compile_policy(POLICY, machine)
    denied = {call: group["answer"] for group in POLICY["group"] for call in group["calls"]}
    special = {rule["call"] for rule in POLICY["argument"]}
    for name, call in numbers.items():
        if name in special:
            continue
        expected = 0x00050000 | getattr(errno, denied[name]) if name in denied else 0x7FFF0000
        assert simulate(program, architecture, call) == expected, name
    for call in range(600):
        if call not in numbers.values():
            assert simulate(program, architecture, call) == 0x00050000 | errno.ENOSYS, call
    assert simulate(program, architecture ^ 1, 0) == 0x80000000
    if machine == "x86_64":
        assert simulate(program, architecture, 0x40000000 | 1) == 0x00050000 | errno.ENOSYS
    clone = numbers["clone"]
    assert simulate(program, architecture, clone, 17) == 0x7FFF0000
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert simulate(program, architecture, clone, flag | 17) == 0x00050000 | errno.EPERM
    for family in range(46):
        allowed = family in (1, 2, 10, 16)
        assert (simulate(program, architecture, numbers["socket"], family) == 0x7FFF0000) is allowed, family
    assert simulate(program, architecture, numbers["ioctl"], 0x5412) == 0x00050000 | errno.EPERM
    assert simulate(program, architecture, numbers["ioctl"], 0x5401) == 0x7FFF0000


@linux_machine
@pytest.mark.isolation
def test_installed_filter_answers_for_the_kernel():
    calls = [
        ("unshare", number("unshare"), 0),
        ("keyctl", number("keyctl"), 0, -3),
        ("io_uring_setup", number("io_uring_setup"), 1, 0),
        ("unknown", 599, 0),
        ("getpid", number("getpid")),
    ]
    assert answers(calls) == {
        "unshare": errno.EPERM,
        "keyctl": errno.EPERM,
        "io_uring_setup": errno.ENOSYS,
        "unknown": errno.ENOSYS,
        "getpid": 0,
    }


@linux_machine
@pytest.mark.isolation
def test_control_without_its_group_the_call_reaches_the_kernel():
    calls = [("unshare", number("unshare"), 0), ("keyctl", number("keyctl"), 0, -3, 0)]
    assert answers(calls)["unshare"] == errno.EPERM
    assert answers(calls, except_groups=("namespaces and mounts",))["unshare"] == 0
    assert answers(calls, except_groups=("keyrings",))["keyctl"] != errno.EPERM


def test_tables_agree_on_shared_numbers():
    # From pidfd_send_signal on, every machine counts alike.
    assert {n: v for n, v in syscalls.X86_64.items() if v >= 424 and n in syscalls.AARCH64} == {
        n: v for n, v in syscalls.AARCH64.items() if v >= 424 and n in syscalls.X86_64
    }
