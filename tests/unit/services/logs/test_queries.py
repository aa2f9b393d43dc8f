"""Queries through their operations, in their process; the live tail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.logs.conftest import ACCOUNT, REGION, Caller

from tenantry.model.errors import ServiceError
from tenantry.services.logs.insights.process import run_in_process
from tenantry.services.logs.queries import Queries
from tenantry.services.operation import Operations

ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"


async def finished(logs: Caller, query_id: str) -> dict[str, Any]:
    for _ in range(600):
        answer = await logs("GetQueryResults", queryId=query_id)
        if answer["status"] not in ("Scheduled", "Running"):
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError("the query does not end")


async def ask(logs: Caller, query: str, **params: Any) -> dict[str, Any]:
    now = logs.now // 1000
    window = {"startTime": now - 60, "endTime": now}
    started = await logs("StartQuery", queryString=query, **{**window, **params})
    return await finished(logs, started["queryId"])


async def test_a_query_over_several_groups(logs: Caller) -> None:
    await logs.stream("g", "s", '{"n": 1}', '{"n": 2}')
    await logs.stream("h", "s", '{"n": 3}')
    answer = await ask(logs, "fields n | filter n > 1", logGroupNames=["g", "h"])
    assert answer["status"] == "Complete"
    assert [[item["value"] for item in row if item["field"] == "n"] for row in answer["results"]] == [["2"], ["3"]]
    assert answer["statistics"]["recordsScanned"] == 3.0
    assert answer["statistics"]["recordsMatched"] == 2.0
    pointer = next(item["value"] for item in answer["results"][0] if item["field"] == "@ptr")
    record = (await logs("GetLogRecord", logRecordPointer=pointer))["logRecord"]
    assert (record["n"], record["@logStream"], record["@log"]) == ("2", "s", f"{ACCOUNT}:g")
    by_arn = await ask(logs, "stats count(*) as c", logGroupIdentifiers=[ARN + "h", "g"])
    assert by_arn["results"] == [[{"field": "c", "value": "3"}]]


async def test_a_query_sees_its_time_only_and_nothing_expired(logs: Caller) -> None:
    await logs.stream("g", "s", "old")
    logs.clock.advance(2 * 86_400)
    await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=[{"timestamp": logs.now, "message": "new"}])
    count = "stats count(*) as c"
    all_time = {"startTime": 0, "endTime": logs.now // 1000}
    assert (await ask(logs, count, logGroupName="g", **all_time))["results"][0][0]["value"] == "2"
    assert (await ask(logs, count, logGroupName="g"))["results"][0][0]["value"] == "1"
    await logs("PutRetentionPolicy", logGroupName="g", retentionInDays=1)
    assert (await ask(logs, count, logGroupName="g", **all_time))["results"][0][0]["value"] == "1"


async def test_pages_of_results(logs: Caller) -> None:
    await logs.stream("g", "s", *[f"m{number}" for number in range(5)])
    query_id = (await logs("StartQuery", logGroupName="g", queryString="fields @message", startTime=0, endTime=logs.now))[
        "queryId"
    ]
    await finished(logs, query_id)
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = await logs("GetQueryResults", queryId=query_id, maxItems=2, **token)
        found += [row[0]["value"] for row in page["results"]]
        if page["nextToken"] is None:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == ["m4", "m3", "m2", "m1", "m0"]


async def test_a_failing_query_is_failed(logs: Caller) -> None:
    await logs.stream("g", "s", "x" * 200)
    doubled = "fields @message as m" + " | fields concat(m, m) as m" * 30
    answer = await ask(logs, doubled, logGroupName="g")
    assert answer["status"] == "Failed"  # 200 GB in one field: the process's memory is bounded
    assert answer["results"] == []


async def test_a_hostile_expression_is_stopped(logs: Caller) -> None:
    """A regular expression that would run for years holds one process, and that can be ended."""
    await logs.stream("g", "s", "a" * 60)
    query = "filter @message like /(a+)+b/"
    started = await logs("StartQuery", logGroupName="g", queryString=query, startTime=0, endTime=logs.now // 1000)
    query_id = started["queryId"]
    while (await logs("GetQueryResults", queryId=query_id))["status"] == "Scheduled":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    (described,) = (await logs("DescribeQueries", logGroupName="g", status="Running"))["queries"]
    assert described["queryId"] == query_id
    assert described["queryString"] == query
    assert (await logs("StopQuery", queryId=query_id)) == {"success": True}
    assert (await finished(logs, query_id))["status"] == "Cancelled"
    assert (await logs.refused("StopQuery", queryId=query_id))[0] == "InvalidParameterException"
    assert (await logs("DescribeQueries", status="Running"))["queries"] == []
    assert len((await logs("DescribeQueries"))["queries"]) == 1


async def test_refused_queries(logs: Caller) -> None:
    await logs.stream("g", "s")
    times = {"startTime": 1, "endTime": 2}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("StartQuery", {"logGroupName": "g", "queryString": "select", **times}, "MalformedQueryException"),
        ("StartQuery", {"logGroupName": "none", "queryString": "limit 1", **times}, "ResourceNotFoundException"),
        ("StartQuery", {"queryString": "limit 1", **times}, "InvalidParameterException"),
        (
            "StartQuery",
            {"logGroupName": "g", "logGroupNames": ["g"], "queryString": "limit 1", **times},
            "InvalidParameterException",
        ),
        ("StartQuery", {"logGroupNames": ["g"] * 51, "queryString": "limit 1", **times}, "InvalidParameterException"),
        (
            "StartQuery",
            {"logGroupName": "g", "queryString": "limit 1", "startTime": 2, "endTime": 1},
            "InvalidParameterException",
        ),
        ("StartQuery", {"logGroupName": "g", "queryString": "x", "queryLanguage": "SQL", **times}, "InvalidParameterException"),
        ("GetQueryResults", {"queryId": "none"}, "ResourceNotFoundException"),
        ("StopQuery", {"queryId": "none"}, "ResourceNotFoundException"),
        ("DescribeQueries", {"logGroupName": "none"}, "ResourceNotFoundException"),
        ("GetLogRecord", {"logRecordPointer": "bm90IG9uZQ=="}, "InvalidParameterException"),
    ]
    for operation, params, code in cases:
        assert (await logs.refused(operation, **params))[0] == code, (operation, params)
    assert (await logs("DescribeQueries"))["queries"] == []


async def test_at_most_two_run_and_thirty_wait(tmp_path: Path) -> None:
    logs = Caller(tmp_path)
    running = 0
    most = 0
    release = asyncio.Event()

    async def slow(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return {"results": []}

    class Slow(Queries):
        name = "logs"

    await logs.store.start()
    service = Slow(logs.documents, logs.store, logs.clock, ACCOUNT, run_query=slow)
    logs.operations = Operations(lambda service, operation, params: None)
    logs.operations.add(service)
    logs.service.ensure_group(REGION, "g")
    service._groups = logs.service._groups
    question = {"logGroupName": "g", "queryString": "limit 1", "startTime": 1, "endTime": 2}
    started = [(await logs("StartQuery", **question))["queryId"] for _ in range(30)]
    assert (await logs.refused("StartQuery", **question))[0] == "LimitExceededException"
    await asyncio.sleep(0.05)
    assert running == 2
    release.set()
    for query_id in started:
        assert (await finished(logs, query_id))["status"] == "Complete"
    assert most == 2
    await service.stop_queries()
    await logs.store.close()
    logs.documents.close()


async def test_a_worker_that_cannot_read_answers_with_an_error(tmp_path: Path) -> None:
    assert "error" in await run_in_process({"folder": str(tmp_path / "none")})


# -- live tail ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(logs: Caller) -> Caller:
    """The same, with updates every 20 ms."""
    logs.service._tail_interval_s = 0.02
    return logs


async def events_of(stream: Any, wanted: int) -> list[str]:
    """The messages of updates, until there are so many."""
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < wanted:
            update = (await anext(stream))["sessionUpdate"]
            found += [event["message"] for event in update["sessionResults"]]
    return found


async def test_a_live_tail_says_what_arrives(quick: Caller) -> None:
    logs = quick
    await logs.stream("g", "s", "before")
    await logs.stream("h", "s")
    answer = await logs("StartLiveTail", logGroupIdentifiers=[ARN + "g", ARN + "h"], logEventFilterPattern="-noise")
    stream = answer["responseStream"]
    start = (await anext(stream))["sessionStart"]
    assert start["logGroupIdentifiers"] == [ARN + "g", ARN + "h"]
    assert start["logEventFilterPattern"] == "-noise"
    update = (await anext(stream))["sessionUpdate"]
    assert update == {"sessionMetadata": {"sampled": False}, "sessionResults": []}
    logs.store.append(REGION, "g", "t", [(logs.now, "one"), (logs.now, "noise")])
    logs.store.append(REGION, "h", "s", [(logs.now, "two")])
    logs.store.append(REGION, "other", "s", [(logs.now, "three")])
    assert await events_of(stream, 2) == ["one", "two"]
    logs.store.append(REGION, "g", "t", [(logs.now, "four")])
    update = {}
    while not update.get("sessionResults"):
        update = (await anext(stream))["sessionUpdate"]
    assert update["sessionResults"] == [
        {
            "logStreamName": "t",
            "logGroupIdentifier": f"{ACCOUNT}:g",
            "message": "four",
            "timestamp": logs.now,
            "ingestionTime": logs.now,
        }
    ]
    await stream.aclose()
    assert logs.service._tails == 0


async def test_a_live_tail_of_some_streams(quick: Caller) -> None:
    logs = quick
    await logs.stream("g", "blue-1")
    one = await logs("StartLiveTail", logGroupIdentifiers=[ARN + "g"], logStreamNames=["blue-1"])
    many = await logs("StartLiveTail", logGroupIdentifiers=[ARN + "g"], logStreamNamePrefixes=["blue", "red"])
    streams = [one["responseStream"], many["responseStream"]]
    for stream in streams:
        await anext(stream)
    for name in ("blue-1", "blue-2", "green", "red-1"):
        logs.store.append(REGION, "g", name, [(logs.now, name)])
    assert await events_of(streams[0], 1) == ["blue-1"]
    assert await events_of(streams[1], 3) == ["blue-1", "blue-2", "red-1"]
    for stream in streams:
        await stream.aclose()


async def test_a_flood_is_sampled(quick: Caller) -> None:
    logs = quick
    await logs.stream("g", "s")
    stream = (await logs("StartLiveTail", logGroupIdentifiers=[ARN + "g"]))["responseStream"]
    await anext(stream)
    logs.store.append(REGION, "g", "s", [(logs.now, str(number)) for number in range(6_000)])
    update = (await anext(stream))["sessionUpdate"]
    assert update["sessionMetadata"] == {"sampled": True}
    assert len(update["sessionResults"]) == 500
    logs.store.append(REGION, "g", "s", [(logs.now, "after")])
    assert await events_of(stream, 1) == ["after"]
    await stream.aclose()


async def test_a_live_tail_ends_after_three_hours(quick: Caller) -> None:
    logs = quick
    await logs.stream("g", "s")
    stream = (await logs("StartLiveTail", logGroupIdentifiers=[ARN + "g"]))["responseStream"]
    await anext(stream)
    await anext(stream)
    logs.clock.advance(3 * 3600)
    with pytest.raises(ServiceError) as ended:
        await anext(stream)
    assert ended.value.code == "SessionTimeoutException"


async def test_refused_live_tails(logs: Caller) -> None:
    await logs.stream("g", "s")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"logGroupIdentifiers": ["g"]}, "InvalidParameterException"),
        ({"logGroupIdentifiers": [ARN + "none"]}, "ResourceNotFoundException"),
        ({"logGroupIdentifiers": [ARN + "g"] * 11}, "InvalidParameterException"),
        ({"logGroupIdentifiers": [ARN + "g"] * 2, "logStreamNames": ["s"]}, "InvalidParameterException"),
        (
            {"logGroupIdentifiers": [ARN + "g"], "logStreamNames": ["s"], "logStreamNamePrefixes": ["s"]},
            "InvalidParameterException",
        ),
        ({"logGroupIdentifiers": [ARN + "g"], "logEventFilterPattern": "a-b"}, "InvalidParameterException"),
    ]
    for params, code in cases:
        assert (await logs.refused("StartLiveTail", **params))[0] == code, params
    streams = []
    for _ in range(15):
        streams.append((await logs("StartLiveTail", logGroupIdentifiers=[ARN + "g"]))["responseStream"])
        await anext(streams[-1])
    assert (await logs.refused("StartLiveTail", logGroupIdentifiers=[ARN + "g"]))[0] == "LimitExceededException"
    for stream in streams:
        await stream.aclose()
