"""AWS::Lambda::Function. A create or update ends when the function is Active and its last update has succeeded."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, tag_changes
from tenantry.services.cloudformation.resources.shape import BOOLEAN, INTEGER, STRING, TAGS, map_of

_NAME_MAX = 64
_READY_TIMEOUT_S = 300.0
_POLL_FIRST_S, _POLL_MAX_S = 0.002, 0.25

# Property -> what UpdateFunctionConfiguration is given when a template no longer sets it.
_CONFIGURATION: dict[str, Any] = {
    "Role": None,
    "Handler": None,
    "Runtime": None,
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "Environment": {"Variables": {}},
    "Layers": [],
    "TracingConfig": {"Mode": "PassThrough"},
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None"},
    "DeadLetterConfig": {"TargetArn": ""},
    "LoggingConfig": {"LogFormat": "Text"},
    "KmsKeyArn": "",
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}
_RENAMED = {"KmsKeyArn": "KMSKeyArn"}  # CloudFormation's spelling -> Lambda's


class Function(Base):
    """A function whose code is a zip: inline (`ZipFile` holds one source file) or in S3."""

    schema = Schema(
        type="AWS::Lambda::Function",
        shape={
            "FunctionName": STRING,
            "Code": {"ZipFile": STRING, "S3Bucket": STRING, "S3Key": STRING, "S3ObjectVersion": STRING},
            "Role": STRING,
            "Handler": STRING,
            "Runtime": STRING,
            "Description": STRING,
            "Timeout": INTEGER,
            "MemorySize": INTEGER,
            "Environment": {"Variables": map_of(STRING)},
            "Layers": [STRING],
            "TracingConfig": {"Mode": STRING},
            "EphemeralStorage": {"Size": INTEGER},
            "SnapStart": {"ApplyOn": STRING},
            "DeadLetterConfig": {"TargetArn": STRING},
            "LoggingConfig": {
                "LogFormat": STRING,
                "LogGroup": STRING,
                "ApplicationLogLevel": STRING,
                "SystemLogLevel": STRING,
            },
            "KmsKeyArn": STRING,
            "VpcConfig": {"SubnetIds": [STRING], "SecurityGroupIds": [STRING], "Ipv6AllowedForDualStack": BOOLEAN},
            "Architectures": [STRING],
            "PackageType": STRING,
            "ReservedConcurrentExecutions": INTEGER,
            "TenancyConfig": {"TenantIsolationMode": STRING},
            "Tags": TAGS,
        },
        required=("Code", "Role"),
        create_only=frozenset({"FunctionName", "PackageType", "TenancyConfig"}),
        attributes=frozenset({"Arn", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus"}),
        tagged=True,
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return properties.get("FunctionName") or scope.generated_name(_NAME_MAX)

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        return await scope.call_unless_gone("lambda", "GetFunctionConfiguration", FunctionName=physical_id) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        name = str(physical_id)
        configuration = {_RENAMED.get(key, key): properties[key] for key in _CONFIGURATION if key in properties}
        await scope.call(
            "lambda",
            "CreateFunction",
            FunctionName=name,
            Code=_code(properties),
            PackageType=properties.get("PackageType"),
            Architectures=properties.get("Architectures"),
            TenancyConfig=properties.get("TenancyConfig"),
            Tags=scope.all_tags(properties.get("Tags")) or None,
            **configuration,
        )
        made = await _ready(scope, name)
        if "ReservedConcurrentExecutions" in properties:
            await _reserve(scope, name, properties)
        return made

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        made = await _ready(scope, physical_id)
        changed = {
            _RENAMED.get(key, key): new.get(key, default)
            for key, default in _CONFIGURATION.items()
            if old.get(key) != new.get(key) and new.get(key, default) is not None
        }
        if changed:
            await scope.call("lambda", "UpdateFunctionConfiguration", FunctionName=physical_id, **changed)
            made = await _ready(scope, physical_id)
        if old.get("Code") != new["Code"] or old.get("Architectures") != new.get("Architectures"):
            architectures = new.get("Architectures", ["x86_64"])
            await scope.call(
                "lambda", "UpdateFunctionCode", FunctionName=physical_id, Architectures=architectures, **_code(new)
            )
            made = await _ready(scope, physical_id)
        if old.get("ReservedConcurrentExecutions") != new.get("ReservedConcurrentExecutions"):
            await _reserve(scope, physical_id, new)
        arn = made.attributes["Arn"]
        before = (await scope.call("lambda", "ListTags", Resource=arn)).get("Tags", {})
        put, drop = tag_changes(before, scope.all_tags(new.get("Tags")))
        if put:
            await scope.call("lambda", "TagResource", Resource=arn, Tags=put)
        if drop:
            await scope.call("lambda", "UntagResource", Resource=arn, TagKeys=drop)
        return made

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("lambda", "DeleteFunction", FunctionName=physical_id)


async def _ready(scope: Scope, name: str) -> Made:
    """Wait until a function can be invoked and changed. Raises ServiceError NotStabilized when it does not get there."""
    deadline, pause = scope.clock.monotonic() + _READY_TIMEOUT_S, _POLL_FIRST_S
    while True:
        seen = await scope.call("lambda", "GetFunctionConfiguration", FunctionName=name)
        state, update = seen.get("State", "Active"), seen.get("LastUpdateStatus", "Successful")
        if state in ("Active", "Inactive") and update == "Successful":
            snap_start = seen.get("SnapStart", {})
            attributes = {
                f"SnapStartResponse.{key}": snap_start[key] for key in ("ApplyOn", "OptimizationStatus") if key in snap_start
            }
            substituted = seen.get("RuntimeVersionConfig", {}).get("Error", {}).get("Message")
            return Made(name, {"Arn": seen["FunctionArn"], **attributes}, substituted)
        if state == "Failed" or update == "Failed":
            why = seen.get("StateReason") or seen.get("LastUpdateStatusReason") or "no reason given"
            raise ServiceError("NotStabilized", f"Function {name} did not become ready: {why}")
        if scope.clock.monotonic() >= deadline:
            raise ServiceError("NotStabilized", f"Function {name} did not become ready within {_READY_TIMEOUT_S:.0f} seconds.")
        await scope.sleep(pause)
        pause = min(pause * 2, _POLL_MAX_S)


async def _reserve(scope: Scope, name: str, properties: Properties) -> None:
    if "ReservedConcurrentExecutions" in properties:
        count = properties["ReservedConcurrentExecutions"]
        await scope.call("lambda", "PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=count)
    else:
        await scope.call("lambda", "DeleteFunctionConcurrency", FunctionName=name)


def _code(properties: Properties) -> dict[str, Any]:
    code = dict(properties["Code"])
    if "ZipFile" in code:
        code["ZipFile"] = _archive(code["ZipFile"], properties.get("Runtime", ""))
    return code


def _archive(source: str, runtime: str) -> bytes:
    """Inline source as AWS packs it: one file `index`. The same source gives the same bytes."""
    name = "index.js" if runtime.startswith("nodejs") else "index.py"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, source, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
