"""AWS::Lambda::EventInvokeConfig: what happens to asynchronous invocations of a function version."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import INTEGER, STRING

_DESTINATION = {"Destination": STRING}


class EventInvokeConfig(Base):
    """Retries, age and destinations; `$LATEST` stands for the function itself."""

    schema = Schema(
        type="AWS::Lambda::EventInvokeConfig",
        shape={
            "FunctionName": STRING,
            "Qualifier": STRING,
            "MaximumRetryAttempts": INTEGER,
            "MaximumEventAgeInSeconds": INTEGER,
            "DestinationConfig": {"OnSuccess": _DESTINATION, "OnFailure": _DESTINATION},
        },
        required=("FunctionName", "Qualifier"),
        create_only=frozenset({"FunctionName", "Qualifier"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return f"{properties['FunctionName']}|{properties['Qualifier']}"

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        names = {"FunctionName": properties["FunctionName"], "Qualifier": properties["Qualifier"]}
        return await scope.call_unless_gone("lambda", "GetFunctionEventInvokeConfig", **names) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call("lambda", "PutFunctionEventInvokeConfig", **properties)
        return Made(str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        await scope.call("lambda", "PutFunctionEventInvokeConfig", **new)
        return Made(physical_id)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"FunctionName": properties["FunctionName"], "Qualifier": properties["Qualifier"]}
        await scope.call_unless_gone("lambda", "DeleteFunctionEventInvokeConfig", **names)
