"""What a function sees of a request, whatever the request: the event is valid JSON and says what the client sent."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import parse_qs, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.apigateway.conftest import Desk, header_of

from tenantry.model.http import Request
from tenantry.services.apigateway.call import Call, HeaderNames, parse_query
from tenantry.services.apigateway.deadline import Deadlines
from tenantry.services.apigateway.event import EventTemplate, SecondClock
from tenantry.services.apigateway.ids import Ids

FACTS = {
    "resourceId": "abc123",
    "resourcePath": "/100%/{x}",
    "httpMethod": "GET",
    "accountId": "000000000000",
    "stage": "dev",
    "domainPrefix": "api",
    "domainName": "api.execute-api.us-east-1.amazonaws.com",
    "deploymentId": "dep",
    "apiId": "api",
}
NAMES = st.text("abcXYZ-", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)


def event_of(request: Request, path: str = "/x", variables: dict[str, str] | None = None) -> dict[str, object]:
    call = Call(request, "id", "ext=", 1_767_225_600.5)
    call.path, call.trace_id = path, "Root=1-a-b;Parent=c"
    call.read_headers(HeaderNames())
    rendered = EventTemplate(FACTS, variables or {}, (), SecondClock()).render(call)
    return dict(json.loads(rendered))


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.binary(max_size=30),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=15).map(lambda text: "/" + text),
    st.dictionaries(NAMES, VALUES, max_size=3),
)
def test_any_request_is_a_valid_event(
    headers: list[tuple[str, str]], body: bytes, path: str, variables: dict[str, str]
) -> None:
    event = event_of(Request("GET", path, "", headers, body), path, variables)
    assert event["path"] == path
    assert event["resource"] == "/100%/{x}"
    assert event["body"] == (body.decode("utf-8", "replace") or None)
    assert event["stageVariables"] == (variables or None)
    context = event["requestContext"]
    assert isinstance(context, dict)
    assert (context["path"], context["requestTimeEpoch"]) == ("/dev" + path, 1_767_225_600_500)
    seen = event["multiValueHeaders"]
    last = event["headers"]
    assert isinstance(seen, dict)
    assert isinstance(last, dict)
    for name, value in headers:
        if name.lower() != "te":
            assert value in seen[name]
            assert last[name] == seen[name][-1]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=5)), max_size=5))
def test_query_decodes_as_the_standard_library_does(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert parse_query(query) == parse_qs(query, keep_blank_values=True)


async def echo(desk: Desk, method: str = "POST", **settings: object) -> str:
    api = await desk.api(**settings)
    await desk.method(api, "/{proxy+}", "ANY")
    await desk.deploy(api)
    return api


async def test_query_and_path(desk: Desk) -> None:
    api = await echo(desk)
    await desk.get(api, "/dev/a%20b/c?x=1&x=2&y&z=a+b%2B", "PUT")
    event = desk.invoker.event
    assert event["queryStringParameters"] == {"x": "2", "y": "", "z": "a b+"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""], "z": ["a b+"]}
    assert (event["path"], event["pathParameters"]) == ("/a%20b/c", {"proxy": "a b/c"})
    assert (event["httpMethod"], event["resource"]) == ("PUT", "/{proxy+}")
    assert desk.invoker.seen[-1].source_arn == f"arn:aws:execute-api:us-east-1:000000000000:{api}/dev/PUT/*"


async def test_headers(desk: Desk) -> None:
    api = await echo(desk)
    dropped = ["Connection", "Content-Length", "content-md5", "Expect", "Max-Forwards", "Proxy-Authenticate", "Server", "TE"]
    dropped += ["Transfer-Encoding", "Trailer", "Upgrade", "WWW-Authenticate"]
    headers = [(name, "x") for name in dropped]
    headers += [("authorization", "a"), ("user-agent", "u"), ("X-Two", "1"), ("X-Two", "2"), ("x-lower", "l")]
    headers += [("X-Forwarded-For", "10.0.0.1"), ("x-forwarded-proto", "http")]
    response = await desk.get(api, "/dev/a", headers=headers)
    event = desk.invoker.event
    trace = event["headers"].pop("X-Amzn-Trace-Id")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", trace)
    assert (header_of(response, "x-amzn-trace-id") or "").startswith(trace)
    assert event["headers"] == {
        "Host": "127.0.0.1:4270",
        "Authorization": "a",
        "User-Agent": "u",
        "X-Two": "2",
        "x-lower": "l",
        "X-Forwarded-For": "10.0.0.1, 127.0.0.1",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    assert event["multiValueHeaders"]["X-Two"] == ["1", "2"]


async def test_trace_of_the_client_is_kept(desk: Desk) -> None:
    api = await echo(desk)
    await desk.get(api, "/dev/a", headers={"X-Amzn-Trace-Id": "Root=1-00000000-111111111111111111111111;Sampled=1"})
    assert desk.invoker.event["headers"]["X-Amzn-Trace-Id"] == "Root=1-00000000-111111111111111111111111"
    assert desk.invoker.seen[-1].trace_id == "Root=1-00000000-111111111111111111111111;Sampled=1"


@pytest.mark.parametrize(
    ("content_type", "body", "encoded"),
    [("image/png", "iVBORw==", True), ("image/png; x=y", "iVBORw==", True), ("text/plain", "\ufffdPNG", False)],
)
async def test_binary_body(desk: Desk, content_type: str, body: str, encoded: bool) -> None:
    api = await echo(desk, binaryMediaTypes=["image/png"])
    await desk.get(api, "/dev/a", "POST", headers={"Content-Type": content_type}, body=b"\x89PNG")
    assert (desk.invoker.event["body"], desk.invoker.event["isBase64Encoded"]) == (body, encoded)


async def test_function_named_by_a_stage_variable(desk: Desk) -> None:
    api = await desk.api()
    function = "arn:aws:lambda:us-east-1:000000000000:function:${stageVariables.fn}"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    await desk.method(api, "/a", integration={"uri": uri})
    await desk.deploy(api, "one", variables={"fn": "first:live"})
    await desk.deploy(api, "none")
    assert (await desk.get(api, "/one/a")).status == 200
    assert (desk.invoker.seen[-1].function, desk.invoker.seen[-1].qualifier) == ("first", "live")
    assert (await desk.get(api, "/none/a")).status == 500


async def test_function_of_another_account_is_not_called(desk: Desk) -> None:
    api = await desk.api()
    function = "arn:aws:lambda:us-east-1:999999999999:function:f"
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    await desk.method(api, "/a", integration={"uri": uri})
    await desk.deploy(api)
    assert (await desk.get(api, "/dev/a")).status == 500
    assert desk.invoker.seen == []


def test_ids_are_their_own_kind() -> None:
    ids = Ids()
    made = {ids.request_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", item) for item in made)
    gateway = {ids.extended_id() for _ in range(2000)}
    assert len(gateway) == 2000
    assert all(re.fullmatch(r"[\w-]{15}=", item) for item in gateway)
    assert re.fullmatch(r"Root=1-0000000a-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", ids.trace_id(10))


async def test_deadlines_end_only_what_is_late() -> None:
    deadlines = Deadlines()

    async def work(seconds: float, limit: float) -> str:
        try:
            with deadlines.within(limit):
                await asyncio.sleep(seconds)
            return "done"
        except TimeoutError:
            return "late"

    cases = [(0.0, 0.05), (1.0, 0.05), (0.01, 0.05), (1.0, 0.02), (0.0, 0.02)]
    assert await asyncio.gather(*(work(*case) for case in cases)) == ["done", "late", "done", "late", "done"]
    assert await work(1.0, 0.02) == "late"


async def test_deadline_lets_a_cancellation_through() -> None:
    deadlines = Deadlines()

    async def work() -> None:
        with deadlines.within(5.0):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
