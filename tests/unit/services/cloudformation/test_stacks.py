"""Stacks over their life: events, updates, failures, rollback switches, deletion, exports, tokens."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.services.cloudformation.conftest import TRUST, House, group, groups

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.store import EVENTS_KEPT

BROKEN = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1, "LogGroupName": "/taken"}}


async def refusal(house: House, name: str, **params: Any) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await house.call(name, **params)
    await house.settled()
    return error.value


async def events_of(house: House) -> list[dict[str, Any]]:
    return list((await house.call("DescribeStackEvents", StackName="s"))["StackEvents"])


def body(template: dict[str, Any]) -> str:
    return json.dumps(template)


async def test_story_of_a_creation(house: House) -> None:
    assert await house.create(groups(A="/a")) == "CREATE_COMPLETE"
    assert await house.story() == [
        ("s", "CREATE_IN_PROGRESS"),
        ("A", "CREATE_IN_PROGRESS"),
        ("A", "CREATE_IN_PROGRESS"),
        ("A", "CREATE_COMPLETE"),
        ("s", "CREATE_COMPLETE"),
    ]
    events = (await house.call("DescribeStackEvents", StackName="s"))["StackEvents"]
    times = [event["Timestamp"] for event in events]
    assert all(later > earlier for later, earlier in pairwise(times)), "newest first, no two alike"
    assert len({round(time * 1000) for time in times}) == len(times)
    root = events[0]
    assert root["PhysicalResourceId"] == root["StackId"]
    assert root["ResourceType"] == "AWS::CloudFormation::Stack"
    assert len({event["EventId"] for event in events}) == len(events)


async def test_rollback_tells_why(house: House) -> None:
    house.groups["/taken"] = {"tags": {}}
    assert await house.create({"Resources": {"A": group("/a"), "B": BROKEN}}) == "ROLLBACK_COMPLETE"
    events = (await house.call("DescribeStackEvents", StackName="s"))["StackEvents"]
    reasons = {(event["LogicalResourceId"], event["ResourceStatus"]): event.get("ResourceStatusReason") for event in events}
    assert reasons["s", "ROLLBACK_IN_PROGRESS"] == (
        "The following resource(s) failed to create: [B]. Rollback requested by user."
    )
    assert "Resource of type 'AWS::Logs::LogGroup' with identifier '/taken' already exists." in str(
        reasons["B", "CREATE_FAILED"]
    )
    assert "HandlerErrorCode: AlreadyExists)" in str(reasons["B", "CREATE_FAILED"])
    assert list(house.groups) == ["/taken"], "what belongs to somebody else is not touched"
    refused = await refusal(house, "UpdateStack", StackName="s", TemplateBody=body(groups(A="/a")))
    assert "is in ROLLBACK_COMPLETE state and can not be updated." in refused.message
    await house.delete()
    assert (await house.call("DescribeStacks"))["Stacks"] == []


@pytest.mark.parametrize("switch", [{"DisableRollback": True}, {"OnFailure": "DO_NOTHING"}])
async def test_creation_without_rollback_keeps_what_was_made_and_can_be_tried_again(
    house: House, switch: dict[str, Any]
) -> None:
    house.groups["/taken"] = {"tags": {}}
    template = {"Resources": {"A": group("/a"), "B": {**BROKEN, "DependsOn": "A"}}}
    assert await house.create(template, **switch) == "CREATE_FAILED"
    assert (await house.stack())["StackStatusReason"] == "The following resource(s) failed to create: [B]. "
    assert "/a" in house.groups
    rows = await house.resources()
    assert (rows["A"]["ResourceStatus"], rows["B"]["ResourceStatus"]) == ("CREATE_COMPLETE", "CREATE_FAILED")
    del house.groups["/taken"]
    template["Resources"]["A"]["Properties"]["RetentionInDays"] = 3
    assert await house.update(template) == "UPDATE_COMPLETE"
    assert house.groups == {"/a": {"tags": {}, "days": 3}, "/taken": {"tags": {}, "days": 1}}


async def test_creation_that_deletes_on_failure(house: House) -> None:
    house.groups["/taken"] = {"tags": {}}
    stack_id = (
        await house.call("CreateStack", StackName="s", TemplateBody=body({"Resources": {"B": BROKEN}}), OnFailure="DELETE")
    )["StackId"]
    await house.settled()
    assert await house.status(stack_id) == "DELETE_COMPLETE"
    assert (await refusal(house, "DescribeStacks", StackName="s")).message == "Stack with id s does not exist"


async def test_update_without_rollback_can_be_tried_again(house: House) -> None:
    await house.create(groups(A="/a"))
    house.groups["/taken"] = {"tags": {}}
    template = {"Resources": {"A": group("/a", RetentionInDays=5), "B": {**BROKEN, "DependsOn": "A"}}}
    assert await house.update(template, DisableRollback=True) == "UPDATE_FAILED"
    assert house.groups["/a"]["days"] == 5
    del house.groups["/taken"]
    assert await house.update(template) == "UPDATE_COMPLETE"
    assert set(house.groups) == {"/a", "/taken"}


async def test_story_of_a_replacement(house: House) -> None:
    await house.create(groups(A="/old"))
    assert await house.update(groups(A="/new")) == "UPDATE_COMPLETE"
    assert (await house.story())[5:] == [
        ("s", "UPDATE_IN_PROGRESS"),
        ("A", "UPDATE_IN_PROGRESS"),
        ("A", "UPDATE_IN_PROGRESS"),
        ("A", "UPDATE_COMPLETE"),
        ("s", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        ("A", "DELETE_IN_PROGRESS"),
        ("A", "DELETE_COMPLETE"),
        ("s", "UPDATE_COMPLETE"),
    ]
    assert list(house.groups) == ["/new"]
    assert (await house.resources())["A"]["PhysicalResourceId"] == "/new"


async def test_replacement_under_a_fixed_name_is_refused(house: House) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": TRUST}}
    await house.create({"Resources": {"R": role}})
    role["Properties"]["Path"] = "/other/"
    assert await house.update({"Resources": {"R": role}}) == "UPDATE_ROLLBACK_COMPLETE"
    events = (await house.call("DescribeStackEvents", StackName="s"))["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events if event["ResourceStatus"] == "UPDATE_FAILED"]
    assert "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename r" in reasons[0]
    assert (await house.call("GetRole", "iam", RoleName="r"))["Role"]["Path"] == "/"


async def test_resource_that_moves_to_another_logical_id_is_refused_and_stays(house: House) -> None:
    await house.create(groups(A="/a"))
    assert await house.update(groups(B="/a")) == "UPDATE_ROLLBACK_COMPLETE"
    assert list(house.groups) == ["/a"]
    assert list(await house.resources()) == ["A"]


async def test_retained_resources_stay(house: House) -> None:
    kept = {**group("/kept"), "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    await house.create({"Resources": {"A": kept, "B": group("/b")}})
    kept["Properties"] = {"LogGroupName": "/newer"}
    await house.update({"Resources": {"A": kept, "B": group("/b")}})
    assert set(house.groups) == {"/kept", "/newer", "/b"}
    assert ("A", "DELETE_SKIPPED") in await house.story()
    await house.update({"Resources": {"B": group("/b")}})
    assert set(house.groups) == {"/kept", "/newer", "/b"}
    await house.delete()
    assert set(house.groups) == {"/kept", "/newer"}


async def test_changed_deletion_policy_is_undone_with_the_update(house: House) -> None:
    await house.create({"Resources": {"A": {**group("/a"), "DeletionPolicy": "Retain"}}})
    house.groups["/taken"] = {"tags": {}}
    await house.update({"Resources": {"A": group("/a"), "B": {**BROKEN, "DependsOn": "A"}}})
    assert await house.status() == "UPDATE_ROLLBACK_COMPLETE"
    await house.delete()
    assert "/a" in house.groups


@pytest.mark.parametrize(("except_on_create", "left"), [(False, ["/a", "/taken"]), (True, ["/taken"])])
async def test_retained_resource_of_a_failed_creation(house: House, except_on_create: bool, left: list[str]) -> None:
    house.groups["/taken"] = {"tags": {}}
    template = {"Resources": {"A": {**group("/a"), "DeletionPolicy": "Retain"}, "B": {**BROKEN, "DependsOn": "A"}}}
    assert await house.create(template, RetainExceptOnCreate=except_on_create) == "ROLLBACK_COMPLETE"
    assert sorted(house.groups) == left


async def test_deletion_that_fails_may_retain(house: House) -> None:
    await house.create({"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "bucket"}}}})
    await house.call("PutObject", "s3", Bucket="bucket", Key="k", Body=b"x")
    refused = await refusal(house, "DeleteStack", StackName="s", RetainResources=["B"])
    assert "RetainResources can only be specified when the stack is in DELETE_FAILED state" in refused.message
    await house.delete()
    assert await house.status() == "DELETE_FAILED"
    assert "The following resource(s) failed to delete: [B]. " in (await house.stack())["StackStatusReason"]
    assert "[X]" in (await refusal(house, "DeleteStack", StackName="s", RetainResources=["X"])).message
    await house.delete(RetainResources=["B"])
    assert (await house.call("DescribeStacks"))["Stacks"] == []
    assert (await house.call("ListBuckets", "s3"))["Buckets"][0]["Name"] == "bucket"


async def test_protected_stack_is_not_deleted(house: House) -> None:
    await house.create(groups(A="/a"), EnableTerminationProtection=True)
    refused = await refusal(house, "DeleteStack", StackName="s")
    assert refused.message == "Stack [s] cannot be deleted while TerminationProtection is enabled"
    await house.call("UpdateTerminationProtection", StackName="s", EnableTerminationProtection=False)
    assert (await house.stack())["EnableTerminationProtection"] is False
    await house.delete()
    assert house.groups == {}


async def test_deleted_stack_is_found_by_its_id_only(house: House) -> None:
    await house.create(groups(A="/a"))
    stack_id = (await house.stack())["StackId"]
    await house.delete()
    await house.delete()
    assert await house.status(stack_id) == "DELETE_COMPLETE"
    assert (await house.stack(stack_id))["DeletionTime"]
    assert (await house.resources(stack_id))["A"]["ResourceStatus"] == "DELETE_COMPLETE"
    assert await house.create(groups(A="/a")) == "CREATE_COMPLETE"
    assert (await house.stack())["StackId"] != stack_id
    listed = (await house.call("ListStacks", StackStatusFilter=["DELETE_COMPLETE"]))["StackSummaries"]
    assert [row["StackId"] for row in listed] == [stack_id]
    await house.call("DeleteStack", StackName="nowhere")


async def test_busy_stack_refuses_what_would_disturb_it(house: House) -> None:
    await house.create(groups(A="/a"))
    house.held = []
    await house.call("UpdateStack", StackName="s", TemplateBody=body(groups(A="/b")))
    assert await house.status() == "UPDATE_IN_PROGRESS"
    for name in ("UpdateStack", "CreateChangeSet"):
        more = {"ChangeSetName": "c"} if name == "CreateChangeSet" else {}
        refused = await refusal(house, name, StackName="s", TemplateBody=body(groups(A="/c")), **more)
        assert "is in UPDATE_IN_PROGRESS state and can not be updated." in refused.message
    refused = await refusal(house, "DeleteStack", StackName="s")
    assert refused.message == "Stack [s] cannot be deleted while in status UPDATE_IN_PROGRESS"
    refused = await refusal(house, "CreateStack", StackName="s", TemplateBody=body(groups(A="/c")))
    assert refused.code == "AlreadyExistsException"
    await house.call("CancelUpdateStack", StackName="s")
    held, house.held = house.held, None
    for work in held:
        await work
    assert await house.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert list(house.groups) == ["/a"]
    assert "CancelUpdateStack cannot be called" in (await refusal(house, "CancelUpdateStack", StackName="s")).message


async def test_stack_that_is_deleted_while_it_is_created_is_deleted(house: House) -> None:
    house.held = []
    await house.call("CreateStack", StackName="s", TemplateBody=body(groups(A="/a")))
    stack_id = (await house.stack())["StackId"]
    await house.call("DeleteStack", StackName="s")
    held, house.held = house.held, None
    for work in held:
        await work
    assert await house.status(stack_id) == "DELETE_COMPLETE"
    assert house.groups == {}


async def test_exports_and_imports(house: House) -> None:
    giver = {**groups(A="/a"), "Outputs": {"O": {"Value": {"Ref": "A"}, "Export": {"Name": "shared"}}}}
    taker = {"Resources": {"B": group(Tags=[{"Key": "arn", "Value": {"Fn::ImportValue": "shared"}}])}}
    assert (await refusal(house, "CreateStack", StackName="t", TemplateBody=body(taker))).message == (
        "No export named shared found."
    )
    await house.create(giver, "giver")
    await house.create(taker, "taker")
    exports = (await house.call("ListExports"))["Exports"]
    assert [(row["Name"], row["Value"]) for row in exports] == [("shared", "/a")]
    assert (await house.call("ListImports", ExportName="shared"))["Imports"] == ["taker"]
    refused = await refusal(house, "DeleteStack", StackName="giver")
    assert refused.message == "Export shared cannot be deleted as it is in use by taker"
    assert await house.update(groups(A="/a"), "giver") == "UPDATE_ROLLBACK_COMPLETE"
    giver["Resources"]["A"] = group("/moved")
    assert await house.update(giver, "giver") == "UPDATE_ROLLBACK_COMPLETE"
    assert "cannot be updated as it is in use by taker" in str(await house.call("DescribeStackEvents", StackName="giver"))
    assert list(house.groups) == ["/a", next(name for name in house.groups if name != "/a")]
    await house.delete("taker")
    assert (await refusal(house, "ListImports", ExportName="shared")).message == (
        "Export 'shared' is not imported by any stack."
    )
    assert await house.update(giver, "giver") == "UPDATE_COMPLETE"
    await house.delete("giver")
    assert (await house.call("ListExports"))["Exports"] == []


async def test_export_name_belongs_to_one_stack(house: House) -> None:
    template = {**groups(A=None), "Outputs": {"O": {"Value": "v", "Export": {"Name": "shared"}}}}
    await house.create(template, "first")
    assert await house.create(template, "second") == "ROLLBACK_COMPLETE"
    events = str(await house.call("DescribeStackEvents", StackName="second"))
    assert "Export with name shared is already exported by stack first. Rollback requested by user." in events


async def test_same_token_is_the_same_request(house: House) -> None:
    given = {"StackName": "s", "TemplateBody": body(groups(A="/a")), "ClientRequestToken": "one"}
    first = await house.call("CreateStack", **given)
    assert await house.call("CreateStack", **given) == first
    await house.settled()
    assert len([item for item in await house.story() if item == ("s", "CREATE_IN_PROGRESS")]) == 1
    refused = await refusal(house, "UpdateStack", StackName="s", TemplateBody=body({}), ClientRequestToken="one")
    assert refused.code == "TokenAlreadyExistsException"
    events = (await house.call("DescribeStackEvents", StackName="s"))["StackEvents"]
    assert {event["ClientRequestToken"] for event in events} == {"one"}


async def test_tags_of_the_stack_reach_its_resources(house: House) -> None:
    own = [{"Key": "own", "Value": "1"}, {"Key": "both", "Value": "resource"}]
    tags = [{"Key": "both", "Value": "stack"}, {"Key": "team", "Value": "a"}]
    template = {"Resources": {"A": group("/a", Tags=own)}}
    await house.create(template, Tags=tags)
    assert house.groups["/a"]["tags"] == {"own": "1", "both": "resource", "team": "a"}
    assert (await house.stack())["Tags"] == tags
    await house.update(template, Tags=[{"Key": "team", "Value": "b"}])
    assert house.groups["/a"]["tags"] == {"own": "1", "both": "resource", "team": "b"}
    assert (await refusal(house, "UpdateStack", StackName="s", TemplateBody=body(template))).message == (
        "No updates are to be performed."
    )


async def test_secret_parameters_are_masked_and_kept(house: House) -> None:
    template = {
        "Parameters": {"P": {"Type": "String", "NoEcho": True}},
        "Resources": {"A": group({"Fn::Sub": "/${P}"})},
    }
    await house.create(template, Parameters=[{"ParameterKey": "P", "ParameterValue": "secret"}])
    assert (await house.stack())["Parameters"] == [{"ParameterKey": "P", "ParameterValue": "****"}]
    assert "secret" not in str([event.get("ResourceProperties") for event in await events_of(house)])
    template["Resources"]["A"]["Properties"]["RetentionInDays"] = 1
    await house.update(template, Parameters=[{"ParameterKey": "P", "UsePreviousValue": True}])
    assert house.groups == {"/secret": {"tags": {}, "days": 1}}


async def test_update_may_use_the_previous_template(house: House) -> None:
    template = {"Parameters": {"P": {"Type": "Number", "Default": 1}}, "Resources": {"A": group("/a")}}
    template["Resources"]["A"]["Properties"]["RetentionInDays"] = {"Ref": "P"}
    await house.create(template)
    await house.call(
        "UpdateStack",
        StackName="s",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "P", "ParameterValue": "3"}],
    )
    await house.settled()
    assert house.groups["/a"]["days"] == 3


async def test_conditions_add_and_remove(house: House) -> None:
    template: dict[str, Any] = {
        "Parameters": {"P": {"Type": "String", "Default": "no"}},
        "Conditions": {"C": {"Fn::Equals": [{"Ref": "P"}, "yes"]}},
        "Resources": {"A": group("/a"), "B": {**group("/b"), "Condition": "C"}},
        "Outputs": {"O": {"Condition": "C", "Value": {"Ref": "B"}}},
    }
    await house.create(template)
    assert list(house.groups) == ["/a"]
    await house.update(template, Parameters=[{"ParameterKey": "P", "ParameterValue": "yes"}])
    assert list(house.groups) == ["/a", "/b"]
    assert (await house.stack())["Outputs"] == [{"OutputKey": "O", "OutputValue": "/b"}]
    await house.update(template)
    assert list(house.groups) == ["/a"]
    assert (await house.stack())["Outputs"] == []


async def test_output_alone_is_a_change(house: House) -> None:
    await house.create(groups(A="/a"))
    template = {**groups(A="/a"), "Outputs": {"O": {"Value": "v", "Description": "d"}}}
    assert await house.update(template) == "UPDATE_COMPLETE"
    assert (await house.stack())["Outputs"] == [{"OutputKey": "O", "OutputValue": "v", "Description": "d"}]


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ({"StackName": "no good"}, "ValidationError", "Value 'no good' at 'stackName' failed to satisfy constraint"),
        ({"StackName": "x" * 129}, "ValidationError", "length less than or equal to 128"),
        ({"Tags": [{"Key": "a", "Value": "1"}] * 2}, "ValidationError", "Duplicate tag keys found"),
        ({"Tags": [{"Key": "aws:a", "Value": "1"}]}, "ValidationError", "reserved for AWS use"),
        ({"OnFailure": "DELETE", "DisableRollback": True}, "ValidationError", "either DisableRollback or OnFailure"),
        (
            {"TemplateBody": body({"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {}}}})},
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_IAM]",
        ),
        (
            {
                "TemplateBody": body({"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}}}),
                "Capabilities": ["CAPABILITY_IAM"],
            },
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_NAMED_IAM]",
        ),
        (
            {"TemplateBody": body({"Transform": "AWS::Serverless-2016-10-31", **groups(A="/a")})},
            "InsufficientCapabilitiesException",
            "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
        ),
        (
            {"TemplateBody": body({"Transform": "Mine", **groups(A="/a")}), "Capabilities": ["CAPABILITY_AUTO_EXPAND"]},
            "ValidationError",
            "No transform named Mine found.",
        ),
        (
            {"TemplateBody": body({"Resources": {"A": {"Type": "Nonsense"}}})},
            "ValidationError",
            "Template format error: Unrecognized resource types: [Nonsense]",
        ),
        (
            {"TemplateBody": body({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}, "A": group(FieldIndexPolicies=[])}})},
            "ValidationError",
            "resource type AWS::SQS::Queue (Q); property FieldIndexPolicies of AWS::Logs::LogGroup (A)",
        ),
        (
            {"TemplateBody": body({"Resources": {"A": group(RetentionInDays="x")}})},
            "ValidationError",
            "A: #/RetentionInDays: expected type: Integer, found: String",
        ),
        (
            {"TemplateBody": body({"Resources": {"F": {"Type": "AWS::Lambda::Function"}}})},
            "ValidationError",
            "F: #: required key [Code] not found",
        ),
    ],
)
async def test_refused_creation_leaves_nothing(house: House, params: dict[str, Any], code: str, message: str) -> None:
    before = await house.world()
    refused = await refusal(house, "CreateStack", **{"StackName": "s", "TemplateBody": body(groups(A="/a")), **params})
    assert refused.code == code
    assert message in refused.message
    assert (await house.call("DescribeStacks"))["Stacks"] == []
    assert await house.world() == before


async def test_faults_that_the_schemas_find_are_refused(house: House) -> None:
    house.transformer.faults = ["A: #/RetentionInDays: 13 is not one of [1, 3]"]
    refused = await refusal(
        house, "CreateStack", StackName="s", TemplateBody=body({"Resources": {"A": group("/a", RetentionInDays=13)}})
    )
    assert "Properties validation failed for resource A with message:\nA: #/RetentionInDays: 13" in refused.message
    assert house.transformer.checked[0]["A"]["Properties"] == {"LogGroupName": "/a", "RetentionInDays": 13}
    assert await house.create({"Resources": {"A": group("/a")}}, DisableValidation=True) == "CREATE_COMPLETE"


async def test_type_of_a_resource_does_not_change(house: House) -> None:
    await house.create(groups(A="/a"))
    refused = await refusal(
        house, "UpdateStack", StackName="s", TemplateBody=body({"Resources": {"A": {"Type": "AWS::S3::Bucket"}}})
    )
    assert "Update of resource type is not permitted" in refused.message
    assert "[A]" in refused.message


async def test_unknown_stacks(house: House) -> None:
    given = {"StackName": "nowhere", "TemplateBody": body(groups(A="/a"))}
    assert (await refusal(house, "DescribeStacks", StackName="nowhere")).message == "Stack with id nowhere does not exist"
    assert (await refusal(house, "UpdateStack", **given)).message == "Stack [nowhere] does not exist"
    assert (await refusal(house, "GetTemplate", StackName="nowhere")).message == "Stack with id nowhere does not exist"
    arn = "arn:aws:cloudformation:us-east-1:000000000000:stack/a/b"
    assert "does not exist" in (await refusal(house, "DescribeStacks", StackName=arn)).message
    assert "does not exist" in (await refusal(house, "DescribeStacks", StackName="arn:aws:nonsense")).message


async def test_stack_policy_is_kept(house: House) -> None:
    await house.create(groups(A="/a"))
    assert await house.call("GetStackPolicy", StackName="s") == {}
    await house.call("SetStackPolicy", StackName="s", StackPolicyBody='{"Statement": []}')
    assert await house.call("GetStackPolicy", StackName="s") == {"StackPolicyBody": '{"Statement": []}'}


async def test_stacks_of_another_region_are_not_seen(house: House) -> None:
    await house.create(groups(A="/a"))
    answer = await house.operations.call("cloudformation", "DescribeStacks", {}, house.context("eu-west-1"))
    assert answer["Stacks"] == []


async def test_everything_is_there_after_a_restart(house: House) -> None:
    await house.create(groups(A="/a"))
    before = (await house.stack(), await house.resources(), await house.story())
    house = house.again()
    assert house.service.recover() == []
    assert (await house.stack(), await house.resources(), await house.story()) == before


async def test_old_events_make_room(house: House) -> None:
    await house.create(groups(A="/a"))
    for number in range(EVENTS_KEPT // 4 + 3):
        await house.update({"Resources": {"A": group("/a", RetentionInDays=1 + number % 2 * 2)}})
    story = await house.service.describe_stack_events(house.context(), {"StackName": "s"})
    assert story["StackEvents"][0]["ResourceStatus"] == "UPDATE_COMPLETE"
    assert len(house.service._store.events(house.service._store.stacks("us-east-1")[0])) <= EVENTS_KEPT + 5


async def test_large_template_is_read_aside(house: House) -> None:
    await house.call("CreateBucket", "s3", Bucket="templates")
    template = {**groups(A="/a"), "Metadata": {"padding": ["x" * 100] * 900}}
    await house.call("PutObject", "s3", Bucket="templates", Key="t", Body=body(template).encode())
    await house.call("CreateStack", StackName="s", TemplateURL="s3://templates/t")
    await house.settled()
    assert await house.status() == "CREATE_COMPLETE"
