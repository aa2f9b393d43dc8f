"""Compiles the readable policy (seccomp_policy.toml) into a BPF program for seccomp(2).

Shape of the program: refuse other architectures, then a binary search over ranges of call numbers that share one verdict, so
that a call costs about eight comparisons; calls with rules on an argument branch to a few instructions of their own. Verdicts
are values of SECCOMP_RET_*; nothing is logged, nothing traps.
"""

from __future__ import annotations

import errno
import struct
import tomllib
from importlib import resources
from typing import Any

from tenantry.linux import syscalls

ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000
_LD_ABS, _JEQ, _JGE, _JSET, _RET, _JA = 0x20, 0x15, 0x35, 0x45, 0x06, 0x05
_X32_BIT = 0x40000000
MACHINES = {"x86_64": (0xC000003E, syscalls.X86_64), "aarch64": (0xC00000B7, syscalls.AARCH64)}

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


def load_policy() -> dict[str, Any]:
    """The policy file that ships with tenantry, parsed."""
    return tomllib.loads(resources.files(__package__).joinpath("seccomp_policy.toml").read_text())


def compile_policy(policy: dict[str, Any], machine: str, *, except_groups: tuple[str, ...] = ()) -> bytes:
    """A BPF program for `machine` (`x86_64`, `aarch64`).

    except_groups: names of groups (or, for argument rules, calls) left out: a zygote that must still make namespaces for its
    children, or a test that shows what a group is for. Raises ValueError for a group or call that nobody knows.
    """
    architecture, numbers = MACHINES[machine]
    verdicts = _verdicts(policy, numbers, except_groups)
    arguments = [rule for rule in policy["argument"] if rule["call"] not in except_groups and rule["call"] in numbers]
    special = {numbers[rule["call"]]: rule for rule in arguments}
    ranges = _ranges(verdicts, special)
    body = _search(ranges, special)
    program: list[Instruction] = [
        (_LD_ABS, 0, 0, 4),
        (_JEQ, 1, 0, architecture),
        (_RET, 0, 0, _KILL),
        (_LD_ABS, 0, 0, 0),
    ]
    if machine == "x86_64":  # the x32 interface reuses the architecture with a bit set in the number
        program += [(_JGE, 0, 1, _X32_BIT), (_RET, 0, 0, _error("ENOSYS"))]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program + body)


def _error(name: str) -> int:
    return _ERRNO | int(getattr(errno, name))


def _verdicts(policy: dict[str, Any], numbers: dict[str, int], except_groups: tuple[str, ...]) -> dict[int, int]:
    known = set(syscalls.X86_64) | set(syscalls.AARCH64)
    known_elsewhere = {"stime"}  # 32-bit only, listed in the policy for the reader
    verdicts = dict.fromkeys(numbers.values(), ALLOW)
    for group in policy["group"]:
        unknown = set(group["calls"]) - known - known_elsewhere
        if unknown:
            raise ValueError(f"seccomp policy, group {group['name']!r}: unknown system calls {sorted(unknown)}")
        if group["name"] not in except_groups:
            verdicts.update({numbers[call]: _error(group["answer"]) for call in group["calls"] if call in numbers})
    return verdicts


def _ranges(verdicts: dict[int, int], special: dict[int, dict[str, Any]]) -> list[tuple[int, int]]:
    """(first number, verdict) of every run of equal verdicts; a special call is its own run, its verdict -number - 1."""
    ranges: list[tuple[int, int]] = []
    for number in range(max(verdicts) + 2):
        verdict = -number - 1 if number in special else verdicts.get(number, _error("ENOSYS"))
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((number, verdict))
    return ranges


def _search(ranges: list[tuple[int, int]], special: dict[int, dict[str, Any]]) -> list[Instruction]:
    if len(ranges) == 1:
        verdict = ranges[0][1]
        return [(_RET, 0, 0, verdict)] if verdict >= 0 else _argument_rule(special[-verdict - 1])
    middle = len(ranges) // 2
    low, high = _search(ranges[:middle], special), _search(ranges[middle:], special)
    pivot = ranges[middle][0]
    if len(low) < 255:
        return [(_JGE, len(low), 0, pivot), *low, *high]
    return [(_JGE, 0, 1, pivot), (_JA, 0, 0, len(low)), *low, *high]


def _argument_rule(rule: dict[str, Any]) -> list[Instruction]:
    load = (_LD_ABS, 0, 0, 16 + 8 * rule["index"])  # low word first: both machines are little-endian
    allow, refuse = (_RET, 0, 0, ALLOW), (_RET, 0, 0, _error(rule["answer"]))
    if rule.get("refuse_if_any"):
        return [load, (_JSET, 0, 1, rule["mask"]), refuse, allow]
    if "allow" in rule:
        values, hit, miss = rule["allow"], allow, refuse
    else:
        values, hit, miss = rule["refuse"], refuse, allow
    tests = [(_JEQ, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [load, *tests, miss, hit]
