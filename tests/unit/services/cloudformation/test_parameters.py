"""Parameters: values, defaults, rules, and AWS's words where they do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation import parameters


def given(**values: str) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def declared(**rules: Any) -> dict[str, Any]:
    return {"Parameters": {"P": {"Type": "String", **rules}}}


def refusal(template: dict[str, Any], values: Any, previous: dict[str, str] | None = None) -> str:
    with pytest.raises(ServiceError) as error:
        parameters.resolve(template, values, previous)
    assert error.value.code == "ValidationError"
    return error.value.message


def test_given_value_wins_over_the_default() -> None:
    template = declared(Default="d")
    assert parameters.resolve(template, [], None) == {"P": "d"}
    assert parameters.resolve(template, given(P="g"), None) == {"P": "g"}


@pytest.mark.parametrize(("default", "text"), [(14, "14"), (True, "true"), (["a", "b"], "a,b"), ("", "")])
def test_default_becomes_text(default: Any, text: str) -> None:
    assert parameters.resolve(declared(Default=default), [], None) == {"P": text}


def test_previous_value_is_used_when_asked() -> None:
    asked = [{"ParameterKey": "P", "UsePreviousValue": True}]
    assert parameters.resolve(declared(Default="d"), asked, {"P": "old"}) == {"P": "old"}
    assert "not in the previous template" in refusal(declared(), asked)
    both = [{"ParameterKey": "P", "UsePreviousValue": True, "ParameterValue": "x"}]
    assert "non empty value" in refusal(declared(), both, {"P": "old"})


def test_all_missing_values_are_named() -> None:
    template = {"Parameters": {"A": {"Type": "String"}, "B": {"Type": "Number"}}}
    assert refusal(template, []) == "Parameters: [A, B] must have values"


def test_unknown_parameters_are_named() -> None:
    assert refusal({}, given(Q="1", R="2")) == "Parameters: [Q, R] do not exist in the template"


@pytest.mark.parametrize(
    ("rules", "value", "message"),
    [
        ({"AllowedValues": ["dev", "prod"]}, "test", "Parameter 'P' must be one of AllowedValues"),
        ({"AllowedValues": [1, True]}, "2", "Parameter 'P' must be one of AllowedValues"),
        ({"AllowedPattern": "[a-z]+"}, "a1", "Parameter 'P' must match pattern [a-z]+"),
        ({"AllowedPattern": "[a-z]+", "ConstraintDescription": "letters"}, "1", "failed to satisfy constraint: letters"),
        ({"AllowedPattern": "["}, "1", "is not a regular expression"),
        ({"MinLength": "3"}, "ab", "Parameter 'P' must contain at least 3 characters"),
        ({"MaxLength": 1}, "ab", "Parameter 'P' must contain at most 1 characters"),
        ({"MinLength": "x"}, "ab", "MinLength of parameter P must be a number."),
        ({"Type": "Number"}, "abc", "Parameter 'P' must be a number"),
        ({"Type": "Number"}, "nan", "Parameter 'P' must be a number"),
        ({"Type": "List<Number>"}, "1,b", "Parameter 'P' must be a number"),
        ({"Type": "Number", "MinValue": 3}, "2", "Parameter 'P' must be a number not less than 3"),
        ({"Type": "Number", "MaxValue": "3"}, "4", "Parameter 'P' must be a number not greater than 3"),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a"]}, "a,b", "Parameter 'P' must be one of AllowedValues"),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, "x", "parameter type AWS::SSM::Parameter::Value<String> (P)"),
        ({"Type": "Text"}, "x", "Unrecognized parameter type: Text"),
        ({"Type": 1}, "x", "Every Parameters object must contain a Type member: [P]"),
        ({"AllowedValues": "a"}, "a", "AllowedValues of parameter P must be a list."),
    ],
)
def test_value_that_does_not_fit(rules: dict[str, Any], value: str, message: str) -> None:
    assert message in refusal(declared(**rules), given(P=value))


@pytest.mark.parametrize(
    ("kind", "value", "seen"),
    [
        ("String", "a,b", "a,b"),
        ("CommaDelimitedList", "a, b", ["a", "b"]),
        ("CommaDelimitedList", "", []),
        ("List<Number>", "1,2", ["1", "2"]),
        ("List<AWS::EC2::Subnet::Id>", "subnet-1", ["subnet-1"]),
        ("AWS::EC2::VPC::Id", "vpc-1", "vpc-1"),
    ],
)
def test_typed_value(kind: str, value: str, seen: Any) -> None:
    template = declared(Type=kind)
    values = parameters.resolve(template, given(P=value), None)
    assert parameters.typed(template, values) == {"P": seen}


def test_secrets_are_masked() -> None:
    template = {"Parameters": {"A": {"Type": "String", "NoEcho": "true"}, "B": {"Type": "String", "NoEcho": False}}}
    hidden = parameters.no_echo(template)
    assert parameters.shown({"A": "secret", "B": "open"}, hidden) == [
        {"ParameterKey": "A", "ParameterValue": "****"},
        {"ParameterKey": "B", "ParameterValue": "open"},
    ]


def test_declarations_for_the_summary() -> None:
    template = declared(Default=1, Description="d", AllowedValues=[1, 2])
    assert parameters.declarations(template) == [
        {
            "ParameterKey": "P",
            "ParameterType": "String",
            "NoEcho": False,
            "ParameterConstraints": {"AllowedValues": ["1", "2"]},
            "DefaultValue": "1",
            "Description": "d",
        }
    ]
