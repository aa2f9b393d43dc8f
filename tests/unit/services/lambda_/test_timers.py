"""The service on the loop's own timers: functions become active by themselves, and closing drops what is pending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.unit.services.lambda_.conftest import ACCOUNT, CODE, OTHER_CODE, REGION, ROLE, House

from tenantry.services.lambda_.service import LambdaService
from tenantry.services.operation import Operations
from tenantry.store.blobs import Blobs


def on_the_loop(house: House, activation_s: float) -> LambdaService:
    """Another service on the same store, whose timers are real."""
    house.operations = Operations(lambda service, name, params: None)
    service = LambdaService(
        documents=house.documents,
        blobs=Blobs(house.blob_root),
        code_root=house.code_root,
        functions=house.functions,
        invoker=house.invoker,
        operations=house.operations,
        runtimes=house.runtimes,
        clock=house.clock,
        code_url=lambda ctx, key: key,
        activation_s=activation_s,
        linger_s=activation_s,
    )
    for part in (*service.parts, house.iam, house.s3):
        house.operations.add(part)
    service.start()
    return service


async def test_becomes_active_by_itself_and_frees_old_code(house: House) -> None:
    service = on_the_loop(house, activation_s=0.005)
    await house.call("CreateFunction", FunctionName="f", Runtime="python3.11", Handler="a.b", Role=ROLE, Code={"ZipFile": CODE})
    async with asyncio.timeout(10):
        while (await house.configuration())["State"] != "Active":  # noqa: ASYNC110 - the state is what a client polls
            await asyncio.sleep(0.005)
        await house.call("UpdateFunctionCode", FunctionName="f", ZipFile=OTHER_CODE)
        while len(house.unpacked()) > 1:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.005)
    await service.close()
    assert len(house.zips()) == 1


async def test_closing_drops_timers_and_the_next_start_settles(house: House) -> None:
    service = on_the_loop(house, activation_s=0.02)
    await house.call("CreateFunction", FunctionName="f", Runtime="python3.11", Handler="a.b", Role=ROLE, Code={"ZipFile": CODE})
    await service.close()
    await asyncio.sleep(0.05)
    assert (await house.configuration())["State"] == "Pending"
    assert (await house.again().configuration())["State"] == "Active"


async def test_code_that_s3_streams(house: House) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(CODE), 100):
            yield CODE[at : at + 100]

    house.s3.objects["bucket", "streamed"] = chunks()  # type: ignore[assignment]
    made = await house.create(Code={"S3Bucket": "bucket", "S3Key": "streamed"})
    assert made["CodeSize"] == len(CODE)


async def test_regions_are_apart(house: House) -> None:
    await house.create(Description="here")
    given: dict[str, Any] = {"Runtime": "python3.11", "Handler": "a.b", "Role": ROLE, "Code": {"ZipFile": CODE}}
    made = await house.call("CreateFunction", region="eu-west-1", FunctionName="f", Description="there", **given)
    assert made["FunctionArn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
    await house.call("DeleteFunction", region="eu-west-1", FunctionName="f")
    assert [(entry.region, entry.name) for entry in house.functions.entries()] == [(REGION, "f")]
    assert (await house.configuration())["Description"] == "here"
    assert len(house.unpacked()) == 1
