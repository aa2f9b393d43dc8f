"""Inputs that must be refused, over the wire, each with AWS's error and with nothing left behind.

The inputs are data: `refused/*.toml`, one table for each. A text that begins with `@` stands for something that is made here
(see `Bystanders.value`). Two kinds:

    [[call]]                                  # through boto3, its own checks switched off
    says, service, operation, code, status, text, parameters; optionally region, key, secret

    [[raw]]                                   # an HTTP request signed by hand
    says, service, method, path, code, status, text, headers, body; optionally signed, age_minutes, key, secret

`text` must occur in the error's message. What exists is compared before and after each.
"""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.aws import Aws, eventually, zip_of, zip_with_link

pytestmark = [pytest.mark.client]

FILES = sorted((Path(__file__).parent / "refused").glob("*.toml"))
TABLES = {path.stem: tomllib.loads(path.read_text()) for path in FILES}
CALLS = [pytest.param(case, id=f"{name}: {case['says']}") for name, table in TABLES.items() for case in table.get("call", [])]
RAW = [pytest.param(case, id=f"{name}: {case['says']}") for name, table in TABLES.items() for case in table.get("raw", [])]
REFUSED_MIN = 60
CODE = "def lambda_handler(event, context):\n    return 1\n"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True)
class Bystanders:
    """Resources that are there all the time, for the refused inputs to run into."""

    aws: Aws
    role: str
    api: str
    root: str

    def value(self, value: Any) -> Any:
        """A table's value with every `@` text replaced by what it stands for."""
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        name, _, argument = value[1:].partition(":")
        return {
            "role": lambda: self.role,
            "api": lambda: self.api,
            "root": lambda: self.root,
            "zip": lambda: zip_of({"lambda_function.py": CODE}),
            "zip-garbage": lambda: b"this is no zip archive",
            "zip-truncated": lambda: zip_of({"lambda_function.py": CODE})[:-30],
            "zip-named": lambda: zip_of({argument: CODE}),
            "zip-link": lambda: zip_with_link("link.py", argument),
            "zip-swelling": lambda: zip_of({"zeros.bin": bytes(int(argument))}),
            "bytes": lambda: b'"' + b"x" * int(argument) + b'"',
            "text": lambda: "x" * int(argument),
        }[name]()

    def snapshot(self) -> dict[str, Any]:
        """Everything that a refused input might have left behind."""
        functions = self.aws.client("lambda").list_functions()["Functions"]
        buckets = [bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]]
        objects = self.aws.client("s3").list_objects_v2(Bucket="present-bucket").get("Contents", [])
        uploads = self.aws.client("s3").list_multipart_uploads(Bucket="present-bucket").get("Uploads", [])
        groups = self.aws.client("logs").describe_log_groups()["logGroups"]
        streams = self.aws.client("logs").describe_log_streams(logGroupName="/present")["logStreams"]
        stacks = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        changes = self.aws.client("cloudformation").list_change_sets(StackName="present-stack")["Summaries"]
        gateway = self.aws.client("apigateway")
        aliases = self.aws.client("lambda").list_aliases(FunctionName="present")["Aliases"]
        return {
            "functions": {function["FunctionName"]: function["RevisionId"] for function in functions},
            "versions": len(self.aws.client("lambda").list_versions_by_function(FunctionName="present")["Versions"]),
            "aliases": [alias["Name"] for alias in aliases],
            "buckets": buckets,
            "objects": {item["Key"]: item["ETag"] for item in objects},
            "uploads": [upload["UploadId"] for upload in uploads],
            "groups": {group["logGroupName"]: group.get("retentionInDays") for group in groups},
            "streams": [(stream["logStreamName"], stream.get("lastEventTimestamp")) for stream in streams],
            "stacks": {stack["StackName"]: (stack["StackStatus"], stack.get("LastUpdatedTime")) for stack in stacks},
            "change sets": [change["ChangeSetName"] for change in changes],
            "roles": [item["RoleName"] for item in self.aws.client("iam").list_roles()["Roles"]],
            "policies": self.aws.client("iam").list_role_policies(RoleName="present-role")["PolicyNames"],
            "apis": [api["id"] for api in gateway.get_rest_apis()["items"]],
            "resources": [item["path"] for item in gateway.get_resources(restApiId=self.api)["items"]],
            "deployments": [item["id"] for item in gateway.get_deployments(restApiId=self.api)["items"]],
        }


