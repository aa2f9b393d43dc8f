"""Versions, aliases and permissions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.lambda_.conftest import ACCOUNT, OTHER_CODE, REGION, House, arn_of

from tenantry.model.errors import ServiceError
from tenantry.model.function import AliasTarget, FunctionEntry, PolicyStatement

API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api/*/GET/*"
GATEWAY = {"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}


def entry(house: House) -> FunctionEntry:
    found = house.functions.get(REGION, "f")
    assert found is not None
    return found


async def test_publishing_copies_and_repeats_nothing(house: House) -> None:
    await house.create(Environment={"Variables": {"A1": "old"}})
    first = await house.call("PublishVersion", FunctionName="f", Description="first")
    assert (first["Version"], first["FunctionArn"], first["Description"]) == ("1", f"{arn_of('f')}:1", "first")
    assert first["State"] == "Active"
    assert (await house.call("PublishVersion", FunctionName="f"))["Version"] == "1", "nothing has changed"
    await house.call("UpdateFunctionConfiguration", FunctionName="f", Environment={"Variables": {"A1": "new"}})
    house.timers.run()
    second = await house.call("PublishVersion", FunctionName="f", CodeSha256=first["CodeSha256"])
    assert second["Version"] == "2"
    versions = entry(house).versions
    assert {name: version.environment["A1"] for name, version in versions.items()} == {
        "1": "old",
        "2": "new",
        "$LATEST": "new",
    }
    assert len({version.revision for version in versions.values()}) == 3
    listed = (await house.call("ListVersionsByFunction", FunctionName="f"))["Versions"]
    assert [version["FunctionArn"] for version in listed] == [f"{arn_of('f')}:{name}" for name in ("$LATEST", "1", "2")]


async def test_an_update_leaves_published_versions_alone(house: House) -> None:
    await house.create(Publish=True)
    before = entry(house).versions["1"]
    await house.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE)
    house.timers.run()
    assert entry(house).versions["1"] == before
    assert entry(house).versions["$LATEST"].code_key != before.code_key


async def test_publish_with_creation_and_with_code(house: House) -> None:
    made = await house.create(Publish=True)
    assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", f"{arn_of('f')}:1", "Pending")
    changed = await house.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE, Publish=True)
    assert (changed["Version"], changed["FunctionArn"]) == ("2", f"{arn_of('f')}:2")
    house.timers.run()
    assert (await house.call("PublishVersion", FunctionName="f"))["Version"] == "2"


async def test_versions_are_listed_by_number(house: House) -> None:
    await house.create()
    for number in range(11):
        await house.call("UpdateFunctionConfiguration", FunctionName="f", Description=str(number))
        house.timers.run()
        await house.call("PublishVersion", FunctionName="f")
    first = await house.call("ListVersionsByFunction", FunctionName="f", MaxItems=10)
    rest = await house.call("ListVersionsByFunction", FunctionName="f", Marker=first["NextMarker"])
    seen = [version["Version"] for version in first["Versions"] + rest["Versions"]]
    assert seen == ["$LATEST", *(str(number) for number in range(1, 12))]


async def test_deleted_version_is_gone_and_its_number_with_it(house: House) -> None:
    await house.create(Publish=True)
    await house.call("AddPermission", FunctionName="f", StatementId="s", Qualifier="1", **GATEWAY)
    await house.call("DeleteFunction", FunctionName="f:1")
    await house.call("DeleteFunction", FunctionName="f", Qualifier="1")
    assert entry(house).versions.keys() == {"$LATEST"}
    assert entry(house).policies == {}
    assert (await house.call("PublishVersion", FunctionName="f"))["Version"] == "2"


async def test_alias_from_creation_to_deletion(house: House) -> None:
    await house.create(Publish=True)
    await house.call("UpdateFunctionConfiguration", FunctionName="f", Description="2")
    house.timers.run()
    await house.call("PublishVersion", FunctionName="f")
    routing = {"AdditionalVersionWeights": {"2": 0.25}}
    made = await house.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=routing)
    revision = made.pop("RevisionId")
    assert made == {
        "AliasArn": f"{arn_of('f')}:live",
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "",
        "RoutingConfig": routing,
    }
    assert entry(house).aliases == {"live": AliasTarget("1", {"2": 0.25})}
    shown = await house.call("GetFunction", FunctionName="f", Qualifier="live")
    assert (shown["Configuration"]["FunctionArn"], shown["Configuration"]["Version"]) == (f"{arn_of('f')}:live", "1")
    kept = await house.call("UpdateAlias", FunctionName="f", Name="live", Description="x", RevisionId=revision)
    assert (kept["RoutingConfig"], kept["Description"]) == (routing, "x")
    moved = await house.call("UpdateAlias", FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig={})
    assert (moved["FunctionVersion"], "RoutingConfig" in moved, moved["Description"]) == ("2", False, "x")
    assert await house.call("GetAlias", FunctionName="f", Name="live") == moved
    for version, names in (("1", []), ("2", ["live"])):
        listed = await house.call("ListAliases", FunctionName="f", FunctionVersion=version)
        assert [alias["Name"] for alias in listed["Aliases"]] == names
    await house.call("AddPermission", FunctionName="f", StatementId="s", Qualifier="live", **GATEWAY)
    for _ in range(2):
        assert await house.call("DeleteAlias", FunctionName="f", Name="live") == {}
    assert (entry(house).aliases, entry(house).policies) == ({}, {})


async def test_permission_is_written_as_aws_does_and_published(house: House) -> None:
    await house.create()
    made = await house.call(
        "AddPermission", FunctionName="f", StatementId="api", SourceArn=API, SourceAccount=ACCOUNT, **GATEWAY
    )
    statement = {
        "Sid": "api",
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn_of("f"),
        "Condition": {"ArnLike": {"AWS:SourceArn": API}, "StringEquals": {"AWS:SourceAccount": ACCOUNT}},
    }
    assert made["Statement"] == json.dumps(statement, separators=(",", ":"))
    policy = await house.call("GetPolicy", FunctionName="f")
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert entry(house).policies == {
        "": (PolicyStatement("api", principal_service="apigateway.amazonaws.com", source_arn=API, source_account=ACCOUNT),)
    }
    await house.call("RemovePermission", FunctionName="f", StatementId="api", RevisionId=policy["RevisionId"])
    assert entry(house).policies == {}
    with pytest.raises(ServiceError, match="The resource you requested does not exist"):
        await house.call("GetPolicy", FunctionName="f")


async def test_policies_are_kept_apart_by_qualifier(house: House) -> None:
    await house.create(Publish=True)
    await house.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    for qualifier in (None, "live", "1"):
        extra = {"Qualifier": qualifier} if qualifier else {}
        made = await house.call("AddPermission", FunctionName="f", StatementId="s", **GATEWAY, **extra)
        assert json.loads(made["Statement"])["Resource"] == arn_of("f") + (f":{qualifier}" if qualifier else "")
    assert entry(house).policies.keys() == {"", "live", "1"}
    await house.call("RemovePermission", FunctionName="f:live", StatementId="s")
    assert entry(house).policies.keys() == {"", "1"}


@pytest.mark.parametrize(
    ("principal", "shown", "published"),
    [
        ("123456789012", {"AWS": "arn:aws:iam::123456789012:root"}, (None, "arn:aws:iam::123456789012:root")),
        (
            "arn:aws:iam::123456789012:role/r",
            {"AWS": "arn:aws:iam::123456789012:role/r"},
            (None, "arn:aws:iam::123456789012:role/r"),
        ),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}, ("s3.amazonaws.com", None)),
        ("*", "*", ("*", "*")),
    ],
)
async def test_principals(house: House, principal: str, shown: Any, published: tuple[str | None, str | None]) -> None:
    await house.create()
    made = await house.call(
        "AddPermission", FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal=principal
    )
    assert json.loads(made["Statement"])["Principal"] == shown
    (statement,) = entry(house).policies[""]
    assert (statement.principal_service, statement.principal_aws) == published


@pytest.mark.parametrize(
    "condition",
    [
        {"PrincipalOrgID": "o-abcdefghij"},
        {"EventSourceToken": "t"},
        {"FunctionUrlAuthType": "NONE"},
        {"InvokedViaFunctionUrl": True},
    ],
)
async def test_condition_that_placement_cannot_check_grants_nothing(house: House, condition: dict[str, Any]) -> None:
    await house.create()
    made = await house.call("AddPermission", FunctionName="f", StatementId="s", **GATEWAY, **condition)
    assert len(json.loads(made["Statement"])["Condition"]) == 1
    assert entry(house).policies == {"": ()}
