"""An environment with a sandbox that does what the test says: INIT, INVOKE, failures, resets, forged calls."""

import asyncio
import json
import os
import socket

import pytest

from tenantry.environment.environment import Environment, EnvironmentFailed, Invocation
from tenantry.environment.lifecycle import TRANSITIONS, IllegalTransition, State, move
from tenantry.environment.records import Records
from tenantry.model.clock import SystemClock
from tenantry.model.function import FunctionVersion, LoggingConfig

EXIT_3 = 3 << 8


class FakeSandbox:
    """Remembers what it was told."""

    id = "fake"

    def __init__(self):
        self.resets = 0
        self.kills = 0
        self.memory = False

    def reset(self):
        self.resets += 1

    def kill(self):
        self.kills += 1

    def memory_peak_bytes(self):
        return 50 << 20

    def out_of_memory(self):
        memory, self.memory = self.memory, False
        return memory


class Owner:
    def __init__(self):
        self.calls = []

    def environment_ready(self, environment):
        self.calls.append("ready")

    def environment_idle(self, environment):
        self.calls.append("idle")

    def environment_dead(self, environment):
        self.calls.append("dead")


class NoPlatform:
    def serve_inside(self, environment_id, endpoint, forwards):
        if endpoint is not None:
            endpoint.close()

    def stop_inside(self, environment_id):
        pass


class Logs:
    def __init__(self):
        self.lines = []
        self.times_ms = []

    def append(self, region, group, stream, events):
        self.lines += [message for _, message in events]
        self.times_ms += [time_ms for time_ms, _ in events]


class HurriedClock(SystemClock):
    """Whoever looks at it a second time is a second late."""

    looks = 0

    def now(self):
        self.looks += 1
        return 1_767_225_600.0 + self.looks


class Bench:
    """One environment, and the runtime's end of it."""

    def __init__(self, timeout_s=3, log_format="JSON", tenancy=True, level=None, kind=Environment, clock=None):
        logging = LoggingConfig("/aws/lambda/f", log_format, None, level)
        self.function = FunctionVersion(
            "1",
            "us-east-1",
            "f",
            "$LATEST",
            "r",
            "python3.11",
            "a.h",
            "role",
            "code",
            timeout_s=timeout_s,
            tenancy=tenancy,
            logging=logging,
        )
        self.owner, self.logs, self.sandbox = Owner(), Logs(), FakeSandbox()
        reading, self.writing = os.pipe()
        records = Records(self.function, "stream", ("python:3.11", "arn"))
        self.environment = kind(
            "e" * 32,
            self.function,
            "stream",
            records,
            self.owner,
            NoPlatform(),
            self.logs,
            clock or SystemClock(),
            reading,
        )
        self.environment.attach(self.sandbox)
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen()
        self.address = self.server.getsockname()
        self.streams = []

    async def start(self):
        self.environment.listening(self.server, None, [])
        self.environment.started()
        return await self.runtime()

    async def runtime(self):
        runtime = Runtime(*await asyncio.open_connection(*self.address))
        self.streams.append(runtime)
        return runtime

    async def close(self):
        os.close(self.writing)
        self.environment.gone()
        self.server.close()
        for runtime in self.streams:
            runtime.writer.close()
        await asyncio.sleep(0)

    def invocation(self, request_id="r1", tenant="Blue", **changes):
        return Invocation(
            **{
                "request_id": request_id,
                "invocation_id": f"i-{request_id}",
                "payload": b"{}",
                "invoked_arn": "arn",
                "tenant_id": tenant,
                **changes,
            }
        )


