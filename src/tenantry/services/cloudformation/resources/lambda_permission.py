"""AWS::Lambda::Permission: one statement of a function's resource policy. Every change makes a new statement."""

from __future__ import annotations

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope
from tenantry.services.cloudformation.resources.shape import BOOLEAN, STRING

_STATEMENT_ID_MAX = 100


class Permission(Base):
    """A statement; its id is generated, as it has no name of its own."""

    schema = Schema(
        type="AWS::Lambda::Permission",
        shape={
            "FunctionName": STRING,
            "Action": STRING,
            "Principal": STRING,
            "SourceArn": STRING,
            "SourceAccount": STRING,
            "EventSourceToken": STRING,
            "FunctionUrlAuthType": STRING,
            "InvokedViaFunctionUrl": BOOLEAN,
            "PrincipalOrgID": STRING,
        },
        required=("FunctionName", "Action", "Principal"),
        create_only=frozenset(
            {
                "FunctionName",
                "Action",
                "Principal",
                "SourceArn",
                "SourceAccount",
                "EventSourceToken",
                "FunctionUrlAuthType",
                "InvokedViaFunctionUrl",
                "PrincipalOrgID",
            }
        ),
        attributes=frozenset({"Id"}),
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return scope.generated_name(_STATEMENT_ID_MAX)

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call("lambda", "AddPermission", StatementId=physical_id, **properties)
        return Made(str(physical_id), {"Id": str(physical_id)})

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        name = properties["FunctionName"]
        await scope.call_unless_gone("lambda", "RemovePermission", FunctionName=name, StatementId=physical_id)
