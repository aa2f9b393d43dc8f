"""Shapes of properties: conversions, misfits by path, members that a type does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenantry.services.cloudformation.resources.registry import RESOURCE_TYPES
from tenantry.services.cloudformation.resources.shape import (
    BOOLEAN,
    INTEGER,
    JSON,
    LATER,
    NUMBER,
    STRING,
    Scalar,
    extraneous,
    map_of,
    shaped,
)

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("value", "shape", "result"),
    [
        ("128", INTEGER, 128),
        (128.0, INTEGER, 128),
        ("true", BOOLEAN, True),
        ("False", BOOLEAN, False),
        (14, STRING, "14"),
        (True, STRING, "true"),
        ("0.5", NUMBER, 0.5),
        ({"any": [1]}, JSON, {"any": [1]}),
        ({"a": 1}, map_of(STRING), {"a": "1"}),
        ("one", [STRING], ["one"]),
        ([1, "2"], [INTEGER], [1, 2]),
        ({"S": {"N": "5"}}, {"S": {"N": INTEGER}}, {"S": {"N": 5}}),
        (LATER, INTEGER, LATER),
        (f"x{LATER}", BOOLEAN, f"x{LATER}"),
        (LATER, [STRING], LATER),
        (LATER, {"a": STRING}, LATER),
    ],
)
def test_converted(value: Any, shape: Any, result: Any) -> None:
    problems: list[str] = []
    assert shaped(value, shape, "#", problems) == result
    assert problems == []


@pytest.mark.parametrize(
    ("value", "shape", "problem"),
    [
        ("abc", INTEGER, "#: expected type: Integer, found: String"),
        (1.5, INTEGER, "#: expected type: Integer, found: Number"),
        ("yes", BOOLEAN, "#: expected type: Boolean, found: String"),
        ({}, STRING, "#: expected type: String, found: JSONObject"),
        (None, STRING, "#: expected type: String, found: Null"),
        ("x", {"a": STRING}, "#: expected type: JSONObject, found: String"),
        ({}, [STRING], "#: expected type: JSONArray, found: JSONObject"),
        ([{"a": "b"}], [{"a": INTEGER}], "#/0/a: expected type: Integer, found: String"),
        ({"b": 1}, {"a": STRING}, "#: extraneous key [b] is not permitted"),
    ],
)
def test_misfit(value: Any, shape: Any, problem: str) -> None:
    problems: list[str] = []
    shaped(value, shape, "#", problems)
    assert problems == [problem]


def test_members_that_a_type_does_not_have_are_found_at_any_depth() -> None:
    shape = {"A": {"B": STRING}, "L": [{"C": STRING}], "M": map_of(STRING)}
    value = {"A": {"B": 1, "X": 2}, "L": [{"C": 1}, {"Y": 1}], "M": {"free": 1}, "Z": 3}
    assert list(extraneous(value, shape)) == ["A.X", "L.Y", "Z"]
    assert list(extraneous({"A": {"Fn::If": ["c", 1, 2]}}, shape)) == []


def _is_shape(shape: Any) -> bool:
    if isinstance(shape, dict):
        return all(map(_is_shape, shape.values()))
    if isinstance(shape, list):
        return len(shape) == 1 and _is_shape(shape[0])
    return isinstance(shape, Scalar) or _is_shape(shape.value)


@pytest.mark.parametrize("name", sorted(RESOURCE_TYPES))
def test_schema_is_sound(name: str) -> None:
    schema = RESOURCE_TYPES[name].schema
    assert schema.type == name
    assert _is_shape(dict(schema.shape))
    assert set(schema.required) <= set(schema.shape)
    assert schema.create_only <= set(schema.shape)
    assert not schema.tagged or "Tags" in schema.shape


def test_every_type_is_documented() -> None:
    rows = (ROOT / "docs" / "cloudformation.md").read_text().splitlines()
    documented = {row.split("`")[1] for row in rows if row.startswith("| `AWS::")}
    assert documented == set(RESOURCE_TYPES)
