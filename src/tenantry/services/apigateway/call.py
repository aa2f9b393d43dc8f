"""One request on its way through a stage: what expressions, templates, events and logs read of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

from tenantry.model.http import Request
from tenantry.services.apigateway.expressions import as_text, walk

NOTHING: Mapping[str, str] = {}


DROPPED = frozenset(
    {
        "connection",
        "content-length",
        "content-md5",
        "expect",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "te",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "www-authenticate",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
    }
)
"""Client headers that a function does not see, and those that the gateway writes anew."""

_TITLED = {"authorization": "Authorization", "user-agent": "User-Agent", "host": "Host"}
_NAMES_MAX = 4096


class HeaderNames(dict[str, tuple[str, str | None]]):
    """(lower case, the function's spelling or None) by a header's name as sent: the same few names come again and again."""

    def __missing__(self, sent: str) -> tuple[str, str | None]:
        if len(self) >= _NAMES_MAX:
            self.clear()
        key = sent.lower()
        found = self[sent] = key, None if key in DROPPED else _TITLED.get(key, sent)
        return found


class Call:
    """A request. `path` is without the stage, still encoded; `now` is epoch seconds.

    `facts` are the route's constants of `$context`; `authorizer` holds what the authorizer said, once it has spoken.
    """

    __slots__ = (
        "authorizer",
        "body",
        "extended_id",
        "facts",
        "forwarded",
        "index",
        "multi",
        "now",
        "path",
        "path_parameters",
        "query",
        "request",
        "request_id",
        "single",
        "stage_variables",
        "trace_id",
    )

    def __init__(self, request: Request, request_id: str, extended_id: str, now: float) -> None:
        self.request = request
        self.request_id = request_id
        self.extended_id = extended_id
        self.trace_id = ""
        self.index: dict[str, str] | None = None
        self.now = now
        self.body = request.body
        self.path = "/"
        self.path_parameters: Mapping[str, str] = NOTHING
        self.stage_variables: Mapping[str, str] = NOTHING
        self.facts: Mapping[str, str] = NOTHING
        self.authorizer: dict[str, Any] | None = None
        self.query: dict[str, list[str]] | None = None

    def header(self, name: str) -> str | None:
        """The last value of a header; the name is in lower case."""
        return self.request.header(name) if self.index is None else self.index.get(name)

    def read_headers(self, names: HeaderNames) -> int:
        """Sort the headers once, for all that read them later; returns their size in bytes.

        index: the last value by lower-cased name; single and multi: what a function sees of them, in the client's case;
        forwarded: X-Forwarded-For with this hop.
        """
        single: dict[str, str] = {}
        multi: dict[str, list[str]] = {}
        index: dict[str, str] = {}
        size = 0
        for pair in self.request.headers:
            sent, value = pair
            size += len(sent) + len(value)
            key, name = names[sent]
            index[key] = value
            if name is None:
                continue
            if name in single:
                multi[name].append(value)
            else:
                multi[name] = [value]
            single[name] = value
        self.index, self.single, self.multi = index, single, multi
        earlier = index.get("x-forwarded-for")
        self.forwarded = f"{earlier}, {self.request.peer}" if earlier else self.request.peer
        return size

    def header_values(self, name: str) -> list[str]:
        """All values of a header; the name is in lower case."""
        return [value for key, value in self.request.headers if key.lower() == name]

    def query_values(self, name: str) -> list[str]:
        """All decoded values of a query parameter."""
        return self.queries().get(name) or []

    def queries(self) -> dict[str, list[str]]:
        """Every query parameter, decoded, in the order sent."""
        if self.query is None:
            self.query = parse_query(self.request.query)
        return self.query

    def context(self, path: str) -> str | None:
        """A value of `$context` as text, or None."""
        fact = self.facts.get(path)
        if fact is not None:
            return fact
        head, _, rest = path.partition(".")
        if head == "authorizer":
            return as_text(walk(self.authorizer, rest)) if self.authorizer is not None else None
        reader = _CONTEXT.get(path)
        return reader(self) if reader is not None else None

    def context_values(self) -> dict[str, Any]:
        """All of `$context` as a template sees it: nested maps that it may set members of."""
        identity = {"sourceIp": self.request.peer, "userAgent": self.header("user-agent")}
        values: dict[str, Any] = {**self.facts, "identity": identity, "authorizer": dict(self.authorizer or {})}
        for name, reader in _CONTEXT.items():
            if "." not in name:
                values[name] = reader(self)
        values["requestOverride"] = {"header": {}, "path": {}, "querystring": {}}
        values["responseOverride"] = {"header": {}}
        return values


def parse_query(query: str) -> dict[str, list[str]]:
    """`a=1&b` as {a: [1], b: [""]}; `+` is a space, as API Gateway decodes it."""
    found: dict[str, list[str]] = {}
    if not query:
        return found
    encoded = "%" in query or "+" in query
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if encoded:
            name, value = unquote_plus(name), unquote_plus(value)
        values = found.get(name)
        if values is None:
            found[name] = [value]
        else:
            values.append(value)
    return found


def decoded(segment: str) -> str:
    """A path segment without its percent-encoding (`+` stands for itself in a path)."""
    return unquote(segment) if "%" in segment else segment


def request_time(now: float) -> str:
    """`09/Apr/2015:12:34:56 +0000`."""
    moment = time.gmtime(now)
    clock = f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    return f"{moment.tm_mday:02d}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year}:{clock} +0000"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CONTEXT: dict[str, Callable[[Call], str | None]] = {
    "requestId": lambda call: call.request_id,
    "extendedRequestId": lambda call: call.extended_id,
    "requestTime": lambda call: request_time(call.now),
    "requestTimeEpoch": lambda call: str(int(call.now * 1000)),
    "path": lambda call: f"/{call.facts.get('stage', '')}{call.path}",
    "protocol": lambda call: f"HTTP/{call.request.http_version}",
    "xrayTraceId": lambda call: call.trace_id.partition(";")[0],
    "identity.sourceIp": lambda call: call.request.peer,
    "identity.userAgent": lambda call: call.request.header("user-agent"),
}
