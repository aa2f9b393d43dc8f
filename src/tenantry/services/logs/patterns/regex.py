r"""The regular expressions of filter patterns, matched in linear time (aws-behaviour 6.3).

The language has no groups: alternatives, each a row of characters or classes with a quantifier, and anchors at its ends. That
keeps matching simple to bound. An expression of which backtracking cannot cost much is handed to Python's `re`; any other runs
as an automaton over sets of positions, whose steps are remembered as they are found: one dictionary look-up for a character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

POSITIONS_MAX = 1_000
_REPEAT_MAX = 1_000
_REMEMBERED_MAX = 20_000
_STEPS_MAX = 1_000
_PLAIN = re.compile(r"[A-Za-z0-9_#=@/;,\- ]")
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\f\v"}
_NAMED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_QUANTIFIER = re.compile(r"[?*+]|\{(\d{1,4})(,(\d{0,4}))?\}", re.ASCII)


class RegexError(ValueError):
    """A text that is no such expression."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One class of characters, as Python's `re` writes it, and how often: `most` None for any number."""

    charset: str
    least: int = 1
    most: int | None = 1


@dataclass(frozen=True, slots=True)
class _Branch:
    """One alternative."""

    items: tuple[_Item, ...]
    at_start: bool
    at_end: bool


def compile_regex(text: str) -> Callable[[str], bool]:
    """Whether the expression occurs in a text. RegexError for what the language does not have, and for what is too large."""
    branches = [_parse_branch(part) for part in _alternatives(text)]
    if sum((item.most or item.least + 1) for branch in branches for item in branch.items) > POSITIONS_MAX:
        raise RegexError("the expression is too large")
    if all(_is_cheap(branch) for branch in branches):
        search = re.compile("|".join(map(_as_python, branches)), re.ASCII).search
        return lambda message: search(message) is not None
    return Automaton(branches).search


# -- parsing ----------------------------------------------------------------------------------------------------------


def _alternatives(text: str) -> Iterator[str]:
    """The parts between `|`, of which those inside a class or after a backslash are no separators."""
    start, position, in_class = 0, 0, False
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == "[":
            in_class = True
        elif char == "]":
            in_class = False
        elif char == "|" and not in_class:
            yield text[start:position]
            start = position + 1
        position += 1
    yield text[start:]


def _parse_branch(text: str) -> _Branch:
    at_start = text.startswith("^")
    position = int(at_start)
    end = len(text)
    at_end = text.endswith("$") and not _escaped(text, end - 1) and end > position
    end -= int(at_end)
    items = []
    while position < end:
        charset, position = _atom(text, position, end)
        quantifier = _QUANTIFIER.match(text, position, end)
        if quantifier is None:
            items.append(_Item(charset))
        else:
            items.append(_Item(charset, *_counts(quantifier)))
            position = quantifier.end()
    if not items and not at_start and not at_end:
        raise RegexError("an empty alternative")
    return _Branch(tuple(items), at_start, at_end)


def _escaped(text: str, position: int) -> bool:
    backslashes = len(text[:position]) - len(text[:position].rstrip("\\"))
    return backslashes % 2 == 1


def _atom(text: str, position: int, end: int) -> tuple[str, int]:
    """A class of characters and where the text goes on."""
    char = text[position]
    if char == "\\":
        if position + 1 >= end:
            raise RegexError("nothing after a backslash")
        return _escape(text[position + 1], inside=False), position + 2
    if char == "[":
        return _class(text, position, end)
    if char == ".":
        return r"[^\n]", position + 1
    if not _PLAIN.fullmatch(char):
        raise RegexError(f"{char!r} is not allowed here")
    return re.escape(char), position + 1


def _escape(char: str, *, inside: bool) -> str:
    if char.lower() in _CLASSES:
        content = _CLASSES[char.lower()]
        if char.islower():
            return content if inside else f"[{content}]"
        if inside:
            raise RegexError("a negated class inside a class")
        return f"[^{content}]"
    if char in _NAMED:
        return re.escape(_NAMED[char])
    if char.isascii() and not char.isalnum():
        return re.escape(char) if char != "^" else r"\^"
    raise RegexError(f"unknown escape {char!r}")


def _class(text: str, position: int, end: int) -> tuple[str, int]:
    """A bracketed class."""
    position += 1
    negated = position < end and text[position] == "^"
    position += int(negated)
    parts: list[str] = []
    while position < end and text[position] != "]":
        char = text[position]
        if char == "\\":
            if position + 1 >= end:
                raise RegexError("nothing after a backslash")
            parts.append(_escape(text[position + 1], inside=True))
            position += 2
            continue
        if char == "[" or not char.isascii() or not char.isprintable():
            raise RegexError(f"{char!r} is not allowed in a class")
        if position + 2 < end and text[position + 1] == "-" and text[position + 2] not in "]\\":
            if text[position + 2] < char or not text[position + 2].isascii():
                raise RegexError("a range that goes backward")
            parts.append(f"{re.escape(char)}-{re.escape(text[position + 2])}")
            position += 3
            continue
        parts.append(re.escape(char) if char != "^" else r"\^")
        position += 1
    if position >= end or not parts:
        raise RegexError("a class that does not close, or is empty")
    return f"[{'^' if negated else ''}{''.join(parts)}]", position + 1


