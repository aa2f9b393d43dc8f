"""Log groups, their retention and tags, and the groups that environments make by writing."""

from __future__ import annotations

from tests.unit.services.logs.conftest import ACCOUNT, REGION, Caller

from tenantry.services.logs.records import DAY_MS

ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"


async def test_a_group_is_described(logs: Caller) -> None:
    await logs("CreateLogGroup", logGroupName="/a/b", tags={"k": "v"}, logGroupClass="INFREQUENT_ACCESS")
    (group,) = (await logs("DescribeLogGroups"))["logGroups"]
    assert group == {
        "logGroupName": "/a/b",
        "creationTime": logs.now,
        "retentionInDays": None,
        "metricFilterCount": 0,
        "arn": ARN + "/a/b:*",
        "storedBytes": 0,
        "kmsKeyId": None,
        "logGroupClass": "INFREQUENT_ACCESS",
        "logGroupArn": ARN + "/a/b",
        "deletionProtectionEnabled": False,
    }


async def test_groups_are_found_by_prefix_pattern_class_and_identifier(logs: Caller) -> None:
    for name in ("/aws/lambda/one", "/aws/lambda/Two", "other"):
        await logs("CreateLogGroup", logGroupName=name)
    await logs("CreateLogGroup", logGroupName="rare", logGroupClass="INFREQUENT_ACCESS")
    assert await logs.groups() == ["/aws/lambda/Two", "/aws/lambda/one", "other", "rare"]  # in the order of ASCII
    assert await logs.groups(logGroupNamePrefix="/aws/") == ["/aws/lambda/Two", "/aws/lambda/one"]
    assert await logs.groups(logGroupNamePattern="TWO") == ["/aws/lambda/Two"]
    assert await logs.groups(logGroupClass="INFREQUENT_ACCESS") == ["rare"]
    assert await logs.groups(logGroupIdentifiers=["other", ARN + "rare"]) == ["other", "rare"]
    assert await logs.groups(region="eu-west-1") == []
    listed = await logs("ListLogGroups", logGroupNamePattern="^other|lambda/T")
    assert [group["logGroupName"] for group in listed["logGroups"]] == ["/aws/lambda/Two", "other"]


async def test_pages_of_groups(logs: Caller) -> None:
    names = [f"g{number:02}" for number in range(7)]
    for name in names:
        await logs("CreateLogGroup", logGroupName=name)
    for operation in ("DescribeLogGroups", "ListLogGroups"):
        found: list[str] = []
        token: dict[str, str] = {}
        pages = 0
        while True:
            page = await logs(operation, limit=3, **token)
            found += [group["logGroupName"] for group in page["logGroups"]]
            pages += 1
            if page["nextToken"] is None:
                break
            token = {"nextToken": page["nextToken"]}
        assert (found, pages) == (names, 3)


async def test_a_token_fits_no_other_question(logs: Caller) -> None:
    for name in ("a1", "a2", "b"):
        await logs("CreateLogGroup", logGroupName=name)
    token = (await logs("DescribeLogGroups", limit=1))["nextToken"]
    refusal = ("InvalidParameterException", "The specified nextToken is invalid.")
    assert await logs.refused("DescribeLogGroups", limit=1, logGroupNamePrefix="a", nextToken=token) == refusal
    for bad in ("x", "%%%", "W10", token[:-2], "é" * 8):
        assert await logs.refused("DescribeLogGroups", nextToken=bad) == refusal


async def test_deleting_a_group_deletes_its_events(logs: Caller) -> None:
    await logs.stream("g", "s", "one")
    await logs.stream("h", "s", "stays")
    await logs("DeleteLogGroup", logGroupName="g")
    assert await logs.groups() == ["h"]
    await logs("CreateLogGroup", logGroupName="g")
    assert await logs.filtered("g") == []
    assert (await logs("DescribeLogStreams", logGroupName="g"))["logStreams"] == []
    assert await logs.filtered("h") == ["stays"]


