"""Streams and events: what is put is found, in order, page by page, each event once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.services.logs.conftest import ACCOUNT, REGION, Caller

ARN = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"


def events(*pairs: tuple[int, str]) -> list[dict[str, Any]]:
    return [{"timestamp": timestamp, "message": message} for timestamp, message in pairs]


async def test_filter_answers_whole_events(logs: Caller) -> None:
    await logs.stream("g", "s", "line\n")
    answer = await logs("FilterLogEvents", logGroupName="g", interleaved=True)
    (event,) = answer["events"]
    identifier = event.pop("eventId")
    assert len(identifier) == 56
    assert identifier.isdecimal()
    assert event == {"logStreamName": "s", "timestamp": logs.now, "message": "line\n", "ingestionTime": logs.now}
    assert answer["searchedLogStreams"] == []


async def test_filter_by_stream_prefix_time_and_pattern(logs: Caller) -> None:
    await logs.stream("g", "blue-1", "b1 ERROR", "b2")
    await logs.stream("g", "blue-2", "c1", "c2 ERROR")
    await logs.stream("g", "green", "d1 ERROR")
    assert await logs.filtered("g", filterPattern="ERROR") == ["b1 ERROR", "c2 ERROR", "d1 ERROR"]
    assert await logs.filtered("g", logStreamNamePrefix="blue", filterPattern="ERROR") == ["b1 ERROR", "c2 ERROR"]
    assert await logs.filtered("g", logStreamNames=["green", "blue-2", "green"]) == ["c1", "c2 ERROR", "d1 ERROR"]
    assert await logs.filtered("g", endTime=logs.now - 1) == ["b1 ERROR", "c1"]  # both ends are inclusive
    assert await logs.filtered("g", startTime=logs.now, endTime=logs.now) == ["b2", "c2 ERROR", "d1 ERROR"]
    assert await logs.filtered("g", startTime=logs.now + 1) == []
    assert await logs.filtered("g", startFromHead=False, limit=2, filterPattern="ERROR") == [
        "d1 ERROR",
        "c2 ERROR",
        "b1 ERROR",
    ]
    by_arn = await logs("FilterLogEvents", logGroupIdentifier=ARN + "g")
    assert len(by_arn["events"]) == 5


async def test_a_page_is_full_at_a_megabyte(logs: Caller) -> None:
    await logs("CreateLogGroup", logGroupName="g")
    await logs("CreateLogStream", logGroupName="g", logStreamName="s")
    for number in range(3):
        big = events((logs.now, str(number) * 900_000))
        await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=big)
    first = await logs("FilterLogEvents", logGroupName="g")
    assert len(first["events"]) == 1
    assert [message[0] for message in await logs.filtered("g")] == ["0", "1", "2"]
    assert len((await logs("GetLogEvents", logGroupName="g", logStreamName="s", startFromHead=True))["events"]) == 1


async def test_get_pages_forward_to_the_end_and_stays_there(logs: Caller) -> None:
    await logs.stream("g", "s", *"abcde")
    where = {"logGroupName": "g", "logStreamName": "s", "limit": 2}
    found: list[str] = []
    page = await logs("GetLogEvents", startFromHead=True, **where)
    while page["events"]:
        found += [event["message"] for event in page["events"]]
        page = await logs("GetLogEvents", nextToken=page["nextForwardToken"], **where)
    assert found == list("abcde")
    again = await logs("GetLogEvents", nextToken=page["nextForwardToken"], **where)
    assert again["nextForwardToken"] == page["nextForwardToken"]
    logs.store.append(REGION, "g", "s", [(logs.now + 1, "f")])
    again = await logs("GetLogEvents", nextToken=page["nextForwardToken"], **where)
    assert [event["message"] for event in again["events"]] == ["f"]
    back = await logs("GetLogEvents", nextToken=page["nextBackwardToken"], **where)
    assert [event["message"] for event in back["events"]] == ["d", "e"]


async def test_get_starts_at_the_latest_page_and_pages_back(logs: Caller) -> None:
    await logs.stream("g", "s", *"abcde")
    where = {"logGroupName": "g", "logStreamName": "s", "limit": 2}
    page = await logs("GetLogEvents", **where)
    pages = []
    while page["events"]:
        pages.append("".join(event["message"] for event in page["events"]))
        page = await logs("GetLogEvents", nextToken=page["nextBackwardToken"], **where)
    assert pages == ["de", "bc", "a"]
    again = await logs("GetLogEvents", nextToken=page["nextBackwardToken"], **where)
    assert again["nextBackwardToken"] == page["nextBackwardToken"]
    forward = await logs("GetLogEvents", nextToken=page["nextForwardToken"], **where)
    assert "".join(event["message"] for event in forward["events"]) == "ab"


async def test_get_of_an_empty_stream_has_tokens_that_go_on(logs: Caller) -> None:
    await logs.stream("g", "s")
    where = {"logGroupName": "g", "logStreamName": "s"}
    page = await logs("GetLogEvents", **where)
    assert page["events"] == []
    assert page["nextForwardToken"]
    assert page["nextBackwardToken"]
    logs.store.append(REGION, "g", "s", [(logs.now, "first")])
    page = await logs("GetLogEvents", nextToken=page["nextForwardToken"], **where)
    assert [event["message"] for event in page["events"]] == ["first"]


async def test_the_end_of_get_is_exclusive(logs: Caller) -> None:
    await logs.stream("g", "s", "a", "b")
    page = await logs("GetLogEvents", logGroupName="g", logStreamName="s", endTime=logs.now, startTime=logs.now - 5)
    assert [event["message"] for event in page["events"]] == ["a"]


async def test_streams_by_name_and_by_time(logs: Caller) -> None:
    await logs.stream("g", "b", "x")
    await logs.stream("g", "c")
    logs.clock.advance(1)
    await logs.stream("g", "a", "y", "z")

    async def names(**params: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = await logs("DescribeLogStreams", logGroupName="g", limit=2, **params)
            found += [stream["logStreamName"] for stream in page["logStreams"]]
            if page["nextToken"] is None:
                return found
            params["nextToken"] = page["nextToken"]

    assert await names() == ["a", "b", "c"]
    assert await names(descending=True) == ["c", "b", "a"]
    assert await names(logStreamNamePrefix="b") == ["b"]
    assert await names(orderBy="LastEventTime") == ["c", "b", "a"]
    assert await names(orderBy="LastEventTime", descending=True) == ["a", "b", "c"]
    (stream,) = (await logs("DescribeLogStreams", logGroupIdentifier="g", logStreamNamePrefix="a"))["logStreams"]
    token = stream.pop("uploadSequenceToken")
    assert len(token) == 56
    assert stream == {
        "logStreamName": "a",
        "creationTime": logs.now,
        "firstEventTimestamp": logs.now - 1,
        "lastEventTimestamp": logs.now,
        "lastIngestionTime": logs.now,
        "arn": ARN + "g:log-stream:a",
        "storedBytes": 0,
    }


async def test_a_deleted_stream_takes_its_events_along(logs: Caller) -> None:
    await logs.stream("g", "s", "gone")
    await logs.stream("g", "t", "stays")
    await logs("DeleteLogStream", logGroupName="g", logStreamName="s")
    assert await logs.filtered("g") == ["stays"]
    assert (await logs.refused("GetLogEvents", logGroupName="g", logStreamName="s"))[0] == "ResourceNotFoundException"
    await logs("CreateLogStream", logGroupName="g", logStreamName="s")
    assert await logs.filtered("g") == ["stays"]


async def test_events_too_new_are_said_and_the_others_kept(logs: Caller) -> None:
    await logs.stream("g", "s")
    two_hours = 2 * 3_600_000
    batch = events((logs.now, "now"), (logs.now + two_hours, "edge"), (logs.now + two_hours + 1, "ahead"))
    answer = await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=batch)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 2}
    assert await logs.filtered("g") == ["now", "edge"]


async def test_any_sequence_token_is_taken(logs: Caller) -> None:
    await logs.stream("g", "s")
    batch = events((logs.now, "x"))
    first = await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=batch, sequenceToken="wrong")
    assert first["nextSequenceToken"]
    await logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=batch, sequenceToken=first["nextSequenceToken"])
    assert await logs.filtered("g") == ["x", "x"]


async def test_one_of_many_creations_wins(logs: Caller) -> None:
    await logs("CreateLogGroup", logGroupName="g")
    calls = [logs("CreateLogStream", logGroupName="g", logStreamName="s") for _ in range(5)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1


@given(
    limits=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    times=st.lists(st.tuples(st.integers(0, 6), st.sampled_from("xyz")), min_size=1, max_size=25),
    later=st.lists(st.tuples(st.integers(0, 8), st.sampled_from("xyz")), max_size=12),
    by_stream=st.booleans(),
    newest_first=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_yield_every_event_once(
    tmp_path_factory: Any, limits: list[int], times: list[Any], later: list[Any], by_stream: bool, newest_first: bool
) -> None:
    """Whatever the limits, while events arrive: none twice, none of the first ones missing, the order kept."""
    asyncio.run(_walk(tmp_path_factory.mktemp("walk"), limits, times, later, by_stream, newest_first))


async def _walk(folder: Path, limits: list[int], times: list[Any], later: list[Any], by_stream: bool, back: bool) -> None:
    logs = Caller(folder)
    await logs.store.start()
    for number, (time, stream) in enumerate(times):
        logs.store.append(REGION, "g", stream, [(logs.now + time, f"first {number}")])
    await logs.store.flush()
    question: dict[str, Any] = {"startFromHead": not back}
    if by_stream:
        question["logStreamNames"] = sorted({stream for _, stream in times})
    pages: list[list[dict[str, Any]]] = []
    arrivals = iter(later)
    while True:
        page = await logs("FilterLogEvents", logGroupName="g", limit=limits[len(pages) % len(limits)], **question)
        pages.append(page["events"])
        if page["nextToken"] is None:
            break
        question["nextToken"] = page["nextToken"]
        for time, stream in [arrival for _, arrival in zip(range(2), arrivals, strict=False)]:
            logs.store.append(REGION, "g", stream, [(logs.now + time, "later")])
    found = [event for page in pages for event in page]
    identifiers = [event["eventId"] for event in found]
    assert identifiers == sorted(set(identifiers), reverse=back)
    first = [event["message"] for event in found if event["message"] != "later"]
    expected = sorted(range(len(times)), key=lambda number: (times[number][0], number), reverse=back)
    assert first == [f"first {number}" for number in expected]
    await logs.store.close()
    logs.documents.close()
