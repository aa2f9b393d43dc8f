"""Numbered checks of aws-behaviour 8 about stacks that no client program's story covers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.aws import Aws, eventually

pytestmark = [pytest.mark.client]

STACK = "check-replacement"


@pytest.fixture
def template(aws: Aws, role: str) -> Iterator[dict[str, Any]]:
    """A deployed stack of one isolated function without a name of its own."""
    properties = {
        "Runtime": "python3.14",
        "Handler": "index.h",
        "Role": role,
        "Code": {"ZipFile": "def h(event, context): return 1"},
        "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"},
    }
    body = {"Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}}
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(body))
    eventually(
        lambda: cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"],
        lambda status: status == "CREATE_COMPLETE",
    )
    yield body
    cloudformation.delete_stack(StackName=STACK)


def plan(aws: Aws, body: dict[str, Any]) -> list[tuple[str, str]]:
    """What an update to this template would do: (action, replacement) of each change."""
    cloudformation = aws.client("cloudformation")
    names = {"StackName": STACK, "ChangeSetName": "change"}
    cloudformation.create_change_set(**names, ChangeSetType="UPDATE", TemplateBody=json.dumps(body))
    planned = eventually(
        lambda: cloudformation.describe_change_set(**names), lambda answer: answer["Status"] == "CREATE_COMPLETE"
    )
    changes = [change["ResourceChange"] for change in planned["Changes"]]
    return [(change["Action"], change.get("Replacement", "")) for change in changes]


def test_removed_tenancy_plans_a_replacement(aws: Aws, template: dict[str, Any]) -> None:
    changed = copy.deepcopy(template)
    del changed["Resources"]["Function"]["Properties"]["TenancyConfig"]
    assert plan(aws, changed) == [("Modify", "True")]


def test_new_description_plans_a_change_in_place(aws: Aws, template: dict[str, Any]) -> None:
    changed = copy.deepcopy(template)
    changed["Resources"]["Function"]["Properties"]["Description"] = "other"
    assert plan(aws, changed) == [("Modify", "False")]