def _counts(match: re.Match[str]) -> tuple[int, int | None]:
    if match[1] is None:
        counts: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
        return counts[match[0]]
    least = int(match[1])
    most = least if match[2] is None else int(match[3]) if match[3] else None
    if (most or least) > _REPEAT_MAX or (most is not None and (most < least or most == 0)):
        raise RegexError("counts out of range")
    return least, most


# -- matching with re -------------------------------------------------------------------------------------------------


def _is_cheap(branch: _Branch) -> bool:
    """Whether trying a branch at one place of a text costs a small number of steps: nothing unbounded in it, except a last
    item that need not go on; and few ways to share characters between optional ones.
    """
    steps = 1 + sum(item.least for item in branch.items)
    for item in branch.items if branch.at_end else branch.items[:-1]:
        if item.most is None:
            return False
        steps *= item.most - item.least + 1
    return steps <= _STEPS_MAX


def _as_python(branch: _Branch) -> str:
    parts = ["^" if branch.at_start else ""]
    for index, item in enumerate(branch.items):
        last = index == len(branch.items) - 1 and not branch.at_end
        # What a search finds does not matter, only whether: a last item stops at its least count.
        most = item.least if last else item.most
        parts.append(f"{item.charset}{{{item.least},{'' if most is None else most}}}")
    return "".join(parts) + ("$" if branch.at_end else "")


# -- matching as an automaton -----------------------------------------------------------------------------------------


class Automaton:
    """All branches at once. A place is one class of one branch, with repeats written out; a state is the set of places that
    read the last character, as the bits of a number. Steps are remembered as they are found, and all forgotten when they are
    too many; two threads may find the same one twice, nothing worse.
    """

    def __init__(self, branches: list[_Branch]) -> None:
        self._reads: list[Callable[[str], object]] = []
        self._follows: list[int] = []
        self._first = 0  # places that may read the first character
        self._anywhere = 0  # places that may read any character, as the beginning of a match
        self._final = 0  # places that end a match
        self._final_at_end = 0  # places that end one at the end of the text
        self._matches_all = False
        self._matches_empty = False
        for branch in branches:
            self._add(branch)
        self._steps: dict[tuple[int, str], int] = {}
        self._readers: dict[str, int] = {}

    def search(self, text: str) -> bool:
        """Whether a match occurs in the text."""
        if self._matches_all or (self._matches_empty and text in ("", "\n")):
            return True
        # `$` is at the end, and also before a last line feed.
        ends = (len(text) - 1, len(text) - 2) if text.endswith("\n") else (len(text) - 1,)
        state, steps = -1, self._steps
        for position, char in enumerate(text):
            following = steps.get((state, char))
            state = self._step(state, char) if following is None else following
            if state & self._final or (position in ends and state & self._final_at_end):
                return True
            if not state and not self._anywhere:
                return False
        return False

    def _step(self, state: int, char: str) -> int:
        """The state after `char`; -1 is the state before the first one."""
        candidates = self._first if state == -1 else self._anywhere
        if state != -1:
            for place in _bits(state):
                candidates |= self._follows[place]
        following = candidates & self._readers_of(char)
        if len(self._steps) >= _REMEMBERED_MAX:
            self._steps.clear()
        self._steps[state, char] = following
        return following

    def _readers_of(self, char: str) -> int:
        """The places that read a character."""
        readers = self._readers.get(char)
        if readers is None:
            readers = sum(1 << place for place, reads in enumerate(self._reads) if reads(char))
            if len(self._readers) >= _REMEMBERED_MAX:
                self._readers.clear()
            self._readers[char] = readers
        return readers

    def _add(self, branch: _Branch) -> None:
        places: list[tuple[str, bool, bool]] = []  # its class, may be left out, may repeat
        for item in branch.items:
            copies = max(item.least, 1) if item.most is None else item.most
            places += [(item.charset, copy >= item.least, item.most is None and copy == copies - 1) for copy in range(copies)]
        base = len(self._reads)
        reachable, may_end = 0, True  # from behind the last place, backward: what can be read next; whether nothing need be
        follows, ends = [], 0
        for index in reversed(range(len(places))):
            bit, (_, optional, repeats) = 1 << (base + index), places[index]
            follows.append(reachable | (bit if repeats else 0))
            ends |= bit if may_end else 0
            reachable = bit | (reachable if optional else 0)
            may_end = may_end and optional
        self._reads += [re.compile(charset, re.ASCII).fullmatch for charset, _, _ in places]
        self._follows += reversed(follows)
        self._first |= reachable
        self._anywhere |= 0 if branch.at_start else reachable
        self._final_at_end |= ends
        self._final |= 0 if branch.at_end else ends
        self._matches_all |= may_end and not (branch.at_start and branch.at_end)
        self._matches_empty |= may_end


def _bits(number: int) -> Iterator[int]:
    """The positions of the ones."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
