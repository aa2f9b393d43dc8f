"""Templates in the shape of the demonstration's: everything a small API with two functions consists of, already expanded."""

from __future__ import annotations

import copy
from typing import Any

CODE = "def lambda_handler(event, context):\n    return {'statusCode': 200}\n"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
URI = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${%s.Arn}/invocations"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def _function(which: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": {"Fn::Sub": "${AWS::StackName}-counter-" + which},
            "Code": {"ZipFile": CODE},
            "Handler": "index.lambda_handler",
            "Runtime": "python3.14",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Timeout": 30,
            "Environment": {"Variables": {"ENVIRONMENT": {"Ref": "Environment"}}},
            "Tags": [{"Key": "lambda:createdBy", "Value": "SAM"}],
            **properties,
        },
    }


def _permission(function: str, path: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": function},
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}" + path},
        },
    }


def _method(resource: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::ApiGateway::Method",
        "Properties": {
            "RestApiId": {"Ref": "Api"},
            "ResourceId": {"Ref": resource},
            "HttpMethod": "GET",
            "AuthorizationType": "NONE",
            **properties,
        },
    }


def _proxy(function: str, header: str) -> dict[str, Any]:
    return {
        "RequestParameters": {f"method.request.header.{header}": header == "x-tenant-id"},
        "Integration": {
            "Type": "AWS_PROXY",
            "IntegrationHttpMethod": "POST",
            "Uri": {"Fn::Sub": URI % function},
            "RequestParameters": {"integration.request.header.X-Amz-Tenant-Id": f"method.request.header.{header}"},
        },
        "MethodResponses": [
            {"StatusCode": "200", "ResponseModels": {"application/json": "Empty"}},
            {"StatusCode": "400", "ResponseModels": {"application/json": {"Ref": "ErrorModel"}}},
        ],
    }


def _mock() -> dict[str, Any]:
    origin = "method.response.header.Access-Control-Allow-Origin"
    return {
        "HttpMethod": "OPTIONS",
        "Integration": {
            "Type": "MOCK",
            "RequestTemplates": {"application/json": '{"statusCode": 200}'},
            "IntegrationResponses": [
                {"StatusCode": "200", "ResponseParameters": {origin: "'*'"}, "ResponseTemplates": {"application/json": ""}}
            ],
        },
        "MethodResponses": [{"StatusCode": "200", "ResponseParameters": {origin: False}}],
    }


_APPLICATION: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Description": "Two counters",
    "Parameters": {"Environment": {"Type": "String", "Default": "dev", "AllowedValues": ["dev", "staging", "prod"]}},
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": {"Fn::Sub": "${AWS::StackName}-role"},
                "AssumeRolePolicyDocument": TRUST,
                "ManagedPolicyArns": [BASIC],
                "Policies": [
                    {
                        "PolicyName": "Logs",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}],
                        },
                    }
                ],
            },
        },
        "Standard": _function("standard"),
        "Isolated": _function("isolated", TenancyConfig={"TenantIsolationMode": "PER_TENANT"}),
        "StandardLogs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": {"Fn::Sub": ["/aws/lambda/${Stack}-counter-standard", {"Stack": {"Ref": "AWS::StackName"}}]},
                "RetentionInDays": "14",
            },
        },
        "IsolatedLogs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": {"Fn::Sub": "/aws/lambda/${AWS::StackName}-counter-isolated"},
                "RetentionInDays": 14,
            },
        },
        "Api": {
            "Type": "AWS::ApiGateway::RestApi",
            "Properties": {
                "Name": {"Fn::Sub": "${AWS::StackName}-api"},
                "EndpointConfiguration": {"Types": ["REGIONAL"]},
                "SecurityPolicy": "SecurityPolicy_TLS13_1_3_2025_09",
                "EndpointAccessMode": "BASIC",
            },
        },
        "Validator": {
            "Type": "AWS::ApiGateway::RequestValidator",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "Name": "parameters",
                "ValidateRequestParameters": "true",
                "ValidateRequestBody": "false",
            },
        },
        "ErrorModel": {
            "Type": "AWS::ApiGateway::Model",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "Name": "ErrorModel",
                "ContentType": "application/json",
                "Schema": {"type": "object", "properties": {"error": {"type": "string"}}},
            },
        },
        "StandardPath": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                "PathPart": "standard",
            },
        },
        "IsolatedPath": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "ParentId": {"Fn::GetAtt": "Api.RootResourceId"},
                "PathPart": "isolated",
            },
        },
        "StandardGet": _method("StandardPath", **_proxy("Standard", "tenant-id")),
        "StandardOptions": _method("StandardPath", **_mock()),
        "IsolatedGet": _method("IsolatedPath", RequestValidatorId={"Ref": "Validator"}, **_proxy("Isolated", "x-tenant-id")),
        "IsolatedOptions": _method("IsolatedPath", **_mock()),
        "StandardPermission": _permission("Standard", "/*/*"),
        "IsolatedPermission": _permission("Isolated", "/*/*"),
        "StandardApiPermissionStage": _permission("Standard", "/*/GET/standard"),
        "Deployment": {
            "Type": "AWS::ApiGateway::Deployment",
            "DependsOn": ["StandardGet", "StandardOptions", "IsolatedGet", "IsolatedOptions"],
            "Properties": {"RestApiId": {"Ref": "Api"}},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {
                "RestApiId": {"Ref": "Api"},
                "DeploymentId": {"Ref": "Deployment"},
                "StageName": {"Ref": "Environment"},
            },
        },
    },
    "Outputs": {
        "StandardUrl": {
            "Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/${Environment}/standard"},
            "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-standard-url"}},
        },
        "IsolatedUrl": {
            "Description": "Isolated",
            "Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/${Environment}/isolated"},
            "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-isolated-url"}},
        },
    },
}
RESOURCES = len(_APPLICATION["Resources"])


def application() -> dict[str, Any]:
    """A fresh copy of the whole application's template (19 resources)."""
    return copy.deepcopy(_APPLICATION)
