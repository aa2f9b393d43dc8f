"""Numbered checks of aws-behaviour 8, the logs' part (71 to 77), over the wire."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conformance.conftest import Function, Workshop
from tests.support.aws import Aws, eventually

pytestmark = [pytest.mark.client]

LOGGING = (
    "import logging\nlogging.getLogger().setLevel('INFO')\ncount = 0\n"
    "def lambda_handler(event, context):\n    global count\n    count += 1\n"
    "    logging.info('%s: counter value %d', event['who'], count)\n    return count\n"
)
STREAM = re.compile(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}")


def reports(wanted: int) -> Any:
    return lambda messages: sum("REPORT RequestId" in text or '"platform.report"' in text for text in messages) >= wanted


@pytest.fixture(scope="module")
def text(shared: Workshop) -> Function:
    """An isolated function with text logs: Blue was there twice, Green once."""
    function = shared.function(code=LOGGING)
    for tenant in ("BlueTenant", "GreenTenant", "BlueTenant"):
        function.invoke(tenant, event={"who": tenant})
    function.events_when(reports(3))
    return function


@pytest.fixture(scope="module")
def structured(shared: Workshop) -> Function:
    """The same with JSON logs."""
    function = shared.function(code=LOGGING, LoggingConfig={"LogFormat": "JSON"})
    for tenant in ("BlueTenant", "GreenTenant", "BlueTenant"):
        function.invoke(tenant, event={"who": tenant})
    function.events_when(reports(3))
    return function


def test_streams_are_named_as_lambda_names_them_and_never_mix(aws: Aws, text: Function) -> None:
    streams = aws.client("logs").describe_log_streams(logGroupName=f"/aws/lambda/{text.name}")["logStreams"]
    assert all(STREAM.fullmatch(stream["logStreamName"]) for stream in streams)
    tenants: dict[str, set[str]] = {}
    for event in text.events():
        found = re.search(r"(Blue|Green)Tenant", event["message"])
        if found:
            tenants.setdefault(event["logStreamName"], set()).add(found.group())
    assert sorted(map(sorted, tenants.values())) == [["BlueTenant"], ["GreenTenant"]]


def test_text_records(text: Function) -> None:
    blue = next(event["logStreamName"] for event in text.events() if "BlueTenant" in event["message"])
    messages = [event["message"] for event in text.events() if event["logStreamName"] == blue]
    kinds = [message.split(" ")[0].split("\t")[0] for message in messages]
    assert kinds == ["INIT_START", "START", "[INFO]", "END", "REPORT", "START", "[INFO]", "END", "REPORT"]
    assert re.fullmatch(
        r"\[INFO\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t[0-9a-f-]{36}\tBlueTenant: counter value 1\n", messages[2]
    )
    assert re.match(
        r"REPORT RequestId: [0-9a-f-]{36}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: [\d.]+ ms\t",
        messages[4],
    )
    assert "Init Duration" not in messages[8]
    assert not any("tenantId" in message for message in messages)


def test_json_records(structured: Function) -> None:
    records = [json.loads(event["message"]) for event in structured.events()]
    by_type: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_type.setdefault(record.get("type", "application"), []).append(record)
    assert set(by_type) == {"platform.initStart", "platform.start", "platform.report", "application"}
    assert all("tenantId" not in record["record"] for record in by_type["platform.initStart"])
    for kind in ("platform.start", "platform.report"):
        assert sorted(record["record"]["tenantId"] for record in by_type[kind]) == ["BlueTenant", "BlueTenant", "GreenTenant"]
    for record in by_type["application"]:
        assert list(record) == ["timestamp", "level", "message", "logger", "requestId", "tenantId"]
        assert record["message"].startswith(record["tenantId"])


def test_filter_by_tenant_finds_that_tenant_only(aws: Aws, structured: Function) -> None:
    logs = aws.client("logs")
    group = f"/aws/lambda/{structured.name}"
    events = logs.filter_log_events(logGroupName=group, filterPattern='{ $.record.tenantId = "BlueTenant" }')["events"]
    assert len(events) == 4
    assert {json.loads(event["message"])["record"]["tenantId"] for event in events} == {"BlueTenant"}
    both = '{ $.tenantId = "BlueTenant" || $.record.tenantId = "BlueTenant" }'
    assert len(logs.filter_log_events(logGroupName=group, filterPattern=both)["events"]) == 6


PATTERNS = {
    '"BlueTenant"': 2,
    "?BlueTenant ?GreenTenant": 3,
    "RequestId -START -END": 3,
    "%counter value [0-9]+%": 3,
    '"counter value 2"': 1,
    "[level=*INFO*, ...]": 3,
    '[mark="START", label, request, ...]': 3,
    "nothing_like_this": 0,
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_filter_patterns(aws: Aws, text: Function, pattern: str) -> None:
    events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{text.name}", filterPattern=pattern)["events"]
    assert len(events) == PATTERNS[pattern], [event["message"] for event in events]


def test_pages_yield_every_event_once(aws: Aws, text: Function) -> None:
    logs = aws.client("logs")
    group = f"/aws/lambda/{text.name}"
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = logs.filter_log_events(logGroupName=group, limit=1, **token)
        found += [event["eventId"] for event in page["events"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == [event["eventId"] for event in text.events()]
    assert len(set(found)) == len(found)


def test_end_of_a_stream_gives_its_token_back(aws: Aws, text: Function) -> None:
    logs = aws.client("logs")
    where = {
        "logGroupName": f"/aws/lambda/{text.name}",
        "logStreamName": text.events()[0]["logStreamName"],
        "startFromHead": True,
    }
    first = logs.get_log_events(**where)
    second = logs.get_log_events(**where, nextToken=first["nextForwardToken"])
    assert first["events"]
    assert second["events"] == []
    assert second["nextForwardToken"] == first["nextForwardToken"]


def test_insights_counts_a_tenants_records_by_stream(aws: Aws, structured: Function) -> None:
    logs = aws.client("logs")
    query = "filter tenantId=='BlueTenant' or record.tenantId=='BlueTenant' | stats count(*) as n by @logStream"
    now = int(time.time())
    group = f"/aws/lambda/{structured.name}"
    begun = logs.start_query(logGroupName=group, startTime=now - 600, endTime=now + 60, queryString=query)["queryId"]
    done = eventually(
        lambda: logs.get_query_results(queryId=begun), lambda answer: answer["status"] not in ("Scheduled", "Running")
    )
    assert done["status"] == "Complete"
    rows = [{field["field"]: field["value"] for field in row} for row in done["results"]]
    blue = next(event["logStreamName"] for event in structured.events() if '"BlueTenant"' in event["message"])
    assert [(row["@logStream"], row["n"]) for row in rows] == [(blue, "6")]


def test_unknown_group_is_not_found(aws: Aws) -> None:
    with pytest.raises(ClientError) as error:
        aws.client("logs").filter_log_events(logGroupName="/nowhere")
    response = error.value.response
    assert response["Error"]["Code"] == "ResourceNotFoundException"
    assert response["Error"]["Message"] == "The specified log group does not exist."
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
