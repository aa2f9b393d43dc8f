"""Roles and policies: what is kept comes back, in pages, and what does not fit is refused with nothing changed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal
from tenantry.services.identity.directory import paged
from tenantry.services.identity.managed import MANAGED
from tenantry.services.identity.policy import check_permissions, check_trust

from .conftest import ACCOUNT, Caller

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
LAMBDA = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [LAMBDA]})
ALLOW = {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}
PERMISSIONS = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW]})
OWN = f"arn:aws:iam::{ACCOUNT}:policy/own"


async def role(call: Caller, name: str = "role", **more: Any) -> dict[str, Any]:
    answer = await call("CreateRole", RoleName=name, AssumeRolePolicyDocument=TRUST, **more)
    return dict(answer["Role"])


async def test_a_role_comes_back_as_it_was_made(call: Caller) -> None:
    made = await role(call, Path="/team/", Description="d", MaxSessionDuration=7200, Tags=[{"Key": "a", "Value": "1"}])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/team/role"
    assert (made["RoleId"][:4], len(made["RoleId"])) == ("AROA", 21)
    assert unquote(made["AssumeRolePolicyDocument"]) == TRUST
    call.open()
    got = (await call("GetRole", region="eu-west-1", RoleName="role"))["Role"]
    assert {name: got[name] for name in made} == made
    assert (got["Description"], got["MaxSessionDuration"], got["Tags"]) == ("d", 7200, [{"Key": "a", "Value": "1"}])


async def test_a_role_changes_and_goes(call: Caller) -> None:
    await role(call)
    await call("UpdateRole", RoleName="role", Description="new", MaxSessionDuration=3600)
    other = TRUST.replace("lambda", "ecs")
    await call("UpdateAssumeRolePolicy", RoleName="role", PolicyDocument=other)
    got = (await call("GetRole", RoleName="role"))["Role"]
    assert (got["Description"], unquote(got["AssumeRolePolicyDocument"])) == ("new", other)
    await call("AttachRolePolicy", RoleName="role", PolicyArn=BASIC)
    await call("AttachRolePolicy", RoleName="role", PolicyArn=BASIC)
    await call("PutRolePolicy", RoleName="role", PolicyName="inline", PolicyDocument=PERMISSIONS)
    for text in ("must detach all policies first", "must delete policies first"):
        with pytest.raises(ServiceError, match=text) as caught:
            await call("DeleteRole", RoleName="role")
        assert (caught.value.code, caught.value.status) == ("DeleteConflict", 409)
        if "detach" in text:
            attached = (await call("ListAttachedRolePolicies", RoleName="role"))["AttachedPolicies"]
            assert attached == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}]
            await call("DetachRolePolicy", RoleName="role", PolicyArn=BASIC)
    assert (await call("ListRolePolicies", RoleName="role"))["PolicyNames"] == ["inline"]
    inline = await call("GetRolePolicy", RoleName="role", PolicyName="inline")
    assert unquote(inline["PolicyDocument"]) == PERMISSIONS
    await call("DeleteRolePolicy", RoleName="role", PolicyName="inline")
    await call("DeleteRole", RoleName="role")
    with pytest.raises(ServiceError, match="The role with name role cannot be found"):
        await call("GetRole", RoleName="role")
    assert (await role(call))["RoleId"] != got["RoleId"]


async def test_a_boundary_is_put_shown_and_taken_away(call: Caller) -> None:
    await role(call)
    await call("PutRolePermissionsBoundary", RoleName="role", PermissionsBoundary=BASIC)
    shown = (await call("GetRole", RoleName="role"))["Role"]["PermissionsBoundary"]
    assert shown == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": BASIC}
    assert "PermissionsBoundary" not in (await call("ListRoles"))["Roles"][0]
    await call("DeleteRolePermissionsBoundary", RoleName="role")
    assert (await call("GetRole", RoleName="role"))["Role"]["PermissionsBoundary"] is None


async def test_tags_ignore_case_of_keys(call: Caller) -> None:
    await role(call, Tags=[{"Key": "Team", "Value": "a"}])
    await call("TagRole", RoleName="role", Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}])
    assert (await call("ListRoleTags", RoleName="role"))["Tags"] == [{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}]
    await call("UntagRole", RoleName="role", TagKeys=["TEAM", "absent"])
    assert (await call("ListRoleTags", RoleName="role"))["Tags"] == [{"Key": "x", "Value": ""}]


async def test_a_policy_and_its_versions(call: Caller) -> None:
    made = (await call("CreatePolicy", PolicyName="own", PolicyDocument=PERMISSIONS, Description="d"))["Policy"]
    assert (made["Arn"], made["DefaultVersionId"], made["AttachmentCount"]) == (OWN, "v1", 0)
    for _ in range(4):
        await call("CreatePolicyVersion", PolicyArn=OWN, PolicyDocument=PERMISSIONS, SetAsDefault=True)
    with pytest.raises(ServiceError, match="up to 5 versions") as caught:
        await call("CreatePolicyVersion", PolicyArn=OWN, PolicyDocument=PERMISSIONS)
    assert caught.value.code == "LimitExceeded"
    await call("DeletePolicyVersion", PolicyArn=OWN, VersionId="v2")
    made = (await call("CreatePolicyVersion", PolicyArn=OWN, PolicyDocument=PERMISSIONS))["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v6", False)
    call.open()
    listed = (await call("ListPolicyVersions", PolicyArn=OWN))["Versions"]
    assert [row["VersionId"] for row in listed] == ["v6", "v5", "v4", "v3", "v1"]
    assert [row["VersionId"] for row in listed if row["IsDefaultVersion"]] == ["v5"]
    await call("SetDefaultPolicyVersion", PolicyArn=OWN, VersionId="v1")
    assert (await call("GetPolicy", PolicyArn=OWN))["Policy"]["DefaultVersionId"] == "v1"
    with pytest.raises(ServiceError, match="more than one version"):
        await call("DeletePolicy", PolicyArn=OWN)
    for version in ("v3", "v4", "v5", "v6"):
        await call("DeletePolicyVersion", PolicyArn=OWN, VersionId=version)
    await call("DeletePolicy", PolicyArn=OWN)
    with pytest.raises(ServiceError, match="was not found"):
        await call("GetPolicy", PolicyArn=OWN)


async def test_policies_count_who_uses_them(call: Caller) -> None:
    await call("CreatePolicy", PolicyName="own", PolicyDocument=PERMISSIONS)
    await role(call, "b", PermissionsBoundary=OWN)
    await role(call, "a")
    for name in ("a", "b"):
        await call("AttachRolePolicy", RoleName=name, PolicyArn=OWN)
    assert (await call("GetPolicy", PolicyArn=OWN))["Policy"]["AttachmentCount"] == 2
    users = await call("ListEntitiesForPolicy", PolicyArn=OWN)
    assert [row["RoleName"] for row in users["PolicyRoles"]] == ["a", "b"]
    bounded = await call("ListEntitiesForPolicy", PolicyArn=OWN, PolicyUsageFilter="PermissionsBoundary")
    assert [row["RoleName"] for row in bounded["PolicyRoles"]] == ["b"]
    assert [row["Arn"] for row in (await call("ListPolicies", OnlyAttached=True))["Policies"]] == [OWN]
    for name in ("a", "b"):
        await call("DetachRolePolicy", RoleName=name, PolicyArn=OWN)
    with pytest.raises(ServiceError, match="attached to entities"):
        await call("DeletePolicy", PolicyArn=OWN)
    await call("DeleteRolePermissionsBoundary", RoleName="b")
    await call("DeletePolicy", PolicyArn=OWN)


async def test_scopes_and_paths_of_policies(call: Caller) -> None:
    await call("CreatePolicy", PolicyName="own", Path="/team/", PolicyDocument=PERMISSIONS)
    local = (await call("ListPolicies", Scope="Local"))["Policies"]
    assert [(row["PolicyName"], row["Path"]) for row in local] == [("own", "/team/")]
    assert len((await call("ListPolicies", Scope="AWS"))["Policies"]) == len(MANAGED)
    service = (await call("ListPolicies", PathPrefix="/service-role/"))["Policies"]
    assert BASIC in {row["Arn"] for row in service}
    assert {row["Path"] for row in service} == {"/service-role/"}


def test_every_managed_policy_is_one_iam_would_take() -> None:
    assert BASIC in MANAGED
    for arn, policy in MANAGED.items():
        check_permissions(policy.document)
        assert arn == f"arn:aws:iam::aws:policy{policy.path}{policy.name}"
        assert len(policy.policy_id) == 21
    actions = json.loads(MANAGED[BASIC].document)["Statement"][0]["Action"]
    assert actions == ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]


async def test_a_managed_policy_can_be_read_but_not_changed(call: Caller) -> None:
    version = (await call("GetPolicyVersion", PolicyArn=BASIC, VersionId="v1"))["PolicyVersion"]
    assert "logs:PutLogEvents" in unquote(version["Document"])
    for operation, more in (
        ("DeletePolicy", {}),
        ("CreatePolicyVersion", {"PolicyDocument": PERMISSIONS}),
        ("DeletePolicyVersion", {"VersionId": "v1"}),
        ("SetDefaultPolicyVersion", {"VersionId": "v1"}),
    ):
        with pytest.raises(ServiceError) as caught:
            await call(operation, PolicyArn=BASIC, **more)
        assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)


@settings(max_examples=60)
@given(names=st.lists(st.text("abAB-_", min_size=1, max_size=4), max_size=12, unique=True), limit=st.integers(1, 5))
def test_pages_put_together_are_everything(names: list[str], limit: int) -> None:
    rows = [(name, name) for name in sorted(names)]
    found: list[str] = []
    params: dict[str, Any] = {"MaxItems": limit}
    while True:
        page = paged(params, rows, "Rows")
        assert len(page["Rows"]) <= limit
        found += page["Rows"]
        assert page["IsTruncated"] is (page["Marker"] is not None)
        if not page["IsTruncated"]:
            break
        params["Marker"] = page["Marker"]
    assert found == sorted(names)


async def test_there_are_no_users_but_root(call: Caller) -> None:
    assert (await call("GetUser"))["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert (await call("ListAccountAliases"))["AccountAliases"] == []
    with pytest.raises(ServiceError, match="The user with name somebody cannot be found"):
        await call("GetUser", UserName="somebody")
    call.principal = Principal(f"arn:aws:sts::{ACCOUNT}:assumed-role/role/session", "AROA:session", "ASIA")
    with pytest.raises(ServiceError, match="non-User credentials"):
        await call("GetUser")


# What is refused


def trust(**change: Any) -> str:
    statement = {name: value for name, value in (LAMBDA | change).items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def permissions(**change: Any) -> str:
    statement = {name: value for name, value in (ALLOW | change).items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ANY = [
    ("no JSON", "{", "invalid Json"),
    ("a list", "[]", "Syntax errors in policy."),
    ("a key twice", '{"Version": "2012-10-17", "Version": "2012-10-17"}', "invalid Json"),
    ("deep nesting", "[" * 100_000, "invalid Json"),
    ("no statements", '{"Version": "2012-10-17"}', "Syntax errors in policy."),
    ("an empty list", '{"Version": "2012-10-17", "Statement": []}', "Syntax errors in policy."),
    ("an unknown field", '{"Version": "2012-10-17", "Statement": {}, "X": 1}', "Syntax errors in policy."),
    ("an unknown version", '{"Version": "2020-01-01", "Statement": {}}', "valid version string"),
]
BAD_TRUST = [
    *ANY,
    ("a resource", trust(Resource="*"), "Has prohibited field Resource"),
    ("no effect", trust(Effect=None), "Effect cannot be empty"),
    ("an odd effect", trust(Effect="Maybe"), "Invalid effect: Maybe"),
    ("no action", trust(Action=None), "must contain actions"),
    ("an action of another service", trust(Action="s3:GetObject"), "may only specify STS AssumeRole actions"),
    ("nobody", trust(Principal=None), "Principal cannot be empty"),
    ("an odd kind of principal", trust(Principal={"Robot": "r"}), "Syntax errors in policy."),
    ("no account", trust(Principal={"AWS": "123"}), 'Invalid principal in policy: "AWS":"123"'),
    ("no service", trust(Principal={"Service": "lambda"}), 'Invalid principal in policy: "SERVICE":"lambda"'),
    ("an empty principal", trust(Principal={"AWS": []}), "Principal cannot be empty"),
    ("a Sid with a blank", trust(Sid="a b"), "alpha-numeric"),
    ("a condition that is a text", trust(Condition="x"), "Syntax errors in policy."),
    ("a number for an action", trust(Action=[1]), "Syntax errors in policy."),
]
BAD_PERMISSIONS = [
    *ANY,
    ("a principal", permissions(Principal="*"), "should not specify a principal"),
    ("no resource", permissions(Resource=None), "must contain resources"),
    ("no ARN", permissions(Resource="bucket"), "must be in ARN format"),
    ("half an ARN", permissions(Resource="arn:aws:s3"), "legacy parsing"),
    ("an action without a service", permissions(Action="PutLogEvents"), "prefaced by a vendor"),
    (
        "a Sid twice",
        json.dumps({"Version": "2012-10-17", "Statement": [ALLOW | {"Sid": "a"}, ALLOW | {"Sid": "a"}]}),
        "must be unique",
    ),
]


@pytest.mark.parametrize(("document", "text"), [row[1:] for row in BAD_TRUST], ids=[row[0] for row in BAD_TRUST])
async def test_trust_policies_that_are_none(call: Caller, document: str, text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_trust(document)
    assert (caught.value.code, caught.value.status) == ("MalformedPolicyDocument", 400)
    assert text in caught.value.message


@pytest.mark.parametrize(("document", "text"), [row[1:] for row in BAD_PERMISSIONS], ids=[row[0] for row in BAD_PERMISSIONS])
async def test_permissions_policies_that_are_none(call: Caller, document: str, text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_permissions(document)
    assert (caught.value.code, caught.value.status) == ("MalformedPolicyDocument", 400)
    assert text in caught.value.message


ABSENT = f"arn:aws:iam::{ACCOUNT}:policy/absent"
NEW = {"RoleName": "new", "AssumeRolePolicyDocument": TRUST}
OLD = {"RoleName": "role"}
LONG = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW | {"Resource": f"arn:aws:s3:::{'x' * 6200}"}]})
REFUSED: list[tuple[str, str, dict[str, Any], str, int, str]] = [
    ("a role of the same name", "CreateRole", NEW | OLD, "EntityAlreadyExists", 409, "Role with name role already exists."),
    ("a name that differs by case", "CreateRole", NEW | {"RoleName": "ROLE"}, "EntityAlreadyExists", 409, ""),
    ("a bad trust policy", "CreateRole", NEW | {"AssumeRolePolicyDocument": "{"}, "MalformedPolicyDocument", 400, ""),
    (
        "a long trust policy",
        "CreateRole",
        NEW | {"AssumeRolePolicyDocument": trust(Sid="x" * 2048)},
        "LimitExceeded",
        409,
        "ACLSizePerRole: 2048",
    ),
    ("an unknown boundary", "CreateRole", NEW | {"PermissionsBoundary": ABSENT}, "NoSuchEntity", 404, "Scope ARN"),
    ("a short session", "CreateRole", NEW | {"MaxSessionDuration": 60}, "InvalidInput", 400, "3600"),
    (
        "a tag twice",
        "CreateRole",
        NEW | {"Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]},
        "InvalidInput",
        400,
        "Duplicate tag keys found",
    ),
    (
        "51 tags",
        "CreateRole",
        NEW | {"Tags": [{"Key": str(n), "Value": ""} for n in range(51)]},
        "LimitExceeded",
        409,
        "TagsPerResource: 50",
    ),
    ("a tag of AWS's", "TagRole", OLD | {"Tags": [{"Key": "aws:x", "Value": ""}]}, "InvalidInput", 400, "aws:x"),
    ("no role", "GetRole", {"RoleName": "absent"}, "NoSuchEntity", 404, "The role with name absent cannot be found."),
    ("another case", "GetRole", {"RoleName": "Role"}, "NoSuchEntity", 404, ""),
    ("no role to delete", "DeleteRole", {"RoleName": "absent"}, "NoSuchEntity", 404, ""),
    ("a bad marker", "ListRoles", {"Marker": "%"}, "InvalidInput", 400, "Invalid Marker"),
    ("no inline policy", "GetRolePolicy", OLD | {"PolicyName": "absent"}, "NoSuchEntity", 404, "role policy with name absent"),
    ("no inline policy to delete", "DeleteRolePolicy", OLD | {"PolicyName": "absent"}, "NoSuchEntity", 404, ""),
    (
        "a bad inline policy",
        "PutRolePolicy",
        OLD | {"PolicyName": "p", "PolicyDocument": TRUST},
        "MalformedPolicyDocument",
        400,
        "principal",
    ),
    (
        "long inline policies",
        "PutRolePolicy",
        OLD | {"PolicyName": "p", "PolicyDocument": permissions(Resource=f"arn:aws:s3:::{'x' * 10_240}")},
        "LimitExceeded",
        409,
        "Maximum policy size of 10240 bytes exceeded for role role",
    ),
    ("an unknown policy", "AttachRolePolicy", OLD | {"PolicyArn": ABSENT}, "NoSuchEntity", 404, "not attachable"),
    ("no ARN", "AttachRolePolicy", OLD | {"PolicyArn": "x" * 20}, "InvalidInput", 400, "is not valid"),
    ("a policy that is not attached", "DetachRolePolicy", OLD | {"PolicyArn": BASIC}, "NoSuchEntity", 404, "was not found"),
    (
        "a policy of the same name",
        "CreatePolicy",
        {"PolicyName": "Own", "PolicyDocument": PERMISSIONS},
        "EntityAlreadyExists",
        409,
        "A policy called Own already exists",
    ),
    (
        "a long policy",
        "CreatePolicy",
        {"PolicyName": "long", "PolicyDocument": LONG},
        "LimitExceeded",
        409,
        "PolicySize: 6144",
    ),
    ("no policy", "GetPolicy", {"PolicyArn": ABSENT}, "NoSuchEntity", 404, "was not found"),
    ("no version", "GetPolicyVersion", {"PolicyArn": OWN, "VersionId": "v9"}, "NoSuchEntity", 404, "version v9"),
    (
        "the version in force",
        "DeletePolicyVersion",
        {"PolicyArn": OWN, "VersionId": "v1"},
        "DeleteConflict",
        409,
        "default version",
    ),
]


@pytest.mark.parametrize(
    ("operation", "params", "code", "status", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_refused(call: Caller, operation: str, params: dict[str, Any], code: str, status: int, text: str) -> None:
    await role(call)
    await call("CreatePolicy", PolicyName="own", PolicyDocument=PERMISSIONS)
    before = [dict(call.documents.collection(name, dict).items()) for name in ("iam-roles", "iam-policies")]
    with pytest.raises(ServiceError) as caught:
        await call(operation, **params)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert text in caught.value.message
    assert [dict(call.documents.collection(name, dict).items()) for name in ("iam-roles", "iam-policies")] == before


async def test_a_role_takes_ten_policies(call: Caller) -> None:
    await role(call)
    for arn in list(MANAGED)[:10]:
        await call("AttachRolePolicy", RoleName="role", PolicyArn=arn)
    with pytest.raises(ServiceError, match="PoliciesPerRole: 10"):
        await call("AttachRolePolicy", RoleName="role", PolicyArn=list(MANAGED)[10])
