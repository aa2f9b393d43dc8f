"""Resource types that the application of `sample.py` does not have: made, changed, removed over the real services."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.cloudformation.conftest import TRUST, House, zip_of

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}


def function(**properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ZipFile": "def h(event, context):\n    return 1\n"},
            "Handler": "index.h",
            "Runtime": "python3.13",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            **properties,
        },
    }


async def works(house: House, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Create, update, roll an update back, and delete: nothing may stay."""
    before = await house.world()
    assert await house.create(first) == "CREATE_COMPLETE", await house.story()
    assert await house.update(second) == "UPDATE_COMPLETE", await house.story()
    middle = await house.world()
    house.groups["/taken"] = {"tags": {}}
    failing = json.loads(json.dumps(first))
    stop = {"Type": "AWS::Logs::LogGroup", "DependsOn": list(first["Resources"]), "Properties": {"LogGroupName": "/taken"}}
    failing["Resources"]["Stop"] = stop
    assert await house.update(failing) == "UPDATE_ROLLBACK_COMPLETE", await house.story()
    del house.groups["/taken"]
    assert await house.world() == middle
    await house.delete()
    assert await house.world() == before


async def test_bucket_and_its_policy(house: House) -> None:
    bucket: dict[str, Any] = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "VersioningConfiguration": {"Status": "Enabled"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
            },
            "PublicAccessBlockConfiguration": {"BlockPublicAcls": "true", "IgnorePublicAcls": "true"},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "Tags": [{"Key": "a", "Value": "b"}],
        },
    }
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":s3:::", {"Ref": "Bucket"}, "/*"]]}
    statement = {"Effect": "Allow", "Principal": {"Service": "x.amazonaws.com"}, "Action": "s3:GetObject", "Resource": arn}
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}},
    }
    template: dict[str, Any] = {"Resources": {"Bucket": bucket, "Policy": policy}}
    await house.create(template, "seen", Tags=[{"Key": "ManagedStackSource", "Value": "AwsSamCli"}])
    name = (await house.resources("seen"))["Bucket"]["PhysicalResourceId"]
    assert name.startswith("seen-bucket-")
    assert name == name.lower()
    versioning = await house.call("GetBucketVersioning", "s3", Bucket=name)
    assert versioning["Status"] == "Enabled"
    assert name in (await house.call("GetBucketPolicy", "s3", Bucket=name))["Policy"]
    tags = (await house.call("GetBucketTagging", "s3", Bucket=name))["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"ManagedStackSource": "AwsSamCli", "a": "b"}
    await house.delete("seen")
    changed = json.loads(json.dumps(template))
    changed["Resources"]["Bucket"]["Properties"] = {"Tags": [{"Key": "a", "Value": "c"}]}
    changed["Resources"]["Policy"]["Properties"]["PolicyDocument"]["Statement"][0]["Action"] = "s3:PutObject"
    await works(house, template, changed)


async def test_bucket_of_the_same_name_is_refused(house: House) -> None:
    await house.call("CreateBucket", "s3", Bucket="there")
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "there"}}
    assert await house.create({"Resources": {"B": bucket}}) == "ROLLBACK_COMPLETE"
    assert (await house.call("ListBuckets", "s3"))["Buckets"][0]["Name"] == "there"


async def test_policies(house: House) -> None:
    inline = {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyName": "p", "PolicyDocument": POLICY, "Roles": [{"Ref": "Role"}]},
    }
    managed: dict[str, Any] = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"PolicyDocument": POLICY, "Roles": [{"Ref": "Role"}]},
    }
    first: dict[str, Any] = {"Resources": {"Role": ROLE, "Inline": inline, "Managed": managed}}
    second = json.loads(json.dumps(first))
    second["Resources"]["Inline"]["Properties"]["PolicyName"] = "q"
    second["Resources"]["Managed"]["Properties"]["Roles"] = []
    second["Resources"]["Managed"]["Properties"]["PolicyDocument"]["Statement"][0]["Action"] = "s3:PutObject"
    await works(house, first, second)


