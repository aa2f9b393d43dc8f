"""AWS's own managed policies, those that serverless templates name: a table of their places and what they allow.

Each row is (path below `policy/`, statements); a statement is (actions, resource). authorization.py evaluates them. Source: AWS
managed policy reference; contents from memory, shortened where AWS lists dozens of actions.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

PREFIX = "arn:aws:iam::aws:policy/"
CREATED = 1_423_180_800.0  # 2015-02-06, when most of them appeared

_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
_XRAY = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
_SAMPLING = ("xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries")

_Statement = tuple[tuple[str, ...], str]
_TABLE: tuple[tuple[str, tuple[_Statement, ...]], ...] = (
    ("service-role/AWSLambdaBasicExecutionRole", ((_LOGS, "*"),)),
    ("service-role/AWSLambdaVPCAccessExecutionRole", (((*_LOGS, *_NETWORK), "*"),)),
    ("service-role/AWSLambdaENIManagementAccess", ((_NETWORK, "*"),)),
    ("service-role/AWSLambdaRole", ((("lambda:InvokeFunction",), "*"),)),
    (
        "service-role/AWSLambdaDynamoDBExecutionRole",
        (
            (
                ("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams", *_LOGS),
                "*",
            ),
        ),
    ),
    (
        "service-role/AWSLambdaKinesisExecutionRole",
        (
            (
                (
                    "kinesis:DescribeStream",
                    "kinesis:DescribeStreamSummary",
                    "kinesis:GetRecords",
                    "kinesis:GetShardIterator",
                    "kinesis:ListShards",
                    "kinesis:ListStreams",
                    "kinesis:SubscribeToShard",
                    *_LOGS,
                ),
                "*",
            ),
        ),
    ),
    (
        "service-role/AWSLambdaSQSQueueExecutionRole",
        ((("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", *_LOGS), "*"),),
    ),
    (
        "service-role/AWSLambdaMSKExecutionRole",
        (
            (
                (
                    "kafka:DescribeCluster",
                    "kafka:DescribeClusterV2",
                    "kafka:GetBootstrapBrokers",
                    "ec2:CreateNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeVpcs",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeSecurityGroups",
                    *_LOGS,
                ),
                "*",
            ),
        ),
    ),
    (
        "service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        (
            (
                (
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogGroups",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                    "logs:GetLogEvents",
                    "logs:FilterLogEvents",
                ),
                "*",
            ),
        ),
    ),
    ("AWSXRayDaemonWriteAccess", (((*_XRAY, *_SAMPLING), "*"),)),
    ("AWSXrayWriteOnlyAccess", (((*_XRAY, *_SAMPLING), "*"),)),
    (
        "CloudWatchLambdaInsightsExecutionRolePolicy",
        (
            (("logs:CreateLogGroup",), "*"),
            (("logs:CreateLogStream", "logs:PutLogEvents"), "arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"),
        ),
    ),
    ("AdministratorAccess", ((("*",), "*"),)),
    ("AmazonS3FullAccess", ((("s3:*", "s3-object-lambda:*"), "*"),)),
    (
        "AmazonS3ReadOnlyAccess",
        ((("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*"), "*"),),
    ),
    ("AWSLambda_FullAccess", ((("lambda:*", "logs:DescribeLogGroups", "tag:GetResources"), "*"),)),
    ("AWSLambda_ReadOnlyAccess", ((("lambda:Get*", "lambda:List*", "logs:DescribeLogGroups"), "*"),)),
    ("AWSLambdaExecute", ((("logs:*",), "arn:aws:logs:*:*:*"), (("s3:GetObject", "s3:PutObject"), "arn:aws:s3:::*"))),
    ("AmazonDynamoDBFullAccess", ((("dynamodb:*", "dax:*"), "*"),)),
    (
        "AmazonDynamoDBReadOnlyAccess",
        (
            (
                (
                    "dynamodb:BatchGetItem",
                    "dynamodb:Describe*",
                    "dynamodb:List*",
                    "dynamodb:GetItem",
                    "dynamodb:Query",
                    "dynamodb:Scan",
                ),
                "*",
            ),
        ),
    ),
    ("AmazonSQSFullAccess", ((("sqs:*",), "*"),)),
    ("AmazonSNSFullAccess", ((("sns:*",), "*"),)),
    (
        "AmazonAPIGatewayInvokeFullAccess",
        ((("execute-api:Invoke", "execute-api:ManageConnections"), "arn:aws:execute-api:*:*:*"),),
    ),
    ("AmazonAPIGatewayAdministrator", ((("apigateway:*",), "arn:aws:apigateway:*::/*"),)),
    ("CloudWatchLogsFullAccess", ((("logs:*",), "*"),)),
    ("CloudWatchLogsReadOnlyAccess", ((("logs:Describe*", "logs:Get*", "logs:List*", "logs:FilterLogEvents"), "*"),)),
)


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A policy of AWS's. path begins and ends with `/`; document is JSON text."""

    name: str
    path: str
    arn: str
    policy_id: str
    document: str


def _policy(place: str, statements: tuple[_Statement, ...]) -> ManagedPolicy:
    folder, _, name = place.rpartition("/")
    rows: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": list(actions), "Resource": resource} for actions, resource in statements
    ]
    identity = base64.b32encode(hashlib.sha256(place.encode()).digest()).decode()[:17]
    return ManagedPolicy(
        name=name,
        path=f"/{folder}/" if folder else "/",
        arn=PREFIX + place,
        policy_id=f"ANPA{identity}",
        document=json.dumps({"Version": "2012-10-17", "Statement": rows}, separators=(",", ":")),
    )


MANAGED: Mapping[str, ManagedPolicy] = MappingProxyType(
    {policy.arn: policy for policy in (_policy(place, statements) for place, statements in _TABLE)}
)