@pytest.fixture(scope="module")
def bystanders(aws: Aws) -> Iterator[Bystanders]:
    """Make them, once for all inputs."""
    role = aws.client("iam").create_role(RoleName="present-role", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    functions = aws.client("lambda")
    common = {"Runtime": "python3.14", "Handler": "lambda_function.lambda_handler", "Role": role}
    package = {"ZipFile": zip_of({"lambda_function.py": CODE})}
    functions.create_function(FunctionName="present", Code=package, **common)
    functions.create_function(
        FunctionName="present-isolated", Code=package, TenancyConfig={"TenantIsolationMode": "PER_TENANT"}, **common
    )
    for name in ("present", "present-isolated"):
        eventually(
            lambda name=name: functions.get_function(FunctionName=name)["Configuration"]["State"],
            lambda state: state == "Active",
        )
    functions.add_permission(
        FunctionName="present", StatementId="taken", Action="lambda:InvokeFunction", Principal="123456789012"
    )
    functions.publish_version(FunctionName="present")
    functions.create_alias(FunctionName="present", Name="taken", FunctionVersion="1")
    aws.client("s3").create_bucket(Bucket="present-bucket")
    aws.client("s3").put_object(Bucket="present-bucket", Key="present", Body=b"bytes")
    aws.client("logs").create_log_group(logGroupName="/present")
    aws.client("logs").create_log_stream(logGroupName="/present", logStreamName="taken")
    api = aws.client("apigateway").create_rest_api(name="present")["id"]
    root = aws.client("apigateway").get_resources(restApiId=api)["items"][0]["id"]
    aws.client("apigateway").create_resource(restApiId=api, parentId=root, pathPart="taken")
    stacks = aws.client("cloudformation")
    body = {"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/present-stack"}}}}
    stacks.create_stack(StackName="present-stack", TemplateBody=json.dumps(body))
    eventually(
        lambda: stacks.describe_stacks(StackName="present-stack")["Stacks"][0]["StackStatus"],
        lambda status: status == "CREATE_COMPLETE",
    )
    yield Bystanders(aws, role, api, root)
    stacks.delete_stack(StackName="present-stack")
    aws.client("apigateway").delete_rest_api(restApiId=api)
    aws.client("logs").delete_log_group(logGroupName="/present")
    aws.client("s3").delete_object(Bucket="present-bucket", Key="present")
    aws.client("s3").delete_bucket(Bucket="present-bucket")
    for name in ("present", "present-isolated"):
        functions.delete_function(FunctionName=name)
    aws.client("iam").delete_role(RoleName="present-role")


@pytest.mark.parametrize("case", CALLS)
def test_refused_input(bystanders: Bystanders, case: dict[str, Any]) -> None:
    before = bystanders.snapshot()
    options = {name: case[name] for name in ("region", "key", "secret") if name in case}
    client = bystanders.aws.client(case["service"], validate=False, **options)
    operation = getattr(client, _snake(client, case["operation"]))
    with pytest.raises(ClientError) as error:
        operation(**bystanders.value(case.get("parameters", {})))
    response = error.value.response
    seen = (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"])
    assert seen == (case["code"], case["status"]), response
    assert case["text"] in str(response["Error"].get("Message", "")), response
    assert bystanders.snapshot() == before, "something was left behind"


@pytest.mark.parametrize("case", RAW)
def test_refused_request(bystanders: Bystanders, case: dict[str, Any]) -> None:
    before = bystanders.snapshot()
    body = bystanders.value(case.get("body", ""))
    age = case.get("age_minutes")
    reply = bystanders.aws.raw(
        case["service"],
        case["method"],
        case["path"],
        headers=case.get("headers", {}),
        body=body if isinstance(body, bytes) else body.encode(),
        signed=case.get("signed", True),
        date=datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=age) if age is not None else None,
        key=case.get("key"),
        secret=case.get("secret"),
    )
    assert (reply.error_code, reply.status) == (case["code"], case["status"]), reply
    assert case["text"] in reply.body.decode(), reply
    assert bystanders.snapshot() == before, "something was left behind"


def test_there_are_enough_of_them() -> None:
    assert len(CALLS) + len(RAW) >= REFUSED_MIN
    for name in ("lambda", "apigateway", "cloudformation", "logs", "s3", "identity", "wire"):
        assert name in TABLES


def _snake(client: Any, operation: str) -> str:
    return next(method for method, name in client.meta.method_to_api_mapping.items() if name == operation)
