"""Runs a query's commands over rows: each command is a stage, rows flow through on demand.

What must be kept is bounded: sort and dedup by _KEPT_MAX, stats by _GROUPS_MAX; beyond them the query fails with an error
that says so.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from tenantry.services.logs.insights.compile import Evaluate, compile_expression, is_true
from tenantry.services.logs.insights.functions import AGGREGATES, Aggregation, Value, compare, text
from tenantry.services.logs.insights.rows import TIME_FIELDS, Row, shown_time
from tenantry.services.logs.insights.syntax import (
    Call,
    Command,
    Dedup,
    Display,
    Expression,
    Field,
    Fields,
    Filter,
    Limit,
    Match,
    Named,
    Parse,
    Sort,
    Stats,
)
from tenantry.services.logs.insights.tokens import QueryError

_KEPT_MAX = 500_000
_GROUPS_MAX = 100_000
_MESSAGE_SHOWN_MAX = 262_144

_GATHERING = (Stats, Sort, Limit, Dedup)

Stage = Callable[[Iterable[Row]], Iterable[Row]]


@dataclass(slots=True)
class Statistics:
    """Counted while a query runs."""

    scanned: int = 0
    scanned_bytes: int = 0
    matched: int = 0  # events that passed the filters before the first command that gathers rows


def run_query(
    commands: Sequence[Command], rows: Iterable[Row], limit: int, statistics: Statistics
) -> Iterator[list[tuple[str, str]]]:
    """The results: (field, value) pairs for each row. `rows` come newest first; `limit` holds where the query has none."""
    shown = _shown(commands)
    times = {*TIME_FIELDS, *_bins(commands)}
    has_limit = any(isinstance(command, Limit) for command in commands)
    gathering = next((n for n, command in enumerate(commands) if isinstance(command, _GATHERING)), len(commands))
    for command in commands[:gathering]:
        rows = _stage(command)(rows)
    rows = _counted(rows, statistics)
    for command in commands[gathering:]:
        rows = _stage(command)(rows)
    for row in rows if has_limit else islice(rows, limit):
        result = []
        for name in shown:
            value = row.get(name)
            if value is not None:
                is_time = name in times and isinstance(value, int)
                result.append((name, shown_time(int(value)) if is_time else text(value)[:_MESSAGE_SHOWN_MAX]))
        if row.event is not None:
            result.append(("@ptr", str(row.get("@ptr"))))
        yield result


def _counted(rows: Iterable[Row], statistics: Statistics) -> Iterator[Row]:
    for row in rows:
        statistics.matched += 1
        yield row


def _shown(commands: Sequence[Command]) -> list[str]:
    """The fields of the results: those of the last display, or of every fields command since the last stats."""
    names: list[str] = []
    displayed: list[str] | None = None
    for command in commands:
        if isinstance(command, Stats):
            names, displayed = [item.name for item in (*command.by, *command.items)], None
        elif isinstance(command, Fields):
            names += [item.name for item in command.items if item.name not in names]
        elif isinstance(command, Display):
            displayed = list(command.names)
    return displayed or names or ["@timestamp", "@message"]


def _bins(commands: Sequence[Command]) -> list[str]:
    """Names of fields that hold times because they are bins."""
    named: list[Named] = []
    for command in commands:
        if isinstance(command, Stats):
            named += command.by
        elif isinstance(command, Fields):
            named += command.items
    return [
        item.name for item in named if isinstance(item.value, Call) and item.value.name in ("bin", "datefloor", "frommillis")
    ]


def _stage(command: Command) -> Stage:
    match command:
        case Fields(items):
            return functools.partial(
                _set_fields, [(item.name, compile_expression(item.value)) for item in items if not _same(item)]
            )
        case Filter(condition):
            holds = compile_expression(condition)
            return functools.partial(filter, lambda row: is_true(holds(row)))
        case Parse(source, pattern, names):
            return functools.partial(_parse, compile_expression(source), pattern.search, names)
        case Stats():
            return functools.partial(_aggregate, command)
        case Sort(keys):
            return functools.partial(_sort, [(compile_expression(value), descending) for value, descending in keys])
        case Limit(count):
            return lambda rows: islice(rows, count)
        case Dedup(names):
            return functools.partial(_dedup, names)
        case Display():
            return lambda rows: rows


def _same(item: Named) -> bool:
    return isinstance(item.value, Field) and item.value.name == item.name


def _set_fields(fields: list[tuple[str, Evaluate]], rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        for name, value in fields:
            row.values[name] = value(row)
        yield row


def _parse(
    source: Evaluate, search: Callable[[str], Any], names: Sequence[tuple[str, str]], rows: Iterable[Row]
) -> Iterator[Row]:
    for row in rows:
        value = source(row)
        found = search(text(value)) if value is not None else None
        if found is not None:
            for group, name in names:
                if found[group] is not None:
                    row.values[name] = found[group]
        yield row


def _dedup(names: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
    """The first row of each combination; rows that lack one of the fields are left out."""
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        values = [row.get(name) for name in names]
        key = tuple(map(text, values))
        if None in values or key in seen:
            continue
        if len(seen) >= _KEPT_MAX:
            raise QueryError("dedup has too many different values")
        seen.add(key)
        yield row


@functools.total_ordering
class _Key:
    """A value in the order of `compare`; missing ones last, whichever the direction."""

    __slots__ = ("descending", "value")

    def __init__(self, value: Value, descending: bool) -> None:
        self.value = value
        self.descending = descending

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (self.value is other.value or compare(self.value, other.value) == 0)

    def __lt__(self, other: _Key) -> bool:
        if self.value is None or other.value is None:
            return self.value is not None and other.value is None
        return compare(self.value, other.value) == (1 if self.descending else -1)


def _sort(keys: list[tuple[Evaluate, bool]], rows: Iterable[Row]) -> list[Row]:
    kept = list(islice(rows, _KEPT_MAX + 1))
    if len(kept) > _KEPT_MAX:
        raise QueryError(f"sort takes at most {_KEPT_MAX} rows: narrow the time or filter first")
    return sorted(kept, key=lambda row: [_Key(value(row), descending) for value, descending in keys])


def _aggregate(stats: Stats, rows: Iterable[Row]) -> Iterator[Row]:
    calls: list[Call] = []
    items = [(item.name, compile_expression(_without_aggregates(item.value, calls))) for item in stats.items]
    by = [(item.name, compile_expression(item.value)) for item in stats.by]
    arguments = [[compile_expression(argument) for argument in call.arguments] for call in calls]
    groups: dict[tuple[str, ...], tuple[dict[str, Value], list[Aggregation]]] = {}
    if not by:
        groups[()] = {}, [AGGREGATES[call.name].start() for call in calls]
    for row in rows:
        values = {name: value(row) for name, value in by}
        key = tuple(map(text, values.values()))
        group = groups.get(key)
        if group is None:
            if len(groups) >= _GROUPS_MAX:
                raise QueryError("stats has too many groups")
            group = groups[key] = values, [AGGREGATES[call.name].start() for call in calls]
        for aggregation, inputs in zip(group[1], arguments, strict=True):
            aggregation.add([value(row) for value in inputs], row.timestamp)
    for values, aggregations in groups.values():
        row = Row(None, "", {_slot(number): aggregation.result() for number, aggregation in enumerate(aggregations)})
        yield Row(None, "", {**values, **{name: value(row) for name, value in items}})


def _without_aggregates(value: Expression, calls: list[Call]) -> Expression:
    """The expression with each aggregate replaced by the field that its result is put into."""
    if isinstance(value, Match):
        needle = value.needle
        part = _without_aggregates(needle, calls) if isinstance(needle, Call) else needle
        return Match(_without_aggregates(value.value, calls), part)
    if not isinstance(value, Call):
        return value
    if value.name in AGGREGATES:
        calls.append(value)
        return Field(_slot(len(calls) - 1))
    return replace(value, arguments=tuple(_without_aggregates(argument, calls) for argument in value.arguments))


def _slot(number: int) -> str:
    return f"\0{number}"


def newest_first(parts: Sequence[Iterator[Row]]) -> Iterator[Row]:
    """The rows of several groups, each newest first, in one such order."""
    return heapq.merge(*parts, key=lambda row: -row.timestamp)
