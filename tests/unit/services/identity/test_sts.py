"""STS: who calls, and who may become what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal

from .conftest import ACCOUNT, ROOT_ARN, Caller

ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/role"
OTHER = f"arn:aws:iam::{ACCOUNT}:role/other"
SESSION = {"RoleArn": ROLE, "RoleSessionName": "session"}


async def role(call: Caller, *statements: dict[str, Any], name: str = "role", path: str = "/team/") -> None:
    rows = [{"Effect": "Allow", "Action": "sts:AssumeRole"} | row for row in statements]
    document = json.dumps({"Version": "2012-10-17", "Statement": rows})
    await call("CreateRole", RoleName=name, Path=path, AssumeRolePolicyDocument=document)


async def test_a_session_knows_who_it_is(call: Caller) -> None:
    await role(call, {"Principal": {"AWS": ROOT_ARN}})
    identity = await call("GetCallerIdentity")
    assert identity == {"UserId": ACCOUNT, "Account": ACCOUNT, "Arn": ROOT_ARN}
    answer = await call("AssumeRole", **SESSION, DurationSeconds=900)
    role_id = (await call("GetRole", RoleName="role"))["Role"]["RoleId"]
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/role/session"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{role_id}:session", "Arn": arn}
    made = answer["Credentials"]
    assert made["Expiration"] == call.clock.now() + 900
    call.open()
    found = call.credentials.lookup(made["AccessKeyId"], made["SessionToken"])
    assert found is not None
    assert (found.secret_access_key, found.arn) == (made["SecretAccessKey"], arn)
    call.principal = Principal(found.arn, found.user_id, found.access_key_id)
    assert (await call("GetCallerIdentity"))["Arn"] == arn


@pytest.mark.parametrize(
    ("says", "statements", "allowed"),
    [
        ("the root by ARN", [{"Principal": {"AWS": ROOT_ARN}}], True),
        ("the account", [{"Principal": {"AWS": ACCOUNT}}], True),
        ("everybody", [{"Principal": "*"}], True),
        ("one of many", [{"Principal": {"AWS": ["1" * 12, ACCOUNT]}}], True),
        ("by a wildcard action", [{"Principal": {"AWS": ACCOUNT}, "Action": "sts:*"}], True),
        ("another account", [{"Principal": {"AWS": "1" * 12}}], False),
        ("a service", [{"Principal": {"Service": "lambda.amazonaws.com"}}], False),
        ("another action", [{"Principal": {"AWS": ACCOUNT}, "Action": "sts:TagSession"}], False),
        ("with a denial", [{"Principal": {"AWS": ACCOUNT}}, {"Effect": "Deny", "Principal": "*"}], False),
        (
            "on a condition we cannot decide",
            [{"Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}],
            False,
        ),
    ],
)
async def test_a_trust_policy_decides(call: Caller, says: str, statements: list[dict[str, Any]], allowed: bool) -> None:
    await role(call, *statements)
    if allowed:
        assert (await call("AssumeRole", **SESSION))["Credentials"]["AccessKeyId"].startswith("ASIA")
        return
    with pytest.raises(ServiceError) as caught:
        await call("AssumeRole", **SESSION)
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403), says
    assert caught.value.message == f"User: {ROOT_ARN} is not authorized to perform: sts:AssumeRole on resource: {ROLE}"


@pytest.mark.parametrize(("sent", "allowed"), [(None, False), ("wrong", False), ("secret", True)])
@pytest.mark.parametrize("operator", ["StringEquals", "StringLike"])
async def test_an_external_id(call: Caller, operator: str, sent: str | None, allowed: bool) -> None:
    await role(call, {"Principal": {"AWS": ACCOUNT}, "Condition": {operator: {"sts:ExternalId": ["other", "secret"]}}})
    if allowed:
        await call("AssumeRole", **SESSION, ExternalId=sent)
    else:
        with pytest.raises(ServiceError, match="AccessDenied"):
            await call("AssumeRole", **SESSION, ExternalId=sent)


async def test_a_session_becomes_another_role_for_an_hour(call: Caller) -> None:
    await role(call, {"Principal": {"AWS": OTHER}})
    call.principal = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/other/s", "AROA:s", "ASIA")
    await call("AssumeRole", **SESSION)
    with pytest.raises(ServiceError, match="role chaining"):
        await call("AssumeRole", **SESSION, DurationSeconds=3601)
    call.principal = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/third/s", "AROA:s", "ASIA")
    with pytest.raises(ServiceError, match="AccessDenied"):
        await call("AssumeRole", **SESSION)


@pytest.mark.parametrize(
    ("says", "change", "code", "text"),
    [
        ("a role that is not there", {"RoleArn": OTHER}, "AccessDenied", "not authorized to perform: sts:AssumeRole"),
        ("another path", {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/role"}, "AccessDenied", ""),
        ("no role's ARN", {"RoleArn": f"arn:aws:iam::{ACCOUNT}:user/x"}, "ValidationError", "is invalid"),
        ("a short session", {"DurationSeconds": 899}, "ValidationError", "greater than or equal to 900"),
        ("longer than the role's", {"DurationSeconds": 3601}, "ValidationError", "MaxSessionDuration set for this role"),
        ("a bad session policy", {"Policy": "{"}, "MalformedPolicyDocument", "invalid Json"),
    ],
)
async def test_refused(call: Caller, says: str, change: dict[str, Any], code: str, text: str) -> None:
    await role(call, {"Principal": {"AWS": ACCOUNT}})
    with pytest.raises(ServiceError) as caught:
        await call("AssumeRole", **SESSION | change)
    assert caught.value.code == code, says
    assert text in caught.value.message


async def test_a_session_token_is_for_long_term_keys(call: Caller) -> None:
    made = (await call("GetSessionToken", DurationSeconds=43_200))["Credentials"]
    assert made["Expiration"] == call.clock.now() + 3600, "the root user's sessions last an hour at most"
    found = call.credentials.lookup(made["AccessKeyId"], made["SessionToken"])
    assert found is not None
    assert found.arn == ROOT_ARN
    call.principal = Principal(found.arn, found.user_id, found.access_key_id)
    with pytest.raises(ServiceError, match="session credentials"):
        await call("GetSessionToken")
