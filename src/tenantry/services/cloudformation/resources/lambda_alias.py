"""AWS::Lambda::Alias. Its `Ref` is the alias's ARN."""

from __future__ import annotations

from typing import Any

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import NUMBER, STRING


class Alias(Base):
    """An alias, with weights for a second version where asked."""

    schema = Schema(
        type="AWS::Lambda::Alias",
        shape={
            "FunctionName": STRING,
            "Name": STRING,
            "FunctionVersion": STRING,
            "Description": STRING,
            "RoutingConfig": {"AdditionalVersionWeights": [{"FunctionVersion": STRING, "FunctionWeight": NUMBER}]},
        },
        required=("FunctionName", "FunctionVersion", "Name"),
        create_only=frozenset({"FunctionName", "Name"}),
        attributes=frozenset({"AliasArn"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return f"{function_arn(scope, properties['FunctionName'])}:{properties['Name']}"

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        names = {"FunctionName": properties["FunctionName"], "Name": properties["Name"]}
        return await scope.call_unless_gone("lambda", "GetAlias", **names) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        answer = await scope.call(
            "lambda",
            "CreateAlias",
            FunctionName=properties["FunctionName"],
            Name=properties["Name"],
            FunctionVersion=properties["FunctionVersion"],
            Description=properties.get("Description"),
            RoutingConfig=_routing(properties) if "RoutingConfig" in properties else None,
        )
        return Made(str(physical_id), {"AliasArn": answer["AliasArn"]})

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        answer = await scope.call(
            "lambda",
            "UpdateAlias",
            FunctionName=new["FunctionName"],
            Name=new["Name"],
            FunctionVersion=new["FunctionVersion"],
            Description=new.get("Description", ""),
            RoutingConfig=_routing(new),
        )
        return Made(physical_id, {"AliasArn": answer["AliasArn"]})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"FunctionName": properties["FunctionName"], "Name": properties["Name"]}
        await scope.call_unless_gone("lambda", "DeleteAlias", **names)


def function_arn(scope: Scope, name: str) -> str:
    """The unqualified ARN of a function given by name, partial ARN (`123456789012:function:f`) or ARN."""
    if name.startswith("arn:"):
        return ":".join(name.split(":")[:7])
    bare = name.split(":function:")[-1].removeprefix("function:").split(":")[0]
    return f"arn:{scope.partition}:lambda:{scope.ctx.region}:{scope.ctx.account_id}:function:{bare}"


def _routing(properties: Properties) -> dict[str, Any]:
    weights = properties.get("RoutingConfig", {}).get("AdditionalVersionWeights", [])
    return {"AdditionalVersionWeights": {item["FunctionVersion"]: item["FunctionWeight"] for item in weights}}
