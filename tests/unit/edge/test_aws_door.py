"""The door for AWS operations, with a tiny service behind it and real signatures in front."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tenantry.edge.aws import OFF_LOOP_BYTES, AwsDoor
from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request
from tenantry.model.identity import Credential
from tenantry.protocol.dialect import dialect_of
from tenantry.protocol.sigv4 import sign
from tenantry.protocol.wire import Protocol
from tenantry.services.operation import Context, Operations, operation

ROOT = Credential("AKIAAAAAAAAAAAAAAAAA", "s" * 40, "arn:aws:iam::000000000000:root", "000000000000")
HOST = ("Host", "127.0.0.1:4270")


class OneKey:
    """A credential source with the root key alone."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return ROOT if access_key_id == ROOT.access_key_id else None

    def assume(self, role_arn: str, session_name: str, duration_s: int) -> Credential:
        raise AssertionError("nobody assumes a role here")


class TinyLambda:
    """Remembers what it was asked."""

    name = "lambda"

    def __init__(self) -> None:
        self.asked: list[tuple[Context, dict[str, Any]]] = []
        self.failure: Exception | None = None

    @operation("GetFunctionConcurrency")
    async def get_function_concurrency(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((ctx, params))
        if self.failure is not None:
            raise self.failure
        return {"ReservedConcurrentExecutions": 7}

    @operation("DeleteFunctionConcurrency")
    async def delete_function_concurrency(self, ctx: Context, params: dict[str, Any]) -> None:
        self.asked.append((ctx, params))

    @operation("CreateFunction")
    async def create_function(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((ctx, params))
        return {"FunctionName": params["FunctionName"]}


class Bench:
    """The door, its service, and what was reported."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.service = TinyLambda()
        self.reported: list[BaseException] = []
        protocol = Protocol(OneKey(), self.clock)
        operations = Operations(protocol.validate)
        operations.add(self.service)
        self.door = AwsDoor(protocol, operations, "000000000000", self.reported.append)

    def signed(self, request: Request, service: str = "lambda", region: str = "eu-west-1", key: Credential = ROOT) -> Request:
        request.headers.append(HOST)
        dialect = dialect_of("lambda", "rest-json")
        return sign(request, key, region=region, service=service, now=self.clock.now(), dialect=dialect)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ask(name: str = "f", method: str = "GET") -> Request:
    version = {"GET": "2019-09-30", "DELETE": "2017-10-31"}[method]
    return Request(method, f"/{version}/functions/{name}/concurrency", "", [])


async def test_operation_gets_its_context_and_answers(bench):
    answer = await bench.door(bench.signed(ask()))
    assert answer.status == 200
    assert orjson.loads(answer.body) == {"ReservedConcurrentExecutions": 7}
    ((ctx, params),) = bench.service.asked
    assert params == {"FunctionName": "f"}
    assert (ctx.region, ctx.account_id, ctx.endpoint) == ("eu-west-1", "000000000000", "http://127.0.0.1:4270")
    assert ctx.principal.arn == ROOT.arn
    assert ("x-amzn-requestid", ctx.request_id) in [(name.lower(), value) for name, value in answer.headers]


async def test_operation_without_a_result(bench):
    answer = await bench.door(bench.signed(ask(method="DELETE")))
    assert (answer.status, answer.body) == (204, b"")


async def test_every_call_has_its_own_request_id(bench):
    for _ in range(3):
        await bench.door(bench.signed(ask()))
    assert len({ctx.request_id for ctx, _ in bench.service.asked}) == 3


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        (lambda bench: Request("GET", ask().path, "", [HOST]), 403, "MissingAuthenticationTokenException"),
        (
            lambda bench: bench.signed(ask(), key=Credential("AKIABBBBBBBBBBBBBBBB", "x" * 40, "", "")),
            403,
            "UnrecognizedClientException",
        ),
        (
            lambda bench: bench.signed(ask(), key=Credential(ROOT.access_key_id, "x" * 40, "", "")),
            403,
            "InvalidSignatureException",
        ),
        (lambda bench: bench.signed(ask(), region="Mars/../x"), 403, ""),
        (lambda bench: bench.signed(ask(), region="MARS"), 403, "InvalidSignatureException"),
        (lambda bench: bench.signed(ask("x" * 200)), 400, "ValidationException"),
        (lambda bench: bench.signed(Request("GET", "/2015-03-31/functions", "", [])), 501, "NotImplementedException"),
    ],
)
async def test_refusals_are_in_the_words_of_the_service(bench, request_of, status, code):
    answer = await bench.door(request_of(bench))
    headers = {name.lower(): value for name, value in answer.headers}
    assert answer.status == status
    assert headers["x-amzn-errortype"].startswith(code)
    assert headers["x-amzn-requestid"]
    assert bench.service.asked == []
    assert bench.reported == []


async def test_unknown_service_is_refused(bench):
    answer = await bench.door(bench.signed(Request("POST", "/", "", [("X-Amz-Target", "DynamoDB.ListTables")]), "dynamodb"))
    assert 400 <= answer.status < 600
    assert b"dynamodb" in answer.body


async def test_refusal_of_an_operation_keeps_its_status(bench):
    bench.service.failure = ServiceError("ResourceNotFoundException", "Function not found", status=404)
    answer = await bench.door(bench.signed(ask()))
    assert answer.status == 404
    assert b"Function not found" in answer.body
    assert bench.reported == []


async def test_mistake_of_an_operation_is_an_aws_shaped_500_and_reported(bench):
    bench.service.failure = KeyError("secret detail")
    answer = await bench.door(bench.signed(ask()))
    assert answer.status == 500
    assert b"secret detail" not in answer.body
    assert ("x-amzn-errortype", "ServiceException") in [(name.lower(), value) for name, value in answer.headers]
    assert bench.reported == [bench.service.failure]


async def test_large_bodies_are_read_in_a_thread_with_the_same_outcome(bench):
    content = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": "QUJD" * OFF_LOOP_BYTES}}
    body = orjson.dumps(content)
    answer = await bench.door(bench.signed(Request("POST", "/2015-03-31/functions", "", [], body)))
    assert answer.status == 201
    assert bench.service.asked[0][1]["Code"]["ZipFile"] == b"ABC" * OFF_LOOP_BYTES
    tampered = bench.signed(Request("POST", "/2015-03-31/functions", "", [], body))
    tampered.body = body.replace(b"QUJD", b"QUJE", 1)
    assert (await bench.door(tampered)).status == 403
