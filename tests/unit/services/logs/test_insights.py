"""The query language over rows in memory."""

from __future__ import annotations

import base64
import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.services.logs.insights.rows import discover
from tenantry.services.logs.insights.syntax import parse_query
from tenantry.services.logs.insights.tokens import QueryError
from tenantry.services.logs.insights.worker import answer
from tenantry.store.logs.records import Event, Scan

START = 1_767_225_600_000  # 2026-01-01 00:00:00
REPORT = (
    "REPORT RequestId: 11111111-2222-3333-4444-555555555555\tDuration: 12.50 ms\tBilled Duration: 13 ms\t"
    "Memory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 98.76 ms\t\n"
)


class Memory:
    """A reader of events in a list; only `scan` is asked of it here."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    def scan(self, scan: Scan) -> Iterator[Event]:
        found = [event for event in self.events if scan.start_ms <= event.timestamp <= scan.end_ms]
        return iter(sorted(found, reverse=scan.newest_first))


def run(query: str, *messages: str | dict[str, Any], limit: int = 1000) -> dict[str, Any]:
    """The worker's answer over one group; messages a minute apart, in streams s0 and s1 by turns."""
    events = [
        Event(START + number * 60_000, number + 1, START, f"s{number % 2}", text if isinstance(text, str) else json.dumps(text))
        for number, text in enumerate(messages)
    ]
    request = {"query": query, "limit": limit, "region": "r", "groups": [["g", "1:g", 0]], "start_ms": 0, "end_ms": 2**60}
    return answer(request, Memory(events))  # type: ignore[arg-type]


def rows(query: str, *messages: str | dict[str, Any], limit: int = 1000) -> list[dict[str, str]]:
    """The result's rows without their pointers."""
    found = run(query, *messages, limit=limit)
    assert "error" not in found, found
    return [{name: value for name, value in row if name != "@ptr"} for row in found["results"]]


def column(query: str, *messages: str | dict[str, Any]) -> list[str]:
    """The values of the one field of each row."""
    return [next(iter(row.values())) for row in rows(query, *messages)]


def test_fields_newest_first_with_a_pointer() -> None:
    found = run("fields @timestamp, @message, @logStream, @log, @ingestionTime", "one", "two")
    assert dict(found["results"][0]) == {
        "@timestamp": "2026-01-01 00:01:00.000",
        "@message": "two",
        "@logStream": "s1",
        "@log": "1:g",
        "@ingestionTime": "2026-01-01 00:00:00.000",
        "@ptr": found["results"][0][-1][1],
    }
    assert base64.b64decode(found["results"][0][-1][1]).decode().startswith("1:g ")
    assert found["statistics"] == {"scanned": 2, "scanned_bytes": 58, "matched": 2}


def test_without_fields_time_and_message_are_shown() -> None:
    assert rows("filter @message like 'o'", "one", "x") == [{"@timestamp": "2026-01-01 00:00:00.000", "@message": "one"}]


CONDITIONS: list[tuple[str, bool]] = [
    ("a = 'x'", True),
    ('a == "x"', True),
    ("a != 'x'", False),
    ("a = 'y'", False),
    ("n = 3", True),
    ("n = '3'", True),
    ("n > 2 and n < 4", True),
    ("n > 3 or n < 3", False),
    ("n >= 3 && n <= 3", True),
    ("not n = 3", False),
    ("not (n = 4)", True),
    ("n = 4 or n = 3 and a = 'x'", True),
    ("(n = 4 or n = 3) and a = 'z'", False),
    ("missing = 1", False),
    ("missing != 1", True),
    ("missing > 1", False),
    ("ispresent(missing)", False),
    ("ispresent(a) and not ispresent(missing)", True),
    ("deep.er.b = true", True),
    ("deep.list.1 = 8", True),
    ("`odd-name` = 1", True),
    ("a in ['w', 'x']", True),
    ("n in [1, 2]", False),
    ("n not in [1, 2]", True),
    ("a like 'x'", True),
    ('@message like /"a": ?"[xyz]"/', True),
    ("@message =~ /nothing/", False),
    ("@message not like /nothing/", True),
    ("missing like /x/", False),
    ("n + 1 = 4", True),
    ("n * 2 - 1 = 5", True),
    ("n / 2 = 1.5", True),
    ("n % 2 = 1", True),
    ("n ^ 2 = 9", True),
    ("-n = -3", True),
    ("n / 0 = 1", False),
    ("10 ^ 400 > 0", False),
    ("abs(0 - 4) = 4", True),
    ("floor(2.7) = 2 and ceil(2.1) = 3", True),
    ("sqrt(0 - 1) = 1", False),
    ("greatest(1, n, 2) = 3 and least(1, n) = 1", True),
    ("strlen(a) = 1", True),
    ("toupper(a) = 'X' and tolower('AB') = 'ab'", True),
    ("concat(a, '-', n) = 'x-3'", True),
    ("replace('abc', 'b', '-') = 'a-c'", True),
    ("substr('abcdef', 2) = 'cdef' and substr('abcdef', 2, 2) = 'cd'", True),
    ("trim('  a ') = 'a' and ltrim(' a') = 'a' and rtrim('a ') = 'a'", True),
    ("strcontains(a, 'x')", True),
    ("isempty('') and isblank(' ') and not isempty(a)", True),
    ("coalesce(missing, a) = 'x'", True),
    ("isValidIpv4('10.0.0.1') and not isValidIp('x')", True),
    ("datefloor(@timestamp, 1h) = 1767225600000", True),
    ("1h = 3600000", True),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS)
