"""AWS's text about parameters that do not fit (aws-behaviour 1.6, 3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.protocol.dialect import JSON
from tenantry.protocol.model import ServiceModel
from tenantry.protocol.validate import Validators
from tenantry.protocol.wire import SERVICES, Protocol

ROLE = "arn:aws:iam::000000000000:role/r"
CODE = {"ZipFile": b"zip"}


def findings(protocol: Protocol, service: str, operation: str, **params: Any) -> list[str]:
    """What is said, split at the findings; [] where nothing is."""
    try:
        protocol.validate(service, operation, params)
    except ServiceError as error:
        count, _, rest = error.message.partition(" detected: ")
        found = rest.split("; ")
        assert count == f"{len(found)} validation error{'s' if len(found) > 1 else ''}"
        return [error.code, *found]
    return []


def test_what_fits_is_let_through(protocol: Protocol) -> None:
    assert findings(protocol, "lambda", "Invoke", FunctionName="f", TenantId="a_.:/=+-@ b" * 10) == []
    assert (
        findings(protocol, "lambda", "CreateFunction", FunctionName="f", Role=ROLE, Code=CODE, Tags={"ключ": "значение"}) == []
    )


def test_runtimes_are_left_to_lambda(protocol: Protocol) -> None:
    assert findings(protocol, "lambda", "UpdateFunctionConfiguration", FunctionName="f", Runtime="cobol85") == []


def test_several_faults_in_one_text(protocol: Protocol) -> None:
    code, *found = findings(
        protocol, "lambda", "CreateFunction", FunctionName="f", Role="r1", Code=CODE, Timeout=0, MemorySize=1
    )
    assert code == "ValidationException"
    assert found[0].startswith(
        "Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:"
    )
    assert found[1] == "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"
    assert (
        found[2]
        == "Value '1' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"
    )


def test_nested_and_missing(protocol: Protocol) -> None:
    base: dict[str, Any] = {"FunctionName": "f", "Role": ROLE, "Code": CODE}
    mode = "'tenancyConfig.tenantIsolationMode' failed to satisfy constraint: Member must"
    assert findings(protocol, "lambda", "CreateFunction", **base, TenancyConfig={})[1] == f"Value null at {mode} not be null"
    assert findings(protocol, "lambda", "CreateFunction", **base, TenancyConfig={"TenantIsolationMode": "X"})[1] == (
        f"Value 'X' at {mode} satisfy enum value set: [PER_TENANT]"
    )
    _, *found = findings(protocol, "iam", "TagRole", RoleName="r", Tags=[{"Key": "k", "Value": "v"}, {"Key": ""}])
    assert found == [
        "Value null at 'tags.2.member.value' failed to satisfy constraint: Member must not be null",
        "Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1",
        "Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: "
        "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
    ]


def test_lists_and_maps_are_shown_whole(protocol: Protocol) -> None:
    base: dict[str, Any] = {"FunctionName": "f", "Role": ROLE, "Code": CODE}
    _, *several = findings(protocol, "lambda", "CreateFunction", **base, Architectures=["arm64", "vax"])
    assert several == [
        "Value '[arm64, vax]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1",
        "Value '[arm64, vax]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must satisfy enum value set: [x86_64, arm64]]",
    ]
    _, found = findings(
        protocol, "lambda", "TagResource", Resource="arn:aws:lambda:us-east-1:000000000000:function:f", Tags={"a*b": "v"}
    )
    assert found.startswith(
        "Value '{a*b=v}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must "
    )
    _, *found_all = findings(protocol, "cloudformation", "CreateStack", StackName="s", Capabilities=["NO"])
    assert found_all == [
        "Value '[NO]' at 'capabilities' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must satisfy enum value set: [CAPABILITY_IAM, CAPABILITY_NAMED_IAM, CAPABILITY_AUTO_EXPAND]]"
    ]


def test_sensitive_values_are_not_repeated(protocol: Protocol) -> None:
    base: dict[str, Any] = {"FunctionName": "f", "Role": ROLE, "Code": CODE}
    _, found = findings(protocol, "lambda", "CreateFunction", **base, Environment={"Variables": {"1bad": "secret"}})
    assert "secret" not in found
    assert found.startswith(
        "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: ["
    )


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("logs", "CreateLogGroup", {"logGroupName": "a b"}, "InvalidParameterException"),
        ("iam", "GetRole", {"RoleName": "a b"}, "ValidationError"),
        ("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::000000000000:role/r"}, "ValidationError"),
        ("apigateway", "CreateRestApi", {}, "ValidationException"),
        ("s3", "PutBucketVersioning", {"Bucket": "b"}, "InvalidArgument"),
        ("s3", "DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{}]}}, "MalformedXML"),
    ],
)
def test_each_service_has_its_code(protocol: Protocol, service: str, operation: str, params: dict[str, Any], code: str) -> None:
    with pytest.raises(ServiceError) as error:
        protocol.validate(service, operation, params)
    assert (error.value.code, error.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("CreateFunction", {"FunctionName": 5}),
        ("CreateFunction", {"FunctionName": "f", "Timeout": "5"}),
        ("CreateFunction", {"FunctionName": "f", "Timeout": True}),
        ("CreateFunction", {"FunctionName": "f", "Publish": 1}),
        ("CreateFunction", {"FunctionName": "f", "Layers": "x"}),
        ("CreateFunction", {"FunctionName": "f", "Layers": [1]}),
        ("CreateFunction", {"FunctionName": "f", "Tags": ["x"]}),
        ("CreateFunction", {"FunctionName": "f", "Tags": {"k": 1}}),
        ("CreateFunction", {"FunctionName": "f", "VpcConfig": []}),
    ],
)
def test_wrong_types_of_inner_callers(protocol: Protocol, operation: str, params: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="SerializationException"):
        protocol.validate("lambda", operation, params)


def test_a_structure_that_holds_itself() -> None:
    shapes = {
        "Tree": {"type": "structure", "required": ["Name"], "members": {"Name": {"shape": "Name"}, "Child": {"shape": "Tree"}}},
        "Name": {"type": "string", "max": 3},
    }
    operations = {"Put": {"name": "Put", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "Tree"}}}
    model = ServiceModel("t", {"metadata": {"protocol": "json"}, "shapes": shapes, "operations": operations})
    validate = Validators(JSON).compile(model.operation("Put"))
    validate({"Name": "a", "Child": {"Name": "b"}})
    with pytest.raises(ServiceError) as error:
        validate({"Name": "a", "Child": {"Name": "b", "Child": {"Name": "long"}}})
    assert "Value 'long' at 'child.child.name' failed" in error.value.message


def test_every_operation_compiles(protocol: Protocol) -> None:
    count = 0
    for service, facts in SERVICES.items():
        plans = protocol.plans(service)
        for operation in plans.model.operations():
            plans.plan(operation.name, facts.protocol)
            count += 1
    assert count > 700
