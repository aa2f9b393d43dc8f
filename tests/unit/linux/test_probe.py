"""The probe reports what a step does, whichever way it ends."""

from __future__ import annotations

import contextlib
import os

from tenantry.linux.kernel import CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWUTS
from tenantry.linux.probe import attempt, steps


def refuse() -> None:
    raise PermissionError(1, "Operation not permitted", "unshare")


def test_step_happens_in_a_child_and_its_error_comes_back():
    assert attempt(lambda: os.environ.update(PROBED="1")) is None
    assert "PROBED" not in os.environ
    assert "Operation not permitted" in (attempt(refuse) or "")
    assert "status -9" in (attempt(lambda: os.kill(os.getpid(), 9)) or "")


class Refusing:
    """A kernel that records namespace flags, and refuses."""

    def __init__(self) -> None:
        self.flags: list[int] = []

    def unshare(self, flags: int) -> None:
        self.flags.append(flags)
        refuse()


def test_namespaces_are_tried_inside_a_user_namespace_without_root():
    for rootless, expected in ((True, CLONE_NEWNET | CLONE_NEWUSER), (False, CLONE_NEWNET)):
        kernel = Refusing()
        with contextlib.suppress(PermissionError):
            steps(kernel, rootless)["net"]()
        assert kernel.flags == [expected]


def test_filter_that_lets_everything_through_is_a_failure():
    class Blind:
        def prctl(self, option: int, value: int = 0) -> int:
            return 0

        def seccomp(self, program: bytes) -> None: ...
        def unshare(self, flags: int) -> None:
            assert not flags & CLONE_NEWUTS

    assert "lets through" in (attempt(steps(Blind(), False)["seccomp"]) or "")
