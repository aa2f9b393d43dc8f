"""Operations that only look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.cloudformation.conftest import House, group, groups
from tests.unit.services.cloudformation.sample import application

from tenantry.model.errors import ServiceError


async def test_outputs_name_an_address_that_works_here(house: House) -> None:
    await house.create(application())
    outputs = {row["OutputKey"]: row for row in (await house.stack())["Outputs"]}
    api = (await house.resources())["Api"]["PhysicalResourceId"]
    assert outputs["StandardUrl"]["OutputValue"] == f"http://{api}.execute-api.localhost:4270/dev/standard"
    assert outputs["IsolatedUrl"]["Description"] == "Isolated"
    assert outputs["IsolatedUrl"]["ExportName"] == "s-isolated-url"
    exports = {row["Name"]: row["Value"] for row in (await house.call("ListExports"))["Exports"]}
    assert exports["s-standard-url"] == f"https://{api}.execute-api.us-east-1.amazonaws.com/dev/standard"


async def test_outputs_are_left_alone_when_told_so_or_not_ours(house: House) -> None:
    foreign = "https://abcdefghij.execute-api.us-east-1.amazonaws.com/x"
    await house.create({**groups(A="/a"), "Outputs": {"O": {"Value": foreign}}}, "foreign")
    assert (await house.stack("foreign"))["Outputs"][0]["OutputValue"] == foreign
    await house.create(application())
    house.rewrite_outputs = False
    outputs = (await house.again().stack())["Outputs"]
    assert all(".execute-api.us-east-1.amazonaws.com/" in row["OutputValue"] for row in outputs)


async def test_resources_of_a_stack(house: House) -> None:
    template = {"Resources": {"A": {**group("/a"), "Metadata": {"k": [1]}}, "B": group("/b")}}
    await house.create(template)
    detail = (await house.call("DescribeStackResource", StackName="s", LogicalResourceId="A"))["StackResourceDetail"]
    assert json.loads(detail["Metadata"]) == {"k": [1]}
    assert (detail["PhysicalResourceId"], detail["ResourceStatus"]) == ("/a", "CREATE_COMPLETE")
    rows = (await house.call("DescribeStackResources", StackName="s"))["StackResources"]
    assert [row["LogicalResourceId"] for row in rows] == ["A", "B"]
    rows = (await house.call("DescribeStackResources", PhysicalResourceId="/b", LogicalResourceId="B"))["StackResources"]
    assert [(row["LogicalResourceId"], row["StackName"]) for row in rows] == [("B", "s")]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("DescribeStackResource", {"StackName": "s", "LogicalResourceId": "X"}, "Resource X does not exist for stack s"),
        ("DescribeStackResources", {"StackName": "s", "LogicalResourceId": "X"}, "Resource X does not exist for stack s"),
        ("DescribeStackResources", {"PhysicalResourceId": "/x"}, "Stack for /x does not exist"),
        ("DescribeStackResources", {}, "Either StackName or PhysicalResourceId must be specified"),
        ("GetTemplateSummary", {}, "Either Template URL or Template Body must be specified."),
        ("DescribeStacks", {"NextToken": "x"}, "NextToken is invalid"),
    ],
)
async def test_refused(house: House, name: str, params: dict[str, Any], message: str) -> None:
    await house.create(groups(A="/a"))
    with pytest.raises(ServiceError) as error:
        await house.call(name, **params)
    assert error.value.code == "ValidationError"
    assert message in error.value.message


async def test_summary_of_a_template(house: House) -> None:
    template = application()
    template["Metadata"] = {"m": 1}
    answer = await house.call("GetTemplateSummary", TemplateBody=json.dumps(template))
    assert answer["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert "AWS::IAM::Role" in answer["CapabilitiesReason"]
    assert answer["Parameters"][0]["ParameterConstraints"] == {"AllowedValues": ["dev", "staging", "prod"]}
    assert answer["ResourceTypes"][0] == "AWS::IAM::Role"
    assert answer["Version"] == "2010-09-09"
    assert json.loads(answer["Metadata"]) == {"m": 1}
    await house.create(application())
    of_stack = await house.call("GetTemplateSummary", StackName="s")
    assert [row["ParameterKey"] for row in of_stack["Parameters"]] == ["Environment"]


async def test_validation_of_a_template(house: House) -> None:
    sam = {"Transform": "AWS::Serverless-2016-10-31", "Description": "d", **groups(A="/a")}
    answer = await house.call("ValidateTemplate", TemplateBody=json.dumps(sam))
    assert answer["DeclaredTransforms"] == ["AWS::Serverless-2016-10-31"]
    assert answer["Capabilities"] == ["CAPABILITY_AUTO_EXPAND"]
    assert (answer["Description"], answer["Parameters"]) == ("d", [])
    with pytest.raises(ServiceError, match="At least one Resources member must be defined"):
        await house.call("ValidateTemplate", TemplateBody="{}")


async def test_events_come_in_pages_newest_first(house: House) -> None:
    await house.create({"Resources": {f"G{number}": group(f"/{number}") for number in range(40)}})
    first = await house.call("DescribeStackEvents", StackName="s")
    assert (len(first["StackEvents"]), first["StackEvents"][0]["ResourceStatus"]) == (100, "CREATE_COMPLETE")
    second = await house.call("DescribeStackEvents", StackName="s", NextToken=first["NextToken"])
    assert second["StackEvents"][-1]["ResourceStatus"] == "CREATE_IN_PROGRESS"
    assert len(second["StackEvents"]) == 40 * 3 + 2 - 100


async def test_stacks_are_listed_newest_first(house: House) -> None:
    for name in ("one", "two"):
        house.clock.advance(1)
        await house.create(groups(A=f"/{name}"), name)
    assert [row["StackName"] for row in (await house.call("DescribeStacks"))["Stacks"]] == ["two", "one"]
    assert [row["StackStatus"] for row in (await house.call("ListStacks"))["StackSummaries"]] == ["CREATE_COMPLETE"] * 2
