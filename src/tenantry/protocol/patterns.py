r"""The models' patterns are Java's: compiled here for Python, to be matched against the whole value.

Most mean the same in both languages once `\w`, `\d` and `\s` are held to ASCII. Three things are rewritten: Unicode categories
(`\p{L}`, every tag's pattern has them), a hyphen after a class (`[\w-_]`, which Python takes for a range), and `\z`. A pattern
that still does not compile is not enforced: `compile_pattern` answers None; a test shows that no service of ours has one.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import warnings

_LAST = 0x3FFFF
"""Letters, marks and symbols end here; what lies beyond are private and control planes."""


def compile_pattern(text: str) -> re.Pattern[str] | None:
    """The pattern to `fullmatch` values with; None where Python cannot express it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python warns of classes that it will one day read differently
            return re.compile(_translate(text), re.ASCII)
    except (re.error, Warning, OverflowError):
        return None


@functools.cache
def category_ranges(name: str) -> str:
    """The inside of a class that holds every character of a Unicode category (`L`, `Lu`, ...). Takes 30 ms, once for each."""
    ranges: list[str] = []
    start: int | None = None
    for code in range(_LAST + 2):
        inside = code <= _LAST and unicodedata.category(chr(code)).startswith(name)
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            ranges.append(f"\\U{start:08x}" if start == code - 1 else f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(ranges)


def _translate(text: str) -> str:
    out: list[str] = []
    position, in_class, after_set = 0, False, False
    while position < len(text):
        character = text[position]
        if character == "\\":
            width, piece = _escape(text, position, in_class=in_class)
            out.append(piece)
            position += width
            after_set = in_class and text[position - width + 1] in "wdsWDSp"
            continue
        if character == "-" and after_set and text[position + 1 : position + 2] != "]":
            character = r"\-"
        elif character == "[":
            # Java's classes inside classes do not occur; a bare bracket inside one does.
            character, in_class = (r"\[", True) if in_class else ("[", True)
        elif character == "]":
            in_class = False
        after_set = False
        out.append(character)
        position += 1
    return "".join(out)


def _escape(text: str, position: int, *, in_class: bool) -> tuple[int, str]:
    """(characters consumed, what stands for them)."""
    match = re.compile(r"\\p\{(?:Is)?([A-Z][a-z]?)\}").match(text, position)
    if match is not None:
        inside = category_ranges(match[1])
        return match.end() - position, inside if in_class else f"[{inside}]"
    piece = text[position : position + 2]
    return 2, r"\Z" if piece == r"\z" else piece