async def test_role(house: House) -> None:
    first: dict[str, Any] = {"Resources": {"Role": json.loads(json.dumps(ROLE))}}
    second = json.loads(json.dumps(first))
    trust = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "apigateway.amazonaws.com"}}]}
    second["Resources"]["Role"]["Properties"] = {
        "AssumeRolePolicyDocument": trust,
        "Description": "d",
        "MaxSessionDuration": "7200",
        "Policies": [{"PolicyName": "p", "PolicyDocument": POLICY}],
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    await house.create(first)
    await house.update(second)
    name = (await house.resources())["Role"]["PhysicalResourceId"]
    role = (await house.call("GetRole", "iam", RoleName=name))["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("d", 7200)
    assert role["Tags"] == [{"Key": "a", "Value": "b"}]
    await house.update(first)
    role = (await house.call("GetRole", "iam", RoleName=name))["Role"]
    assert (role.get("Description") or "", role["MaxSessionDuration"], role.get("Tags") or []) == ("", 3600, [])
    await house.delete()


async def test_version_alias_and_event_configuration(house: House) -> None:
    version = {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}}
    alias: dict[str, Any] = {
        "Type": "AWS::Lambda::Alias",
        "Properties": {
            "FunctionName": {"Ref": "Function"},
            "Name": "live",
            "FunctionVersion": {"Fn::GetAtt": ["Version1", "Version"]},
        },
    }
    events: dict[str, Any] = {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "DependsOn": "Alias",
        "Properties": {"FunctionName": {"Ref": "Function"}, "Qualifier": "live", "MaximumRetryAttempts": 1},
    }
    permission = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": "Alias"},
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
        },
    }
    first: dict[str, Any] = {
        "Resources": {
            "Role": ROLE,
            "Function": function(),
            "Version1": version,
            "Alias": alias,
            "Events": events,
            "Permission": permission,
        }
    }
    second = json.loads(json.dumps(first))
    second["Resources"]["Function"]["Properties"]["Code"]["ZipFile"] = "def h(event, context):\n    return 2\n"
    second["Resources"]["Version2"] = {**version, "DependsOn": "Function"}
    second["Resources"]["Alias"]["Properties"] |= {
        "FunctionVersion": {"Fn::GetAtt": ["Version2", "Version"]},
        "Description": "d",
        "RoutingConfig": {
            "AdditionalVersionWeights": [{"FunctionVersion": {"Fn::GetAtt": ["Version1", "Version"]}, "FunctionWeight": "0.25"}]
        },
    }
    second["Resources"]["Events"]["Properties"]["MaximumRetryAttempts"] = 0
    await house.create(first)
    rows = await house.resources()
    name = rows["Function"]["PhysicalResourceId"]
    assert rows["Version1"]["PhysicalResourceId"].endswith(f":function:{name}:1")
    assert rows["Alias"]["PhysicalResourceId"].endswith(f":function:{name}:live")
    assert await house.update(second) == "UPDATE_COMPLETE"
    seen = await house.call("GetAlias", "lambda", FunctionName=name, Name="live")
    assert (seen["FunctionVersion"], seen["RoutingConfig"]) == ("2", {"AdditionalVersionWeights": {"1": 0.25}})
    await house.delete()


async def test_version_of_unchanged_code_is_refused(house: House) -> None:
    version = {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}}
    again = {**version, "DependsOn": "One"}
    template = {"Resources": {"Role": ROLE, "Function": function(), "One": version, "Two": again}}
    assert await house.create(template) == "ROLLBACK_COMPLETE"
    assert "A version for this Lambda function exists ( 1 )" in str(await house.call("DescribeStackEvents", StackName="s"))


async def test_layer_and_code_from_s3(house: House) -> None:
    await house.call("CreateBucket", "s3", Bucket="code")
    for key in ("one", "two"):
        await house.call(
            "PutObject", "s3", Bucket="code", Key=key, Body=zip_of(f"def h(event, context):\n    return '{key}'\n")
        )
    layer: dict[str, Any] = {
        "Type": "AWS::Lambda::LayerVersion",
        "Properties": {"Content": {"S3Bucket": "code", "S3Key": "one"}, "CompatibleRuntimes": ["python3.13"]},
    }
    code = {"S3Bucket": "code", "S3Key": "one"}
    first: dict[str, Any] = {
        "Resources": {"Role": ROLE, "Layer": layer, "Function": function(Code=code, Layers=[{"Ref": "Layer"}])}
    }
    second = json.loads(json.dumps(first))
    second["Resources"]["Layer"]["Properties"]["Content"]["S3Key"] = "two"
    second["Resources"]["Function"]["Properties"]["Code"]["S3Key"] = "two"
    await works(house, first, second)
    assert (await house.call("ListLayers", "lambda"))["Layers"] == []


