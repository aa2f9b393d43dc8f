"""The whole platform in this process: start, serve, drain, restart, and what a failed start leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.aws import Aws, eventually, zip_of
from tests.support.processes import descendants

from tenantry.app import Background, Platform
from tenantry.config import Config
from tenantry.sandbox.choice import LevelError
from tenantry.store.credentials import load
from tenantry.store.data_dir import DataDir

HANDLER = """
import json, time, urllib.error, urllib.request

def handler(event, context):
    if "sleep" in event:
        print("sleeping", flush=True)
        time.sleep(event["sleep"])
    if "get" in event:
        try:
            with urllib.request.urlopen(event["get"], timeout=5) as answer:
                return {"status": answer.status}
        except urllib.error.HTTPError as error:
            return {"status": error.code}
    return {"tenant": context.tenant_id}
"""


def config(folder: Path, **settings: Any) -> Config:
    values: dict[str, Any] = {"port": 0, "level": "process", "drain_timeout_s": 10.0, "parked_per_function": 0, **settings}
    return Config(folder / "data", **values)


def clients(platform: Platform) -> Aws:
    key = load(platform.config.data_dir)
    assert key is not None
    return Aws(
        {
            "AWS_ENDPOINT_URL": platform.address,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        }
    )


def get(platform: Platform, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


async def call(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(work, *arguments, **named)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Platform, Aws]]:
    async with Platform(config(tmp_path)) as platform:
        aws = clients(platform)
        yield platform, aws
        aws.close()


def make_function(aws: Aws, timeout_s: int = 30) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    client = aws.client("lambda")
    client.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": zip_of({"app.py": HANDLER})},
        Timeout=timeout_s,
    )
    eventually(
        lambda: client.get_function_configuration(FunctionName="f")["State"], lambda state: state == "Active", what="Active"
    )


def invoke(aws: Aws, **event: Any) -> Any:
    answer = aws.client("lambda").invoke(FunctionName="f", Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


async def test_pages_of_a_running_platform(running):
    platform, _ = running
    assert await call(get, platform, "/_tenantry/health") == (200, b'{\n  "status": "ok"\n}\n')
    assert (await call(get, platform, "/_tenantry/status"))[0] == 401
    run = DataDir(platform.config.data_dir).running()
    assert run is not None
    status, body = await call(get, platform, "/_tenantry/status", Authorization=f"Bearer {run.token}")
    shown = json.loads(body)
    assert status == 200
    assert (shown["pid"], shown["isolation"], shown["functions"]) == (os.getpid(), "process", 0)
    assert shown["operations"] > 100
    assert any("not by the kernel" in warning for warning in shown["warnings"])


async def test_unknown_api_is_forbidden_at_both_its_addresses(running):
    platform, _ = running
    for path, headers in (("/_api/abcdefghij/dev", {}), ("/dev", {"Host": "abcdefghij.execute-api.localhost"})):
        assert (await call(get, platform, path, **headers))[0] == 403


async def test_function_runs_and_its_code_can_be_fetched(running):
    _, aws = running
    await call(make_function, aws)
    assert await call(invoke, aws) == {"tenant": None}
    location = aws.client("lambda").get_function
    url = (await call(location, FunctionName="f"))["Code"]["Location"]
    assert (await call(aws.http, url)).body == zip_of({"app.py": HANDLER})


async def test_drain_lets_an_invocation_finish(running):
    platform, aws = running
    await call(make_function, aws)
    await call(invoke, aws)
    invoking = asyncio.create_task(call(invoke, aws, sleep=0.7))
    await asyncio.sleep(0.3)
    draining = asyncio.create_task(platform.drain())
    await asyncio.sleep(0.1)
    with pytest.raises(OSError):
        await call(get, platform, "/_tenantry/health")
    assert await invoking == {"tenant": None}
    assert await draining


async def test_hurry_breaks_an_invocation_off(running):
    platform, aws = running
    await call(make_function, aws)
    await call(invoke, aws)
    invoking = asyncio.create_task(call(invoke, aws, sleep=20))
    await asyncio.sleep(0.3)
    draining = asyncio.create_task(platform.drain())
    await asyncio.sleep(0.1)
    platform.hurry()
    async with asyncio.timeout(5):
        assert not await draining
    with pytest.raises(Exception, match="Connection"):
        await invoking


async def test_caller_that_leaves_does_not_end_its_invocation(running):
    platform, aws = running
    await call(make_function, aws)
    await call(invoke, aws)
    async with asyncio.timeout(20):
        client = asyncio.create_task(call(invoke, aws, sleep=0.4))
        await asyncio.sleep(0.2)
        for connection in list(platform._listener._connections):
            connection.abort()
        with pytest.raises(Exception, match="Connection"):
            await client

    def messages() -> str:
        return str(aws.client("logs").filter_log_events(logGroupName="/aws/lambda/f")["events"])

    await call(eventually, messages, lambda text: text.count("REPORT") == 2, what="the report of the orphaned invocation")


async def test_restart_brings_everything_back(tmp_path):
    async with Platform(config(tmp_path)) as platform:
        assert platform.first_start
        aws = clients(platform)
        await call(make_function, aws)
        await call(aws.client("s3").create_bucket, Bucket="kept")
        aws.close()
    assert DataDir(tmp_path / "data").running() is None
    async with Platform(config(tmp_path)) as platform:
        assert not platform.first_start
        aws = clients(platform)
        assert await call(invoke, aws) == {"tenant": None}
        assert [bucket["Name"] for bucket in (await call(aws.client("s3").list_buckets))["Buckets"]] == ["kept"]
        aws.close()


async def test_failed_start_leaves_nothing_open(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        await Platform(config(tmp_path, port=taken.getsockname()[1])).start()
    with pytest.raises(LevelError):
        await Platform(config(tmp_path, min_isolation="namespace")).start()
    before = open_descriptors()
    with pytest.raises(LevelError):
        await Platform(config(tmp_path, min_isolation="exec")).start()
    assert open_descriptors() == before
    async with Platform(config(tmp_path)) as platform:
        assert (await call(get, platform, "/_tenantry/health"))[0] == 200


async def test_closing_twice_is_closing_once(tmp_path):
    platform = Platform(config(tmp_path))
    await platform.start()
    await platform.close()
    await platform.close()


@pytest.mark.isolation
async def test_code_inside_reaches_aws_calls_and_not_the_operators_pages(tmp_path):
    async with Platform(config(tmp_path, level="auto")) as platform:
        if platform.level == "process":
            pytest.skip("no namespaces on this machine")
        aws = clients(platform)
        await call(make_function, aws)
        inside = "http://127.0.0.1:4270"
        assert await call(invoke, aws, get=f"{inside}/_tenantry/status") == {"status": 404}
        assert await call(invoke, aws, get=f"{inside}/2015-03-31/functions") == {"status": 403}
        aws.close()


def keepers() -> int:
    """Environments under this process: the first processes of pid namespaces inside a zygote's."""
    found = 0
    for process in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            pids = Path(f"/proc/{process}/status").read_text().split("NSpid:")[1].splitlines()[0].split()
            found += len(pids) > 2 and pids[-1] == "1"
    return found


@pytest.mark.isolation
@pytest.mark.parametrize("sealed", [0, 2])
async def test_function_in_use_has_as_many_sealed_sandboxes_as_configured(tmp_path, sealed):
    async with Platform(config(tmp_path, level="auto", sealed_per_function=sealed)) as platform:
        if platform.level == "process":
            pytest.skip("no namespaces on this machine")
        aws = clients(platform)
        await call(make_function, aws)
        await call(invoke, aws)
        await asyncio.sleep(1)  # with none configured there is nothing to wait for
        assert keepers() == 1 + sealed
        aws.close()


async def test_background_work_that_fails_is_reported():
    reported: list[BaseException] = []
    background = Background(reported.append)

    async def fail() -> None:
        raise KeyError("x")

    async def last() -> None:
        await asyncio.sleep(100)

    background.spawn(fail())
    background.spawn(last())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [type(error) for error in reported] == [KeyError]
    await background.close()
    assert len(reported) == 1
