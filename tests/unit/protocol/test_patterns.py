"""Java's patterns in Python."""

from __future__ import annotations

import pytest

from tenantry.protocol.patterns import category_ranges, compile_pattern
from tenantry.protocol.wire import SERVICES, Protocol


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", ["abc", "ключ 1", "日本", "é=@", ""], ["a*b", "a\nb", "\u200b", "a!"]),
        (r"[\w-_]*", ["a-b_c"], ["a b", "é"]),
        (r"\d{3}", ["123"], ["\u0661\u0662\u0663", "1234"]),
        (r"^a$", ["a"], ["a\n", "ba"]),
        (r"a\z", ["a"], ["a\n"]),
        (r"[a[b]+", ["a[b"], ["c"]),
        (r"\p{Lu}x", ["Ax", "Éx"], ["ax", "1x"]),
        (r"(?i)ab", ["AB"], ["AC"]),
    ],
)
def test_meaning(pattern: str, fits: list[str], does_not: list[str]) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert [text for text in fits if not compiled.fullmatch(text)] == []
    assert [text for text in does_not if compiled.fullmatch(text)] == []


def test_what_python_cannot_say_is_not_enforced() -> None:
    assert compile_pattern(r"\P{L}+") is None
    assert compile_pattern("(") is None


def test_every_pattern_of_our_services_is_enforced(protocol: Protocol) -> None:
    seen: dict[str, bool] = {}
    for service in SERVICES:
        model = protocol.plans(service).model
        for operation in model.operations():
            for shape in (operation.input(), operation.output()):
                if shape is not None:
                    collect(shape, seen, set())
    assert len(seen) > 100
    assert [pattern for pattern, compiles in seen.items() if not compiles] == []


def collect(shape: object, seen: dict[str, bool], known: set[str]) -> None:
    if shape.name in known:  # type: ignore[attr-defined]
        return
    known.add(shape.name)  # type: ignore[attr-defined]
    pattern = shape.get("pattern")  # type: ignore[attr-defined]
    if pattern and pattern not in seen:
        seen[pattern] = compile_pattern(pattern) is not None
    kind = shape.type  # type: ignore[attr-defined]
    if kind == "structure":
        for member in shape.members().values():  # type: ignore[attr-defined]
            collect(member, seen, known)
    elif kind == "list":
        collect(shape.element(), seen, known)  # type: ignore[attr-defined]
    elif kind == "map":
        collect(shape.key(), seen, known)  # type: ignore[attr-defined]
        collect(shape.value(), seen, known)  # type: ignore[attr-defined]


def test_categories_are_unicodes_own() -> None:
    assert category_ranges("Zl") == r"\U00002028"
    assert category_ranges("Nd").startswith(r"\U00000030-\U00000039\U00000660-\U00000669")
