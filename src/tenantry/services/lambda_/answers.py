"""From records to botocore-shaped answers (aws-behaviour 3.1)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from tenantry.services.lambda_.records import LATEST, AliasRecord, FunctionRecord, LayerVersionRecord, VersionRecord

_CREATING = "The function is being created."


def timestamp(epoch_s: float) -> str:
    """`2026-01-01T00:00:00.000+0000`."""
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def configuration(
    function: FunctionRecord,
    record: VersionRecord,
    arn: str,
    warning: str | None = None,
    *,
    listed: bool = False,
) -> dict[str, Any]:
    """A FunctionConfiguration. arn: qualified as the operation shows it; warning: of the runtime, shown as its version's error;
    listed: without state, as the listing operations show it."""
    answer: dict[str, Any] = {
        "FunctionName": function.name,
        "FunctionArn": arn,
        "Runtime": record.runtime,
        "Role": record.role,
        "Handler": record.handler,
        "CodeSize": record.code.size,
        "Description": record.description,
        "Timeout": record.timeout_s,
        "MemorySize": record.memory_mib,
        "LastModified": timestamp(record.modified),
        "CodeSha256": record.code.sha256,
        "Version": record.version,
        "TracingConfig": {"Mode": record.tracing},
        "RevisionId": record.revision_id,
        "PackageType": "Zip",
        "Architectures": list(record.architectures),
        "EphemeralStorage": {"Size": record.ephemeral_mib},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": _logging(record),
        **_optional(record),
    }
    if not listed:
        answer.update(_state(function, record))
        answer["RuntimeVersionConfig"] = _runtime_version(function.region, record.runtime, warning)
    return answer


def alias(record: AliasRecord, function_arn: str) -> dict[str, Any]:
    """An AliasConfiguration."""
    answer: dict[str, Any] = {
        "AliasArn": f"{function_arn}:{record.name}",
        "Name": record.name,
        "FunctionVersion": record.version,
        "Description": record.description,
        "RevisionId": record.revision_id,
    }
    if record.weights:
        answer["RoutingConfig"] = {"AdditionalVersionWeights": dict(record.weights)}
    return answer


def layer_version(record: LayerVersionRecord, layer_arn: str) -> dict[str, Any]:
    """A LayerVersionsListItem; the other layer answers add to it."""
    answer: dict[str, Any] = {
        "LayerVersionArn": f"{layer_arn}:{record.version}",
        "Version": record.version,
        "Description": record.description,
        "CreatedDate": timestamp(record.created),
    }
    if record.runtimes is not None:
        answer["CompatibleRuntimes"] = list(record.runtimes)
    if record.architectures is not None:
        answer["CompatibleArchitectures"] = list(record.architectures)
    if record.license is not None:
        answer["LicenseInfo"] = record.license
    return answer


def _optional(record: VersionRecord) -> dict[str, Any]:
    """Members that are there only where they were set."""
    answer: dict[str, Any] = {}
    if record.environment is not None:
        answer["Environment"] = {"Variables": dict(record.environment)}
    if record.layers:
        answer["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.package.size} for layer in record.layers]
    if record.dead_letter_arn:
        answer["DeadLetterConfig"] = {"TargetArn": record.dead_letter_arn}
    if record.kms_key_arn:
        answer["KMSKeyArn"] = record.kms_key_arn
    if record.vpc is not None:
        answer["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", **record.vpc}
    if record.tenancy:
        answer["TenancyConfig"] = {"TenantIsolationMode": "PER_TENANT"}
    return answer


def _logging(record: VersionRecord) -> dict[str, Any]:
    logging = record.logging
    answer = {"LogFormat": logging.log_format, "LogGroup": logging.log_group}
    if logging.application_log_level:
        answer["ApplicationLogLevel"] = logging.application_log_level
    if logging.system_log_level:
        answer["SystemLogLevel"] = logging.system_log_level
    return answer


def _state(function: FunctionRecord, record: VersionRecord) -> dict[str, Any]:
    answer: dict[str, Any] = {"State": function.state}
    if function.state == "Pending":
        answer.update(StateReason=_CREATING, StateReasonCode="Creating")
        return answer
    update = function.update if record.version == LATEST else "Successful"
    answer["LastUpdateStatus"] = update
    if update == "InProgress":
        answer.update(LastUpdateStatusReason=_CREATING, LastUpdateStatusReasonCode="Creating")
    return answer


def _runtime_version(region: str, runtime: str, warning: str | None) -> dict[str, Any]:
    digest = hashlib.sha256(runtime.encode()).hexdigest()
    answer: dict[str, Any] = {"RuntimeVersionArn": runtime_version_arn(region, digest)}
    if warning is not None:
        answer["Error"] = {"ErrorCode": "RuntimeSubstituted", "Message": warning}
    return answer


def runtime_version_arn(region: str, digest: str) -> str:
    """The ARN of a runtime version."""
    return f"arn:aws:lambda:{region}::runtime:{digest}"
