"""Inputs that must be refused: AWS's code and text, and nothing left behind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.logs.conftest import ACCOUNT, REGION, Caller

NOW = 1_767_225_600_000  # where the manual clock starts
DAY = 86_400_000
INVALID, MISSING, TAKEN = "InvalidParameterException", "ResourceNotFoundException", "ResourceAlreadyExistsException"
NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."
ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"
G, GS = {"logGroupName": "g"}, {"logGroupName": "g", "logStreamName": "s"}


def batch(*events: tuple[int, str]) -> list[dict[str, Any]]:
    return [{"timestamp": timestamp, "message": message} for timestamp, message in events]


CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("CreateLogGroup", G, TAKEN, "The specified log group already exists"),
    ("CreateLogGroup", {"logGroupName": "aws/x"}, INVALID, "reserved for AWS"),
    ("CreateLogGroup", {"logGroupName": "no good"}, INVALID, "1 validation error detected: Value 'no good' at 'logGroupName'"),
    ("CreateLogGroup", {"logGroupName": ""}, INVALID, "length greater than or equal to 1"),
    ("CreateLogGroup", {"logGroupName": "x" * 513}, INVALID, "length less than or equal to 512"),
    ("CreateLogGroup", {"logGroupName": "x", "logGroupClass": "RARE"}, INVALID, "enum value set"),
    ("CreateLogGroup", {"logGroupName": "x", "tags": {"aws:k": "v"}}, INVALID, "aws:k"),
    ("CreateLogGroup", {"logGroupName": "x", "tags": {f"k{n}": "" for n in range(51)}}, INVALID, ""),
    ("DeleteLogGroup", {"logGroupName": "none"}, MISSING, NO_GROUP),
    ("DescribeLogGroups", {"limit": 51}, INVALID, "less than or equal to 50"),
    ("DescribeLogGroups", {"logGroupNamePrefix": "a", "logGroupNamePattern": "b"}, INVALID, "mutually exclusive"),
    ("PutRetentionPolicy", {**G, "retentionInDays": 2}, INVALID, "Value '2' at 'retentionInDays'"),
    ("PutRetentionPolicy", {"logGroupName": "none", "retentionInDays": 1}, MISSING, NO_GROUP),
    ("DeleteRetentionPolicy", {"logGroupName": "none"}, MISSING, NO_GROUP),
    ("TagResource", {"resourceArn": ARN + "none", "tags": {"a": "b"}}, MISSING, NO_GROUP),
    ("TagResource", {"resourceArn": "arn:aws:logs:nowhere", "tags": {"a": "b"}}, INVALID, "ARN"),
    ("TagResource", {"resourceArn": ARN.replace(REGION, "eu-west-1") + "g", "tags": {"a": "b"}}, MISSING, NO_GROUP),
    ("TagLogGroup", {**G, "tags": {f"k{n}": "" for n in range(50)}}, "TooManyTagsException", "50"),
    ("CreateLogStream", GS, TAKEN, "The specified log stream already exists"),
    ("CreateLogStream", {**G, "logStreamName": "a:b"}, INVALID, "'logStreamName' failed to satisfy constraint"),
    ("CreateLogStream", {**G, "logStreamName": "a*"}, INVALID, "'logStreamName' failed to satisfy constraint"),
    ("CreateLogStream", {"logGroupName": "none", "logStreamName": "s"}, MISSING, NO_GROUP),
    ("DeleteLogStream", {**G, "logStreamName": "none"}, MISSING, NO_STREAM),
    ("DescribeLogStreams", {"logGroupName": "none"}, MISSING, NO_GROUP),
    ("DescribeLogStreams", {}, INVALID, "logGroupIdentifier"),
    ("DescribeLogStreams", {**G, "orderBy": "LastEventTime", "logStreamNamePrefix": "s"}, INVALID, "LastEventTime"),
    ("DescribeLogStreams", {**G, "nextToken": "nonsense"}, INVALID, "nextToken"),
    ("PutLogEvents", {**GS, "logEvents": batch((NOW, "b"), (NOW - 1, "a"))}, INVALID, "chronological order"),
    ("PutLogEvents", {**GS, "logEvents": batch((NOW - DAY - 1, "a"), (NOW, "b"))}, INVALID, "24 hours"),
    ("PutLogEvents", {**GS, "logEvents": batch((NOW, "x" * 1_048_551))}, INVALID, "Log event too large: 1048577 bytes"),
    (
        "PutLogEvents",
        {**GS, "logEvents": batch((NOW, "x" * 600_000), (NOW, "é" * 224_263))},
        INVALID,
        "Upload too large: 1048578",
    ),
    ("PutLogEvents", {**GS, "logEvents": []}, INVALID, "'logEvents' failed to satisfy constraint"),
    ("PutLogEvents", {**GS, "logEvents": batch((-1, "x"))}, INVALID, "greater than or equal to 0"),
    ("PutLogEvents", {**GS, "logEvents": batch((NOW, ""))}, INVALID, "length greater than or equal to 1"),
    ("PutLogEvents", {**G, "logStreamName": "none", "logEvents": batch((NOW, "x"))}, MISSING, NO_STREAM),
    ("PutLogEvents", {"logGroupName": "none", "logStreamName": "s", "logEvents": batch((NOW, "x"))}, MISSING, NO_GROUP),
    ("GetLogEvents", {**G, "logStreamName": "none"}, MISSING, NO_STREAM),
    ("GetLogEvents", {**GS, "nextToken": "f/12/s"}, INVALID, "nextToken"),
    ("GetLogEvents", {**GS, "nextToken": "x/" + "1" * 56 + "/s"}, INVALID, "nextToken"),
    ("GetLogEvents", {**GS, "logGroupIdentifier": "g"}, INVALID, "logGroupIdentifier"),
    ("GetLogEvents", {**GS, "limit": 10_001}, INVALID, "less than or equal to 10000"),
    ("FilterLogEvents", {"logGroupName": "none"}, MISSING, NO_GROUP),
    ("FilterLogEvents", {"logGroupIdentifier": ARN.replace(ACCOUNT, "1" * 12) + "g"}, MISSING, NO_GROUP),
    ("FilterLogEvents", {**G, "logStreamNames": ["none"]}, MISSING, NO_STREAM),
    ("FilterLogEvents", {**G, "logStreamNames": ["s"], "logStreamNamePrefix": "s"}, INVALID, "logStreamName"),
    ("FilterLogEvents", {**G, "filterPattern": '{ $.a = "b"'}, INVALID, "Invalid filter pattern"),
    ("FilterLogEvents", {**G, "filterPattern": "tenant-1"}, INVALID, "Invalid filter pattern"),
    ("FilterLogEvents", {**G, "filterPattern": "x" * 1025}, INVALID, "length less than or equal to 1024"),
    ("FilterLogEvents", {**G, "nextToken": "nonsense"}, INVALID, "nextToken"),
    ("FilterLogEvents", {**G, "startTime": "yesterday"}, "SerializationException", ""),
]


@pytest.mark.parametrize(
    ("operation", "params", "code", "text"), CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)]
)
async def test_refused(logs: Caller, operation: str, params: dict[str, Any], code: str, text: str) -> None:
    await logs.stream("g", "s", "present")
    await logs("TagLogGroup", logGroupName="g", tags={"present": "yes"})
    before = await snapshot(logs)
    found_code, found_text = await logs.refused(operation, **params)
    assert found_code == code
    assert text.lower() in found_text.lower()
    assert await snapshot(logs) == before


async def snapshot(logs: Caller) -> Any:
    groups = (await logs("DescribeLogGroups"))["logGroups"]
    streams = (await logs("DescribeLogStreams", logGroupName="g"))["logStreams"]
    tags = (await logs("ListTagsLogGroup", logGroupName="g"))["tags"]
    return groups, streams, tags, await logs.filtered("g")
