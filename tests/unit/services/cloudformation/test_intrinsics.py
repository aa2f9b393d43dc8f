"""Intrinsic functions, conditions, and what is said where they are used wrongly."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.intrinsics import Evaluator, references, same
from tenantry.services.cloudformation.resources.shape import LATER
from tenantry.services.cloudformation.template import LANGUAGE_TRANSFORM

PSEUDO = {
    "AWS::Region": "us-east-1",
    "AWS::StackName": "s",
    "AWS::AccountId": "000000000000",
    "AWS::NotificationARNs": ["a", "b"],
}
TEMPLATE = {
    "Mappings": {"M": {"us-east-1": {"Size": "big", "List": ["x", "y"]}}},
    "Conditions": {
        "Yes": {"Fn::Equals": [{"Ref": "P"}, "v"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
        "Both": {"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]},
        "Either": {"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]},
        "Round": {"Condition": "Trip"},
        "Trip": {"Condition": "Round"},
        "Wrong": {"Ref": "P"},
    },
}


def reference(logical_id: str, attribute: str | None) -> Any:
    return LATER if logical_id == "New" else f"<{logical_id}>" if attribute is None else f"<{logical_id}.{attribute}>"


def evaluator(**changes: Any) -> Evaluator:
    return Evaluator(
        {**TEMPLATE, **changes}, {"P": "v", "L": ["a", "b"], "N": "1"}, PSEUDO, reference, lambda name: f"import:{name}"
    )


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ("text", "text"),
        (5, 5),
        ({"a": {"Ref": "P"}, "b": [{"Ref": "L"}]}, {"a": "v", "b": [["a", "b"]]}),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "R"}, "<R>"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ([{"Ref": "AWS::NoValue"}, 1], [1]),
        ({"Fn::GetAtt": ["R", "Arn"]}, "<R.Arn>"),
        ({"Fn::GetAtt": "R.Arn"}, "<R.Arn>"),
        ({"Fn::GetAtt": ["R", {"Ref": "P"}]}, "<R.v>"),
        ({"Fn::GetAtt": ["R", "Outputs", "X"]}, "<R.Outputs.X>"),
        ({"Fn::Sub": "${P}-${AWS::Region}-${R}-${R.Arn}-${!Not}-$x"}, "v-us-east-1-<R>-<R.Arn>-${Not}-$x"),
        ({"Fn::Sub": ["${A}${P}", {"A": {"Fn::Join": ["", ["x", "y"]]}}]}, "xyv"),
        ({"Fn::Sub": ["${a.b}", {"a.b": "dotted"}]}, "dotted"),
        ({"Fn::Sub": "${L}"}, "a,b"),
        ({"Fn::Join": [",", {"Ref": "L"}]}, "a,b"),
        ({"Fn::Join": ["", ["a", 1, True]]}, "a1true"),
        ({"Fn::Select": ["1", {"Ref": "L"}]}, "b"),
        ({"Fn::Select": [{"Ref": "N"}, ["x", "y"]]}, "y"),
        ({"Fn::Select": [1, {"Fn::Split": ["/", {"Fn::GetAtt": ["New", "Arn"]}]}]}, LATER),
        ({"Fn::Split": [",", "a,b,c"]}, ["a", "b", "c"]),
        ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "Size"]}, "big"),
        ({"Fn::FindInMap": ["M", "us-east-1", "List"]}, ["x", "y"]),
        ({"Fn::If": ["Yes", "a", "b"]}, "a"),
        ({"Fn::If": ["No", {"Ref": "Nowhere"}, "b"]}, "b"),
        ({"x": {"Fn::If": ["No", "a", {"Ref": "AWS::NoValue"}]}}, {}),
        ({"Fn::Base64": "text"}, base64.b64encode(b"text").decode()),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::GetAZs": {"Ref": "AWS::Region"}}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::ImportValue": {"Fn::Sub": "${AWS::StackName}-url"}}, "import:s-url"),
        ({"Fn::Equals": ["1", 1]}, True),
        ({"Condition": "not a function here", "a": 1}, {"Condition": "not a function here", "a": 1}),
    ],
)
def test_value(node: Any, value: Any) -> None:
    assert evaluator().value(node) == value


@pytest.mark.parametrize(("name", "holds"), [("Yes", True), ("No", False), ("Both", False), ("Either", True)])
def test_condition(name: str, holds: bool) -> None:
    assert evaluator().condition(name) is holds


def test_language_extensions_are_on_request() -> None:
    extended = evaluator(Transform=LANGUAGE_TRANSFORM)
    assert extended.value({"Fn::Length": {"Ref": "L"}}) == 2
    assert extended.value({"Fn::ToJsonString": {"a": {"Ref": "P"}}}) == '{"a":"v"}'
    assert extended.value({"Fn::FindInMap": ["M", "x", "y", {"DefaultValue": "d"}]}) == "d"


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"Fn::Length": [1]}, "Template error: Encountered unsupported function: Fn::Length"),
        ({"Fn::Nope": 1}, "Template error: Encountered unsupported function: Fn::Nope"),
        ({"Ref": ["a"]}, "Template error: every Ref object must have a single String value."),
        ({"Fn::GetAtt": "R"}, "Fn::GetAtt object requires two non-empty parameters"),
        ({"Fn::GetAtt": ["R", ["x"]]}, "requires the attribute name to be a string"),
        ({"Fn::Select": [2, {"Ref": "L"}]}, "Template error: Fn::Select cannot select nonexistent value at index 2"),
        ({"Fn::Select": [-1, {"Ref": "L"}]}, "nonexistent value at index -1"),
        ({"Fn::Select": [0, "x"]}, "Fn::Select requires a list"),
        ({"Fn::FindInMap": ["M", "x", "Size"]}, "Template error: Unable to get mapping for M::x::Size"),
        ({"Fn::FindInMap": ["M", "x"]}, "requires three parameters"),
        ({"Fn::Join": ["-"]}, "every Fn::Join object requires two parameters"),
        ({"Fn::Join": ["-", [{"a": 1}]]}, "must be a string"),
        ({"Fn::Split": ["", "x"]}, "every Fn::Split object requires two parameters"),
        ({"Fn::Sub": ["${A}"]}, "Fn::Sub intrinsic functions don't specify expected arguments"),
        ({"Fn::Sub": ["${A}", {"A": ["x"]}]}, "must be a string"),
        ({"Fn::If": ["Yes", "a"]}, "Fn::If requires a list argument"),
        ({"Fn::If": ["Absent", "a", "b"]}, "Unresolved condition dependency Absent"),
        ({"Fn::If": ["Round", "a", "b"]}, "circular condition dependency between conditions: [Round, Trip, Round]"),
        ({"Fn::If": ["Wrong", "a", "b"]}, "Every Condition member must be a condition function"),
        ({"Fn::Equals": ["a"]}, "every Fn::Equals object requires a list of 2 parameters."),
        ({"Fn::And": [{"Condition": "Yes"}]}, "requires a list of at least 2 and at most 10 parameters."),
        ({"Fn::Cidr": ["10.0.0.0/24", 300, 8]}, "Fn::Cidr cannot divide"),
        ({"Fn::Cidr": ["nonsense", 1, 8]}, "Fn::Cidr cannot divide nonsense"),
        ({"Fn::Cidr": ["10.0.0.0/24", "x", 8]}, "Fn::Cidr cannot divide"),
        ({"Fn::Base64": [1]}, "must be a string"),
    ],
)
def test_wrong_use(node: Any, message: str) -> None:
    with pytest.raises(ServiceError) as error:
        evaluator().value(node)
    assert error.value.code == "ValidationError"
    assert message in error.value.message


def test_references_of_a_node() -> None:
    node = {
        "a": {"Ref": "A"},
        "b": [{"Fn::GetAtt": ["B", "Arn"]}, {"Fn::Sub": ["${C} ${D.Arn} ${x} ${!E}", {"x": {"Ref": "F"}}]}],
        "c": {"Fn::If": ["Yes", {"Ref": "G"}, {"Ref": "H"}]},
    }
    found = [("A", None), ("B", "Arn"), ("F", None), ("C", None), ("D", "Arn"), ("G", None), ("H", None)]
    assert list(references(node)) == found
    assert list(references(node, lambda name: True)) == found[:-1]


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (14, "14", True),
        (True, "true", True),
        ({"a": [1]}, {"a": ["1"]}, True),
        ({"a": 1}, {}, False),
        ([1], [1, 2], False),
        (None, "None", False),
        ([], "", False),
        (1.0, 1, False),
    ],
)
def test_same(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is equal
