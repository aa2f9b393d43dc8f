"""Patterns of terms: `ERROR "not found" -debug`, `?a ?b`, `%regex%` (aws-behaviour 6.3).

Terms are looked for anywhere in the message, with case. Plain ones must all be there, those after `-` must not; those after `?`
need one of them, and count for nothing beside any other term, as AWS documents.
"""

from __future__ import annotations

import re

from tenantry.services.logs.patterns.values import REGEXES_MAX, PatternError, Predicate, searching, unescape

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|%((?:[^%\\]|\\.)*)%|(\w+))(?=\s|$)\s*', re.DOTALL)


def compile_terms(text: str) -> Predicate:
    """The predicate of a pattern of terms; an empty pattern matches everything."""
    required: list[Predicate] = []
    optional: list[Predicate] = []
    forbidden: list[Predicate] = []
    position, regexes = 0, 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise PatternError(f"unexpected text at {position}")
        sign, quoted, regex, word = match.groups()
        regexes += regex is not None
        predicate = searching(regex) if regex is not None else _contains(unescape(quoted) if word is None else word)
        {"": required, "?": optional, "-": forbidden}[sign].append(predicate)
        position = match.end()
    if regexes > REGEXES_MAX:
        raise PatternError("at most two regular expressions")
    if required or forbidden:
        return lambda message: all(has(message) for has in required) and not any(has(message) for has in forbidden)
    return lambda message: not optional or any(has(message) for has in optional)


def _contains(term: str) -> Predicate:
    return lambda message: term in message
