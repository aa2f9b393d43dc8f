"""Functions of the query language: a table of scalar ones, a table of aggregates.

Values are text, numbers, truth values or None (missing). A text that is a number counts as one. A function of something it
cannot work with gives None, never an error: a query over thousands of lines must not fail at one of them.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Value = str | int | float | bool | None
Arity = tuple[int, int]
_ANY = 50


@dataclass(frozen=True, slots=True)
class Scalar:
    """`call` gets the arguments' values, `arity` of them (least, most)."""

    arity: Arity
    call: Callable[..., Value]


class Aggregation(Protocol):
    """Takes the values of a group's rows, one list of arguments at a time."""

    def add(self, values: Sequence[Value], timestamp: int) -> None: ...

    def result(self) -> Value: ...


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`start` makes an aggregation for one group of rows."""

    arity: Arity
    start: Callable[[], Aggregation]


def number(value: Value) -> int | float | None:
    """The number that a value is, or None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    try:
        found = float(value)
    except ValueError:
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def text(value: Value) -> str:
    """A value as it is shown."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(round(value, 6))
    return str(value)


def compare(left: Value, right: Value) -> int | None:
    """-1, 0 or 1: by number where both are, by text otherwise; None where one is missing."""
    if left is None or right is None:
        return None
    first, second = number(left), number(right)
    if first is not None and second is not None:
        return (first > second) - (first < second)
    one, other = text(left), text(right)
    return (one > other) - (one < other)


def arithmetic(operation: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    """An operation on two numbers; None where one is not, and where it has no result."""

    def calculate(left: Value, right: Value) -> Value:
        first, second = number(left), number(right)
        if first is None or second is None:
            return None
        try:
            result = operation(first, second)
        except (ArithmeticError, ValueError):
            return None
        return result if isinstance(result, int | float) and abs(result) < 1e300 else None

    return calculate


def power(base: float, exponent: float) -> float:
    """As a floating point number, so that a large one overflows instead of filling the memory."""
    return math.pow(base, exponent)


def floor_to(time_ms: Value, period_ms: Value) -> Value:
    """The start of the period that a time is in."""
    time, period = number(time_ms), number(period_ms)
    return None if time is None or not period or period < 1 else int(time // period * period)


def _numeric(operation: Callable[[Any], Any]) -> Callable[[Value], Value]:
    apply = arithmetic(lambda value, _: operation(value))
    return lambda value: apply(value, 0)


def _textual(operation: Callable[[str], Value]) -> Callable[[Value], Value]:
    return lambda value: None if value is None else operation(text(value))


def _substr(value: Value, start: Value, length: Value = None) -> Value:
    first, count = number(start), number(length)
    if value is None or first is None:
        return None
    begin = max(int(first), 0)
    return text(value)[begin:] if count is None else text(value)[begin : begin + max(int(count), 0)]


def _extreme(wanted: int) -> Callable[..., Value]:
    def choose(*values: Value) -> Value:
        best: Value = None
        for value in values:
            if value is not None and (best is None or compare(value, best) == wanted):
                best = value
        return best

    return choose


def _coalesce(*values: Value) -> Value:
    return next((value for value in values if value is not None), None)


def _is_ip(version: int | None) -> Callable[[Value], Value]:
    def check(value: Value) -> Value:
        try:
            return version in (None, ipaddress.ip_address(text(value)).version)
        except ValueError:
            return False

    return check


SCALARS: dict[str, Scalar] = {
    "abs": Scalar((1, 1), _numeric(abs)),
    "ceil": Scalar((1, 1), _numeric(math.ceil)),
    "floor": Scalar((1, 1), _numeric(math.floor)),
    "log": Scalar((1, 1), _numeric(math.log)),
    "sqrt": Scalar((1, 1), _numeric(math.sqrt)),
    "greatest": Scalar((1, _ANY), _extreme(1)),
    "least": Scalar((1, _ANY), _extreme(-1)),
    "strlen": Scalar((1, 1), _textual(len)),
    "toupper": Scalar((1, 1), _textual(str.upper)),
    "tolower": Scalar((1, 1), _textual(str.lower)),
    "trim": Scalar((1, 1), _textual(str.strip)),
    "ltrim": Scalar((1, 1), _textual(str.lstrip)),
    "rtrim": Scalar((1, 1), _textual(str.rstrip)),
    "concat": Scalar((1, _ANY), lambda *values: "".join(map(text, values))),
    "strcontains": Scalar((2, 2), lambda value, part: int(value is not None and text(part) in text(value))),
    "replace": Scalar((3, 3), lambda value, old, new: None if value is None else text(value).replace(text(old), text(new))),
    "substr": Scalar((2, 3), _substr),
    "ispresent": Scalar((1, 1), lambda value: value is not None),
    "isempty": Scalar((1, 1), lambda value: value is None or value == ""),
    "isblank": Scalar((1, 1), lambda value: value is None or not text(value).strip()),
    "coalesce": Scalar((1, _ANY), _coalesce),
    "isvalidip": Scalar((1, 1), _is_ip(None)),
    "isvalidipv4": Scalar((1, 1), _is_ip(4)),
    "isvalidipv6": Scalar((1, 1), _is_ip(6)),
    "datefloor": Scalar((2, 2), floor_to),
    "tomillis": Scalar((1, 1), number),
    "frommillis": Scalar((1, 1), number),
    "bin": Scalar((1, 1), lambda period: None),  # of the row's time: compile.py fills that in
}


class _Count:
    def __init__(self) -> None:
        self.found = 0

    def add(self, values: Sequence[Value], timestamp: int) -> None:
        self.found += not values or values[0] is not None

    def result(self) -> Value:
        return self.found


class _Distinct:
    """Exact; AWS estimates when there are very many."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def add(self, values: Sequence[Value], timestamp: int) -> None:
        if values[0] is not None:
            self.found.add(text(values[0]))

    def result(self) -> Value:
        return len(self.found)


