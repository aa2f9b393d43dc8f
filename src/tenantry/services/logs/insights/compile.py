"""Expressions become closures over a row."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from tenantry.services.logs.insights.functions import SCALARS, Value, arithmetic, compare, floor_to, power, text
from tenantry.services.logs.insights.rows import Row
from tenantry.services.logs.insights.syntax import Call, Expression, Field, Literal, Match

Evaluate = Callable[[Row], Value]

_ARITHMETIC = {
    "+": arithmetic(operator.add),
    "-": arithmetic(operator.sub),
    "*": arithmetic(operator.mul),
    "/": arithmetic(operator.truediv),
    "%": arithmetic(operator.mod),
    "^": arithmetic(power),
}
_ORDER: dict[str, tuple[int, ...]] = {"=": (0,), "<": (-1,), ">": (1,), "<=": (-1, 0), ">=": (1, 0)}


def compile_expression(expression: Expression) -> Evaluate:
    """The closure that gives an expression's value. Aggregates must have been replaced by fields before."""
    if isinstance(expression, Literal):
        value = expression.value
        return lambda row: value
    if isinstance(expression, Field):
        name = expression.name
        return lambda row: row.get(name)
    if isinstance(expression, Match):
        return _match(expression)
    return _call(expression)


def is_true(value: Value) -> bool:
    """Whether a condition holds: a truth value that is true, or a number other than 0."""
    return value is not None and value is not False and value != 0 and value != ""


def _match(expression: Match) -> Evaluate:
    value = compile_expression(expression.value)
    if isinstance(expression.needle, re.Pattern):
        search = expression.needle.search
        return lambda row: (found := value(row)) is not None and search(text(found)) is not None
    needle = compile_expression(expression.needle)
    return lambda row: (found := value(row)) is not None and (part := needle(row)) is not None and text(part) in text(found)


def _call(call: Call) -> Evaluate:
    arguments = [compile_expression(argument) for argument in call.arguments]
    name = call.name
    if name in ("and", "or"):
        first, second = arguments
        if name == "and":
            return lambda row: is_true(first(row)) and is_true(second(row))
        return lambda row: is_true(first(row)) or is_true(second(row))
    if name == "not":
        return lambda row: not is_true(arguments[0](row))
    if name == "!=":  # also where the field is missing
        first, second = arguments
        return lambda row: compare(first(row), second(row)) != 0
    if name in _ORDER:
        first, second = arguments
        wanted = _ORDER[name]
        return lambda row: compare(first(row), second(row)) in wanted
    if name == "in":
        first, *others = arguments
        return lambda row: (value := first(row)) is not None and any(compare(value, other(row)) == 0 for other in others)
    if name in _ARITHMETIC:
        first, second = arguments
        calculate = _ARITHMETIC[name]
        return lambda row: calculate(first(row), second(row))
    if name == "negative":
        negate = _ARITHMETIC["-"]
        return lambda row: negate(0, arguments[0](row))
    if name == "bin":
        return lambda row: floor_to(row.timestamp, arguments[0](row))
    function = SCALARS[name].call
    return lambda row: function(*[argument(row) for argument in arguments])
