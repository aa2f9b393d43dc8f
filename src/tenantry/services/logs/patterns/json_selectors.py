"""Patterns of JSON selectors: `{ $.a.b[0] = "x*" && ($.n > 3 || $.e IS NULL) }` (aws-behaviour 6.3).

A message that is no JSON object or array matches no such pattern. `!=` asks that the field is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from tenantry.services.logs.patterns.values import REGEXES_MAX, PatternError, Predicate, Token, comparison, tokenize

Test = Callable[[Any], bool]
Step = str | int | None  # a name, an index, or any element

_DEPTH_MAX = 50
_SELECTOR = re.compile(r"""\$(?:\.[\w\-@$]+|\.?\[(?:\d{1,9}|\*|'[^']*'|"[^"]*")\])*""")
_STEP = re.compile(r"""\.(?P<name>[\w\-@$]+)|\.?\[(?:(?P<index>\d+)|(?P<any>\*)|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\]""")
_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}


def compile_json(text: str) -> Predicate:
    """The predicate of a pattern of selectors."""
    if not text.endswith("}"):
        raise PatternError("no closing brace")
    parser = _Parser(text[1:-1])
    test = parser.parse()

    def matches(message: str) -> bool:
        if message.lstrip()[:1] not in ("{", "["):
            return False
        try:
            return test(orjson.loads(message))
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return False

    return matches


class _Parser:
    """Recursive descent: alternatives of conjunctions of (parenthesised | condition)."""

    def __init__(self, text: str) -> None:
        self._tokens = _with_selectors(text)
        self._position = 0
        if sum(token.kind == "regex" for token in self._tokens) > REGEXES_MAX:
            raise PatternError("at most two regular expressions")

    def parse(self) -> Test:
        test = self._alternatives(0)
        if self._position < len(self._tokens):
            raise PatternError("text after the end")
        return test

    def _alternatives(self, depth: int) -> Test:
        tests = [self._conjunction(depth)]
        while self._take("||"):
            tests.append(self._conjunction(depth))
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _conjunction(self, depth: int) -> Test:
        tests = [self._single(depth)]
        while self._take("&&"):
            tests.append(self._single(depth))
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _single(self, depth: int) -> Test:
        if self._take("("):
            if depth >= _DEPTH_MAX:
                raise PatternError("too deep")
            test = self._alternatives(depth + 1)
            if not self._take(")"):
                raise PatternError("no closing parenthesis")
            return test
        return self._condition()

    def _condition(self) -> Test:
        selector, relation = self._next(), self._next()
        if selector.kind != "selector":
            raise PatternError("a condition starts with a selector")
        path = _path(selector.text)
        if relation.kind == "word":
            return self._word_condition(path, relation.text.upper())
        value = self._next()
        if relation.kind != "op" or value.kind == "selector":
            raise PatternError("a selector is compared with a value")
        compare = comparison(relation.text, value)
        differs = relation.text == "!="

        def test(document: Any) -> bool:
            return any(_compare(compare, differs, found) for found in _select(document, path))

        return test

    def _word_condition(self, path: list[Step], word: str) -> Test:
        argument = self._next().text.upper()
        if word == "IS" and argument in _CONSTANTS:
            constant = _CONSTANTS[argument]
            return lambda document: any(found is constant for found in _select(document, path))
        if word == "NOT" and argument == "EXISTS":
            return lambda document: not _select(document, path)
        raise PatternError(f"{word} {argument} is no condition")

    def _next(self) -> Token:
        if self._position >= len(self._tokens):
            raise PatternError("unexpected end")
        self._position += 1
        return self._tokens[self._position - 1]

    def _take(self, operator: str) -> bool:
        if self._position < len(self._tokens) and self._tokens[self._position] == Token("op", operator):
            self._position += 1
            return True
        return False


def _with_selectors(text: str) -> list[Token]:
    """The tokens, with selectors found first: their brackets and quotes mean something else elsewhere."""
    tokens: list[Token] = []
    plain_from = position = 0
    while position < len(text):
        char = text[position]
        if char in '"%':
            position = _closing(text, position, char)
        elif char == "$" and (position == 0 or text[position - 1] in " \t\r\n(&|"):
            tokens += tokenize(text[plain_from:position])
            match = _SELECTOR.match(text, position)
            assert match is not None  # a lone $ is a selector: the whole document
            tokens.append(Token("selector", match[0]))
            plain_from = position = match.end()
        else:
            position += 1
    return tokens + tokenize(text[plain_from:])


def _closing(text: str, position: int, quote: str) -> int:
    """Where the text after a quoted piece begins."""
    position += 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == quote:
            return position + 1
        position += 1
    raise PatternError(f"no closing {quote}")


def _path(selector: str) -> list[Step]:
    steps: list[Step] = []
    for match in _STEP.finditer(selector, 1):
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["any"] is not None:
            steps.append(None)
        else:
            steps.append(next(name for name in match.group("name", "single", "double") if name is not None))
    return steps


def _select(document: Any, path: list[Step]) -> list[Any]:
    """What a path leads to: nothing, one value, or with `[*]` several."""
    found = [document]
    for step in path:
        if isinstance(step, str):
            found = [value[step] for value in found if isinstance(value, dict) and step in value]
        elif step is None:
            found = [item for value in found if isinstance(value, list) for item in value]
        else:
            found = [value[step] for value in found if isinstance(value, list) and step < len(value)]
    return found


def _compare(compare: Predicate, differs: bool, value: Any) -> bool:
    """A field's value is compared by its text. An object or a list equals no value, so it differs from each."""
    if isinstance(value, dict | list):
        return differs
    if isinstance(value, bool | None):
        return compare({True: "true", False: "false", None: "null"}[value])
    return compare(value if isinstance(value, str) else repr(value))