class _Numbers:
    """All numbers of a field; `reduce` gets them, at least one, and the aggregate's second argument."""

    def __init__(self, reduce: Callable[[list[Any], Value], Value]) -> None:
        self._reduce = reduce
        self._found: list[int | float] = []
        self._option: Value = None

    def add(self, values: Sequence[Value], timestamp: int) -> None:
        found = number(values[0])
        if found is not None:
            self._found.append(found)
        if len(values) > 1:
            self._option = values[1]

    def result(self) -> Value:
        return self._reduce(self._found, self._option) if self._found else None


class _Best:
    """The value that is largest or smallest: by `compare`, or by its event's time."""

    def __init__(self, wanted: int, *, by_time: bool) -> None:
        self._wanted = wanted
        self._by_time = by_time
        self._best: Value = None
        self._key: Value = None

    def add(self, values: Sequence[Value], timestamp: int) -> None:
        key = timestamp if self._by_time else values[0]
        if values[0] is not None and (self._key is None or compare(key, self._key) == self._wanted):
            self._best, self._key = values[0], key

    def result(self) -> Value:
        return self._best


def _percentile(found: list[Any], percent: Value) -> Value:
    wanted = number(percent)
    if wanted is None or not 0 <= wanted <= 100:
        return None
    ordered = sorted(found)
    place = (len(ordered) - 1) * wanted / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    result: float = ordered[low] + (ordered[high] - ordered[low]) * (place - low)
    return result


def _deviation(found: list[Any], _: Value) -> Value:
    mean = math.fsum(found) / len(found)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in found) / len(found))


AGGREGATES: dict[str, Aggregate] = {
    "count": Aggregate((0, 1), _Count),
    "count_distinct": Aggregate((1, 1), _Distinct),
    "sum": Aggregate((1, 1), lambda: _Numbers(lambda found, _: sum(found))),
    "avg": Aggregate((1, 1), lambda: _Numbers(lambda found, _: math.fsum(found) / len(found))),
    "pct": Aggregate((2, 2), lambda: _Numbers(_percentile)),
    "median": Aggregate((1, 1), lambda: _Numbers(lambda found, _: _percentile(found, 50))),
    "stddev": Aggregate((1, 1), lambda: _Numbers(_deviation)),
    "min": Aggregate((1, 1), lambda: _Best(-1, by_time=False)),
    "max": Aggregate((1, 1), lambda: _Best(1, by_time=False)),
    "sortsfirst": Aggregate((1, 1), lambda: _Best(-1, by_time=False)),
    "sortslast": Aggregate((1, 1), lambda: _Best(1, by_time=False)),
    "earliest": Aggregate((1, 1), lambda: _Best(-1, by_time=True)),
    "latest": Aggregate((1, 1), lambda: _Best(1, by_time=True)),
}
