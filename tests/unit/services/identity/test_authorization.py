"""What a role's session may do: its policies decide, Deny wins, and what is not understood never widens."""

import json

import pytest

from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal
from tenantry.services.identity.authorization import Authorizer
from tenantry.services.identity.directory import Directory, Role
from tenantry.services.operation import Context
from tenantry.store.documents import Documents

ACCOUNT, REGION = "123456789012", "us-east-1"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/f"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def may(statements, service, operation, params, *, attached=(), boundary=None, role="r", arn=None):
    directory = Directory(Documents(None))
    inline = {"p": json.dumps({"Version": "2012-10-17", "Statement": statements})} if statements else {}
    directory.put_role(
        Role(
            "r", "/", "AROA1", f"arn:aws:iam::{ACCOUNT}:role/r", 0.0, "{}", inline=inline, attached=attached, boundary=boundary
        )
    )
    principal = Principal(arn or f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session", "AROA1:session")
    authorizer = Authorizer(directory)
    refusals = []
    try:
        authorizer.check(Context(REGION, ACCOUNT, "id", principal, "http://x"), service, operation, params)
    except ServiceError as refused:
        refusals.append((refused.code, "is not authorized to perform" in refused.message))
    assert refusals in ([], [("AccessDeniedException", True)], [("AccessDenied", True)])
    return not refusals


ADMIN = f"arn:aws:iam::{ACCOUNT}:role/admin"
TWO_KEYS = {"Bucket": "b", "Delete": {"Objects": [{"Key": "a"}, {"Key": "c"}]}}
TWO_GROUPS = {"logGroupNames": ["/aws/lambda/f", "/aws/lambda/g"]}
COPY = {"Bucket": "b", "Key": "k", "CopySource": "secret/x"}
CREATE = ("lambda", "CreateFunction", {"FunctionName": "f", "Role": ADMIN})
INVOKE = ("lambda", "Invoke", {"FunctionName": "f", "TenantId": "Victim"})
READ_LOGS = ("logs", "FilterLogEvents", {"logGroupName": "/aws/lambda/f"})


@pytest.mark.parametrize(
    "call",
    [
        INVOKE,
        READ_LOGS,
        ("lambda", "UpdateFunctionCode", {"FunctionName": "f"}),
        ("s3", "ListBuckets", {}),
        ("iam", "PutRolePolicy", {"RoleName": "r"}),
    ],
)
def test_role_without_policies_may_do_nothing(call):
    assert not may([], *call)
    assert may([], *call, arn=f"arn:aws:iam::{ACCOUNT}:root"), "the control: the root key may"


def test_everybody_may_ask_who_they_are():
    assert may([], "sts", "GetCallerIdentity", {})


def test_basic_execution_role_writes_logs_and_reads_none():
    assert may([], "logs", "PutLogEvents", {"logGroupName": "/aws/lambda/f", "logStreamName": "s"}, attached=(BASIC,))
    assert not may([], *READ_LOGS, attached=(BASIC,))
    assert not may([], *INVOKE, attached=(BASIC,))


CASES = [
    ([allow("lambda:InvokeFunction", FUNCTION)], INVOKE, True),
    ([allow("lambda:invokefunction", FUNCTION)], INVOKE, True),
    ([allow("lambda:Invoke*", f"{FUNCTION}")], INVOKE, True),
    ([allow("lambda:InvokeFunction", f"{FUNCTION}:*")], INVOKE, False),
    ([allow("lambda:InvokeFunction", f"{FUNCTION}:*")], ("lambda", "Invoke", {"FunctionName": "f", "Qualifier": "live"}), True),
    ([allow("lambda:InvokeFunction", FUNCTION)], ("lambda", "Invoke", {"FunctionName": "f2"}), False),
    ([allow("lambda:InvokeFunction", FUNCTION)], ("lambda", "Invoke", {"FunctionName": f"{FUNCTION}x"}), False),
    ([allow("lambda:GetFunction", FUNCTION)], INVOKE, False),
    ([allow("*"), {"Effect": "Deny", "Action": "lambda:*", "Resource": "*"}], INVOKE, False),
    ([{"Effect": "Deny", "Action": "lambda:*", "Resource": "*", "Condition": {"Bool": {"x": "y"}}}, allow("*")], INVOKE, False),
    ([allow("lambda:*", "*", Condition={"StringEquals": {"a": "b"}})], INVOKE, False),
    ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], INVOKE, True),
    ([{"Effect": "Allow", "NotAction": "lambda:*", "Resource": "*"}], INVOKE, False),
    ([{"Effect": "Allow", "Action": "lambda:*", "NotResource": FUNCTION}], INVOKE, False),
    ([allow("lambda:InvokeFunction", "arn:aws:lambda:${aws:RequestedRegion}:*")], INVOKE, False),
    ([allow("logs:FilterLogEvents", f"{GROUP}:*")], READ_LOGS, True),
    ([allow("logs:FilterLogEvents", GROUP)], READ_LOGS, True),
    ([allow("logs:FilterLogEvents", f"{GROUP}:*")], ("logs", "FilterLogEvents", {"logGroupName": "/aws/lambda/g"}), False),
    ([allow("logs:StartQuery", f"{GROUP}:*")], ("logs", "StartQuery", TWO_GROUPS), False),
    ([allow("s3:GetObject", "arn:aws:s3:::b/in/*")], ("s3", "GetObject", {"Bucket": "b", "Key": "in/x"}), True),
    ([allow("s3:GetObject", "arn:aws:s3:::b/in/*")], ("s3", "GetObject", {"Bucket": "b", "Key": "out/x"}), False),
    ([allow("s3:ListBucket", "arn:aws:s3:::b")], ("s3", "ListObjectsV2", {"Bucket": "b"}), True),
    ([allow("s3:DeleteObject", "arn:aws:s3:::b/a")], ("s3", "DeleteObjects", TWO_KEYS), False),
    ([allow("s3:PutObject", "arn:aws:s3:::b/*")], ("s3", "CopyObject", COPY), False),
    ([allow("lambda:CreateFunction")], CREATE, False),
    ([allow(["lambda:CreateFunction", "iam:PassRole"])], CREATE, True),
    ([allow("apigateway:GET", "*")], ("apigateway", "GetRestApis", {}), True),
    ([allow("apigateway:GET", "*")], ("apigateway", "DeleteRestApi", {"restApiId": "a"}), False),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "call", "allowed"), CASES, ids=range(len(CASES)))
def test_evaluation(statements, call, allowed):
    assert may(statements, *call) is allowed


def test_boundary_narrows():
    assert not may([allow("*")], *INVOKE, boundary=BASIC)
    assert may([allow("*")], "logs", "PutLogEvents", {"logGroupName": "g", "logStreamName": "s"}, boundary=BASIC)


def test_session_of_a_role_that_is_gone_may_do_nothing():
    assert not may([allow("*")], *INVOKE, role="gone")
