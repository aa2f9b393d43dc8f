"""Scalars as text: timestamps in AWS's three formats, numbers and booleans. Shared by every codec.

Read timestamps are epoch seconds (int where whole, else float). To be written, a timestamp may be epoch seconds or a datetime;
one without a zone is taken as UTC. AWS sends milliseconds at most, so finer parts are rounded.

Readers raise `Malformed`; the codec that called them knows how its service words that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

Timestamp = int | float | datetime
Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]

INTEGER_RANGES = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}
NOT_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""Floats that JSON has no literal for are sent as these texts."""

_EPOCHS = (-62_135_596_800, 253_402_300_799)
"""The years 1 to 9999."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE = re.compile(
    r"(?:[A-Za-z]{3,9}, ?)?(\d{1,2})[ -]([A-Za-z]{3})[ -](\d{4}) (\d\d):(\d\d):(\d\d)(\.\d{1,9})? ?(GMT|UTC|Z|[+-]\d{4})"
)
_INTEGER = re.compile(r"[+-]?\d{1,19}")
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")


class Malformed(Exception):  # noqa: N818 - it is a finding about the input, turned into the service's own error
    """A value that is not what the model says. `reason` is AWS's wording where it is known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedParameter(Malformed):
    """Such a value in the path, the query string or a header, which S3 words differently from one in a body."""


def whole(value: float) -> int | float:
    """The same number, as int where it is one."""
    return int(value) if value == int(value) else value


def to_epoch(value: Timestamp) -> int | float:
    """Epoch seconds of a timestamp, to the millisecond. Raises TypeError for anything else."""
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a timestamp is a datetime or epoch seconds, not {value!r}")
    return whole(round(value, 3))


def write_iso8601(value: Timestamp) -> str:
    """`2026-01-01T00:00:00Z`, with milliseconds where there are any."""
    moment = _moment(to_epoch(value))
    return f"{moment.isoformat(timespec='milliseconds' if moment.microsecond else 'seconds')}Z"


def write_iso8601_ms(value: Timestamp) -> str:
    """`2026-01-01T00:00:00.000Z`: S3 always sends the milliseconds."""
    return f"{_moment(to_epoch(value)).isoformat(timespec='milliseconds')}Z"


def write_http_date(value: Timestamp) -> str:
    """`Thu, 01 Jan 2026 00:00:00 GMT`, whatever the locale. HTTP dates know no parts of a second."""
    moment = _moment(to_epoch(value))
    return f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year:04d} {moment:%H:%M:%S} GMT"


def _moment(epoch: float) -> datetime:
    # Through whole milliseconds: a float's own rounding would otherwise turn .123 into .122999.
    # Without a zone, so that isoformat writes none.
    return datetime(1970, 1, 1) + timedelta(milliseconds=round(epoch * 1000))


def read_iso8601(text: str) -> int | float:
    """Epoch seconds of an ISO 8601 date or time, with any offset."""
    try:
        moment = datetime.fromisoformat(text)
        return to_epoch(moment)
    except (ValueError, OverflowError):
        raise Malformed(f"{text!r} is not a timestamp") from None


def read_http_date(text: str) -> int | float:
    """Epoch seconds of an RFC 822 date, with or without parts of a second."""
    match = _HTTP_DATE.fullmatch(text)
    if match is None:
        raise Malformed(f"{text!r} is not a timestamp")
    day, month, year, hour, minute, second, fraction, zone = match.groups()
    try:
        offset = UTC if zone.isalpha() else timezone(timedelta(minutes=int(zone[1:3]) * 60 + int(zone[3:])) * _sign(zone))
        moment = datetime(
            int(year), _MONTHS.index(month.title()) + 1, int(day), int(hour), int(minute), int(second), tzinfo=offset
        )
        return whole(round(moment.timestamp() + float(fraction or 0), 3))
    except (ValueError, OverflowError):
        raise Malformed(f"{text!r} is not a timestamp") from None


def _sign(zone: str) -> int:
    return -1 if zone[0] == "-" else 1


def read_epoch(text: str) -> int | float:
    """Epoch seconds written as a number."""
    return checked_epoch(read_float(text))


def checked_epoch(number: float) -> int | float:
    """Epoch seconds to the millisecond; only of the years that a calendar has, so that they can be written again."""
    if not _EPOCHS[0] <= number <= _EPOCHS[1]:
        raise Malformed(f"{number!r} is not a timestamp")
    return whole(round(number, 3))


def read_any_timestamp(text: str) -> int | float:
    """A timestamp in whichever format it came: clients differ from the model, and the formats cannot be confused."""
    if _FLOAT.fullmatch(text):
        return read_epoch(text)
    return read_iso8601(text) if text[:4].isdigit() else read_http_date(text)


def timestamp_writer(format_name: str, *, milliseconds: bool = False) -> Callable[[Timestamp], str]:
    """The writer of a `timestampFormat`, to text."""
    return {
        "iso8601": write_iso8601_ms if milliseconds else write_iso8601,
        "rfc822": write_http_date,
        "unixTimestamp": lambda value: str(to_epoch(value)),
    }[format_name]


def read_float(text: str) -> float:
    """A float, NaN and the infinities included."""
    if text in NOT_NUMBERS:
        return NOT_NUMBERS[text]
    if not _FLOAT.fullmatch(text):
        raise Malformed(f"{text!r} is not a number")
    return float(text)


def integer_reader(kind: str) -> Callable[[str], int]:
    """Reads an integer of this width from text."""
    low, high = INTEGER_RANGES[kind]

    def read(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise Malformed(f"{text!r} is not an integer")
        value = int(text)
        if not low <= value <= high:
            raise Malformed(f"{text!r} does not fit the type {kind}")
        return value

    return read


def read_boolean(text: str) -> bool:
    """`true` or `false`, in any case."""
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise Malformed(f"{text!r} is not a boolean")
    return lowered == "true"


def write_boolean(value: Any) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def write_float(value: float) -> str:
    """The shortest text that reads back as the same float; whole numbers without a point."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
