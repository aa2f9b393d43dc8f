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

    def get(self, level, without=frozenset(), rootless=None):
        key = level, without, rootless
        if key not in self._open:
            lab = open_lab(level, lambda: LinuxDriver(level, without=without, rootless=rootless))
            self._open[key] = self._stack.enter_context(lab)
        return self._open[key]

    def close(self):
        self._stack.close()


@pytest.fixture(scope="module")
def laboratories():
    made = Laboratories()
    yield made
    made.close()
