"""kill -9 and a new start on the same data: what was acknowledged is there, and the address answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripts.running import Platform
from tests.support.aws import Aws, eventually

pytestmark = [pytest.mark.client]

CODE = (
    "import json\ncounter = 0\n"
    "def lambda_handler(event, context):\n"
    "    global counter\n    counter += 1\n    print('said before the cut' if counter == 1 else 'more')\n"
    "    return {'statusCode': 200, 'body': json.dumps({'counter': counter, 'tenant': context.tenant_id})}\n"
)
INVOCATIONS = {
    "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
}
TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                    ],
                }
            },
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "cut",
                "Runtime": "python3.14",
                "Handler": "index.lambda_handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": CODE},
                "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"},
            },
        },
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "cut"}},
        "Get": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                "HttpMethod": "GET",
                "AuthorizationType": "NONE",
                "RequestParameters": {"method.request.header.x-tenant-id": True},
                "Integration": {
                    "Type": "AWS_PROXY",
                    "IntegrationHttpMethod": "POST",
                    "Uri": INVOCATIONS,
                    "RequestParameters": {"integration.request.header.X-Amz-Tenant-Id": "method.request.header.x-tenant-id"},
                },
            },
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
            },
        },
        "Deployment": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": "Get", "Properties": {"RestApiId": {"Ref": "Api"}}},
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "dev"},
        },
    },
    "Outputs": {"Url": {"Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/dev/"}}},
}


def deploy(aws: Aws, stack: str, template: dict[str, Any]) -> dict[str, Any]:
    """Create a stack through a change set, as sam does; the stack once it stands."""
    cloudformation = aws.client("cloudformation")
    names = {"StackName": stack, "ChangeSetName": "first"}
    body = json.dumps(template)
    cloudformation.create_change_set(**names, ChangeSetType="CREATE", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    eventually(lambda: cloudformation.describe_change_set(**names)["Status"], lambda status: status == "CREATE_COMPLETE")
    cloudformation.execute_change_set(**names)
    status = eventually(
        lambda: cloudformation.describe_stacks(StackName=stack)["Stacks"][0],
        lambda value: not value["StackStatus"].endswith("IN_PROGRESS"),
        30,
    )
    assert status["StackStatus"] == "CREATE_COMPLETE", cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return dict(status)


def everything(aws: Aws) -> dict[str, Any]:
    """What the control plane says of the stack's parts."""
    resources = aws.client("cloudformation").list_stack_resources(StackName="cut")["StackResourceSummaries"]
    function = aws.client("lambda").get_function(FunctionName="cut")
    apis = aws.client("apigateway").get_rest_apis()["items"]
    stages = aws.client("apigateway").get_stages(restApiId=apis[0]["id"])["item"]
    return {
        "resources": sorted((item["LogicalResourceId"], item["PhysicalResourceId"]) for item in resources),
        "function": function["Configuration"]["CodeSha256"],
        "tenancy": function["Configuration"]["TenancyConfig"],
        "api": [api["id"] for api in apis],
        "stages": [(stage["stageName"], stage["deploymentId"]) for stage in stages],
        "roles": [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]],
        "policy": aws.client("lambda").get_policy(FunctionName="cut")["Policy"],
        "buckets": [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]],
    }


def messages(aws: Aws) -> list[str]:
    events = aws.client("logs").filter_log_events(logGroupName="/aws/lambda/cut")["events"]
    return [event["message"] for event in events]


def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.start()
    try:
        aws = Aws(platform.environment)
        stack = deploy(aws, "cut", TEMPLATE)
        url = stack["Outputs"][0]["OutputValue"]
        aws.client("s3").create_bucket(Bucket="kept")
        aws.client("s3").put_object(Bucket="kept", Key="a/b", Body=b"bytes")
        assert [aws.http(url, headers={"x-tenant-id": "Blue"}).json["counter"] for _ in range(2)] == [1, 2]
        eventually(lambda: messages(aws), lambda found: sum("REPORT" in message for message in found) == 2)
        before, said = everything(aws), messages(aws)
        aws.close()
        old = platform.pid
        platform.kill()
        platform.start()
        assert platform.pid != old
        aws = Aws(platform.environment)
        assert everything(aws) == before
        assert messages(aws) == said
        assert aws.client("s3").get_object(Bucket="kept", Key="a/b")["Body"].read() == b"bytes"
        answer = aws.http(url, headers={"x-tenant-id": "Blue"})
        assert (answer.status, answer.json) == (200, {"counter": 1, "tenant": "Blue"}), "the old address, a new environment"
        aws.close()
    finally:
        platform.stop()


def test_second_platform_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with Platform(tmp_path) as first:
        second = Platform(tmp_path)
        second.log = tmp_path / "second.log"
        command_ended = second.try_start()
        assert command_ended != 0
        assert str(first.data_dir) in second.log_end()