class Runtime:
    """A runtime client that a test speaks through."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, method, path, body=b"", **headers):
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.writer.write(
            f"{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def answer(self):
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, body

    async def call(self, method, path, body=b"", **headers):
        self.send(method, path, body, **headers)
        return await self.answer()


@pytest.fixture
async def bench():
    made = Bench()
    yield made
    await made.close()


async def parked(bench):
    runtime = await bench.start()
    runtime.send("GET", "invocation/next")
    async with asyncio.timeout(5):
        while "ready" not in bench.owner.calls:  # noqa: ASYNC110 - the owner is called, it has no event to wait for
            await asyncio.sleep(0.001)
    return runtime


async def ready(bench, tenant="Blue"):
    runtime = await parked(bench)
    bench.environment.bind(tenant)
    return runtime


async def test_parked_then_bound_then_invoked(bench):
    runtime = await ready(bench)
    assert bench.environment.state is State.PARKED
    future = bench.environment.invoke(bench.invocation(trace_id="Root=1-2-3"))
    status, headers, body = await runtime.answer()
    assert (status, body) == (200, b"{}")
    assert headers["lambda-runtime-aws-tenant-id"] == "Blue"
    assert headers["lambda-runtime-aws-request-id"] == "r1"
    assert headers["lambda-runtime-invocation-id"] == "i-r1"
    assert headers["lambda-runtime-trace-id"] == "Root=1-2-3"
    assert int(headers["lambda-runtime-deadline-ms"]) > 0
    assert await runtime.call("POST", "invocation/r1/response", b'{"a": 1}') == (
        202,
        {"content-type": "application/json", "content-length": "15"},
        b'{"status":"OK"}',
    )
    outcome = await future
    assert (outcome.payload, outcome.function_error, outcome.status) == (b'{"a": 1}', None, "success")
    assert bench.environment.state is State.IDLE
    assert bench.owner.calls == ["ready", "idle"]


async def test_start_is_as_old_as_the_delivery_even_if_it_is_written_after():
    """What the handler prints has the handler's own time, and records are shown by their time."""
    bench = Bench(log_format="Text", timeout_s=3, clock=HurriedClock())
    runtime = await ready(bench)
    bench.environment.invoke(bench.invocation())
    _, headers, _ = await runtime.answer()
    (start_ms,) = [
        time_ms for time_ms, line in zip(bench.logs.times_ms, bench.logs.lines, strict=True) if line.startswith("START")
    ]
    assert start_ms + 3000 == int(headers["lambda-runtime-deadline-ms"])
    await bench.close()


async def test_calls_in_one_go_are_answered_in_their_order(bench):
    runtime = await ready(bench)
    bench.environment.invoke(bench.invocation())
    await runtime.answer()
    runtime.send("POST", "invocation/r1/response", b"1")
    runtime.send("GET", "nothing")
    runtime.send("POST", "invocation/r1/response", b"2")
    assert [(await runtime.answer())[0] for _ in range(3)] == [202, 404, 403]


async def test_parked_environment_says_nothing_until_it_is_bound(bench):
    await parked(bench)
    assert bench.environment.state is State.PARKED
    assert bench.logs.lines == []
    bench.environment.bind("Blue")
    assert [json.loads(line)["type"] for line in bench.logs.lines] == ["platform.initStart"]
    assert "Blue" not in bench.logs.lines[0]


async def test_invocation_before_init_is_over_waits_for_it(bench):
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation())
    runtime = await bench.start()
    status, _, _ = await runtime.call("GET", "invocation/next")
    assert status == 200
    await runtime.call("POST", "invocation/r1/response", b"1")
    assert (await future).payload == b"1"
    kinds = [json.loads(line)["type"] for line in bench.logs.lines]
    assert kinds == ["platform.initStart", "platform.start", "platform.report"]
    report = json.loads(bench.logs.lines[-1])["record"]
    assert report["tenantId"] == "Blue"
    assert report["metrics"]["initDurationMs"] > 0
    assert "tenantId" not in bench.logs.lines[0]


async def test_second_tenant_is_impossible(bench):
    await ready(bench)
    with pytest.raises(AssertionError, match="belongs to a tenant already"):
        bench.environment.bind("Green")
    with pytest.raises(AssertionError, match="another tenant"):
        bench.environment.invoke(bench.invocation(tenant="Green"))
    assert bench.environment.tenant == "Blue"


