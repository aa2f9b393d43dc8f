"""From records to the entry that placement reads: one function with its versions, aliases and policies, whole and frozen."""

from __future__ import annotations

import hashlib
from typing import Any

from tenantry.model.function import AliasTarget, FunctionEntry, FunctionVersion, PolicyStatement
from tenantry.services.lambda_ import tags
from tenantry.services.lambda_.records import LATEST, FunctionRecord, Store, VersionRecord

# Conditions that PolicyStatement can say. A statement with any other is not published: it could only be taken for a wider one.
_SOURCE_ARN = ("ArnLike", "AWS:SourceArn")
_SOURCE_ACCOUNT = ("StringEquals", "AWS:SourceAccount")


def entry(store: Store, account_id: str, function: FunctionRecord) -> FunctionEntry:
    """The entry of a function, as its records say now."""
    prefix = f"{function.region}/{function.name}/"
    wishes = tags.wishes(function.tags)
    versions = {record.version: _version(account_id, function, record, wishes) for _, record in store.versions.items(prefix)}
    configs = {name.removeprefix(prefix): config for name, config in store.event_configs.items(prefix)}
    if LATEST in configs:
        configs[""] = configs[LATEST]  # an invocation without a qualifier
    return FunctionEntry(
        account_id=account_id,
        region=function.region,
        name=function.name,
        versions=versions,
        aliases={record.name: AliasTarget(record.version, record.weights) for _, record in store.aliases.items(prefix)},
        state=function.state,
        reserved=function.reserved,
        policies={name.removeprefix(prefix): _statements(policy.statements) for name, policy in store.policies.items(prefix)},
        async_retries={name: config.retries for name, config in configs.items() if config.retries is not None},
        async_max_age_s={name: config.max_age_s for name, config in configs.items() if config.max_age_s is not None},
    )


def _version(account_id: str, function: FunctionRecord, record: VersionRecord, wishes: tags.Wishes) -> FunctionVersion:
    return FunctionVersion(
        account_id=account_id,
        region=function.region,
        name=function.name,
        version=record.version,
        revision=_revision(record, wishes),
        runtime=record.runtime,
        handler=record.handler,
        role=record.role,
        code_key=record.code.key,
        timeout_s=record.timeout_s,
        memory_mib=record.memory_mib,
        ephemeral_mib=record.ephemeral_mib,
        tenancy=record.tenancy,
        environment=record.environment or {},
        layer_keys=tuple(layer.package.key for layer in record.layers),
        logging=record.logging,
        tracing=record.tracing,
        init_mode=wishes.init_mode,
        egress=wishes.egress,
        parked=wishes.parked,
    )


def _revision(record: VersionRecord, wishes: tags.Wishes) -> str:
    """What environments are made from: the record, and the two wishes that shape them."""
    if wishes.init_mode == "fork" and not wishes.egress:
        return record.revision
    shape = " ".join((wishes.init_mode, *wishes.egress))
    return f"{record.revision}-{hashlib.sha256(shape.encode()).hexdigest()[:8]}"


def _statements(statements: tuple[dict[str, Any], ...]) -> tuple[PolicyStatement, ...]:
    found = (_statement(statement) for statement in statements)
    return tuple(statement for statement in found if statement is not None)


def _statement(statement: dict[str, Any]) -> PolicyStatement | None:
    principal = statement["Principal"]
    known: dict[tuple[str, str], str] = {}
    for operator, tests in statement.get("Condition", {}).items():
        for name, value in tests.items():
            if (operator, name) not in (_SOURCE_ARN, _SOURCE_ACCOUNT):
                return None
            known[operator, name] = value
    named = principal if isinstance(principal, dict) else {"Service": principal, "AWS": principal}
    return PolicyStatement(
        sid=statement["Sid"],
        principal_service=named.get("Service"),
        principal_aws=named.get("AWS"),
        action=statement["Action"],
        source_arn=known.get(_SOURCE_ARN),
        source_account=known.get(_SOURCE_ACCOUNT),
    )
