"""What the pattern languages share: the error, quoted texts, wildcards, comparisons of a field's text with a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tenantry.services.logs.patterns.regex import RegexError, compile_regex

Predicate = Callable[[str], bool]

PATTERN_LENGTH_MAX = 1024
REGEXES_MAX = 2
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class PatternError(ValueError):
    """A text that is no filter pattern. The message is for people who read our tests; clients get AWS's."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a pattern. kind: word | quoted | regex | op; `text` without quotes, escapes resolved."""

    kind: str
    text: str


_TOKEN = re.compile(
    r"""\s*(?:
        "(?P<quoted>(?:[^"\\]|\\.)*)"
      | %(?P<regex>(?:[^%\\]|\\.)*)%
      | (?P<op>&&|\|\||!=|<=|>=|[=<>(),])
      | (?P<word>(?:(?!&&|\|\|)[^\s"%=<>!(),])+)
    )""",
    re.VERBOSE | re.DOTALL,
)


def tokenize(text: str) -> list[Token]:
    """The tokens of a condition. PatternError where there is something else."""
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise PatternError(f"unexpected text at {position}")
        kind = str(match.lastgroup)
        value = match[kind]
        tokens.append(Token(kind, unescape(value) if kind == "quoted" else value))
        position = match.end()
    return tokens


def unescape(text: str) -> str:
    r"""A quoted text's content: `\"` and `\\` stand for the second character, any other backslash for itself."""
    return re.sub(r'\\(["\\])', r"\1", text)


def number_of(text: str) -> float | None:
    """The number that a whole text is, or None."""
    return float(text) if _NUMBER.fullmatch(text) else None


def wildcard(pattern: str) -> Predicate:
    """Equality, with `*` for any run of characters. Linear: pieces are searched one after the other."""
    pieces = pattern.split("*")
    if len(pieces) == 1:
        return lambda text: text == pattern
    first, last, middle = pieces[0], pieces[-1], [piece for piece in pieces[1:-1] if piece]

    def matches(text: str) -> bool:
        if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in middle:
            position = text.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return True

    return matches


def searching(regex: str) -> Predicate:
    """Whether a regular expression of the patterns' language occurs in a text."""
    try:
        return compile_regex(regex)
    except RegexError as error:
        raise PatternError(str(error)) from None


def comparison(operator: str, value: Token) -> Predicate:
    """`field <operator> value` on the field's text (aws-behaviour 6.3): `=` and `!=` with numbers, wildcards and regular
    expressions, the others with numbers only. A field that is no number compares with none.
    """
    if value.kind == "op":
        raise PatternError(f"no value after {operator}")
    number = number_of(value.text) if value.kind == "word" else None
    if operator in ("=", "!="):
        equal = searching(value.text) if value.kind == "regex" else _equality(value, number)
        return equal if operator == "=" else lambda text: not equal(text)
    if number is None:
        raise PatternError(f"{operator} takes a number")
    bound = number

    def compare(text: str) -> bool:
        found = number_of(text)
        if found is None:
            return False
        if operator == "<":
            return found < bound
        if operator == ">":
            return found > bound
        return found <= bound if operator == "<=" else found >= bound

    if operator not in ("<", ">", "<=", ">="):
        raise PatternError(f"{operator} is no comparison")
    return compare


def _equality(value: Token, number: float | None) -> Predicate:
    same = wildcard(value.text)
    if number is None:
        return same
    return lambda text: same(text) or number_of(text) == number
