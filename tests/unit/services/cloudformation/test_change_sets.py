"""Change sets: planned, shown, executed; what `sam deploy` relies on (aws-behaviour 5.4)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.unit.services.cloudformation.conftest import TRUST, House, group, groups
from tests.unit.services.cloudformation.sample import RESOURCES, application

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.planning import NO_CHANGES
from tenantry.services.cloudformation.transform import TransformError

SAM = "AWS::Serverless-2016-10-31"


async def plan(house: House, template: dict[str, Any], kind: str = "UPDATE", name: str = "c", **params: Any) -> dict[str, Any]:
    """Create a change set; what describing it says."""
    given = {"StackName": "s", "ChangeSetName": name, "ChangeSetType": kind, "Capabilities": ["CAPABILITY_NAMED_IAM"], **params}
    made = await house.call("CreateChangeSet", TemplateBody=json.dumps(template), **given)
    return await house.call("DescribeChangeSet", ChangeSetName=made["Id"])


async def execute(house: House, name: str = "c", **params: Any) -> str:
    await house.call("ExecuteChangeSet", StackName="s", ChangeSetName=name, **params)
    await house.settled()
    return await house.status()


def changes(described: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    rows = [change["ResourceChange"] for change in described["Changes"]]
    return {row["LogicalResourceId"]: (row["Action"], row.get("Replacement")) for row in rows}


async def test_change_set_of_a_new_stack(house: House) -> None:
    described = await plan(house, application(), "CREATE", Description="d", Tags=[{"Key": "a", "Value": "b"}])
    assert (described["Status"], described["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert described["Parameters"] == [{"ParameterKey": "Environment", "ParameterValue": "dev"}]
    assert set(changes(described).values()) == {("Add", None)}
    assert len(described["Changes"]) == RESOURCES
    assert await house.story() == [("s", "REVIEW_IN_PROGRESS")]
    assert await house.resources() == {}
    assert house.faults.calls == [], "nothing is made by planning"
    assert await execute(house) == "CREATE_COMPLETE"
    assert (await house.stack())["Tags"] == [{"Key": "a", "Value": "b"}]
    assert (await house.stack())["ChangeSetId"] == described["ChangeSetId"]
    described = await house.call("DescribeChangeSet", ChangeSetName="c", StackName="s")
    assert described["ExecutionStatus"] == "EXECUTE_COMPLETE"


async def test_unchanged_template_fails_as_a_change_set(house: House) -> None:
    await house.create(application())
    described = await plan(house, application())
    assert described["Status"] == "FAILED"
    assert described["ExecutionStatus"] == "UNAVAILABLE"
    assert described["StatusReason"] == NO_CHANGES
    assert described["Changes"] == []
    with pytest.raises(ServiceError) as error:
        await execute(house)
    assert error.value.code == "InvalidChangeSetStatus"
    assert error.value.message.endswith("cannot be executed in its current status of [FAILED]")


async def test_changed_code_changes_one_function_only(house: House) -> None:
    await house.create(application())
    template = application()
    template["Resources"]["Standard"]["Properties"]["Code"] = {"ZipFile": "x = 1\n"}
    described = await plan(house, template)
    assert changes(described) == {"Standard": ("Modify", "False")}
    row = described["Changes"][0]["ResourceChange"]
    assert row["Scope"] == ["Properties"]
    assert row["Details"] == [
        {
            "Target": {"Attribute": "Properties", "Name": "Code", "RequiresRecreation": "Never"},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
    ]
    assert await execute(house) == "UPDATE_COMPLETE"


async def test_removed_tenancy_is_a_replacement_and_reaches_who_refers(house: House) -> None:
    template = application()
    del template["Resources"]["Isolated"]["Properties"]["FunctionName"]
    await house.create(template)
    del template["Resources"]["Isolated"]["Properties"]["TenancyConfig"]
    described = await plan(house, template)
    assert changes(described) == {
        "Isolated": ("Modify", "True"),
        "IsolatedGet": ("Modify", "False"),
        "IsolatedPermission": ("Modify", "Conditional"),
    }
    rows = {change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"] for change in described["Changes"]}
    assert rows["Isolated"]["PolicyAction"] == "ReplaceAndDelete"
    assert rows["IsolatedPermission"]["Details"][0] == {
        "Target": {"Attribute": "Properties", "Name": "FunctionName", "RequiresRecreation": "Always"},
        "Evaluation": "Dynamic",
        "ChangeSource": "ResourceReference",
        "CausingEntity": "Isolated",
    }
    assert rows["IsolatedGet"]["Details"][0]["CausingEntity"] == "Isolated.Arn"
    assert await execute(house) == "UPDATE_COMPLETE"
    functions = (await house.call("ListFunctions", "lambda"))["Functions"]
    assert [item["FunctionName"] for item in functions if item.get("TenancyConfig")] == []


async def test_additions_removals_and_other_attributes(house: House) -> None:
    await house.create(groups(A="/a", B="/b", C="/c"))
    template = groups(A="/a", C="/c", D="/d")
    template["Resources"]["A"]["DeletionPolicy"] = "Retain"
    template["Resources"]["C"]["Metadata"] = {"x": 1}
    described = await plan(house, template)
    assert changes(described) == {
        "A": ("Modify", "False"),
        "B": ("Remove", None),
        "C": ("Modify", "False"),
        "D": ("Add", None),
    }
    scopes = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"]["Scope"] for change in described["Changes"]
    }
    assert (scopes["A"], scopes["C"]) == (["DeletionPolicy"], ["Metadata"])


async def test_what_is_not_supported_fails_the_change_set_and_is_all_named(house: House) -> None:
    template: dict[str, Any] = {
        "Resources": {
            "Q": {"Type": "AWS::SQS::Queue"},
            "U": {"Type": "AWS::Lambda::Url"},
            "E": {"Type": "AWS::Lambda::EventSourceMapping"},
            "F": {
                "Type": "AWS::Lambda::Function",
                "Properties": {"Code": {"ImageUri": "x"}, "Role": "r", "FileSystemConfigs": []},
            },
        }
    }
    described = await plan(house, template, "CREATE")
    assert described["Status"] == "FAILED"
    for part in (
        "resource type AWS::SQS::Queue (Q)",
        "resource type AWS::Lambda::Url (U)",
        "resource type AWS::Lambda::EventSourceMapping (E)",
        "property Code.ImageUri of AWS::Lambda::Function (F)",
        "property FileSystemConfigs of AWS::Lambda::Function (F)",
    ):
        assert part in described["StatusReason"]
    assert house.faults.calls == []
    assert await house.status() == "REVIEW_IN_PROGRESS"


async def test_transform_that_fails_fails_the_change_set(house: House) -> None:
    def refuse(template: dict[str, Any]) -> dict[str, Any]:
        raise TransformError("Invalid Serverless Application Specification document. Number of errors found: 1. No.")

    house.transformer.expand = refuse
    described = await plan(house, {"Transform": SAM, **groups(A="/a")}, "CREATE")
    assert (described["Status"], described["StatusReason"]) == (
        "FAILED",
        f"Transform {SAM} failed with: Invalid Serverless Application Specification document. Number of errors found: 1. No.",
    )


async def test_role_that_the_transform_makes_needs_its_capability(house: House) -> None:
    def expand(template: dict[str, Any]) -> dict[str, Any]:
        template["Resources"]["R"] = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}
        return template

    house.transformer.expand = expand
    with pytest.raises(ServiceError, match=r"Requires capabilities : \[CAPABILITY_IAM\]"):
        await plan(house, {"Transform": SAM, **groups(A="/a")}, "CREATE", Capabilities=[])
    assert (await house.call("DescribeStacks"))["Stacks"] == []


async def test_both_stages_of_the_template(house: House) -> None:
    def expand(template: dict[str, Any]) -> dict[str, Any]:
        return {"Transform": SAM, **groups(A="/expanded")}

    house.transformer.expand = expand
    original = {"Transform": SAM, "Resources": {"F": {"Type": "AWS::Serverless::Function"}}}
    await plan(house, original, "CREATE")
    assert await execute(house) == "CREATE_COMPLETE"
    assert list(house.groups) == ["/expanded"]
    answer = await house.call("GetTemplate", StackName="s")
    assert json.loads(answer["TemplateBody"]) == original
    assert answer["StagesAvailable"] == ["Original", "Processed"]
    processed = await house.call("GetTemplate", StackName="s", TemplateStage="Processed")
    assert json.loads(processed["TemplateBody"]) == groups(A="/expanded")
    of_change_set = await house.call("GetTemplate", StackName="s", ChangeSetName="c")
    assert json.loads(of_change_set["TemplateBody"]) == original


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"ChangeSetType": "UPDATE", "StackName": "other"}, "ValidationError", "Stack [other] does not exist"),
        ({"ChangeSetType": "CREATE"}, "ValidationError", "Stack [s] already exists and cannot be created again with"),
        ({"ChangeSetType": "IMPORT"}, "ValidationError", "ChangeSetType IMPORT is not supported"),
        ({"ChangeSetName": "taken"}, "AlreadyExistsException", "already exists"),
        ({"Parameters": [{"ParameterKey": "X", "ParameterValue": "1"}]}, "ValidationError", "Parameters: [X] do not exist"),
        ({"ChangeSetName": "1bad"}, "ValidationError", "failed to satisfy constraint"),
    ],
)
async def test_refused_change_set_leaves_nothing(house: House, params: dict[str, Any], code: str, message: str) -> None:
    await house.create(groups(A="/a"))
    await plan(house, groups(A="/a"), name="taken")
    given = {"StackName": "s", "ChangeSetName": "c", "TemplateBody": json.dumps(groups(A="/b")), **params}
    with pytest.raises(ServiceError) as error:
        await house.call("CreateChangeSet", **given)
    assert error.value.code == code
    assert message in error.value.message
    assert [row["ChangeSetName"] for row in (await house.call("ListChangeSets", StackName="s"))["Summaries"]] == ["taken"]
    assert len((await house.call("DescribeStacks"))["Stacks"]) == 1


async def test_refused_first_change_set_leaves_no_stack(house: House) -> None:
    template = {"Parameters": {"E": {"Type": "String", "AllowedValues": ["dev"]}}, **groups(A="/a")}
    with pytest.raises(ServiceError, match="Parameter 'E' must be one of AllowedValues"):
        await plan(house, template, "CREATE", Parameters=[{"ParameterKey": "E", "ParameterValue": "test"}])
    assert (await house.call("DescribeStacks"))["Stacks"] == []


async def test_change_set_of_the_same_token_is_the_same(house: House) -> None:
    first = await plan(house, groups(A="/a"), "CREATE", ClientToken="one")
    assert (await plan(house, groups(A="/a"), "CREATE", ClientToken="one"))["ChangeSetId"] == first["ChangeSetId"]


async def test_executed_change_set_makes_the_others_obsolete(house: House) -> None:
    await house.create(groups(A="/a"))
    await plan(house, groups(A="/b"), name="one")
    await plan(house, groups(A="/c"), name="two")
    assert await execute(house, "two") == "UPDATE_COMPLETE"
    assert [row["ChangeSetName"] for row in (await house.call("ListChangeSets", StackName="s"))["Summaries"]] == ["two"]
    with pytest.raises(ServiceError) as error:
        await execute(house, "two")
    assert error.value.code == "InvalidChangeSetStatus"
    await house.call("DeleteChangeSet", StackName="s", ChangeSetName="two")
    with pytest.raises(ServiceError) as error:
        await house.call("DescribeChangeSet", StackName="s", ChangeSetName="two")
    assert (error.value.code, error.value.status, error.value.message) == (
        "ChangeSetNotFound",
        404,
        "ChangeSet [two] does not exist",
    )


async def test_change_set_needs_a_stack_or_an_arn(house: House) -> None:
    with pytest.raises(ServiceError, match="StackName must be specified"):
        await house.call("DescribeChangeSet", ChangeSetName="c")
    with pytest.raises(ServiceError, match=r"Stack \[nowhere\] does not exist"):
        await house.call("ExecuteChangeSet", StackName="nowhere", ChangeSetName="c")
    arn = "arn:aws:cloudformation:us-east-1:000000000000:changeSet/c/x"
    assert await house.call("DeleteChangeSet", ChangeSetName=arn) == {}


async def test_execution_without_rollback(house: House) -> None:
    house.groups["/taken"] = {"tags": {}}
    template = {"Resources": {"A": group("/a"), "B": {**group("/taken"), "DependsOn": "A"}}}
    await plan(house, template, "CREATE")
    assert await execute(house, DisableRollback=True) == "CREATE_FAILED"
    assert (await house.call("DescribeChangeSet", StackName="s", ChangeSetName="c"))["ExecutionStatus"] == "EXECUTE_FAILED"


async def test_failed_update_leaves_the_change_set_failed_and_the_stack_as_it_was(house: House) -> None:
    await house.create(groups(A="/a"))
    house.groups["/taken"] = {"tags": {}}
    await plan(house, groups(A="/a", B="/taken"))
    assert await execute(house) == "UPDATE_ROLLBACK_COMPLETE"
    assert (await house.call("DescribeChangeSet", StackName="s", ChangeSetName="c"))["ExecutionStatus"] == "EXECUTE_FAILED"
    assert await house.update(groups(A="/z")) == "UPDATE_COMPLETE"


async def test_many_changes_come_in_pages(house: House) -> None:
    template = {"Resources": {f"G{number:03}": group(f"/{number}") for number in range(130)}}
    described = await plan(house, template, "CREATE")
    assert len(described["Changes"]) == 100
    rest = await house.call("DescribeChangeSet", StackName="s", ChangeSetName="c", NextToken=described["NextToken"])
    assert len(rest["Changes"]) == 30
    assert "NextToken" not in rest
    with pytest.raises(ServiceError, match="NextToken is invalid"):
        await house.call("DescribeChangeSet", StackName="s", ChangeSetName="c", NextToken="nonsense")


async def test_deleting_a_stack_under_review_forgets_it(house: House) -> None:
    await plan(house, groups(A="/a"), "CREATE")
    await house.delete()
    assert (await house.call("DescribeStacks"))["Stacks"] == []


async def test_planning_evaluates_what_it_can(house: House) -> None:
    template = application()
    await house.create(template)
    changed = copy.deepcopy(template)
    changed["Resources"]["Standard"]["Properties"]["Environment"] = {
        "Variables": {"ENVIRONMENT": "dev", "API": {"Ref": "Api"}, "ROLE": {"Fn::GetAtt": ["Role", "RoleId"]}}
    }
    assert changes(await plan(house, changed)) == {"Standard": ("Modify", "False")}
    same = copy.deepcopy(template)
    same["Resources"]["Standard"]["Properties"]["Role"] = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:role/${Role}"}
    assert (await plan(house, same, name="d"))["StatusReason"] == NO_CHANGES
