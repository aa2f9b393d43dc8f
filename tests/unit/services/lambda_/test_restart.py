"""The next start on the same store: the same answers, and nothing left of what a crash interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.unit.services.lambda_.conftest import ACCOUNT, CODE, OTHER_CODE, PER_TENANT, REGION, House, arn_of

READS: list[tuple[str, dict[str, Any]]] = [
    ("GetFunction", {"FunctionName": "f"}),
    ("GetFunction", {"FunctionName": "f", "Qualifier": "live"}),
    ("ListFunctions", {"FunctionVersion": "ALL"}),
    ("ListVersionsByFunction", {"FunctionName": "f"}),
    ("ListAliases", {"FunctionName": "f"}),
    ("GetPolicy", {"FunctionName": "f"}),
    ("GetPolicy", {"FunctionName": "f", "Qualifier": "live"}),
    ("ListFunctionEventInvokeConfigs", {"FunctionName": "f"}),
    ("ListTags", {"Resource": arn_of("f")}),
    ("ListLayers", {}),
    ("GetLayerVersion", {"LayerName": "l", "VersionNumber": 1}),
    ("GetAccountSettings", {}),
]


async def furnished(house: House) -> None:
    layer = await house.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": OTHER_CODE}, LicenseInfo="MIT")
    await house.create(
        TenancyConfig=PER_TENANT,
        Publish=True,
        Layers=[layer["LayerVersionArn"]],
        Tags={"tenantry:parked": "1"},
        Environment={"Variables": {"A1": "b"}},
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
    )
    await house.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    for qualifier in ({}, {"Qualifier": "live"}):
        await house.call(
            "AddPermission",
            FunctionName="f",
            StatementId="s",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api/*",
            **qualifier,
        )
    await house.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=7)
    await house.call("PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=1)


async def test_same_answers_after_a_restart(house: House) -> None:
    await furnished(house)
    before = [await house.call(operation, **params) for operation, params in READS]
    again = house.again()
    assert [await again.call(operation, **params) for operation, params in READS] == before
    assert again.state() == house.state()


async def test_interrupted_creation_and_update_are_settled(house: House) -> None:
    await house.create("updated")
    await house.create("created", active=False)
    await house.call("UpdateFunctionConfiguration", FunctionName="updated", Description="new")
    again = house.again()
    for name in ("created", "updated"):
        configuration = await again.configuration(name)
        assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")
        entry = again.functions.get(REGION, name)
        assert entry is not None
        assert entry.state == "Active"


async def test_what_nothing_refers_to_is_swept(house: House) -> None:
    await house.create()
    await house.create("g", Code={"ZipFile": OTHER_CODE})
    kept = (house.unpacked(), house.zips())
    await house.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": OTHER_CODE})
    await house.call("DeleteFunction", FunctionName="g")
    await house.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
    for name in ("incoming-0123", "outgoing-0123", "layers-0123-4567", "f" * 64):
        (house.code_root / name / "sub").mkdir(parents=True)
        (house.code_root / name / "sub").chmod(0o555)
    (house.code_root / "stray").write_text("x")
    assert (house.unpacked(), house.zips()) != kept
    again = house.again()
    assert again.unpacked() == again.zips()
    assert len(again.unpacked()) == 1


def lose(folder: Path) -> None:
    """Remove unpacked code, which nobody may write to."""
    folder.chmod(0o755)
    shutil.rmtree(folder)


async def test_unpacked_code_that_is_missing_comes_back(house: House) -> None:
    await house.create()
    (key,) = house.unpacked()
    lose(house.code_root / key)
    again = house.again()
    assert (again.code_root / key / "index.py").exists()
    assert again.service.warnings() == []


async def test_package_that_is_lost_is_told(house: House) -> None:
    await house.create()
    (key,) = house.unpacked()
    lose(house.code_root / key)
    (house.blob_root / key[:2] / key).unlink()
    again = house.again()
    assert [key in line for line in again.service.warnings()] == [True]
    assert (await again.configuration())["State"] == "Active"


async def test_version_and_layer_numbers_go_on(house: House) -> None:
    await house.create(Publish=True)
    await house.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": CODE})
    await house.call("DeleteFunction", FunctionName="f", Qualifier="1")
    await house.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
    again = house.again()
    assert (await again.call("PublishVersion", FunctionName="f"))["Version"] == "2"
    assert (await again.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": CODE}))["Version"] == 2
