"""Controls that need other code: the part's check taken out, the attack succeeds."""

import io
import os
import random
import re
import uuid
import zipfile

import pytest
from tests.unit.environment.test_environment import Bench, ready
from tests.unit.services.identity.test_authorization import INVOKE, READ_LOGS, may

from tenantry.environment import environment as module
from tenantry.environment.environment import Environment
from tenantry.guest import bootstrap
from tenantry.model.clock import ManualClock
from tenantry.model.identity import Credential
from tenantry.model.invocation import RESPONSE_BYTES_MAX
from tenantry.placement import admission
from tenantry.services.identity.credentials import PlatformCredentials
from tenantry.verify.judgements import EVIL_NAMES


class Unchecked(Environment):
    """An environment that takes any answer for the one in hand."""

    def _check(self, request_id, invocation_id):
        pass


async def answer_with_another_id(bench):
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    status, _, _ = await runtime.call("POST", "invocation/somebody-elses/response", b'"forged"')
    done = future.done()
    if not done:
        await runtime.call("POST", "invocation/r1/response", b'"own"')
    return status, (await future).payload


async def test_unchecked_id():
    checked, unchecked = Bench(), Bench(kind=Unchecked)
    assert await answer_with_another_id(checked) == (400, b'"own"')
    assert await answer_with_another_id(unchecked) == (202, b'"forged"')
    await checked.close()
    await unchecked.close()


async def test_answer_within_the_limit():
    bench = Bench()
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    status, _, _ = await runtime.call("POST", "invocation/r1/response", b"x" * RESPONSE_BYTES_MAX)
    assert status == 202
    assert len((await future).payload) == RESPONSE_BYTES_MAX
    await bench.close()


async def test_unchecked_tenant_id():
    """What the pattern keeps out would be a header of its own, if the last line of defence were missing too."""
    evil = "Mallory\r\nLambda-Runtime-Aws-Tenant-Id: Victim"
    assert not re.fullmatch(admission.TENANT_ID_PATTERN, evil)
    bench = Bench()
    with pytest.raises(AssertionError, match="line break"):
        module._next_answer(bench.invocation(tenant=evil), 1)
    naive = f"Lambda-Runtime-Aws-Tenant-Id: {evil}\r\n"
    assert naive.split("\r\n")[1] == "Lambda-Runtime-Aws-Tenant-Id: Victim"
    await bench.close()


def test_naive_unpacking_escapes(tmp_path):
    """A loop that trusts names writes outside its folder with the very names the vector tries."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in EVIL_NAMES[:1]:
            archive.writestr(zipfile.ZipInfo(name), b"x")
    inside = tmp_path / "inside"
    inside.mkdir()
    with zipfile.ZipFile(data) as archive:
        for entry in archive.infolist():
            (inside / entry.filename).write_bytes(archive.read(entry))
    assert (tmp_path / "escaped").exists()


def drawn_in_a_child(state, reseed):
    """What a child draws that begins with a copied state (Python's own hook at fork is undone by setting it again)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        random.setstate(state)
        if reseed:
            bootstrap.reseed()
        os.write(writing, str(random.random()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    drawn = os.read(reading, 100)
    os.close(reading)
    return drawn


def test_random_without_reseeding():
    state = random.getstate()
    assert drawn_in_a_child(state, False) == drawn_in_a_child(state, False)
    assert drawn_in_a_child(state, True) != drawn_in_a_child(state, True)


def test_uuid4():
    """uuid4 and secrets take the kernel's numbers; from a source that a fork copies they would repeat."""
    state = random.getstate()
    first = uuid.UUID(int=random.getrandbits(128), version=4)
    random.setstate(state)  # what a fork without reseeding amounts to
    assert uuid.UUID(int=random.getrandbits(128), version=4) == first
    assert uuid.uuid4() != uuid.uuid4()


def test_forged_token():
    """A session token is worth what its seal is worth: with the platform's secret known, anybody makes one."""
    root = Credential("AKIAROOT", "root-secret", "arn:aws:iam::1:root", "1")
    clock = ManualClock()
    genuine, robbed = PlatformCredentials(root, clock, secret=b"s" * 32), PlatformCredentials(root, clock, secret=b"s" * 32)
    other = PlatformCredentials(root, clock, secret=b"t" * 32)
    role = "arn:aws:iam::000000000000:role/r"
    stolen = robbed.assume(role, "x", 900)
    assert genuine.lookup(stolen.access_key_id, stolen.session_token) is not None
    forged = other.assume(role, "x", 900)
    assert genuine.lookup(forged.access_key_id, forged.session_token) is None


def test_role_with_every_right():
    """With a policy that allows everything, the calls that the vector sees refused go through."""
    allow_all = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    for call in (READ_LOGS, INVOKE):
        assert not may([], *call)
        assert may(allow_all, *call)
