"""Invoke: what reaches placement, and what comes back."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.services.lambda_.conftest import ACCOUNT, REGION, House, arn_of

from tenantry.model.errors import ServiceError
from tenantry.model.invocation import InvokeRequest, InvokeResult


def request(**fields: Any) -> InvokeRequest:
    return InvokeRequest(**{"region": REGION, "function": "f", "request_id": "request-1", **fields})


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CASES: dict[str, tuple[dict[str, Any], InvokeRequest]] = {
    "nothing but a name": ({}, request()),
    "an ARN with a version": ({"FunctionName": f"{arn_of('f')}:7"}, request(qualifier="7")),
    "a partial ARN": ({"FunctionName": f"{ACCOUNT}:function:f"}, request()),
    "a partial ARN with a region": ({"FunctionName": f"{REGION}:{ACCOUNT}:function:f:live"}, request(qualifier="live")),
    "a qualifier in the name": ({"FunctionName": "f:$LATEST"}, request(qualifier="$LATEST")),
    "the same qualifier twice": ({"FunctionName": "f:live", "Qualifier": "live"}, request(qualifier="live")),
    "a tenant and a payload": ({"TenantId": "Blue", "Payload": b"{}"}, request(tenant_id="Blue", payload=b"{}")),
    "an event": ({"InvocationType": "Event", "TenantId": "B"}, request(invocation_type="Event", tenant_id="B")),
    "a dry run": ({"InvocationType": "DryRun"}, request(invocation_type="DryRun")),
    "a tail": ({"LogType": "Tail"}, request(log_tail=True)),
    "no tail": ({"LogType": "None"}, request()),
    "a tail of an event": ({"LogType": "Tail", "InvocationType": "Event"}, request(invocation_type="Event")),
    "a context": (
        {"ClientContext": encoded('{\n  "custom": {"a": "ü"}\n}')},
        request(client_context='{"custom":{"a":"ü"}}'),
    ),
    "a context of an event": (
        {"ClientContext": encoded("{}"), "InvocationType": "Event"},
        request(invocation_type="Event"),
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_request(house: House, case: str) -> None:
    params, expected = CASES[case]
    await house.call("Invoke", **{"FunctionName": "f", **params})
    assert house.invoker.seen == [expected]


async def test_empty_tenant_counts_as_none(house: House) -> None:
    """As a raw request may send it; the model's minimum is not held against a header without a value."""
    await house.operations.handler("lambda", "Invoke")(house.context(), {"FunctionName": "f", "TenantId": ""})
    assert house.invoker.seen == [request()]


async def test_unknown_type(house: House) -> None:
    invoke = house.operations.handler("lambda", "Invoke")
    with pytest.raises(ServiceError) as error:
        await invoke(house.context(), {"FunctionName": "f", "InvocationType": "Later"})
    assert error.value.message == (
        "1 validation error detected: Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum "
        "value set: [DryRun, Event, RequestResponse]"
    )


async def test_answer(house: House) -> None:
    house.invoker.result = InvokeResult(200, b"null", "Unhandled", "3", b"START\n")
    assert await house.call("Invoke", FunctionName="f") == {
        "StatusCode": 200,
        "FunctionError": "Unhandled",
        "LogResult": encoded("START\n"),
        "Payload": b"null",
        "ExecutedVersion": "3",
    }
    house.invoker.result = InvokeResult(202)
    answer = await house.call("Invoke", FunctionName="f", InvocationType="Event")
    assert {name: value for name, value in answer.items() if value is not None} == {"StatusCode": 202, "Payload": b""}


@pytest.mark.parametrize(
    ("result", "events"),
    [
        (InvokeResult(200, b"1", None, "$LATEST"), [{"PayloadChunk": {"Payload": b"1"}}, {"InvokeComplete": {}}]),
        (
            InvokeResult(200, b'{"errorType":"E"}', "Unhandled", "$LATEST", b"log"),
            [
                {
                    "InvokeComplete": {
                        "LogResult": encoded("log"),
                        "ErrorCode": "Unhandled",
                        "ErrorDetails": '{"errorType":"E"}',
                    }
                }
            ],
        ),
    ],
)
async def test_stream(house: House, result: InvokeResult, events: list[dict[str, Any]]) -> None:
    house.invoker.result = result
    answer = await house.call("InvokeWithResponseStream", FunctionName="f:live", TenantId="Blue", LogType="Tail")
    assert house.invoker.seen == [request(qualifier="live", tenant_id="Blue", log_tail=True)]
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert [event async for event in answer["EventStream"]] == events


async def test_stream_takes_no_event(house: House) -> None:
    stream = house.operations.handler("lambda", "InvokeWithResponseStream")
    with pytest.raises(ServiceError, match=r"\[DryRun, RequestResponse\]"):
        await stream(house.context(), {"FunctionName": "f", "InvocationType": "Event"})


async def test_the_old_asynchronous_form(house: House) -> None:
    house.invoker.result = InvokeResult(202)
    assert await house.call("InvokeAsync", FunctionName="f", InvokeArgs=b"{}") == {"Status": 202}
    assert house.invoker.seen == [request(invocation_type="Event", payload=b"{}")]