def test_conditions(condition: str, expected: bool) -> None:
    message = {"a": "x", "n": 3, "deep": {"er": {"b": True}, "list": [7, 8]}, "odd-name": 1}
    assert bool(rows(f"filter {condition}", message)) is expected


def test_the_documented_tenant_query() -> None:
    """aws-behaviour 1.8: application and platform records of one tenant, counted by stream."""
    messages = [
        {"tenantId": "BlueTenant", "message": "a"},
        {"type": "platform.start", "record": {"tenantId": "GreenTenant"}},
        {"type": "platform.report", "record": {"tenantId": "BlueTenant"}},
        {"type": "platform.initStart", "record": {}},
    ]
    query = """
        fields @timestamp, @message   # everything of one tenant
        | filter tenantId=='BlueTenant' or record.tenantId=='BlueTenant'
        | stats count(*) as n by @logStream
    """
    assert rows(query, *messages) == [{"@logStream": "s0", "n": "2"}]
    assert run(query, *messages)["statistics"]["matched"] == 2


def test_stats() -> None:
    messages: list[str | dict[str, Any]] = [
        {"x": value, "who": who} for value, who in zip([5, 1, 4, 2, 3], "abaab", strict=True)
    ]
    messages.append({"who": "c"})
    assert rows("stats count(*), count(x), sum(x), avg(x), min(x), max(x), count_distinct(who) as whos", *messages) == [
        {"count(*)": "6", "count(x)": "5", "sum(x)": "15", "avg(x)": "3", "min(x)": "1", "max(x)": "5", "whos": "3"}
    ]
    assert rows("stats sum(x) / count(x) * 2 as double, earliest(x), latest(x), pct(x, 50), median(x)", *messages) == [
        {"double": "6", "earliest(x)": "5", "latest(x)": "3", "pct(x, 50)": "3", "median(x)": "3"}
    ]
    by = rows("stats count(*) as n, max(x) as top by who | sort who asc", *messages)
    assert by == [{"who": "a", "n": "3", "top": "5"}, {"who": "b", "n": "2", "top": "3"}, {"who": "c", "n": "1"}]
    bins = rows("stats count(*) as n by bin(2m) | sort bin(2m)", *messages)
    assert [row["n"] for row in bins] == ["2", "2", "2"]
    named = rows("stats count(*) as n by bin(5m) as time | sort time", *messages)
    assert named == [{"time": "2026-01-01 00:00:00.000", "n": "5"}, {"time": "2026-01-01 00:05:00.000", "n": "1"}]
    assert rows("filter x > 9 | stats count(*) as n, sum(x) as s", *messages) == [{"n": "0"}]
    assert rows("stats count(*) as n by who | stats max(n) as most", *messages) == [{"most": "3"}]


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=12))
def test_aggregates_against_the_standard_library(values: list[int]) -> None:
    query = "stats sum(x) as s, avg(x) as a, min(x) as lo, max(x) as hi, stddev(x) as d, count_distinct(x) as c, median(x) as m"
    (found,) = rows(query, *[{"x": value} for value in values])
    expected = {
        "s": sum(values),
        "a": statistics.fmean(values),
        "lo": min(values),
        "hi": max(values),
        "d": statistics.pstdev(values),
        "c": len(set(values)),
        "m": statistics.median(values),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.one_of(st.none(), st.integers(-9, 9)), max_size=12), st.booleans())
