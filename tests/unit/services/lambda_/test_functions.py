"""Functions: their life from creation to deletion, what is shown of them, and what placement gets to see."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from tests.unit.services.lambda_.conftest import ACCOUNT, CODE, OTHER_CODE, PER_TENANT, REGION, ROLE, TRUST, House, arn_of

from tenantry.model.errors import ServiceError
from tenantry.model.function import FunctionVersion, LoggingConfig
from tenantry.services.lambda_.functions import trusts_lambda

KEY, OTHER_KEY = hashlib.sha256(CODE).hexdigest(), hashlib.sha256(OTHER_CODE).hexdigest()


async def test_created_is_pending_with_aws_defaults_then_active(house: House) -> None:
    made = await house.create(active=False)
    revision = made.pop("RevisionId")
    assert made.pop("RuntimeVersionConfig")["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    assert made == {
        "FunctionName": "f",
        "FunctionArn": arn_of("f"),
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "index.handler",
        "CodeSize": len(CODE),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "LastModified": "2026-01-01T00:00:00.000+0000",
        "CodeSha256": base64.b64encode(hashlib.sha256(CODE).digest()).decode(),
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }
    pending = house.functions.get(REGION, "f")
    assert pending is not None
    assert pending.state == "Pending"
    house.timers.run()
    active = await house.configuration()
    assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in active
    assert active["RevisionId"] != revision
    now = house.functions.get(REGION, "f")
    assert now is not None
    assert now.state == "Active"
    assert now.versions["$LATEST"].revision == pending.versions["$LATEST"].revision, "no environment is retired for this"


async def test_placement_sees_the_whole_configuration(house: House) -> None:
    layer = await house.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": OTHER_CODE})
    await house.create(
        TenancyConfig=PER_TENANT,
        Timeout=30,
        MemorySize=256,
        EphemeralStorage={"Size": 1024},
        Environment={"Variables": {"A1": "b"}},
        Layers=[layer["LayerVersionArn"]],
        LoggingConfig={"LogFormat": "JSON", "LogGroup": "shared", "SystemLogLevel": "DEBUG"},
        TracingConfig={"Mode": "Active"},
        Tags={"tenantry:init-mode": "snapshot", "tenantry:egress": "a.example:443 10.0.0.1:80", "tenantry:parked": "4"},
    )
    entry = house.functions.get(REGION, "f")
    assert entry is not None
    version = entry.versions["$LATEST"]
    assert version == FunctionVersion(
        account_id=ACCOUNT,
        region=REGION,
        name="f",
        version="$LATEST",
        revision=version.revision,
        runtime="python3.11",
        handler="index.handler",
        role=ROLE,
        code_key=KEY,
        timeout_s=30,
        memory_mib=256,
        ephemeral_mib=1024,
        tenancy=True,
        environment={"A1": "b"},
        layer_keys=(OTHER_KEY,),
        logging=LoggingConfig("shared", "JSON", "INFO", "DEBUG"),
        tracing="Active",
        init_mode="snapshot",
        egress=("a.example:443", "10.0.0.1:80"),
        parked=4,
    )
    assert (house.code_root / version.code_key / "index.py").exists()


async def test_tenancy_is_shown_on_isolated_functions_only_and_stays(house: House) -> None:
    await house.create("isolated", TenancyConfig=PER_TENANT)
    await house.create("plain")
    await house.call("UpdateFunctionConfiguration", FunctionName="isolated", Description="x")
    for answer in (await house.configuration("isolated"), (await house.call("ListFunctions"))["Functions"][0]):
        assert answer["TenancyConfig"] == PER_TENANT
    assert "TenancyConfig" not in await house.configuration("plain")
    version = await house.call("ListVersionsByFunction", FunctionName="isolated")
    assert version["Versions"][0]["TenancyConfig"] == PER_TENANT


async def test_optional_members_are_returned_as_set_and_can_be_cleared(house: House) -> None:
    given: dict[str, Any] = {
        "Environment": {"Variables": {"A1": "b"}},
        "DeadLetterConfig": {"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"},
        "KMSKeyArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1",
        "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        "Architectures": ["arm64"],
    }
    made = await house.create(**given)
    assert {name: made[name] for name in given} == {**given, "VpcConfig": {**given["VpcConfig"], "VpcId": ""}}
    cleared = await house.call(
        "UpdateFunctionConfiguration",
        FunctionName="f",
        Environment={"Variables": {}},
        DeadLetterConfig={"TargetArn": ""},
        KMSKeyArn="",
    )
    assert cleared["Environment"] == {"Variables": {}}
    assert "DeadLetterConfig" not in cleared
    assert "KMSKeyArn" not in cleared


async def test_logging_is_merged_and_levels_go_with_json(house: House) -> None:
    await house.create(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": "own"})
    steps: list[tuple[dict[str, str], dict[str, str]]] = [
        (
            {"SystemLogLevel": "WARN"},
            {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN", "LogGroup": "own"},
        ),
        ({"LogFormat": "Text"}, {"LogFormat": "Text", "LogGroup": "own"}),
        (
            {"LogFormat": "JSON"},
            {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "own"},
        ),
    ]
    for given, shown in steps:
        answer = await house.call("UpdateFunctionConfiguration", FunctionName="f", LoggingConfig=given)
        house.timers.run()
        assert answer["LoggingConfig"] == shown


@pytest.mark.parametrize("operation", ["UpdateFunctionConfiguration", "UpdateFunctionCode"])
async def test_update_is_in_progress_then_successful_and_changes_revisions(house: House, operation: str) -> None:
    await house.create()
    before, entry = await house.configuration(), house.functions.get(REGION, "f")
    house.clock.advance(60)
    params = {"Description": "new"} if operation == "UpdateFunctionConfiguration" else {"ZipFile": OTHER_CODE}
    answer = await house.call(operation, FunctionName="f", RevisionId=before["RevisionId"], **params)
    assert (answer["LastUpdateStatus"], answer["State"]) == ("InProgress", "Active")
    assert (answer["LastUpdateStatusReasonCode"], answer["LastUpdateStatusReason"]) == (
        "Creating",
        "The function is being created.",
    )
    assert answer["LastModified"] == "2026-01-01T00:01:00.000+0000"
    now = house.functions.get(REGION, "f")
    assert entry is not None
    assert now is not None
    assert now.state == "Active", "it can be invoked all the time"
    assert now.versions["$LATEST"].revision != entry.versions["$LATEST"].revision, "old environments are retired"
    house.timers.run()
    after = await house.configuration()
    assert after["LastUpdateStatus"] == "Successful"
    assert len({before["RevisionId"], answer["RevisionId"], after["RevisionId"]}) == 3


async def test_second_update_in_progress_is_refused(house: House) -> None:
    await house.create()
    await house.call("UpdateFunctionConfiguration", FunctionName="f", Description="one")
    for operation, params in (
        ("UpdateFunctionConfiguration", {}),
        ("UpdateFunctionCode", {"ZipFile": CODE}),
        ("PublishVersion", {}),
    ):
        with pytest.raises(ServiceError) as error:
            await house.call(operation, FunctionName="f", **params)
        assert (error.value.code, error.value.status) == ("ResourceConflictException", 409)
        assert error.value.message == (
            f"The operation cannot be performed at this time. An update is in progress for resource: {arn_of('f')}"
        )


async def test_update_of_a_pending_function_is_refused(house: House) -> None:
    await house.create(active=False)
    with pytest.raises(ServiceError, match="currently in the following state: Pending"):
        await house.call("UpdateFunctionConfiguration", FunctionName="f", Description="one")


async def test_overlapping_updates_and_creations_have_one_winner(house: House) -> None:
    async def outcome(operation: str, **params: Any) -> str:
        try:
            await house.call(operation, **params)
        except ServiceError as error:
            return error.code
        return "done"

    common = {"Runtime": "python3.11", "Handler": "a.b", "Role": ROLE, "Code": {"ZipFile": CODE}}
    creations = [outcome("CreateFunction", FunctionName="f", **common) for _ in range(4)]
    assert sorted(await asyncio.gather(*creations)) == ["ResourceConflictException"] * 3 + ["done"]
    house.timers.run()
    revision = (await house.configuration())["RevisionId"]
    updates = [
        outcome("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE),
        outcome("UpdateFunctionCode", FunctionName="f", ZipFile=CODE, RevisionId=revision),
        outcome("UpdateFunctionCode", FunctionName="f", S3Bucket="bucket", S3Key="code.zip"),
        outcome("UpdateFunctionConfiguration", FunctionName="f", Description="x"),
    ]
    assert sorted(await asyncio.gather(*updates)) == ["ResourceConflictException"] * 3 + ["done"]


async def test_deletion_during_an_update_makes_the_update_fail(house: House) -> None:
    await house.create()
    update = asyncio.create_task(house.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE))
    await asyncio.sleep(0)
    await house.call("DeleteFunction", FunctionName="f")
    with pytest.raises(ServiceError, match="Function not found"):
        await update
    assert house.functions.entries() == []
    await house.service.packages.settle()
    assert OTHER_KEY not in house.unpacked()


async def test_code_from_s3(house: House) -> None:
    made = await house.create(Code={"S3Bucket": "bucket", "S3Key": "code.zip"})
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(OTHER_CODE).digest()).decode()


async def test_dry_run_shows_the_new_code_and_changes_nothing(house: House) -> None:
    await house.create()
    before = house.state()
    answer = await house.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE, DryRun=True)
    assert (answer["CodeSize"], answer["State"]) == (len(OTHER_CODE), "Active")
    assert house.state() == before


async def test_get_function_shows_code_tags_and_concurrency(house: House) -> None:
    await house.create(Tags={"team": "a"})
    await house.call("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=5)
    answer = await house.call("GetFunction", FunctionName=arn_of("f"))
    assert answer["Code"] == {"RepositoryType": "S3", "Location": f"http://127.0.0.1:4270/code/{KEY}"}
    assert house.service.package(KEY) == CODE
    assert (answer["Tags"], answer["Concurrency"]) == ({"team": "a"}, {"ReservedConcurrentExecutions": 5})
    await house.create("g")
    answer = await house.call("GetFunction", FunctionName=f"{ACCOUNT}:function:g", Qualifier="$LATEST")
    assert answer.keys() == {"Configuration", "Code"}
    assert answer["Configuration"]["FunctionArn"] == f"{arn_of('g')}:$LATEST"


async def test_list_functions_in_pages_of_one_region(house: House) -> None:
    for name in ("c", "a", "b"):
        await house.create(name)
    seen: list[str] = []
    marker: dict[str, Any] = {}
    while True:
        answer = await house.call("ListFunctions", MaxItems=2, **marker)
        seen += [function["FunctionName"] for function in answer["Functions"]]
        if answer["NextMarker"] is None:
            break
        marker = {"Marker": answer["NextMarker"]}
    assert seen == ["a", "b", "c"]
    assert "State" not in answer["Functions"][0]
    assert (await house.call("ListFunctions", region="eu-west-1"))["Functions"] == []
    assert (await house.call("ListFunctions", MasterRegion="eu-west-1"))["Functions"] == []


async def test_list_every_version(house: House) -> None:
    await house.create(Publish=True)
    listed = (await house.call("ListFunctions", FunctionVersion="ALL"))["Functions"]
    assert [function["FunctionArn"] for function in listed] == [f"{arn_of('f')}:$LATEST", f"{arn_of('f')}:1"]


async def test_delete_takes_everything_with_it(house: House) -> None:
    empty = house.state()
    await house.create(Publish=True)
    await house.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    await house.call("AddPermission", FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="*")
    await house.call("PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=0)
    assert await house.call("DeleteFunction", FunctionName="f") == {"StatusCode": 204}
    assert house.functions.entries() == []
    house.timers.run(until_s=10_000)
    await house.service.packages.settle()
    assert house.state() == empty


async def test_recreated_function_is_not_settled_by_the_old_ones_timer(house: House) -> None:
    await house.create(active=False)
    await house.call("DeleteFunction", FunctionName="f")
    first, house.timers.pending = house.timers.pending, []
    await house.create(active=False)
    first[0][1]()
    assert (await house.configuration())["State"] == "Pending"


async def test_runtime_that_is_substituted_is_told(house: House) -> None:
    made = await house.create(Runtime="python3.14")
    assert made["RuntimeVersionConfig"]["Error"] == {"ErrorCode": "RuntimeSubstituted", "Message": "python3.14 runs on 3.11"}
    assert house.service.warnings() == ["f: python3.14 runs on 3.11"]
    again = house.again()
    assert again.service.warnings() == []
    await again.service.survey()
    assert again.service.warnings() == ["f: python3.14 runs on 3.11"]


async def test_runtime_that_is_missing_is_refused_under_strict_and_told_at_the_next_start(house: House) -> None:
    await house.create(Runtime="python3.14")
    house.strict = True
    strict = house.again()
    before = strict.state()
    with pytest.raises(ServiceError, match=r"python3\.14 is not installed"):
        await strict.create("g", Runtime="python3.14")
    assert strict.state() == before
    await strict.service.survey()
    assert strict.service.warnings() == ["f: python3.14 is not installed"]


async def test_settings_that_nothing_acts_on_are_told(house: House) -> None:
    await house.create(DeadLetterConfig={"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"})
    target = {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}}
    await house.call("PutFunctionEventInvokeConfig", FunctionName="f", DestinationConfig=target)
    assert [line.split(" ")[2] for line in house.service.warnings()] == ["dead", "destinations"]


@pytest.mark.parametrize(
    ("document", "trusted"),
    [
        (json.dumps(TRUST), True),
        (quote(json.dumps(TRUST)), True),
        ('{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}', True),
        (
            '{"Statement": [{"Effect": "Allow", "Principal": {"Service": ["lambda.amazonaws.com"]}, "Action": ["sts:*"]}]}',
            True,
        ),
        ('{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*"}]}', False),
        ('{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}', False),
        (
            '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:Tag"}]}',
            False,
        ),
        ("{}", False),
    ],
)
def test_trust_of_a_role(document: str, trusted: bool) -> None:
    assert trusts_lambda(document) is trusted
