"""CloudWatch Logs as boto3 speaks to it, against a running platform."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.support.aws import Aws, eventually

pytestmark = [pytest.mark.client]


@pytest.fixture
def group(aws: Aws) -> Iterator[str]:
    name = f"/contract/{uuid.uuid4()}"
    aws.client("logs").create_log_group(logGroupName=name, tags={"made": "here"})
    yield name
    aws.client("logs").delete_log_group(logGroupName=name)


def put(aws: Aws, group: str, stream: str, *messages: str) -> int:
    """A stream with events a millisecond apart, the last one now; the time of the first."""
    logs = aws.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    start = int(time.time() * 1000) - len(messages) + 1
    events = [{"timestamp": start + number, "message": text} for number, text in enumerate(messages)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return start


def test_groups_streams_and_events_there_and_back(aws: Aws, group: str) -> None:
    logs = aws.client("logs")
    start = put(aws, group, "s", "one\n", "two é\n")
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["arn"].endswith(f":log-group:{group}:*")
    assert "retentionInDays" not in found
    logs.put_retention_policy(logGroupName=group, retentionInDays=14)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 14
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (start, start + 1)
    events = logs.get_log_events(logGroupName=group, logStreamName="s", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["one\n", "two é\n"]
    assert logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"] == {"made": "here"}


def test_boto3s_paginators_walk_to_the_end(aws: Aws, group: str) -> None:
    logs = aws.client("logs")
    for number in range(3):
        put(aws, group, f"s{number}", *[f"{number}.{n}" for n in range(4)])

    def walk(operation: str, key: str, limit: int, **params: Any) -> list[Any]:
        pages = logs.get_paginator(operation).paginate(logGroupName=group, PaginationConfig={"PageSize": limit}, **params)
        return [item for page in pages for item in page[key]]

    events = walk("filter_log_events", "events", 5)
    assert sorted(event["message"] for event in events) == [f"{number}.{n}" for number in range(3) for n in range(4)]
    assert [event["eventId"] for event in events] == sorted({event["eventId"] for event in events})
    assert [stream["logStreamName"] for stream in walk("describe_log_streams", "logStreams", 2)] == ["s0", "s1", "s2"]
    only = walk("filter_log_events", "events", 1, logStreamNamePrefix="s1", filterPattern='"1.2"')
    assert [event["message"] for event in only] == ["1.2"]


def test_rejected_events_are_said(aws: Aws, group: str) -> None:
    logs = aws.client("logs")
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    old = int(time.time() * 1000) - 15 * 86_400_000
    answer = logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=[{"timestamp": old, "message": "x"}])
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}


def test_errors_are_the_clients_own_classes(aws: Aws, group: str) -> None:
    logs = aws.client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match=r"The specified log group does not exist\."):
        logs.filter_log_events(logGroupName=group + "/none")
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    with pytest.raises(logs.exceptions.InvalidParameterException, match="Invalid filter pattern"):
        logs.filter_log_events(logGroupName=group, filterPattern="[open")
    with pytest.raises(logs.exceptions.MalformedQueryException):
        logs.start_query(logGroupName=group, queryString="select 1", startTime=0, endTime=1)


def test_an_insights_query(aws: Aws, group: str) -> None:
    logs = aws.client("logs")
    put(aws, group, "blue", '{"tenantId": "Blue"}', '{"record": {"tenantId": "Blue"}}', '{"tenantId": "Green"}')
    now = int(time.time())
    query = "filter tenantId=='Blue' or record.tenantId=='Blue' | stats count(*) as n by @logStream"
    query_id = logs.start_query(logGroupName=group, queryString=query, startTime=now - 60, endTime=now + 1)["queryId"]
    answer = eventually(
        lambda: logs.get_query_results(queryId=query_id), lambda answer: answer["status"] not in ("Scheduled", "Running")
    )
    assert answer["status"] == "Complete"
    assert answer["results"] == [[{"field": "@logStream", "value": "blue"}, {"field": "n", "value": "2"}]]
    assert answer["statistics"]["recordsScanned"] == 3.0


def test_a_live_tail(aws: Aws, group: str) -> None:
    tail = boto3.session.Session().client(
        "logs",
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=aws.key,
        aws_secret_access_key=aws.secret,
        config=Config(inject_host_prefix=False, read_timeout=20, retries={"total_max_attempts": 1}),
    )
    arn = aws.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["logGroupArn"]
    answer = tail.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="wanted")
    stream = iter(answer["responseStream"])
    assert next(stream)["sessionStart"]["logGroupIdentifiers"] == [arn]
    put(aws, group, "s", "wanted", "other")
    found: list[str] = []
    for _ in range(10):
        found += [event["message"] for event in next(stream)["sessionUpdate"]["sessionResults"]]
        if found:
            break
    assert found == ["wanted"]
    answer["responseStream"].close()
    tail.close()
