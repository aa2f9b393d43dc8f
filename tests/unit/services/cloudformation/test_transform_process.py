"""The worker process: the real SAM transform, AWS's schemas, and what happens when it dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tenantry.services.cloudformation.resources.shape import LATER
from tenantry.services.cloudformation.transform import TransformError, TransformProcess

SAM = "AWS::Serverless-2016-10-31"
ECHO = "import sys, json\nfor line in sys.stdin: print(json.dumps({'result': json.loads(line)['template']}), flush=True)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[TransformProcess]:
    process = TransformProcess()
    yield process
    await process.close()


@pytest.mark.asyncio(loop_scope="module")
class TestRealWorker:
    async def test_event_on_an_api_of_its_own_adds_the_permission_only(self, worker: TransformProcess) -> None:
        event = {"Type": "Api", "Properties": {"RestApiId": {"Ref": "Api"}, "Path": "/standard", "Method": "GET"}}
        template = {
            "Transform": SAM,
            "Globals": {"Function": {"Timeout": 30}},
            "Resources": {
                "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "a"}},
                "F": {
                    "Type": "AWS::Serverless::Function",
                    "Properties": {
                        "CodeUri": "s3://bucket/key",
                        "Handler": "a.b",
                        "Runtime": "python3.14",
                        "Role": "arn:aws:iam::000000000000:role/r",
                        "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"},
                        "Events": {"Api": event},
                    },
                },
            },
        }
        expanded = await worker.transform(template, {"AWS::Region": "eu-west-1"}, "eu-west-1")
        assert sorted(expanded["Resources"]) == ["Api", "F", "FApiPermissionStage"]
        properties = expanded["Resources"]["F"]["Properties"]
        assert properties["Code"] == {"S3Bucket": "bucket", "S3Key": "key"}
        assert properties["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
        assert properties["Timeout"] == 30
        assert properties["Tags"] == [{"Key": "lambda:createdBy", "Value": "SAM"}]

    async def test_managed_policy_is_found_by_its_name(self, worker: TransformProcess) -> None:
        properties = {
            "InlineCode": "x",
            "Handler": "a.b",
            "Runtime": "python3.14",
            "Policies": ["AWSLambdaBasicExecutionRole", "AmazonS3ReadOnlyAccess"],
        }
        template = {"Transform": SAM, "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": properties}}}
        for region, partition in (("us-east-1", "aws"), ("cn-north-1", "aws-cn")):
            role = (await worker.transform(template, {}, region))["Resources"]["FRole"]["Properties"]
            assert f"arn:{partition}:iam::aws:policy/AmazonS3ReadOnlyAccess" in role["ManagedPolicyArns"]

    async def test_what_is_wrong_is_said_in_sams_words(self, worker: TransformProcess) -> None:
        template = {"Transform": SAM, "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {}}}}
        with pytest.raises(TransformError) as error:
            await worker.transform(template, {}, "us-east-1")
        assert str(error.value) == (
            "Invalid Serverless Application Specification document. Number of errors found: 1. "
            "Resource with id [F] is invalid. Only one of 'InlineCode' or 'CodeUri' can be set."
        )

    async def test_schemas_find_what_aws_would(self, worker: TransformProcess) -> None:
        function = {"Code": {"ZipFile": "x"}, "Role": LATER, "Timeout": 99_999, "Runtime": "python9.99", "MemorySize": LATER}
        resources = {
            "F": {"Type": "AWS::Lambda::Function", "Properties": function},
            "G": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 13}},
            "A": {"Type": "AWS::Lambda::Alias", "Properties": {"Name": "123", "FunctionName": "f"}},
            "X": {"Type": "AWS::Nothing::Known", "Properties": {"a": 1}},
        }
        found = await worker.check(resources)
        assert [text.split(":")[0] for text in found].count("F") == 1, "later values and new runtimes are let through"
        assert "F: #/Timeout: 99999 is greater than the maximum of" in found[0]
        assert any(text.startswith("G: #/RetentionInDays: 13 is not one of [1, 3, 5") for text in found)
        assert any(text == "A: #/: 'FunctionVersion' is a required property" for text in found)
        assert not any(text.startswith("X") for text in found)


async def test_worker_that_died_is_started_again() -> None:
    worker = TransformProcess([sys.executable, "-c", ECHO])
    assert await worker.transform({"a": 1}, {}, "us-east-1") == {"a": 1}
    process = worker._process
    assert process is not None
    process.kill()
    await process.wait()
    assert await worker.transform({"a": 2}, {}, "us-east-1") == {"a": 2}
    await worker.close()
    await worker.close()


async def test_worker_that_always_dies_is_a_failed_transform() -> None:
    worker = TransformProcess([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(TransformError, match="Internal transform failure"):
        await worker.transform({}, {}, "us-east-1")
    await worker.close()


async def test_worker_that_hangs_is_ended() -> None:
    worker = TransformProcess([sys.executable, "-c", "import time\ntime.sleep(60)"], timeout_s=0.3)
    with pytest.raises(TransformError, match="did not finish in time"):
        await worker.transform({}, {}, "us-east-1")
    assert worker._process is None


async def test_answer_that_nobody_waited_for_is_not_given_to_the_next() -> None:
    slow = ECHO.replace("for line in sys.stdin:", "import time\nfor line in sys.stdin: time.sleep(0.2);")
    worker = TransformProcess([sys.executable, "-c", slow])
    first = asyncio.ensure_future(worker.transform({"a": 1}, {}, "us-east-1"))
    await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await worker.transform({"a": 2}, {}, "us-east-1") == {"a": 2}
    await worker.close()
