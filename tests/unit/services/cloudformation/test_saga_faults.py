"""Every step of a deployment fails in turn, and the process ends before and after every step: nothing half done stays.

The application deploys over the real services (see conftest). How many calls a deployment makes is counted first; then each
of them is the one that goes wrong.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.cloudformation.conftest import House
from tests.unit.services.cloudformation.sample import BASIC, RESOURCES, application

from tenantry.store.documents import Documents


def changed() -> dict[str, Any]:
    """The application with everything touched: in place, replaced, added and removed."""
    template = application()
    resources = template["Resources"]
    resources["Role"]["Properties"]["Policies"] = []
    resources["Role"]["Properties"]["Description"] = "other"
    resources["Standard"]["Properties"]["Code"] = {"ZipFile": "def lambda_handler(event, context):\n    return 2\n"}
    resources["Standard"]["Properties"]["Timeout"] = 5
    resources["Standard"]["DeletionPolicy"] = "Retain"
    del resources["Isolated"]["Properties"]["FunctionName"]
    resources["StandardLogs"]["Properties"]["RetentionInDays"] = 7
    resources["ErrorModel"]["Properties"]["Schema"] = {"type": "string"}
    resources["Validator"]["Properties"]["ValidateRequestBody"] = True
    resources["StandardGet"]["Properties"]["RequestParameters"] = {"method.request.header.tenant-id": True}
    resources["IsolatedPath"]["Properties"]["PathPart"] = "apart"
    resources["Api"]["Properties"]["Description"] = "other"
    resources["Stage"]["Properties"]["Variables"] = {"colour": "blue"}
    del resources["StandardApiPermissionStage"]
    resources["MoreLogs"] = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1}}
    resources["Another"] = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
            },
            "Roles": [{"Ref": "Role"}],
        },
    }
    resources["Again"] = {
        "Type": "AWS::ApiGateway::Deployment",
        "DependsOn": ["StandardGet", "IsolatedGet"],
        "Properties": {"RestApiId": {"Ref": "Api"}},
    }
    resources["Stage"]["Properties"]["DeploymentId"] = {"Ref": "Again"}
    return template


def house_at(root: Path, number: int) -> House:
    return House(Documents(None), root / str(number))


async def test_counted_deployment_succeeds(house: House) -> None:
    empty = await house.world()
    assert await house.create(application()) == "CREATE_COMPLETE"
    assert len(await house.resources()) == RESOURCES == 19
    assert await house.update(changed()) == "UPDATE_COMPLETE"
    assert {row["ResourceStatus"] for row in (await house.resources()).values()} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    world = await house.world()
    assert world["roles"]["s-role"]["inline"] == []
    assert sorted(world["roles"]["s-role"]["attached"]) == sorted([BASIC, *world["policies"]])
    assert len(world["functions"]) == 2, "the replaced function is gone"
    await house.delete()
    left = await house.world()
    assert set(left["functions"]) == {"s-counter-standard"}, "what is to be retained is retained"
    assert {**left, "functions": {}, "permissions": {}} == {**empty, "functions": {}, "permissions": {}}


async def calls_of_creation(house: House) -> int:
    await house.create(application())
    return len(house.faults.calls)


@pytest.mark.parametrize("part", range(4))
async def test_creation_that_fails_at_any_call_leaves_nothing(tmp_path: Path, part: int) -> None:
    total = await calls_of_creation(house_at(tmp_path, 0))
    for number in range(1 + part, total + 1, 4):
        house = house_at(tmp_path, number)
        before = await house.world()
        house.faults.fail_at = number
        status = await house.create(application())
        assert status == "ROLLBACK_COMPLETE", f"call {number} ({house.faults.calls[number - 1]})"
        assert await house.world() == before, f"call {number} ({house.faults.calls[number - 1]}) left something"
        events = (await house.call("DescribeStackEvents", StackName="s"))["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
        assert len(reasons) == 1
        assert f"call {number} is made to fail" in reasons[0]
        assert "HandlerErrorCode: AccessDenied" in reasons[0]
        assert not house.service._store.deployments()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("part", range(3))
async def test_creation_that_is_cut_off_at_any_call_is_rolled_back_at_the_next_start(
    tmp_path: Path, part: int, after: bool
) -> None:
    total = await calls_of_creation(house_at(tmp_path, 0))
    for number in range(1 + part, total + 1, 3):
        house = house_at(tmp_path, number)
        before = await house.world()
        house.faults.cut_at, house.faults.cut_after = number, after
        await house.create(application())
        what = f"call {number} ({house.faults.calls[number - 1]})"
        assert await house.status() == "CREATE_IN_PROGRESS", what
        house = house.again()
        assert house.service.recover() == ["s"]
        await house.settled()
        assert await house.status() == "ROLLBACK_COMPLETE", what
        assert await house.world() == before, f"{what} left something"
        assert house.service.recover() == []
        await house.delete()


@pytest.mark.parametrize("part", range(4))
async def test_update_that_fails_at_any_call_brings_the_old_state_back(tmp_path: Path, part: int) -> None:
    total = await calls_of_update(tmp_path)
    for number in range(1 + part, total + 1, 4):
        house = house_at(tmp_path, number)
        await house.create(application())
        before, resources = await house.world(), await house.resources()
        house.faults.calls.clear()
        house.faults.fail_at = number
        status = await house.update(changed())
        what = f"call {number} ({house.faults.calls[number - 1]})"
        if status == "UPDATE_COMPLETE":  # the call was one of the cleanup phase, whose failures do not count
            assert ("s", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS") in await house.story(), what
            continue
        assert status == "UPDATE_ROLLBACK_COMPLETE", what
        assert await house.world() == before, what
        now = await house.resources()
        assert {name: row["PhysicalResourceId"] for name, row in now.items()} == {
            name: row["PhysicalResourceId"] for name, row in resources.items()
        }, what
        assert (await house.call("GetTemplate", StackName="s"))["TemplateBody"] == json.dumps(application())
        house.faults.fail_at = 0
        assert await house.update(changed()) == "UPDATE_COMPLETE", f"after {what} a second try succeeds"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("part", range(3))
async def test_update_that_is_cut_off_at_any_call_ends_in_the_old_or_the_new_state(
    tmp_path: Path, part: int, after: bool
) -> None:
    total = await calls_of_update(tmp_path)
    reference = house_at(tmp_path, -1)
    await reference.create(application())
    await reference.update(changed())
    complete = counts(await reference.world())
    for number in range(1 + part, total + 1, 3):
        house = house_at(tmp_path, number)
        await house.create(application())
        before = await house.world()
        house.faults.calls.clear()
        house.faults.cut_at, house.faults.cut_after = number, after
        await house.update(changed())
        what = f"call {number} ({house.faults.calls[number - 1]})"
        house = house.again()
        assert house.service.recover() == ["s"], what
        await house.settled()
        status = await house.status()
        if status == "UPDATE_COMPLETE":
            assert counts(await house.world()) == complete, f"{what}: the cleanup did not go on to its end"
        else:
            assert status == "UPDATE_ROLLBACK_COMPLETE", what
            assert await house.world() == before, what


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_deletion_that_is_cut_off_at_any_call_goes_on_at_the_next_start(tmp_path: Path, after: bool) -> None:
    house = house_at(tmp_path, 0)
    await house.create(application())
    house.faults.calls.clear()
    await house.delete()
    for number in range(1, len(house.faults.calls) + 1, 2 if after else 3):
        cut = house_at(tmp_path, number)
        before = await cut.world()
        await cut.create(application())
        cut.faults.calls.clear()
        cut.faults.cut_at, cut.faults.cut_after = number, after
        await cut.delete()
        assert await cut.status() == "DELETE_IN_PROGRESS"
        again = cut.again()
        assert again.service.recover() == ["s"]
        await again.settled()
        assert await again.world() == before, f"call {number}"
        assert (await again.call("DescribeStacks"))["Stacks"] == []


async def test_deletion_that_fails_keeps_what_it_needs_and_can_be_repeated(house: House) -> None:
    before = await house.world()
    await house.create(application())
    house.faults.fail_call = "apigateway:DeleteStage"
    await house.delete()
    assert await house.status() == "DELETE_FAILED"
    reason = (await house.stack())["StackStatusReason"]
    assert reason == "The following resource(s) failed to delete: [Stage]. "
    rows = await house.resources()
    assert rows["Stage"]["ResourceStatus"] == "DELETE_FAILED"
    assert rows["Api"]["ResourceStatus"] == "CREATE_COMPLETE", "what the stage stands on was not touched"
    assert rows["IsolatedLogs"]["ResourceStatus"] == "DELETE_COMPLETE"
    house.faults.fail_call = ""
    await house.delete()
    assert await house.world() == before


async def test_rollback_that_fails_is_said_and_can_be_deleted(house: House) -> None:
    before = await house.world()
    template = application()
    template["Resources"]["Stage"]["Properties"]["StageName"] = "not allowed!"
    house.faults.fail_call = "apigateway:DeleteRestApi"
    assert await house.create(template) == "ROLLBACK_FAILED"
    assert (await house.stack())["StackStatusReason"] == "The following resource(s) failed to delete: [Api]. "
    house.faults.fail_call = ""
    await house.delete()
    assert await house.world() == before


async def test_update_rollback_that_fails_can_be_continued(house: House) -> None:
    await house.create(application())
    before = await house.world()
    broken = copy.deepcopy(changed())
    broken["Resources"]["Again"]["Properties"]["RestApiId"] = "nowhere123"
    house.faults.calls.clear()
    assert await house.update(broken) == "UPDATE_ROLLBACK_COMPLETE"
    rolled = len(house.faults.calls)
    house.faults.calls.clear()
    house.faults.fail_at = rolled - 6
    assert await house.update(broken) == "UPDATE_ROLLBACK_FAILED"
    assert house.again().service.recover() == [], "it waits for its user"
    house.faults.fail_at = 0
    await house.call("ContinueUpdateRollback", StackName="s")
    await house.settled()
    assert await house.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert await house.world() == before


async def calls_of_update(root: Path) -> int:
    house = House(Documents(None), root / "counted")
    await house.create(application())
    house.faults.calls.clear()
    assert await house.update(changed()) == "UPDATE_COMPLETE"
    return len(house.faults.calls)


def counts(world: dict[str, Any]) -> dict[str, Any]:
    """How much of everything there is; names that are made up differ from run to run."""
    return {
        **{name: len(value) for name, value in world.items()},
        "apis": [{part: len(items) for part, items in api.items()} for api in world["apis"].values()],
    }