def test_sorting_puts_missing_values_last(values: list[int | None], descending: bool) -> None:
    query = f"fields x, n | sort x {'desc' if descending else 'asc'}, n | display n"
    found = column(query, *[{"x": value, "n": number} for number, value in enumerate(values)])
    present = sorted((n for n, value in enumerate(values) if value is not None), key=lambda n: (values[n], n))
    if descending:
        present = sorted((n for n, value in enumerate(values) if value is not None), key=lambda n: (-(values[n] or 0), n))
    missing = [n for n, value in enumerate(values) if value is None]
    assert [int(text) for text in found] == present + missing


def test_limits() -> None:
    assert column("fields @message | sort @timestamp asc | limit 2", *"abc") == ["a", "b"]
    assert column("fields @message | limit 2 | sort @timestamp asc", *"abc") == ["b", "c"]
    assert [row["@message"] for row in rows("fields @message", *"abc", limit=1)] == ["c"]
    assert [row["@message"] for row in rows("fields @message | limit 2", *"abc", limit=1)] == ["c", "b"]


def test_parse_by_glob_and_by_expression() -> None:
    message = "user=Blue, took 12 ms, ok"
    assert rows('parse @message "user=*, took * ms, *" as who, took, rest | display who, took, rest', message) == [
        {"who": "Blue", "took": "12", "rest": "ok"}
    ]
    assert rows('parse "took * ms" as took | filter took > 11 | display took', message, "other") == [{"took": "12"}]
    assert rows(r"parse @message /user=(?<who>\w+)/ | display who", message) == [{"who": "Blue"}]
    assert rows("parse who '*lue' as first | display first", {"who": "Blue"}) == [{"first": "B"}]


def test_display_dedup_and_computed_fields() -> None:
    messages = [{"a": value, "b": number} for number, value in enumerate("xyx")]
    assert rows("fields a, b * 2 as twice | dedup a", *messages) == [{"a": "x", "twice": "4"}, {"a": "y", "twice": "2"}]
    assert rows("fields a, b | display b | limit 1", *messages) == [{"b": "2"}]
    assert rows("fields a | fields b | limit 1", *messages) == [{"a": "x", "b": "2"}]


def test_fields_of_lambdas_own_lines() -> None:
    assert discover(REPORT) == {
        "@type": "REPORT",
        "@requestId": "11111111-2222-3333-4444-555555555555",
        "@duration": 12.5,
        "@billedDuration": 13.0,
        "@memorySize": 128_000_000.0,
        "@maxMemoryUsed": 36_000_000.0,
        "@initDuration": 98.76,
    }
    assert rows("stats avg(@duration) as d, max(@maxMemoryUsed / 1000000) as mb by @type", REPORT) == [
        {"@type": "REPORT", "d": "12.5", "mb": "36"}
    ]
    line = "[INFO]\t2026-01-01T00:00:00.000Z\t11111111-2222-3333-4444-555555555555\ttext\n"
    assert discover(line) == {"@requestId": "11111111-2222-3333-4444-555555555555"}
    assert discover("START RequestId: 11111111-2222-3333-4444-555555555555 Version: $LATEST\n")["@type"] == "START"
    assert discover("{broken") == {}


MALFORMED = [
    "",
    "   ",
    "fields",
    "fields @message |",
    "select *",
    "filter",
    "filter a =",
    "filter a = = b",
    "filter (a = 1",
    "filter a = 1)",
    "filter a in b",
    "filter a like",
    "filter a like /(/",
    "filter a like /open",
    "filter 'open",
    "filter unknown(a)",
    "filter strlen(a, b)",
    "filter count(*) > 1",
    "filter a not b",
    "filter " + "(" * 80 + "a" + ")" * 80,
    "stats a by b",
    "stats count(count(*))",
    "stats sum(*)",
    "stats count(*) by",
    "limit x",
    "limit 0",
    "limit 1.5",
    "limit 100001",
    "sort",
    "order @timestamp",
    "parse @message",
    'parse @message "a*b"',
    'parse @message "a*b*" as one',
    "parse @message /no names/",
    "fields a as",
    "fields a ~ b",
    "|".join(["fields a"] * 51),
]


@pytest.mark.parametrize("query", MALFORMED)
def test_malformed(query: str) -> None:
    with pytest.raises(QueryError):
        parse_query(query)


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        parse_query(text)
    except QueryError:
        return


@given(
    st.lists(
        st.sampled_from(
            ["fields", "filter", "stats", "by", "a", "1", "(", ")", "|", "=", "count", "*", ",", "'x'", "not", "like", "-"]
        )
    )
)
def test_any_row_of_words_runs_or_is_refused(words: list[str]) -> None:
    found = run(" ".join(words), {"a": 1}, "text")
    assert ("error" in found) != ("results" in found)


def test_too_much_fails_and_says_so() -> None:
    assert run("fields nothing(", "a")["error"]