async def test_every_setting_of_a_function_is_changed_and_taken_back(house: House) -> None:
    plain: dict[str, Any] = {"Resources": {"Role": ROLE, "Function": function()}}
    rich: dict[str, Any] = {
        "Resources": {
            "Role": ROLE,
            "Function": function(
                Description="d",
                Timeout="5",
                MemorySize=256,
                Environment={"Variables": {"AB": 1}},
                TracingConfig={"Mode": "Active"},
                EphemeralStorage={"Size": 1024},
                LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
                Architectures=["arm64"],
                ReservedConcurrentExecutions=5,
                Tags=[{"Key": "a", "Value": "b"}],
            ),
        }
    }
    await house.create(plain)
    name = (await house.resources())["Function"]["PhysicalResourceId"]
    before = (await house.world())["functions"]
    assert await house.update(rich) == "UPDATE_COMPLETE"
    seen = await house.call("GetFunction", "lambda", FunctionName=name)
    configuration = seen["Configuration"]
    assert (configuration["Timeout"], configuration["MemorySize"]) == (5, 256)
    assert configuration["Environment"] == {"Variables": {"AB": "1"}}
    assert configuration["LoggingConfig"]["LogFormat"] == "JSON"
    assert configuration["Architectures"] == ["arm64"]
    assert seen["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert seen["Tags"] == {"a": "b"}
    assert await house.update(plain) == "UPDATE_COMPLETE"
    assert (await house.world())["functions"] == before
    assert not (await house.call("GetFunction", "lambda", FunctionName=name)).get("Concurrency")
    await house.delete()


async def test_api_from_a_document(house: House) -> None:
    def document(path: str) -> dict[str, Any]:
        uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
        integration = {"httpMethod": "POST", "type": "aws_proxy", "uri": {"Fn::Sub": uri}}
        return {
            "swagger": "2.0",
            "info": {"version": "1.0", "title": {"Ref": "AWS::StackName"}},
            "paths": {path: {"get": {"x-amazon-apigateway-integration": integration, "responses": {}}}},
        }

    def template(path: str, number: int) -> dict[str, Any]:
        return {
            "Resources": {
                "Role": ROLE,
                "Function": function(),
                "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": document(path)}},
                f"Deployment{number}": {
                    "Type": "AWS::ApiGateway::Deployment",
                    "Properties": {"RestApiId": {"Ref": "Api"}, "StageName": "Stage", "Description": str(number)},
                },
                "Prod": {
                    "Type": "AWS::ApiGateway::Stage",
                    "Properties": {
                        "RestApiId": {"Ref": "Api"},
                        "DeploymentId": {"Ref": f"Deployment{number}"},
                        "StageName": "Prod",
                        "Variables": {"n": number},
                        "MethodSettings": [{"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": number}],
                    },
                },
            }
        }

    await house.create(template("/hello", 1))
    api = (await house.resources())["Api"]["PhysicalResourceId"]
    assert (await house.call("GetRestApi", "apigateway", restApiId=api))["name"] == "s"
    paths = [item["path"] for item in (await house.call("GetResources", "apigateway", restApiId=api))["items"]]
    assert sorted(paths) == ["/", "/hello"]
    assert await house.update(template("/bye", 2)) == "UPDATE_COMPLETE", await house.story()
    paths = [item["path"] for item in (await house.call("GetResources", "apigateway", restApiId=api))["items"]]
    assert sorted(paths) == ["/", "/bye"]
    stages = {item["stageName"]: item for item in (await house.call("GetStages", "apigateway", restApiId=api))["item"]}
    assert set(stages) == {"Stage", "Prod"}
    assert stages["Prod"]["variables"] == {"n": "2"}
    assert stages["Prod"]["methodSettings"]["*/*"]["throttlingRateLimit"] == 2
    assert len((await house.call("GetDeployments", "apigateway", restApiId=api))["items"]) == 1
    before = await house.world()
    await house.delete()
    assert before["apis"]
    assert (await house.world())["apis"] == {}


async def test_gateway_response(house: House) -> None:
    def template(**properties: Any) -> dict[str, Any]:
        response = {"RestApiId": {"Ref": "Api"}, "ResponseType": "DEFAULT_4XX", **properties}
        api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "a"}}
        return {"Resources": {"Api": api, "Response": {"Type": "AWS::ApiGateway::GatewayResponse", "Properties": response}}}

    await works(house, template(StatusCode="418"), template(ResponseParameters={"gatewayresponse.header.X": "'y'"}))


@pytest.mark.parametrize("stack", ["s", "a-very-long-stack-name-" + "x" * 100])
async def test_generated_names_fit(house: House, stack: str) -> None:
    template = {"Resources": {"Role": ROLE, "AFunctionWithARatherLongLogicalName": function()}}
    assert await house.create(template, stack) == "CREATE_COMPLETE"
    name = (await house.resources(stack))["AFunctionWithARatherLongLogicalName"]["PhysicalResourceId"]
    assert len(name) <= 64
    assert name.startswith(stack[:20])
    await house.delete(stack)


async def test_authorizer(house: House) -> None:
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"

    def template(**properties: Any) -> dict[str, Any]:
        given = {
            "RestApiId": {"Ref": "Api"},
            "Name": "a",
            "Type": "TOKEN",
            "IdentitySource": "method.request.header.Authorization",
            "AuthorizerUri": {"Fn::Sub": uri},
            **properties,
        }
        method = {
            "RestApiId": {"Ref": "Api"},
            "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
            "HttpMethod": "GET",
            "AuthorizationType": "CUSTOM",
            "AuthorizerId": {"Ref": "Authorizer"},
            "Integration": {"Type": "MOCK"},
        }
        return {
            "Resources": {
                "Role": ROLE,
                "Function": function(),
                "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "a"}},
                "Authorizer": {"Type": "AWS::ApiGateway::Authorizer", "Properties": given},
                "Get": {"Type": "AWS::ApiGateway::Method", "Properties": method},
            }
        }

    await works(house, template(), template(AuthorizerResultTtlInSeconds="0", IdentityValidationExpression="x.*"))