async def test_second_invocation_at_a_time_is_impossible(bench):
    await ready(bench)
    bench.environment.invoke(bench.invocation())
    with pytest.raises(AssertionError, match="busy"):
        bench.environment.invoke(bench.invocation("r2"))


FORGED = [
    pytest.param("invocation/other/response", {}, 400, "InvalidRequestID", id="another request id"),
    pytest.param("invocation/other/error", {}, 400, "InvalidRequestID", id="another id's error"),
    pytest.param(
        "invocation/r1/response", {"Lambda_Runtime_Invocation_Id": "i-old"}, 400, "InvalidRequestID", id="an earlier attempt"
    ),
    pytest.param("init/error", {}, 403, "InvalidStateTransition", id="INIT is over"),
    pytest.param("invocation/r1/nothing", {}, 404, "NotFound", id="no such call"),
]


@pytest.mark.parametrize(("path", "headers", "status", "error"), FORGED)
async def test_forged_calls_are_refused_and_change_nothing(bench, path, headers, status, error):
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    got, _, body = await runtime.call("POST", path, b"{}", **headers)
    assert (got, json.loads(body)["errorType"]) == (status, error)
    assert not future.done()
    await runtime.call("POST", "invocation/r1/response", b"true")
    assert (await future).payload == b"true"


async def test_answer_without_an_invocation_and_answer_twice_are_refused(bench):
    runtime = await ready(bench)
    other = await bench.runtime()
    assert (await other.call("POST", "invocation/r1/response", b"1"))[0] == 403
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    await runtime.call("POST", "invocation/r1/response", b"1")
    assert (await runtime.call("POST", "invocation/r1/response", b"2"))[0] == 403
    assert (await future).payload == b"1"


async def test_next_while_an_invocation_is_in_hand_is_refused(bench):
    runtime = await ready(bench)
    bench.environment.invoke(bench.invocation())
    await runtime.answer()
    assert (await runtime.call("GET", "invocation/next"))[0] == 403


async def test_result_that_is_too_large_is_refused_and_told(bench):
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    status, _, body = await runtime.call("POST", "invocation/r1/response", b"x" * 6_291_557)
    assert (status, json.loads(body)["errorType"]) == (413, "RequestEntityTooLarge")
    outcome = await future
    assert json.loads(outcome.payload)["errorType"] == "Function.ResponseSizeTooLarge"
    assert outcome.function_error == "Unhandled"


async def test_timeout_resets_and_a_late_answer_reaches_nobody():
    bench = Bench(timeout_s=0.05)
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    outcome = await future
    assert json.loads(outcome.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r1 Error: Task timed out after 0.05 seconds",
    }
    assert bench.sandbox.resets == 1
    assert bench.environment.state is State.RESETTING
    second = bench.environment.invoke(bench.invocation("r2"))
    assert (await runtime.call("POST", "invocation/r1/response", b'"late"'))[0] == 403
    assert (await runtime.call("POST", "invocation/r2/response", b'"guessed"'))[0] == 403
    assert not second.done()
    bench.environment.started()
    again = await bench.runtime()
    assert (await again.call("GET", "invocation/next"))[1]["lambda-runtime-aws-tenant-id"] == "Blue"
    await again.call("POST", "invocation/r2/response", b"2")
    assert (await second).payload == b"2"
    await bench.close()


