"""Which resource a path leads to: static parts before `{variable}`, those before `{proxy+}` (aws-behaviour 4.2).

The whole path decides first, the method second: a method that the best resource lacks is not looked for elsewhere. Resources
without methods take no part. A trailing slash is ignored; a variable needs at least one character.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from tenantry.services.apigateway.call import decoded

T = TypeVar("T")
Parameters = dict[str, str]


class Tree(Generic[T]):
    """Values by path pattern (`/a/{b}/{c+}`)."""

    def __init__(self, routes: Iterable[tuple[str, T]]) -> None:
        self._root: _Node[T] = _Node()
        self._direct: dict[str, T] = {}
        for pattern, value in routes:
            self._add(pattern, value)

    def find(self, path: str) -> tuple[T, Parameters | None] | None:
        """The value for a raw path that begins with `/`, and the decoded path variables (None without any)."""
        direct = self._direct.get(path)
        if direct is not None:
            return direct, None
        segments = path[1:-1].split("/") if path.endswith("/") and len(path) > 1 else path[1:].split("/")
        if segments == [""]:
            return None if self._root.value is None else (self._root.value, None)
        parameters: Parameters = {}
        value = _walk(self._root, [decoded(segment) for segment in segments], 0, parameters)
        return None if value is None else (value, parameters or None)

    def _add(self, pattern: str, value: T) -> None:
        node = self._root
        for part in pattern.strip("/").split("/") if pattern != "/" else ():
            if part.endswith("+}"):
                node.greedy = part[1:-2], value
                return
            if part.startswith("{"):
                node.variable = node.variable or (part[1:-1], _Node())
                node = node.variable[1]
            else:
                node = node.static.setdefault(part, _Node())
        node.value = value
        if "{" not in pattern:
            self._direct[pattern] = value


class _Node(Generic[T]):
    __slots__ = ("greedy", "static", "value", "variable")

    def __init__(self) -> None:
        self.value: T | None = None
        self.static: dict[str, _Node[T]] = {}
        self.variable: tuple[str, _Node[T]] | None = None
        self.greedy: tuple[str, T] | None = None


def _walk(node: _Node[T], segments: list[str], at: int, parameters: Parameters) -> T | None:
    """Depth first, best first. Depth is bounded by the patterns', so the recursion is too."""
    if at == len(segments):
        return node.value
    segment = segments[at]
    child = node.static.get(segment)
    if child is not None and (value := _walk(child, segments, at + 1, parameters)) is not None:
        return value
    if node.variable is not None and segment:
        name, child = node.variable
        if (value := _walk(child, segments, at + 1, parameters)) is not None:
            parameters[name] = segment
            return value
    if node.greedy is not None and "".join(segments[at:]):
        name, value = node.greedy
        parameters[name] = "/".join(segments[at:])
        return value
    return None
