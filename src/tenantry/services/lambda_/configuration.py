"""From the parameters of CreateFunction and UpdateFunctionConfiguration to a record, with every rule that needs nothing else.

What botocore's model already says (lengths, patterns, enums) has been checked before an operation is called; here are the
rules beyond it (aws-behaviour 1.2, 2.2, 2.7, 3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from tenantry.model.function import LoggingConfig
from tenantry.services.lambda_ import errors, runtimes
from tenantry.services.lambda_.packages import UNZIPPED_MAX
from tenantry.services.lambda_.records import LayerUse, Package, VersionRecord

TIMEOUT_S_MAX = 900
MEMORY_MIB_MAX = 10_240
ENVIRONMENT_BYTES_MAX = 4096
LAYERS_MAX = 5

RESERVED_VARIABLES = frozenset(
    (
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
        *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
        *("AWS_LAMBDA_MAX_CONCURRENCY", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN"),
    )
)

# Members that ask for something tenantry does not have; falsy values ask for nothing.
_NOT_OFFERED = {
    "FileSystemConfigs": "file systems (FileSystemConfigs)",
    "ImageConfig": "container images (ImageConfig)",
    "CodeSigningConfigArn": "code signing (CodeSigningConfigArn)",
    "CapacityProviderConfig": "managed instances (CapacityProviderConfig)",
    "DurableConfig": "durable functions (DurableConfig)",
    "RuntimeConfig": "custom runtimes (RuntimeConfig)",
    "AcceleratorConfig": "accelerators (AcceleratorConfig)",
    "PublishTo": "publishing to $LATEST.PUBLISHED (PublishTo)",
}


def check(params: Mapping[str, Any], tenancy: bool) -> None:
    """Refuse what cannot be, whatever the function is now. tenancy: whether the function is, or will be, isolated."""
    _check_offered(params, tenancy)
    _at_most("timeout", params.get("Timeout"), TIMEOUT_S_MAX)
    _at_most("memorySize", params.get("MemorySize"), MEMORY_MIB_MAX)
    if params.get("Runtime") is not None:
        runtimes.check(params["Runtime"])
    _check_variables((params.get("Environment") or {}).get("Variables") or {})
    _check_layers(params.get("Layers") or [])
    target = (params.get("DeadLetterConfig") or {}).get("TargetArn")
    if target and target.split(":")[2:3] not in (["sqs"], ["sns"]):
        raise errors.BAD_DEAD_LETTER_TARGET(arn=target)


def created(
    params: Mapping[str, Any],
    name: str,
    code: Package,
    layers: tuple[LayerUse, ...],
    identity: Mapping[str, Any],
) -> VersionRecord:
    """`$LATEST` of a new function, from checked parameters. identity: version, revision, revision_id and modified."""
    blank = VersionRecord(
        runtime=params["Runtime"],
        handler=params["Handler"],
        role=params["Role"],
        code=code,
        logging=LoggingConfig(log_group=f"/aws/lambda/{name}"),
        tenancy=bool(params.get("TenancyConfig")),
        architectures=tuple(params.get("Architectures") or ("x86_64",)),
        **identity,
    )
    return changed(blank, params, layers if params.get("Layers") is not None else None)


def changed(record: VersionRecord, params: Mapping[str, Any], layers: tuple[LayerUse, ...] | None) -> VersionRecord:
    """The record with the members that are given; layers None keeps those it has. Revisions are the caller's."""
    plain = {
        "runtime": params.get("Runtime"),
        "handler": params.get("Handler"),
        "role": params.get("Role"),
        "description": params.get("Description"),
        "timeout_s": params.get("Timeout"),
        "memory_mib": params.get("MemorySize"),
        "ephemeral_mib": (params.get("EphemeralStorage") or {}).get("Size"),
        "tracing": (params.get("TracingConfig") or {}).get("Mode"),
        "layers": layers,
    }
    changes: dict[str, Any] = {member: value for member, value in plain.items() if value is not None}
    if params.get("Environment") is not None:
        changes["environment"] = dict(params["Environment"].get("Variables") or {})
    if params.get("DeadLetterConfig") is not None:
        changes["dead_letter_arn"] = params["DeadLetterConfig"].get("TargetArn") or None
    if params.get("KMSKeyArn") is not None:
        changes["kms_key_arn"] = params["KMSKeyArn"] or None
    if params.get("VpcConfig") is not None:
        changes["vpc"] = dict(params["VpcConfig"])
    if params.get("LoggingConfig") is not None:
        changes["logging"] = logging_config(record.logging, params["LoggingConfig"])
    result = msgspec.structs.replace(record, **changes)
    check_size(result.code, result.layers)
    return result


def logging_config(current: LoggingConfig, given: Mapping[str, Any]) -> LoggingConfig:
    """A partial LoggingConfig over the current one: levels exist in JSON only, and default to INFO there."""
    log_format = given.get("LogFormat") or current.log_format
    application, system = given.get("ApplicationLogLevel"), given.get("SystemLogLevel")
    group = given.get("LogGroup") or current.log_group
    if log_format != "JSON":
        if application or system:
            raise errors.LEVELS_NEED_JSON()
        return LoggingConfig(group, log_format)
    application = application or current.application_log_level or "INFO"
    return LoggingConfig(group, log_format, application, system or current.system_log_level or "INFO")


def check_size(code: Package, layers: tuple[LayerUse, ...]) -> None:
    """Code and layers together, unzipped. Raises InvalidParameterValueException."""
    size = code.unzipped + sum(layer.package.unzipped for layer in layers)
    if size > UNZIPPED_MAX:
        raise errors.LAYERS_TOO_LARGE(limit=UNZIPPED_MAX, size=size)


def _check_offered(params: Mapping[str, Any], tenancy: bool) -> None:
    if params.get("PackageType") == "Image":
        raise errors.NOT_OFFERED(what="container images (PackageType Image)")
    if tenancy and params.get("CapacityProviderConfig"):
        raise errors.CAPACITY_WITH_TENANCY()
    if (params.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions":
        raise errors.SNAPSTART_WITH_TENANCY() if tenancy else errors.NOT_OFFERED(what="SnapStart")
    for member, what in _NOT_OFFERED.items():
        if params.get(member):
            raise errors.NOT_OFFERED(what=what)


def _at_most(member: str, value: int | None, limit: int) -> None:
    """The model allows more, for managed instances."""
    if value is not None and value > limit:
        constraint = f"Member must have value less than or equal to {limit}"
        raise errors.CONSTRAINT(value=value, member=member, constraint=constraint)


def _check_variables(variables: Mapping[str, str]) -> None:
    reserved = sorted(RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise errors.RESERVED_VARIABLES(keys=", ".join(reserved))
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if variables and len(measured.encode("utf-8", "surrogatepass")) > ENVIRONMENT_BYTES_MAX:
        raise errors.VARIABLES_TOO_LARGE(measured=measured)


def _check_layers(arns: list[str]) -> None:
    if len(arns) > LAYERS_MAX:
        raise errors.TOO_MANY_LAYERS()
    seen: dict[str, str] = {}
    for arn in arns:
        layer = arn.rpartition(":")[0]
        if layer in seen:
            raise errors.LAYER_TWICE(first=seen[layer], second=arn)
        seen[layer] = arn
