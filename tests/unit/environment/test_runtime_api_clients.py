"""The Runtime API answers the real runtime interface client: its native transport, and ours, on real processes."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from tests.unit.environment.test_environment import Bench

import tenantry.guest

HANDLER = """
import os
def handler(event, context):
    if event.get("raise"):
        raise ValueError("on purpose")
    left = context.get_remaining_time_in_millis() > 0
    return {"tenant": context.tenant_id, "id": context.aws_request_id, "left": left, "e": event}
"""


@pytest.mark.parametrize("transport", ["native", "own"])
@pytest.mark.parametrize("announced", ["python3.11", "python3.14"])
async def test_unmodified_awslambdaric(transport, announced, tmp_path):
    (tmp_path / "app.py").write_text(HANDLER)
    if transport == "own":
        source = Path(tenantry.guest.__file__).parent / "runtime_client.py"
        (tmp_path / "runtime_client.py").write_text(source.read_text())
    bench = Bench()
    bench.environment.listening(bench.server, None, [])
    bench.environment.started()
    environ = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{bench.address[1]}",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{announced}",
        "PYTHONPATH": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "awslambdaric",
        "app.handler",
        cwd=tmp_path,
        env=environ,
        stdout=bench.writing,
        stderr=bench.writing,
    )
    try:
        bench.environment.bind("Blue Tenant@1")
        for number in range(3):
            payload = json.dumps({"n": "\u00e9" * number, "pad": "x" * 100_000 * number}).encode()
            outcome = await asyncio.wait_for(
                bench.environment.invoke(bench.invocation(f"r{number}", "Blue Tenant@1", payload=payload)), 10
            )
            answer = json.loads(outcome.payload)
            assert (answer["tenant"], answer["id"], answer["left"]) == ("Blue Tenant@1", f"r{number}", True)
            assert answer["e"] == json.loads(payload)
        failed = await asyncio.wait_for(
            bench.environment.invoke(bench.invocation("r9", "Blue Tenant@1", payload=b'{"raise": 1}')), 10
        )
        assert json.loads(failed.payload)["errorType"] == "ValueError"
        assert json.loads(failed.payload)["requestId"] == "r9"
    finally:
        process.kill()
        await process.wait()
        await bench.close()


async def test_missing_module_is_an_init_error(tmp_path):
    bench = Bench()
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation())
    bench.environment.listening(bench.server, None, [])
    environ = {"PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{bench.address[1]}"}
    for _ in range(2):  # INIT, and INIT again inside the invocation
        bench.environment.started()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "awslambdaric",
            "nothing.handler",
            cwd=tmp_path,
            env=environ,
            stdout=bench.writing,
            stderr=bench.writing,
        )
        assert await process.wait() == 1
        await asyncio.sleep(0.05)
        bench.environment.exited(1 << 8)
    outcome = await asyncio.wait_for(future, 5)
    payload = json.loads(outcome.payload)
    assert (payload["errorType"], payload["requestId"]) == ("Runtime.ImportModuleError", "")
    assert payload["errorMessage"] == "Unable to import module 'nothing': No module named 'nothing'"
    await bench.close()
