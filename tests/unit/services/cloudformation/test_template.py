"""Template text to template: short tags, positions of mistakes, structure."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.template import parse, required_capabilities, transforms

BODY = "Resources:\n  G:\n    Type: AWS::Logs::LogGroup\n"
TYPED = '{"Resources": {"G": {"Type": "AWS::Logs::LogGroup"%s}}%s}'


def values(text: str) -> Any:
    """What `Metadata` of a YAML template becomes."""
    return parse(f"{BODY}Metadata:\n{text}")["Metadata"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  a: !Ref X", {"Ref": "X"}),
        ("  a: !Condition X", {"Condition": "X"}),
        ("  a: !GetAtt X.Arn", {"Fn::GetAtt": ["X", "Arn"]}),
        ("  a: !GetAtt X.Outputs.Arn", {"Fn::GetAtt": ["X", "Outputs.Arn"]}),
        ("  a: !GetAtt [X, Arn]", {"Fn::GetAtt": ["X", "Arn"]}),
        ("  a: !Sub '${X}-y'", {"Fn::Sub": "${X}-y"}),
        ("  a: !Sub ['${X}', {X: !Ref Y}]", {"Fn::Sub": ["${X}", {"X": {"Ref": "Y"}}]}),
        ("  a: !If [C, !Ref A, !Ref 'AWS::NoValue']", {"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
        ("  a: !Join ['-', [!Ref A, b]]", {"Fn::Join": ["-", [{"Ref": "A"}, "b"]]}),
        ("  a: !Base64\n    Fn::Sub: x", {"Fn::Base64": {"Fn::Sub": "x"}}),
        ("  a: 2012-10-17", "2012-10-17"),
        ("  a: 14", 14),
        ("  a: '14'", "14"),
        ("  a: true", True),
        ("  a: 'true'", "true"),
        ("  a: ~", None),
        ("  a: 1.5", 1.5),
        ("  a: {200: x, on: y}", {"200": "x", "on": "y"}),
    ],
)
def test_yaml_value(text: str, value: Any) -> None:
    assert values(text)["a"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Resources": ', "Template format error: JSON not well-formed. (line 1, column 15)"),
        ('{\n "Resources": {},\n}', "Template format error: JSON not well-formed. (line 3, column 1)"),
        ('{"Resources": NaN}', "Template format error: JSON not well-formed. (NaN is not a JSON value)"),
        ('{"Resources": {"A": {}, "A": {}}}', "Template format error: Duplicate key 'A'"),
        ("Resources:\n  G: [", "Template format error: YAML not well-formed. (line 3, column 1)"),
        ("Resources:\n\tG: x", "Template format error: YAML not well-formed. (line 2, column 1)"),
        ("a: 1\na: 2", "Template format error: Duplicate key 'a' (line 2, column 1)"),
        ("a: &x 1\nb: *x", "YAML aliases are not allowed in CloudFormation templates. (line 1, column 4)"),
        ("a: !!binary aGk=", "YAML tag tag:yaml.org,2002:binary is not supported. (line 1"),
        ("a: !<x> y", "YAML tag x is not supported. (line 1, column 4)"),
        ("a: \x01", "Template format error: YAML not well-formed."),
        ("- a", "Template format error: unsupported structure."),
        ("just text", "Template format error: unsupported structure."),
        ("", "Template format error: unsupported structure."),
        ("[" * 2000, "Template format error: YAML not well-formed."),
        ("{" + '"a":{' * 200_000, "JSON"),
        ("a: " + "[" * 150 + "]" * 150, "Template format error: YAML is nested too deeply."),
        ("? [a]\n: b", "Template format error: YAML keys must be scalars. (line 1, column 3)"),
        ("{}", "Template format error: At least one Resources member must be defined."),
        ('{"Resources": {}}', "Template format error: At least one Resources member must be defined."),
        ('{"Resources": []}', "[/Resources] 'Resources' section must be an object."),
        ('{"Resource": {}}', "Template format error: Invalid template property or properties [Resource]"),
        (TYPED % ("", ', "Globals": {}'), "Invalid template property or properties [Globals]"),
        (TYPED % ("", ', "AWSTemplateFormatVersion": "2011-01-01"'), "unsupported value for AWSTemplateFormatVersion"),
        (TYPED % ("", ', "Description": 1'), "Description must be a string"),
        (TYPED % ("", f', "Description": "{"x" * 1025}"'), "longer than 1024 bytes"),
        (TYPED % (', "Propertys": {}', ""), "Invalid template resource property 'Propertys'"),
        (TYPED % (', "Properties": []', ""), "Template format error: [/Resources/G/Properties] Properties must be an object."),
        (TYPED % (', "DependsOn": {}', ""), "[/Resources/G/DependsOn] DependsOn must be a string or a list of strings."),
        (TYPED % (', "DeletionPolicy": "Keep"', ""), "Unrecognized DeletionPolicy Keep for resource G"),
        ('{"Resources": {"a-b": {"Type": "T"}}}', "Template format error: Resource name a-b is non alphanumeric."),
        ('{"Resources": {"G": {}}}', "[/Resources/G] Every Resources object must contain a Type member."),
        ('{"Resources": {"G": "x"}}', "[/Resources/G] Every Resources member must be an object."),
        (TYPED % ("", ', "Outputs": {"O": {}}'), "[/Outputs/O] Every Outputs member must contain a Value object"),
        (TYPED % ("", ', "Outputs": {"O": {"Value": "x", "Export": "y"}}'), "Export must be an object"),
        (TYPED % ("", ', "Outputs": {"O-O": {"Value": "x"}}'), "Output name O-O is non alphanumeric."),
        (
            json.dumps({"Resources": {f"G{number}": {"Type": "T"} for number in range(501)}}),
            "Number of resources, 501, is greater than maximum allowed, 500",
        ),
    ],
)
def test_refused_template(text: str, message: str) -> None:
    with pytest.raises(ServiceError) as error:
        parse(text)
    assert error.value.code == "ValidationError"
    assert message in error.value.message


def test_sections_without_members_count_as_absent() -> None:
    template = parse(f"{BODY}Parameters:\nOutputs:\n")
    assert "Parameters" not in template
    assert "Outputs" not in template


def test_sam_template_may_have_globals() -> None:
    template = parse(f"Transform: AWS::Serverless-2016-10-31\nGlobals: {{}}\n{BODY}")
    assert transforms(template) == ["AWS::Serverless-2016-10-31"]


def test_transforms_are_named_in_all_their_forms() -> None:
    assert transforms({"Transform": ["A", {"Name": "AWS::Include"}]}) == ["A", "AWS::Include"]
    assert transforms({}) == []


@pytest.mark.parametrize(
    ("properties", "needed"),
    [({}, "CAPABILITY_IAM"), ({"RoleName": "r"}, "CAPABILITY_NAMED_IAM")],
)
def test_capabilities_of_a_role(properties: dict[str, Any], needed: str) -> None:
    template = {"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    assert required_capabilities(template) == ([needed], ["AWS::IAM::Role"])


def test_name_of_a_policy_is_no_name_of_an_identity() -> None:
    template = {"Resources": {"P": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "p"}}}}
    assert required_capabilities(template) == (["CAPABILITY_IAM"], ["AWS::IAM::Policy"])


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31)
    | st.text(st.characters(codec="ascii", min_codepoint=32), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.sampled_from("abcXYZ"), min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(TREES)
def test_json_and_yaml_forms_are_read_alike(tree: Any) -> None:
    template = {"Resources": {"G": {"Type": "T"}}, "Metadata": {"tree": tree}}
    assert parse(json.dumps(template)) == template
    assert parse(yaml.safe_dump(template, default_style='"' if isinstance(tree, str) else None)) == template


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        template = parse(text)
    except ServiceError as error:
        template = {"Resources": error.code}
    assert template["Resources"]
