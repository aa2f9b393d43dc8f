"""Cloud Control, as far as `sam list endpoints` asks: what is known of one resource (aws-behaviour 5.5).

That command reads the URL of each function this way, and takes ResourceNotFoundException for "it has none". Other types are
read through their own service, so they are refused here by the name AWS gives to a type without a handler.
"""

from __future__ import annotations

import json
from typing import Any

from tenantry.model.errors import Refusal, ServiceError
from tenantry.services.operation import Context, Operations, operation

FUNCTION_URL = "AWS::Lambda::Url"

_SOURCE = "code: botocore's model; text: from memory"
NOT_FOUND = Refusal(
    "ResourceNotFoundException", 400, "Resource of type '{type}' with identifier '{identifier}' was not found.", _SOURCE
)
UNSUPPORTED = Refusal("UnsupportedActionException", 400, "Resource type {type} does not support READ action", _SOURCE)


class CloudControlService:
    """Answers for function URLs by asking Lambda."""

    name = "cloudcontrol"

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    @operation("GetResource")
    async def get_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The resource's properties as JSON text. Refuses what is not there, and types other than function URLs."""
        kind, identifier = params["TypeName"], params["Identifier"]
        if kind != FUNCTION_URL:
            raise UNSUPPORTED(type=kind)
        try:
            url = await self._operations.call("lambda", "GetFunctionUrlConfig", {"FunctionName": identifier}, ctx)
        except ServiceError as error:
            if error.code != "ResourceNotFoundException":
                raise
            raise NOT_FOUND(type=kind, identifier=identifier) from None
        properties = {name: url[name] for name in ("FunctionArn", "FunctionUrl", "AuthType") if name in url}
        return {"TypeName": kind, "ResourceDescription": {"Identifier": identifier, "Properties": json.dumps(properties)}}