@pytest.mark.parametrize(
    ("memory", "status", "error_type", "text"),
    [
        (False, EXIT_3, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        (False, 0, "Runtime.ExitError", "Runtime exited without providing a reason"),
        (False, 9, "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        (True, 9, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
    ],
)
async def test_end_of_the_process_in_an_invocation(bench, memory, status, error_type, text):
    runtime = await ready(bench)
    future = bench.environment.invoke(bench.invocation())
    await runtime.answer()
    bench.sandbox.memory = memory
    bench.environment.exited(status)
    payload = json.loads((await future).payload)
    assert payload == {"errorType": error_type, "errorMessage": f"RequestId: r1 Error: {text}"}
    assert bench.sandbox.resets == 1


async def test_failed_init_is_repeated_in_the_invocation_and_then_told(bench):
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation(log_tail=True))
    runtime = await bench.start()
    error = b'{"errorMessage": "no", "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}'
    for round_ in (1, 2):
        assert (
            await runtime.call("POST", "init/error", error, Lambda_Runtime_Function_Error_Type="Runtime.ImportModuleError")
        )[0] == 202
        bench.environment.exited(1 << 8)
        if round_ == 1:
            assert not future.done()
            assert bench.sandbox.resets == 1
            bench.environment.started()
    outcome = await future
    assert (outcome.payload, outcome.error_type) == (error, "Runtime.ImportModuleError")
    assert bench.sandbox.kills == 1
    phases = [json.loads(line)["record"]["phase"] for line in bench.logs.lines if "initStart" in line]
    assert phases == ["init", "invoke"]


async def test_failed_init_of_a_parked_environment_ends_it(bench):
    runtime = await bench.start()
    await runtime.call("POST", "init/error", b"{}")
    bench.environment.exited(1 << 8)
    assert bench.sandbox.kills == 1
    assert bench.environment.init_failed


async def test_environment_that_cannot_be_made_fails_its_invocation(bench):
    bench.environment.bind("Blue")
    future = bench.environment.invoke(bench.invocation())
    bench.environment.set_failure("step 'mounts' of sealing an environment failed: OSError")
    with pytest.raises(EnvironmentFailed, match="mounts"):
        await future
    assert bench.owner.calls == ["dead"]
    assert any("mounts" in line for line in bench.logs.lines)


async def test_header_injection_through_an_invocation_is_a_defect_that_stops(bench):
    await ready(bench)
    with pytest.raises(AssertionError, match="line break"):
        bench.environment.invoke(bench.invocation(trace_id="a\r\nLambda-Runtime-Aws-Tenant-Id: Green"))


async def test_text_format_and_tail():
    bench = Bench(log_format="Text", tenancy=False)
    runtime = await ready(bench, tenant=None)
    future = bench.environment.invoke(bench.invocation(tenant=None, log_tail=True))
    await runtime.answer()
    os.write(bench.writing, b"printed\n")
    await runtime.call("POST", "invocation/r1/response", b"null")
    tail = (await future).log_tail.decode().splitlines()
    assert tail[0] == "START RequestId: r1 Version: $LATEST"
    assert tail[1:3] == ["printed", "END RequestId: r1"]
    assert tail[3].startswith("REPORT RequestId: r1\tDuration: ")
    assert "\tMemory Size: 128 MB\tMax Memory Used: 50 MB\tInit Duration: " in tail[3]
    assert tail[3].endswith("ms\t")
    assert bench.logs.lines[0].startswith("INIT_START Runtime Version: python:3.11\tRuntime Version ARN: arn")
    await bench.close()


async def test_debug_level_adds_the_other_records():
    bench = Bench(level="DEBUG")
    runtime = await ready(bench)
    bench.environment.invoke(bench.invocation())
    await runtime.answer()
    await runtime.call("POST", "invocation/r1/response", b"1")
    kinds = [json.loads(line)["type"].removeprefix("platform.") for line in bench.logs.lines]
    assert kinds == ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"]
    await bench.close()


@pytest.mark.parametrize("old", State)
@pytest.mark.parametrize("new", State)
def test_only_listed_transitions(old, new):
    if new in TRANSITIONS[old]:
        assert move(old, new) is new
    else:
        with pytest.raises(IllegalTransition, match=f"{old.value} to {new.value}"):
            move(old, new)
