"""Two clients that change the same thing at the same time: one wins, the other gets AWS's refusal, nothing is half done."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.aws import Aws, eventually, zip_of

pytestmark = [pytest.mark.client]

ROLE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
EMPTY = {"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/raced-stack"}}}}


def outcomes(calls: list[Callable[[], Any]]) -> list[str]:
    """Run all at once; `done` or the error's code for each, sorted."""

    def one(call: Callable[[], Any]) -> str:
        try:
            call()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "done"

    with ThreadPoolExecutor(len(calls)) as threads:
        return sorted(threads.map(one, calls))


@pytest.fixture(scope="module")
def arguments(aws: Aws) -> dict[str, Any]:
    role = aws.client("iam").create_role(RoleName="raced-role", AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))["Role"]["Arn"]
    return {"Runtime": "python3.14", "Handler": "a.b", "Role": role, "Code": {"ZipFile": zip_of({"a.py": "b = None"})}}


def test_one_of_two_creations_of_a_name_wins(aws: Aws, arguments: dict[str, Any]) -> None:
    client = aws.client("lambda")
    create = [lambda: client.create_function(FunctionName="raced", **arguments)] * 4
    try:
        assert outcomes(create) == ["ResourceConflictException"] * 3 + ["done"]
    finally:
        eventually(lambda: client.get_function(FunctionName="raced")["Configuration"]["State"], lambda state: state == "Active")
        client.delete_function(FunctionName="raced")


def test_one_of_two_updates_of_a_revision_wins(aws: Aws, arguments: dict[str, Any]) -> None:
    client = aws.client("lambda")
    client.create_function(FunctionName="raced-revision", **arguments)
    try:
        active = eventually(
            lambda: client.get_function(FunctionName="raced-revision")["Configuration"], lambda now: now["State"] == "Active"
        )
        revision = active["RevisionId"]
        updates = [
            lambda text=text: client.update_function_configuration(
                FunctionName="raced-revision", Description=text, RevisionId=revision
            )
            for text in ("one", "two", "three")
        ]
        seen = outcomes(updates)
        assert seen.count("done") == 1
        assert set(seen) <= {"done", "PreconditionFailedException", "ResourceConflictException"}
    finally:
        client.delete_function(FunctionName="raced-revision")


def test_one_of_two_creations_of_a_stack_wins(aws: Aws) -> None:
    client = aws.client("cloudformation")
    create = [lambda: client.create_stack(StackName="raced-stack", TemplateBody=json.dumps(EMPTY))] * 3
    assert outcomes(create) == ["AlreadyExistsException"] * 2 + ["done"]
    eventually(
        lambda: client.describe_stacks(StackName="raced-stack")["Stacks"][0]["StackStatus"],
        lambda status: status == "CREATE_COMPLETE",
    )
    client.delete_stack(StackName="raced-stack")
    eventually(
        lambda: [stack["StackName"] for stack in client.describe_stacks()["Stacks"]], lambda names: "raced-stack" not in names
    )


def test_one_of_two_first_writes_of_an_object_wins(aws: Aws) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket="raced-bucket")
    writes = [
        lambda body=body: client.put_object(Bucket="raced-bucket", Key="k", Body=body, IfNoneMatch="*") for body in (b"1", b"2")
    ]
    seen = outcomes(writes)
    assert seen.count("done") == 1
    assert set(seen) <= {"done", "PreconditionFailed", "ConditionalRequestConflict"}
    client.delete_object(Bucket="raced-bucket", Key="k")
    client.delete_bucket(Bucket="raced-bucket")
