"""Patterns of fields between spaces: `[ip, id, user, ..., status = 4*, bytes > 1000]` (aws-behaviour 6.3).

A message is cut at white space; what stands between `"` or between `[` and `]` is one field, without them. The numbers of
fields must agree, unless `...` stands for any number of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tenantry.services.logs.patterns.values import REGEXES_MAX, PatternError, Predicate, Token, comparison, tokenize

_PART = re.compile(r'(?:[^,"%]|"(?:[^"\\]|\\.)*"|%(?:[^%\\]|\\.)*%)*', re.DOTALL)
_NAME = re.compile(r"\w[\w\-.]*")
_ELLIPSIS = "..."

Condition = Callable[[str], bool]


def compile_fields(text: str) -> Predicate:
    """The predicate of a pattern of fields."""
    if not text.endswith("]") or len(text) < 2:
        raise PatternError("no closing bracket")
    parts = _parts(text[1:-1])
    if sum(part == _ELLIPSIS for part in parts) > 1:
        raise PatternError("one ellipsis at most")
    conditions: list[Condition | None] = []
    regexes = 0
    for part in parts:
        if part == _ELLIPSIS:
            continue
        tokens = tokenize(part)
        regexes += sum(token.kind == "regex" for token in tokens)
        conditions.append(_condition(tokens))
    if regexes > REGEXES_MAX:
        raise PatternError("at most two regular expressions")
    if _ELLIPSIS not in parts:
        return lambda message: _match(conditions, split_fields(message), len(conditions))
    head = parts.index(_ELLIPSIS)
    return lambda message: _match_around(conditions, split_fields(message), head)


def split_fields(message: str) -> list[str]:
    """A message's fields. A quote or bracket that does not close is an ordinary character."""
    fields, position, size = [], 0, len(message)
    unclosed: set[str] = set()  # closing characters that do not occur any more: never looked for again
    while position < size:
        char = message[position]
        if char.isspace():
            position += 1
            continue
        closing = {'"': '"', "[": "]"}.get(char)
        if closing is not None and closing not in unclosed:
            end = message.find(closing, position + 1)
            if end >= 0:
                fields.append(message[position + 1 : end])
                position = end + 1
                continue
            unclosed.add(closing)
        end = position + 1
        while end < size and not message[end].isspace():
            end += 1
        fields.append(message[position:end])
        position = end
    return fields


def _match(conditions: list[Condition | None], fields: list[str], count: int) -> bool:
    return len(fields) == count and all(
        condition is None or condition(field) for condition, field in zip(conditions, fields, strict=True)
    )


def _match_around(conditions: list[Condition | None], fields: list[str], head: int) -> bool:
    """`head` conditions at the start, the others at the end, any number of fields in between."""
    tail = len(conditions) - head
    if len(fields) < len(conditions):
        return False
    return _match(conditions, fields[:head] + fields[len(fields) - tail :], len(conditions))


def _parts(text: str) -> list[str]:
    """The comma-separated parts."""
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        assert match is not None  # it matches the empty text as well
        parts.append(match[0].strip())
        position = match.end()
        if position == len(text):
            break
        if text[position] != ",":
            raise PatternError(f"unexpected text at {position}")
        position += 1
    if "" in parts:
        raise PatternError("an empty field")
    return parts


def _condition(tokens: list[Token]) -> Condition | None:
    """One field: a name, or comparisons of that name joined by && and ||, of which && binds closer. None: anything."""
    name = tokens[0]
    if name.kind != "word" or not _NAME.fullmatch(name.text):
        raise PatternError("a field needs a name")
    if len(tokens) == 1:
        return None
    alternatives: list[list[Condition]] = [[]]
    while True:
        if len(tokens) < 3 or tokens[0] != name or tokens[1].kind != "op":
            raise PatternError(f"not a condition of {name.text}")
        alternatives[-1].append(comparison(tokens[1].text, tokens[2]))
        tokens = tokens[3:]
        if not tokens:
            break
        if tokens[0] == Token("op", "||"):
            alternatives.append([])
        elif tokens[0] != Token("op", "&&"):
            raise PatternError("conditions are joined by && or ||")
        tokens = tokens[1:]
    return lambda field: any(all(condition(field) for condition in every) for every in alternatives)
