"""Holding parameters to the model, and AWS's text about what does not fit.

    2 validation errors detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression
    pattern: ...; Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1

Checked: required members, lengths, ranges, patterns, enums; and types, for callers that did not come over the wire. Compiled
once per operation; shapes without constraints compile to nothing, so most members cost nothing. Form of the text:
aws-behaviour 1.6, 3.2; for lists, maps and nulls from memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.protocol.dialect import Dialect
from tenantry.protocol.model import Operation, Shape
from tenantry.protocol.patterns import compile_pattern
from tenantry.protocol.scalars import INTEGER_RANGES, Malformed

Finding = tuple[str, str]
"""(path, AWS's sentence)."""

Check = Callable[[Any, str, list[Finding]], None]
"""(value, its path, findings to add to)."""

Constraint = tuple[Callable[[Any], bool], str]
"""(whether a value fits, what it must do)."""

PATTERN_LENGTH_MAX = 16_384
"""A pattern is not run on a longer value: some backtrack badly, and such a value is over its length anyway."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "boolean": (bool,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, datetime),
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    **dict.fromkeys(INTEGER_RANGES, (int,)),
}


class Validators:
    """Compiles the checks of one service. Operations share the checks of the shapes they share."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._checks: dict[str, Check | None] = {}
        self._pending: set[str] = set()

    def compile(self, operation: Operation) -> Callable[[dict[str, Any]], None]:
        """Raises ServiceError for parameters that the operation's input shape does not allow.

        A wrong type raises Malformed, as it does where a parser finds it first; the plan turns both into the service's error.
        """
        shape = operation.input()
        check = self._structure(shape) if shape is not None else None
        if check is None:
            return lambda params: None
        dialect, malformed_parts = self._dialect, self._dialect.malformed_parts

        def validate(params: dict[str, Any]) -> None:
            findings: list[Finding] = []
            check(params, "", findings)
            if findings and malformed_parts and any("." in path for path, _ in findings):
                raise dialect.serialization(reason=detected([text for _, text in findings]))
            if findings:
                raise ServiceError(dialect.validation_code, detected([text for _, text in findings]))

        return validate

    def _check(self, shape: Shape) -> Check | None:
        if shape.is_document or shape.is_event_stream or shape.get("jsonvalue"):
            return None
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _leaf(shape, constraints(shape))

    def _structure(self, shape: Shape) -> Check | None:
        if shape.name in self._checks:
            return self._checks[shape.name]
        if shape.name in self._pending:
            # A structure that holds itself: looked up at work, when it is compiled.
            def later(value: Any, path: str, findings: list[Finding]) -> None:
                check = self._checks[shape.name]
                if check is not None:
                    check(value, path, findings)

            return later
        self._pending.add(shape.name)
        required = [(name, _lower_first(name)) for name in shape.get("required", ())]
        members = [(name, _lower_first(name), self._check(member)) for name, member in shape.members().items()]
        checked = {name: (shown, check) for name, shown, check in members if check is not None}

        def check(value: Any, path: str, findings: list[Finding]) -> None:
            if type(value) is not dict:
                raise _wrong_type(value, path, "structure")
            prefix = f"{path}." if path else ""
            for name, shown in required:
                if value.get(name) is None:
                    where = prefix + shown
                    text = f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
                    findings.append((where, text))
            for name, one in value.items():
                if one is not None and name in checked:
                    shown, member = checked[name]
                    member(one, prefix + shown, findings)

        self._pending.discard(shape.name)
        self._checks[shape.name] = check
        return check

    def _list(self, shape: Shape) -> Check:
        own, inner = constraints(shape), _Inner(shape, shape.element(), "Member", self._part(shape.element()))

        def check(value: Any, path: str, findings: list[Finding]) -> None:
            if not isinstance(value, list | tuple):
                raise _wrong_type(value, path, "list")
            _apply(own, value, path, findings, hidden=inner.hidden)
            if inner.nested is not None:
                for number, one in enumerate(value, 1):
                    inner.nested(one, f"{path}.{number}.member", findings)
            else:
                inner.check(value, value, path, findings)

        return check

    def _map(self, shape: Shape) -> Check:
        own = constraints(shape)
        keys = _Inner(shape, shape.key(), "Map keys", None)
        values = _Inner(shape, shape.value(), "Map value", self._part(shape.value()))

        def check(value: Any, path: str, findings: list[Finding]) -> None:
            if type(value) is not dict:
                raise _wrong_type(value, path, "map")
            _apply(own, value, path, findings, hidden=values.hidden)
            keys.check(list(value), value, path, findings)
            if values.nested is not None:
                for name, one in value.items():
                    values.nested(one, f"{path}.{name}.member", findings)
            else:
                values.check(list(value.values()), value, path, findings)

        return check

    def _part(self, shape: Shape) -> Check | None:
        return self._check(shape) if shape.type in ("structure", "list", "map") else None


class _Inner:
    """What is asked of a list's items, a map's keys or its values. Scalars are reported together, for the whole value."""

    def __init__(self, owner: Shape, shape: Shape, who: str, nested: Check | None) -> None:
        self.nested = nested
        self.hidden = bool(owner.get("sensitive") or shape.get("sensitive"))
        self._type = shape.type
        self._types = None if shape.is_document else _TYPES.get(shape.type)
        self._rules = constraints(shape) if nested is None else []
        self._text = f"{who} must satisfy constraint: [{', '.join(text for _, text in self._rules)}]"

    def check(self, parts: Sequence[Any], whole: Any, path: str, findings: list[Finding]) -> None:
        """Check every part; findings show the whole value."""
        if self._types is not None:
            for one in parts:
                if not _fits_type(one, self._types):
                    raise _wrong_type(one, path, self._type)
        if self._rules and any(not fits(one) for one in parts for fits, _ in self._rules):
            findings.append(_finding(whole, path, self._text, hidden=self.hidden))


def detected(findings: list[str]) -> str:
    """AWS's sentence around the findings."""
    plural = "" if len(findings) == 1 else "s"
    return f"{len(findings)} validation error{plural} detected: {'; '.join(findings)}"


OPEN_ENUMS = frozenset({"Runtime"})
"""Shapes whose values Lambda checks itself, with another error code and words of its own (aws-behaviour 3.2)."""


def constraints(shape: Shape) -> list[Constraint]:
    """What the model asks of a value of this shape, itself; not of its parts."""
    found: list[Constraint] = []
    if shape.type in ("string", "list", "map", "blob", "character"):
        _add_bounds(shape, found, len, "have length")
    elif shape.type in (*INTEGER_RANGES, "float", "double"):
        _add_bounds(shape, found, _itself, "have value")
    if shape.get("pattern"):
        text = shape.get("pattern")
        found.append((_Pattern(text), f"Member must satisfy regular expression pattern: {text}"))
    if shape.get("enum") and shape.name not in OPEN_ENUMS:
        allowed = frozenset(shape.get("enum"))
        found.append((lambda value: value in allowed, f"Member must satisfy enum value set: [{', '.join(shape.get('enum'))}]"))
    return found


class _Pattern:
    """A pattern, compiled when the first value comes: most of an operation's patterns are never needed."""

    __slots__ = ("_compiled", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._compiled: re.Pattern[str] | bool | None = False

    def __call__(self, value: Any) -> bool:
        if self._compiled is False:
            self._compiled = compile_pattern(self._text)
        pattern = self._compiled
        return not isinstance(pattern, re.Pattern) or len(value) > PATTERN_LENGTH_MAX or pattern.fullmatch(value) is not None


def _add_bounds(shape: Shape, found: list[Constraint], measure: Callable[[Any], Any], what: str) -> None:
    low, high = shape.get("min"), shape.get("max")
    if high is not None:
        found.append((lambda value: measure(value) <= high, f"Member must {what} less than or equal to {high}"))
    if low is not None and not (low == 0 and measure is len):
        found.append((lambda value: measure(value) >= low, f"Member must {what} greater than or equal to {low}"))


def _itself(value: Any) -> Any:
    return value


def _leaf(shape: Shape, rules: list[Constraint]) -> Check | None:
    types = _TYPES.get(shape.type)
    hidden = bool(shape.get("sensitive"))
    if types is None and not rules:
        return None

    def check(value: Any, path: str, findings: list[Finding]) -> None:
        if types is not None and type(value) not in types and not _fits_type(value, types):
            raise _wrong_type(value, path, shape.type)
        _apply(rules, value, path, findings, hidden=hidden)

    return check


def _fits_type(value: Any, types: tuple[type, ...]) -> bool:
    # A subclass will do (an enum's member is a str), but Python's bool is no number here.
    return isinstance(value, types) and not (isinstance(value, bool) and bool not in types)


def _apply(rules: list[Constraint], value: Any, path: str, findings: list[Finding], *, hidden: bool) -> None:
    for fits, text in rules:
        if not fits(value):
            findings.append(_finding(value, path, text, hidden=hidden))


def _finding(value: Any, path: str, text: str, *, hidden: bool) -> Finding:
    shown = "Value" if hidden else f"Value '{_shown(value)}'"
    return path, f"{shown} at '{path}' failed to satisfy constraint: {text}"


def _shown(value: Any) -> str:
    """A value as Java prints it: `[a, b]`, `{k=v}`, `true`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_shown(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_shown(one)}' for key, one in value.items())}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _wrong_type(value: Any, path: str, kind: str) -> Malformed:
    return Malformed(f"'{path}' must be a {kind}, not {type(value).__name__}")
