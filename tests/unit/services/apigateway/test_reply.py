"""Proxy responses: whatever a function returns, the client gets a well-formed answer or MalformedError is raised."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.model.http import Request, Response
from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.reply import MalformedError, proxy_response

GATEWAYS = {"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"}


def respond(result: Any, accept: str = "*/*", binary: tuple[str, ...] = ()) -> Response:
    call = Call(Request("GET", "/", "", [("Accept", accept)]), "request-id", "gateway-id", 0.0)
    call.trace_id = "Root=1-0-0"
    return proxy_response(json.dumps(result).encode(), call, binary)


def own(response: Response) -> list[tuple[str, str]]:
    return [pair for pair in response.headers if pair[0].lower() not in GATEWAYS]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RESULTS = JSON_VALUES | st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.integers(0, 700) | st.sampled_from(["200", "abc", None]),
        "headers": st.dictionaries(st.text(), st.text() | st.booleans() | JSON_VALUES, max_size=3) | JSON_VALUES,
        "multiValueHeaders": st.dictionaries(st.text(), st.lists(st.text(), max_size=3), max_size=3) | JSON_VALUES,
        "body": st.text() | JSON_VALUES,
        "isBase64Encoded": st.booleans() | JSON_VALUES,
    },
)


@given(RESULTS)
def test_any_result_is_an_answer_or_malformed(result: Any) -> None:
    try:
        response = respond(result, binary=("image/png",))
    except MalformedError:
        return
    assert isinstance(result, dict)
    assert 200 <= response.status <= 599
    assert isinstance(response.body, bytes)
    assert [name for name, _ in response.headers[:3]] == ["x-amzn-RequestId", "x-amz-apigw-id", "X-Amzn-Trace-Id"]
    for name, value in response.headers:
        assert isinstance(name, str)
        assert not {"\r", "\n", "\0"} & set(value)
        assert name.lower() not in {"connection", "transfer-encoding", "content-length", "date"}


def test_defaults() -> None:
    response = respond({})
    assert (response.status, response.body, own(response)) == (200, b"", [("Content-Type", "application/json")])


@pytest.mark.parametrize(("given_", "status"), [(201, 201), ("404", 404), (None, 200)])
def test_status(given_: Any, status: int) -> None:
    assert respond({"statusCode": given_}).status == status


def test_own_content_type_and_booleans() -> None:
    response = respond({"headers": {"content-type": "text/html", "X-Flag": True, "X-Off": False}})
    assert own(response) == [("content-type", "text/html"), ("X-Flag", "true"), ("X-Off", "false")]


def test_headers_of_both_maps_are_merged() -> None:
    result = {
        "headers": {"SET-COOKIE": "c=3", "x-one": "1", "X-Same": "a"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "x-same": ["a"]},
    }
    assert own(respond(result)) == [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("x-same", "a"),
        ("Set-Cookie", "c=3"),
        ("x-one", "1"),
        ("Content-Type", "application/json"),
    ]


def test_remapped_and_dropped() -> None:
    headers = {"Connection": "close", "date": "today", "WWW-Authenticate": "Basic", "transfer-encoding": "chunked"}
    assert own(respond({"headers": {**headers, "x-amzn-requestid": "mine"}})) == [
        ("x-amzn-Remapped-Connection", "close"),
        ("x-amzn-Remapped-Date", "today"),
        ("x-amzn-Remapped-WWW-Authenticate", "Basic"),
        ("Content-Type", "application/json"),
    ]


PNG = b64encode(b"\x89PNG").decode()


@pytest.mark.parametrize(
    ("accept", "binary", "body"),
    [
        ("image/png", ("image/png",), b"\x89PNG"),
        ("image/png, text/html", ("image/*",), b"\x89PNG"),
        ("text/html, image/png", ("image/png",), PNG.encode()),
        ("text/html", ("*/*",), b"\x89PNG"),
        ("image/png", (), PNG.encode()),
    ],
)
def test_base64(accept: str, binary: tuple[str, ...], body: bytes) -> None:
    assert respond({"body": PNG, "isBase64Encoded": True}, accept, binary).body == body


def test_bad_base64() -> None:
    with pytest.raises(MalformedError):
        respond({"body": "%%%", "isBase64Encoded": True}, "image/png", ("image/png",))
