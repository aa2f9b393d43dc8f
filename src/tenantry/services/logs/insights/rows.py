"""An event as a row of fields: system fields, what Lambda's text lines say, what a JSON message holds.

Fields are found when first asked for: most queries filter on the message and throw the row away.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tenantry.services.logs.insights.functions import Value
from tenantry.store.logs.records import Event

FIELDS_MAX = 1_000  # of one JSON message; CloudWatch finds 200 or more, by log class
TIME_FIELDS = ("@timestamp", "@ingestionTime")
_DEPTH_MAX = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAMBDA = re.compile(r"(START|END|REPORT) RequestId: ([0-9a-f-]{36})")
_APPLICATION = re.compile(r"(?:\[[A-Z]+\]\t)?[0-9T:.\-]{23}Z\t([0-9a-f-]{36})\t")
_MEASURES = re.compile(r"\t(Duration|Billed Duration|Memory Size|Max Memory Used|Init Duration): ([0-9.]+) (?:ms|MB)")
_MEASURE_NAMES = {
    "Duration": "@duration",
    "Billed Duration": "@billedDuration",
    "Memory Size": "@memorySize",
    "Max Memory Used": "@maxMemoryUsed",
    "Init Duration": "@initDuration",
}


class Row:
    """A row: of an event, or made by stats. `values` are fields that commands set."""

    __slots__ = ("_found", "event", "log", "values")

    def __init__(self, event: Event | None, log: str, values: dict[str, Value] | None = None) -> None:
        self.event = event
        self.log = log
        self.values = {} if values is None else values
        self._found: dict[str, Value] | None = None

    def get(self, name: str) -> Value:
        """A field's value; None where there is none."""
        if name in self.values:
            return self.values[name]
        event = self.event
        if event is None:
            return None
        system: dict[str, Value] = {
            "@message": event.message,
            "@timestamp": event.timestamp,
            "@logStream": event.stream,
            "@log": self.log,
            "@ingestionTime": event.ingested_ms,
        }
        if name in system:
            return system[name]
        if name == "@ptr":
            return pointer(self.log, event)
        if self._found is None:
            self._found = discover(event.message)
        return self._found.get(name)

    @property
    def timestamp(self) -> int:
        """The event's time, 0 for a row of stats."""
        return self.event.timestamp if self.event is not None else 0


def pointer(log: str, event: Event) -> str:
    """The value of `@ptr`: names an event of a log."""
    return base64.b64encode(f"{log} {event.position.event_id()}".encode()).decode()


def discover(message: str) -> dict[str, Value]:
    """The fields in a message: of a JSON object by dotted names, of Lambda's own lines."""
    if message.lstrip()[:1] == "{":
        try:
            document = orjson.loads(message)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return {}
        fields: dict[str, Value] = {}
        _flatten(document, "", fields, 0)
        return fields
    match = _LAMBDA.match(message)
    if match is None:
        match = _APPLICATION.match(message)
        return {} if match is None else {"@requestId": match[1]}
    found: dict[str, Value] = {"@type": match[1], "@requestId": match[2]}
    for name, value in _MEASURES.findall(message):
        scale = 1_000_000 if "Memory" in name else 1  # memory is in bytes
        found[_MEASURE_NAMES[name]] = float(value) * scale
    return found


def _flatten(value: Any, name: str, fields: dict[str, Value], depth: int) -> None:
    if len(fields) >= FIELDS_MAX:
        return
    if isinstance(value, dict | list) and depth < _DEPTH_MAX:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            _flatten(part, f"{name}.{key}" if name else str(key), fields, depth + 1)
    elif isinstance(value, dict | list):
        fields[name] = orjson.dumps(value).decode()
    elif value is not None:
        fields[name] = value


def shown_time(milliseconds: int) -> str:
    """`2026-01-01 00:00:00.123`, as results show times."""
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return str(milliseconds)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
