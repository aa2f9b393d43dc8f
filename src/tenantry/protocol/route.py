"""Which operation of a rest service a request means: by method, path, and what the query string must hold.

Operations are filed by method in a tree of path segments; literal segments win over labels, labels over greedy ones
(`{Key+}`), as AWS decides. Several operations may share a path: those whose required query literals (`?uploads`,
`?list-type=2`) are not all there are out; among the rest the one that asks for more, and gets it, wins (`UploadPart` over
`PutObject` when there is an `uploadId`, `CopyObject` when there is an `x-amz-copy-source`). `x-id`, which SDKs add to say the
operation's name, decides ties only: a client may leave it out.

Paths are matched as sent, still percent-encoded, so that an encoded slash never splits a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tenantry.model.http import Request
from tenantry.protocol.model import ServiceModel
from tenantry.protocol.query import PARAMETERS_MAX
from tenantry.protocol.scalars import Malformed

_SEGMENT_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")
SEGMENTS_MAX = 256
"""Segments of a path that are matched one by one; what follows is greedy or nothing. S3 keys have at most 1024 bytes."""

SEEN_MAX = 1024
"""Paths whose answer is remembered, where the query string has no say in it: clients ask for the same few over and over."""
_SEEN_PATH_MAX = 256


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An operation at the end of a path, and what else it asks of a request."""

    name: str
    literals: tuple[tuple[str, str | None], ...]
    required_query: tuple[str, ...]
    required_headers: tuple[str, ...]
    deprecated: bool


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    label: _Node | None = None
    greedy: list[_Candidate] = field(default_factory=list)
    here: list[_Candidate] = field(default_factory=list)


class PathRouter:
    """The operations of one rest service, by method and path."""

    def __init__(self, service: ServiceModel) -> None:
        self._roots: dict[str, _Node] = {}
        self._seen: dict[tuple[str, str], tuple[str, Sequence[str]]] = {}
        for operation in service.operations():
            path, _, query = operation.request_uri.partition("?")
            asked = parse_qsl(query, keep_blank_values=True)
            literals = tuple((name, value or None) for name, value in asked if name != "x-id")
            shape = operation.input()
            required = set(shape.get("required", ())) if shape is not None else set()
            members = {name: member for name, member in (shape.members() if shape else {}).items() if name in required}

            def located(where: str, members: dict[str, Any] = members) -> tuple[str, ...]:
                return tuple(m.get("locationName", n) for n, m in members.items() if m.get("location") == where)

            candidate = _Candidate(
                operation.name,
                literals,
                located("querystring"),
                tuple(name.lower() for name in located("header")),
                bool(operation.get("deprecated")),
            )
            self._file(operation.method, path, candidate)

    def _file(self, method: str, path: str, candidate: _Candidate) -> None:
        node = self._roots.setdefault(method, _Node())
        for segment in _segments(path):
            match = _SEGMENT_LABEL.fullmatch(segment)
            if match is None:
                node = node.literal.setdefault(segment, _Node())
            elif match[2]:
                node.greedy.append(candidate)
                return
            else:
                node.label = node.label or _Node()
                node = node.label
        node.here.append(candidate)

    def match(self, request: Request, path: str) -> tuple[str, Sequence[str]] | None:
        """(operation, path labels as sent), or None. `path` may be another than the request's own.

        Raises Malformed for an absurd query string.
        """
        seen = self._seen.get((request.method, path))
        if seen is not None:
            return seen
        root = self._roots.get(request.method)
        if root is None:
            return None
        segments = _segments(path)
        asked: _Asked | None = None
        for candidates, labels in _walk(root, segments, 0, (), trailing=path.endswith("/") and bool(segments)):
            if len(candidates) == 1 and not candidates[0].literals:
                if len(path) <= _SEEN_PATH_MAX:
                    if len(self._seen) >= SEEN_MAX:
                        self._seen.clear()
                    self._seen[request.method, path] = candidates[0].name, labels
                return candidates[0].name, labels
            asked = asked or _Asked(request)
            best = asked.best(candidates)
            if best is not None:
                return best.name, labels
        return None


def _segments(path: str) -> list[str]:
    parts = path.split("/")[1:]
    # A slash at the end means nothing, except inside a greedy label, which gets it back.
    if parts and parts[-1] == "":
        parts.pop()
    return parts


def _walk(
    node: _Node, segments: list[str], index: int, labels: tuple[str, ...], *, trailing: bool
) -> Iterator[tuple[list[_Candidate], tuple[str, ...]]]:
    """The ends of every way through the tree, the most literal first."""
    if index == len(segments):
        if node.here:
            yield node.here, labels
        return
    if index > SEGMENTS_MAX:
        return
    segment = segments[index]
    below = node.literal.get(segment)
    if below is not None:
        yield from _walk(below, segments, index + 1, labels, trailing=trailing)
    if node.label is not None and segment:
        yield from _walk(node.label, segments, index + 1, (*labels, segment), trailing=trailing)
    if node.greedy:
        rest = "/".join(segments[index:]) + ("/" if trailing else "")
        yield node.greedy, (*labels, rest)


class _Asked:
    """A request's query string, read once it matters."""

    def __init__(self, request: Request) -> None:
        self._request = request
        try:
            self._query = dict(parse_qsl(request.query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX))
        except ValueError:
            raise Malformed(f"The query string has more than {PARAMETERS_MAX} parameters") from None

    def best(self, candidates: list[_Candidate]) -> _Candidate | None:
        fitting = [candidate for candidate in candidates if self._fits(candidate)]
        return max(fitting, key=self._rank) if fitting else None

    def _fits(self, candidate: _Candidate) -> bool:
        for name, value in candidate.literals:
            given = self._query.get(name)
            if given is None or (value is not None and given != value):
                return False
        return True

    def _rank(self, candidate: _Candidate) -> tuple[bool, int, bool, int, bool]:
        asked = len(candidate.required_query) + len(candidate.required_headers)
        missing = sum(name not in self._query for name in candidate.required_query)
        missing += sum(self._request.header(name) is None for name in candidate.required_headers)
        named = self._query.get("x-id") == candidate.name
        return (missing == 0, len(candidate.literals), named, asked, not candidate.deprecated)
