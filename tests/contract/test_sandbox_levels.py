"""Every level passes the sandbox contract's own checks, as root and (where that differs) without root."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.folders import let_others_read

from tenantry.sandbox.checks import CHECKS, Recorder
from tenantry.sandbox.driver import SandboxSpec, ZygoteSpec
from tenantry.sandbox.levels import LinuxDriver
from tenantry.sandbox.zygote import own_interpreter

LEVELS = ["process", "namespace", "exec"]
AS = [pytest.param(False, id="root", marks=pytest.mark.root), pytest.param(True, id="rootless")]


@pytest.mark.isolation
@pytest.mark.parametrize("rootless", AS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_contract(check, level, rootless, tmp_path_factory):
    if not rootless and os.geteuid() != 0:
        pytest.skip("needs root: private user ids for each environment")
    folder: Path = tmp_path_factory.mktemp("sandbox")
    for parent in (folder, *folder.parents):
        if parent.owner() == Path.home().owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    driver = LinuxDriver(level, rootless=rootless)
    try:
        await check(driver, folder)
        if driver.cgroups is not None:
            assert driver.cgroups.leftovers() == []
    finally:
        await driver.close()


@pytest.mark.isolation
@pytest.mark.root
@pytest.mark.parametrize("level", ["namespace", "exec"])
async def test_allowed_host_is_reached_by_its_name_and_through_the_platform_only(level, tmp_path_factory):
    """The name of an egress host leads to a socket made inside, which the platform serves: no packet leaves by itself."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = tmp_path_factory.mktemp("egress")
    (folder / "app.py").write_text(
        "import socket\n"
        "client = socket.create_connection(('api.example.com', 8443), 5)\n"
        "client.sendall(b'hello')\n"
        "print(client.recv(100).decode(), flush=True)\n"
        "def handler(event, context): ...\n"
    )
    let_others_read(folder)
    driver = LinuxDriver(level)
    environ = {"_HANDLER": "app.handler", "PATH": "/usr/bin:/bin"}
    zygote = await driver.open(ZygoteSpec("egress", own_interpreter(), folder, (), environ, hosts=("api.example.com",)))
    events = Recorder()
    reading, writing = os.pipe()
    sandbox = zygote.fork(SandboxSpec("e1", {}, forwards=(("api.example.com", 8443),)), writing, events)
    await events.until("listening")
    _, _, forward = events.servers
    forward.setblocking(False)
    loop = asyncio.get_running_loop()
    connection, _ = await asyncio.wait_for(loop.sock_accept(forward), 10)
    assert await loop.sock_recv(connection, 100) == b"hello"
    await loop.sock_sendall(connection, b"from outside")
    with os.fdopen(reading, "rb") as printed:
        assert await loop.run_in_executor(None, printed.readline) == b"from outside\n"
    connection.close()
    sandbox.kill()
    await events.until("gone")
    await zygote.close()
    await driver.close()