async def test_a_protected_group_stays(logs: Caller) -> None:
    await logs("CreateLogGroup", logGroupName="g", deletionProtectionEnabled=True)
    assert (await logs.refused("DeleteLogGroup", logGroupName="g"))[0] == "ValidationException"
    await logs("PutLogGroupDeletionProtection", logGroupIdentifier=ARN + "g", deletionProtectionEnabled=False)
    await logs("DeleteLogGroup", logGroupName="g")
    assert await logs.groups() == []


async def test_retention_hides_at_once_and_the_sweeper_deletes(logs: Caller) -> None:
    await logs.stream("g", "s", "old")
    logs.clock.advance(2 * 86_400)
    await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=[{"timestamp": logs.now, "message": "new"}])
    await logs("PutRetentionPolicy", logGroupName="g", retentionInDays=1)
    assert (await logs("DescribeLogGroups"))["logGroups"][0]["retentionInDays"] == 1
    assert await logs.filtered("g") == ["new"]
    await logs("DeleteRetentionPolicy", logGroupName="g")
    assert (await logs("DescribeLogGroups"))["logGroups"][0]["retentionInDays"] is None
    assert await logs.filtered("g") == ["old", "new"]  # the sweeper was not there yet
    await logs("PutRetentionPolicy", logGroupName="g", retentionInDays=1)
    await logs.service.sweep()
    await logs("DeleteRetentionPolicy", logGroupName="g")
    for _ in range(200):
        if await logs.filtered("g") == ["new"]:
            return
    raise AssertionError("the sweeper deleted nothing")


async def test_an_expired_event_is_not_accepted(logs: Caller) -> None:
    await logs.stream("g", "s")
    await logs("PutRetentionPolicy", logGroupName="g", retentionInDays=3)
    times = [logs.now - 20 * DAY_MS, logs.now - 20 * DAY_MS + 5]
    events = [{"timestamp": time, "message": "x"} for time in times]
    answer = await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    events = [{"timestamp": logs.now - 3 * DAY_MS + delta, "message": str(delta)} for delta in (-1, 0, 1)]
    answer = await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert await logs.filtered("g") == ["0", "1"]


async def test_tags(logs: Caller) -> None:
    await logs("CreateLogGroup", logGroupName="g", tags={"a": "1", "b": "2"})
    await logs("TagResource", resourceArn=ARN + "g", tags={"b": "3", "c": "4"})
    await logs("UntagResource", resourceArn=ARN + "g", tagKeys=["a", "none"])
    assert (await logs("ListTagsForResource", resourceArn=ARN + "g"))["tags"] == {"b": "3", "c": "4"}
    await logs("TagLogGroup", logGroupName="g", tags={"d": "5"})
    await logs("UntagLogGroup", logGroupName="g", tags=["b"])
    assert (await logs("ListTagsLogGroup", logGroupName="g"))["tags"] == {"c": "4", "d": "5"}


async def test_what_an_environment_writes_makes_its_group(logs: Caller) -> None:
    logs.store.append("eu-west-1", "/aws/lambda/f", "stream", [(logs.now, "line\n")])
    assert await logs.groups(region="eu-west-1") == ["/aws/lambda/f"]
    assert await logs.groups() == []
    found = await logs("FilterLogEvents", region="eu-west-1", logGroupName="/aws/lambda/f")
    assert [event["message"] for event in found["events"]] == ["line\n"]
    await logs("DeleteLogGroup", region="eu-west-1", logGroupName="/aws/lambda/f")
    assert await logs.groups(region="eu-west-1") == []
    logs.store.append("eu-west-1", "/aws/lambda/f", "stream", [(logs.now, "again\n")])
    found = await logs("FilterLogEvents", region="eu-west-1", logGroupName="/aws/lambda/f")
    assert [event["message"] for event in found["events"]] == ["again\n"]


async def test_stored_bytes_count_26_for_each_event(logs: Caller) -> None:
    await logs.stream("g", "s", "four", "é")
    assert (await logs("DescribeLogGroups"))["logGroups"][0]["storedBytes"] == 26 + 4 + 26 + 2
