"""Every vector at every level this host allows, and every vector's control: with its mechanism off, the attack succeeds."""

import dataclasses
import os
import subprocess
import sys

import pytest

from tenantry.verify.runner import CLOSED, OPEN, RESIDUAL, try_one
from tenantry.verify.vectors import VECTORS

pytestmark = [pytest.mark.isolation, pytest.mark.timeout(180), pytest.mark.xdist_group("laboratories")]
LEVELS = ["namespace", "exec"]
ROOT = [pytest.param(None, id="root", marks=pytest.mark.root), pytest.param(True, id="rootless")]
NEEDS_CGROUPS = {"memory-bomb", "cpu-hog"}


def skip_without_root(rootless):
    if rootless is None and os.geteuid() != 0:
        pytest.skip("needs root: private user ids and control groups")


@pytest.mark.parametrize("rootless", ROOT)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_closed(vector, level, rootless, laboratories):
    skip_without_root(rootless)
    lab = laboratories.get(level, rootless=rootless)
    if vector.id in NEEDS_CGROUPS and laboratories.cgroup_problem(level, rootless):
        pytest.skip(f"needs control groups: {laboratories.cgroup_problem(level, rootless)}")
    finding = try_one(lab, vector)
    expected = RESIDUAL if level in vector.residual else CLOSED
    assert (finding.result, finding.detail) == (expected, finding.detail if expected == RESIDUAL else "")


CONTROLLED = [vector for vector in VECTORS if not vector.control.unit and not vector.control.host]


@pytest.mark.root
@pytest.mark.parametrize("vector", CONTROLLED, ids=lambda vector: vector.id)
def test_control_the_attack_succeeds_with_the_mechanism_off(vector, laboratories):
    skip_without_root(None)
    control = vector.control
    lab = laboratories.get(control.level, control.without)
    before = lab.function
    if control.shared:
        lab.function = "verify-shared"
    try:
        finding = try_one(lab, vector)
    finally:
        lab.function = before
    assert finding.result in (OPEN, RESIDUAL), f"the control of {vector.id} did not succeed: nothing is shown by the vector"
    assert "could not be" not in finding.detail, finding.detail


@pytest.mark.root
@pytest.mark.parametrize("name", [vector.id for vector in VECTORS if vector.control.host])
def test_control_on_a_host_that_has_what_is_reached_for(name):
    """The metadata address and a name server, made on the loopback of a network namespace of the test's own."""
    skip_without_root(None)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.security.with_metadata", name],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1].startswith(RESIDUAL), done.stdout


def test_every_vector_has_a_control():
    for vector in VECTORS:
        assert (
            vector.control.without
            or vector.control.level == "process"
            or vector.control.shared
            or vector.control.unit
            or ("namespace" in vector.residual)
        ), vector.id
    units = {vector.control.unit for vector in VECTORS if vector.control.unit}
    from tests.security import test_controls_of_parts

    for unit in units:
        module, function = unit.split("::")
        assert module == "test_controls_of_parts"
        assert hasattr(test_controls_of_parts, function), unit


def test_at_least_forty_vectors_with_words_for_people():
    assert len(VECTORS) >= 40
    for vector in VECTORS:
        assert vector.title
        assert vector.mechanism
        assert dataclasses.is_dataclass(vector)
