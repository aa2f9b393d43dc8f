"""Laboratories: one for each way of switching mechanisms off, shared by all controls that need it."""

import contextlib
import os

import pytest

from tenantry.sandbox.levels import LinuxDriver
from tenantry.verify.lab import open_lab

as_root = os.geteuid() == 0


class Laboratories:
    """Opens a laboratory for (level, mechanisms left out) when it is first asked for."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self._open = {}
        self._drivers = {}

    def get(self, level, without=frozenset(), rootless=None):
        key = level, without, rootless
        if key not in self._open:

            def make_driver():
                self._drivers[key] = LinuxDriver(level, without=without, rootless=rootless)
                return self._drivers[key]

            self._open[key] = self._stack.enter_context(open_lab(level, make_driver))
        return self._open[key]

    def cgroup_problem(self, level, rootless):
        """Why a laboratory without a mechanism left out has no control groups; empty when it has."""
        driver = self._drivers[level, frozenset(), rootless]
        return "" if driver.cgroups is not None else driver.cgroup_problem

    def close(self):
        self._stack.close()


@pytest.fixture(scope="module")
def laboratories():
    made = Laboratories()
    yield made
    made.close()
