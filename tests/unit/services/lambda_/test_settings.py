"""Reserved concurrency, asynchronous invocation, tags, the account, layers, and what is only there to be read."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from tests.unit.services.lambda_.conftest import ACCOUNT, CODE, OTHER_CODE, REGION, House, arn_of

from tenantry.model.errors import ServiceError
from tenantry.model.function import FunctionEntry
from tenantry.services.lambda_ import tags

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
LAYER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer"


def entry(house: House) -> FunctionEntry:
    found = house.functions.get(REGION, "f")
    assert found is not None
    return found


async def test_reserved_concurrency(house: House) -> None:
    await house.create()
    await house.create("g")
    put = await house.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=600)
    assert put == {"ReservedConcurrentExecutions": 600}
    assert entry(house).reserved == 600
    await house.call("PutFunctionConcurrency", FunctionName="g", ReservedConcurrentExecutions=300)
    with pytest.raises(ServiceError):
        await house.call("PutFunctionConcurrency", FunctionName="g", ReservedConcurrentExecutions=301)
    await house.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=0)
    assert await house.call("GetFunctionConcurrency", FunctionName="f") == {"ReservedConcurrentExecutions": 0}
    assert await house.call("DeleteFunctionConcurrency", FunctionName="f") == {}
    assert entry(house).reserved is None
    assert await house.call("GetFunctionConcurrency", FunctionName="f") == {"ReservedConcurrentExecutions": None}


async def test_reservations_of_another_region_do_not_count(house: House) -> None:
    await house.create()
    given = {"Runtime": "python3.11", "Handler": "a.b", "Role": f"arn:aws:iam::{ACCOUNT}:role/app/runs-lambda"}
    await house.call("CreateFunction", region="eu-west-1", FunctionName="f", Code={"ZipFile": CODE}, **given)
    for region in (REGION, "eu-west-1"):
        await house.call("PutFunctionConcurrency", region=region, FunctionName="f", ReservedConcurrentExecutions=900)


async def test_event_invoke_config(house: House) -> None:
    await house.create(Publish=True)
    put = await house.call(
        "PutFunctionEventInvokeConfig",
        FunctionName="f",
        MaximumRetryAttempts=0,
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    assert put == {
        "LastModified": house.clock.now(),
        "FunctionArn": f"{arn_of('f')}:$LATEST",
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    }
    assert entry(house).async_retries == {"$LATEST": 0, "": 0}
    assert entry(house).async_max_age_s == {"$LATEST": 60, "": 60}
    changed = await house.call("UpdateFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=1)
    assert changed == {**put, "MaximumRetryAttempts": 1}
    assert await house.call("GetFunctionEventInvokeConfig", FunctionName="f") == changed
    await house.call("PutFunctionEventInvokeConfig", FunctionName="f", Qualifier="1", MaximumRetryAttempts=2)
    listed = (await house.call("ListFunctionEventInvokeConfigs", FunctionName="f"))["FunctionEventInvokeConfigs"]
    assert [config["FunctionArn"] for config in listed] == [f"{arn_of('f')}:$LATEST", f"{arn_of('f')}:1"]
    replaced = await house.call("PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=2)
    assert replaced["MaximumEventAgeInSeconds"] is None
    await house.call("DeleteFunctionEventInvokeConfig", FunctionName="f")
    assert entry(house).async_retries == {"1": 2}
    with pytest.raises(ServiceError, match="doesn't have an EventInvokeConfig"):
        await house.call("DeleteFunctionEventInvokeConfig", FunctionName="f")


async def test_tags(house: House) -> None:
    await house.create(Tags={"a": "1"})
    await house.call("TagResource", Resource=arn_of("f"), Tags={"a": "2", "b": "3"})
    assert await house.call("ListTags", Resource=arn_of("f")) == {"Tags": {"a": "2", "b": "3"}}
    await house.call("UntagResource", Resource=arn_of("f"), TagKeys=["a", "absent"])
    assert await house.call("ListTags", Resource=arn_of("f")) == {"Tags": {"b": "3"}}
    before = house.state()
    for wanted in ({f"t{number}": "" for number in range(50)}, {tags.PARKED: "many"}):
        with pytest.raises(ServiceError):
            await house.call("TagResource", Resource=arn_of("f"), Tags=wanted)
    assert house.state() == before


async def test_our_tags_reach_placement_and_retire_environments_only_where_they_must(house: House) -> None:
    await house.create()
    steps: list[tuple[str, str, bool]] = [
        ("team", "a", False),
        (tags.PARKED, "3", False),
        (tags.INIT_MODE, "snapshot", True),
        (tags.EGRESS, "db.example:5432", True),
    ]
    for name, value, retires in steps:
        before = entry(house).versions["$LATEST"].revision
        await house.call("TagResource", Resource=arn_of("f"), Tags={name: value})
        assert (entry(house).versions["$LATEST"].revision != before) is retires, name
    version = entry(house).versions["$LATEST"]
    assert (version.parked, version.init_mode, version.egress) == (3, "snapshot", ("db.example:5432",))


async def test_account_settings(house: House) -> None:
    await house.create(Publish=True)
    await house.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=10)
    answer = await house.call("GetAccountSettings")
    assert answer["AccountUsage"] == {"TotalCodeSize": 2 * len(CODE), "FunctionCount": 1}
    assert answer["AccountLimit"] == {
        "TotalCodeSize": 80_530_636_800,
        "CodeSizeUnzipped": 262_144_000,
        "CodeSizeZipped": 52_428_800,
        "ConcurrentExecutions": 1000,
        "UnreservedConcurrentExecutions": 990,
    }


async def test_layer_from_publication_to_deletion(house: House) -> None:
    made = await house.call(
        "PublishLayerVersion",
        LayerName="l",
        Description="d",
        Content={"ZipFile": CODE},
        CompatibleRuntimes=["python3.11"],
        CompatibleArchitectures=["x86_64"],
        LicenseInfo="MIT",
    )
    content = made.pop("Content")
    assert content == {
        "Location": f"http://127.0.0.1:4270/code/{hashlib.sha256(CODE).hexdigest()}",
        "CodeSha256": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        "CodeSize": len(CODE),
    }
    assert made == {
        "LayerArn": f"{LAYER}:l",
        "LayerVersionArn": f"{LAYER}:l:1",
        "Version": 1,
        "Description": "d",
        "CreatedDate": "2026-01-01T00:00:00.000+0000",
        "CompatibleRuntimes": ["python3.11"],
        "CompatibleArchitectures": ["x86_64"],
        "LicenseInfo": "MIT",
    }
    second = await house.call(
        "PublishLayerVersion", LayerName=f"{LAYER}:l", Content={"S3Bucket": "bucket", "S3Key": "code.zip"}
    )
    assert (second["Version"], second["Content"]["CodeSize"]) == (2, len(OTHER_CODE))
    one = await house.call("GetLayerVersion", LayerName="l", VersionNumber=1)
    assert one == {**made, "Content": content}
    assert await house.call("GetLayerVersionByArn", Arn=f"{LAYER}:l:1") == one
    versions = (await house.call("ListLayerVersions", LayerName="l"))["LayerVersions"]
    assert [version["Version"] for version in versions] == [2, 1]
    newest: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [2]),
        ({"CompatibleRuntime": "python3.11"}, [1]),
        ({"CompatibleRuntime": "python3.12"}, []),
    ]
    for wanted, expected in newest:
        layers = (await house.call("ListLayers", **wanted))["Layers"]
        assert [layer["LatestMatchingVersion"]["Version"] for layer in layers] == expected
    for _ in range(2):
        assert await house.call("DeleteLayerVersion", LayerName="l", VersionNumber=1) == {}
    with pytest.raises(ServiceError, match="does not exist"):
        await house.call("GetLayerVersion", LayerName="l", VersionNumber=1)


async def test_what_deployment_tools_read(house: House) -> None:
    await house.create()
    answers = {
        "GetFunctionCodeSigningConfig": {"CodeSigningConfigArn": "", "FunctionName": "f"},
        "GetFunctionRecursionConfig": {"RecursiveLoop": "Terminate"},
        "GetRuntimeManagementConfig": {"UpdateRuntimeOn": "Auto", "FunctionArn": arn_of("f")},
        "ListFunctionUrlConfigs": {"FunctionUrlConfigs": []},
        "ListProvisionedConcurrencyConfigs": {"ProvisionedConcurrencyConfigs": []},
        "ListEventSourceMappings": {"EventSourceMappings": []},
    }
    for operation, answer in answers.items():
        assert await house.call(operation, FunctionName="f") == answer
        with pytest.raises(ServiceError, match="Function not found"):
            await house.call(operation, FunctionName="nobody")
    assert await house.call("ListEventSourceMappings") == {"EventSourceMappings": []}
    with pytest.raises(ServiceError, match="No Provisioned Concurrency Config found"):
        await house.call("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier="$LATEST")
    uuid = "00000000-0000-0000-0000-000000000000"
    for operation in ("GetEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping"):
        with pytest.raises(ServiceError, match="does not exist"):
            await house.call(operation, UUID=uuid)
