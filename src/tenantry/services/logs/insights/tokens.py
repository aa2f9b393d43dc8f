"""Cuts an Insights query into tokens.

A `/` begins a regular expression after `like`, `=~` and in a `parse` command, and divides elsewhere. Comments run from `#` to
the end of the line. Field names hold letters, digits, `@`, `_` and `.`; any other name stands between back quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class QueryError(ValueError):
    """A query that cannot be read; the text says why and reaches the client."""


@dataclass(frozen=True, slots=True)
class Token:
    """kind: name | field (from back quotes) | number | duration | string | regex | op | pipe; start, end: its place."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, in any case."""
        return self.kind == "name" and self.text.lower() in words


_TOKEN = re.compile(
    r"""
      (?P<skip>\s+|\#[^\n]*)
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | '(?P<single>(?:[^'\\]|\\.)*)'
    | `(?P<field>[^`]+)`
    | (?P<duration>\d+(?:ms|[smhdw])(?!\w))
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)(?![\w])
    | (?P<name>[@A-Za-z_][\w@.]*)
    | (?P<op>==|!=|<=|>=|=~|&&|\|\||[=<>+\-*/%^(),\[\]])
    | (?P<pipe>\|)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_REGEX = re.compile(r"/((?:[^/\\\n]|\\.)+)/", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t"}


def tokenize(query: str) -> list[Token]:
    """The tokens of a query. QueryError where there is something else."""
    tokens: list[Token] = []
    position, parsing = 0, False
    while position < len(query):
        if query[position] == "/" and (parsing or _wants_regex(tokens)):
            match = _REGEX.match(query, position)
            if match is None:
                raise QueryError(f"the regular expression at position {position} does not end")
            tokens.append(Token("regex", match[1], position, match.end()))
            position = match.end()
            continue
        match = _TOKEN.match(query, position)
        if match is None:
            raise QueryError(f"unexpected character {query[position]!r} at position {position}")
        kind, position = str(match.lastgroup), match.end()
        if kind == "skip":
            continue
        text = match[kind]
        if kind in ("double", "single"):
            kind, text = "string", re.sub(r"\\(.)", _unescape, text, flags=re.DOTALL)
        token = Token(kind, text, match.start(), match.end())
        if kind == "pipe":
            parsing = False
        elif token.is_word("parse") and (not tokens or tokens[-1].kind == "pipe"):
            parsing = True
        tokens.append(token)
    return tokens


def _wants_regex(tokens: list[Token]) -> bool:
    return bool(tokens) and (tokens[-1].is_word("like") or (tokens[-1].kind, tokens[-1].text) == ("op", "=~"))


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1] if match[1] in "\"'\\" else match[0])
