"""Cloud Control answers for function URLs, from what Lambda says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal
from tenantry.services.cloudcontrol import CloudControlService
from tenantry.services.operation import Context, Operations, operation

URL = {"FunctionArn": "arn:f", "FunctionUrl": "https://u/", "AuthType": "NONE", "CreationTime": "now"}


class Lambda:
    """Knows the URL of one function; `broken` fails."""

    name = "lambda"

    @operation("GetFunctionUrlConfig")
    async def get(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params["FunctionName"] == "with-url":
            return URL
        code = "ResourceNotFoundException" if params["FunctionName"] == "without" else "ServiceException"
        raise ServiceError(code, "no", status=404)


@pytest.fixture
def operations() -> Operations:
    made = Operations(lambda service, name, params: None)
    made.add(Lambda())
    made.add(CloudControlService(made))
    return made


async def read(operations: Operations, identifier: str, kind: str = "AWS::Lambda::Url") -> dict[str, Any]:
    context = Context("us-east-1", "000000000000", "r", Principal("arn:aws:iam::000000000000:root", "root"), "http://x")
    return await operations.call("cloudcontrol", "GetResource", {"TypeName": kind, "Identifier": identifier}, context)


async def test_url_is_told_as_properties(operations: Operations) -> None:
    answer = await read(operations, "with-url")
    assert answer["TypeName"] == "AWS::Lambda::Url"
    assert json.loads(answer["ResourceDescription"]["Properties"]) == {
        "FunctionArn": "arn:f",
        "FunctionUrl": "https://u/",
        "AuthType": "NONE",
    }


@pytest.mark.parametrize(
    ("identifier", "kind", "code"),
    [
        ("without", "AWS::Lambda::Url", "ResourceNotFoundException"),
        ("broken", "AWS::Lambda::Url", "ServiceException"),
        ("any", "AWS::S3::Bucket", "UnsupportedActionException"),
    ],
)
async def test_refusals(operations: Operations, identifier: str, kind: str, code: str) -> None:
    with pytest.raises(ServiceError) as error:
        await read(operations, identifier, kind)
    assert error.value.code == code
