"""What the Lambda service keeps: durable records, and the collections they live in.

Keys are `region/function/...`; a version's text is its number or `$LATEST`. Times are epoch seconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.model.function import LoggingConfig
from tenantry.store.documents import Collection, Documents

LATEST = "$LATEST"


class Package(msgspec.Struct, frozen=True):
    """A stored deployment package. key: sha256 of the zip, hexadecimal; sizes in bytes."""

    key: str
    sha256: str
    """The same sum in base64, as AWS shows it."""
    size: int
    unzipped: int


class LayerUse(msgspec.Struct, frozen=True):
    """A layer version as a function refers to it; the package outlives the layer version's deletion."""

    arn: str
    package: Package


class VersionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`$LATEST` or a published version: code and configuration.

    revision changes with code or configuration and decides which environments are current; revision_id is what callers see,
    and changes with every change of the record, its state included. published_from: the revision of `$LATEST` that was
    published, None for `$LATEST`.
    """

    version: str
    revision: str
    revision_id: str
    modified: float
    runtime: str
    handler: str
    role: str
    code: Package
    description: str = ""
    timeout_s: int = 3
    memory_mib: int = 128
    ephemeral_mib: int = 512
    environment: dict[str, str] | None = None
    layers: tuple[LayerUse, ...] = ()
    architectures: tuple[str, ...] = ("x86_64",)
    logging: LoggingConfig = LoggingConfig(log_group="")
    tracing: str = "PassThrough"
    tenancy: bool = False
    dead_letter_arn: str | None = None
    kms_key_arn: str | None = None
    vpc: dict[str, Any] | None = None
    published_from: str | None = None


class FunctionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a function has beyond its versions.

    state: Pending | Active; update: None (not yet active), InProgress or Successful, of `$LATEST`'s last update.
    """

    region: str
    name: str
    state: str = "Pending"
    update: str | None = None
    next_version: int = 1
    reserved: int | None = None
    tags: dict[str, str] = {}


class AliasRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a version; `weights` sends a share (0 to 1) of invocations to one other version."""

    name: str
    version: str
    revision_id: str
    description: str = ""
    weights: dict[str, float] = {}


class PolicyRecord(msgspec.Struct, frozen=True):
    """A resource policy: statements as AWS writes them, in order."""

    statements: tuple[dict[str, Any], ...]
    revision_id: str


class EventConfigRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of asynchronous invocation for one qualifier; None where AWS's default holds."""

    modified: float
    retries: int | None = None
    max_age_s: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class LayerVersionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a layer."""

    name: str
    version: int
    package: Package
    created: float
    description: str = ""
    runtimes: tuple[str, ...] | None = None
    architectures: tuple[str, ...] | None = None
    license: str | None = None


class LayerCounter(msgspec.Struct, frozen=True):
    """The next version number of a layer: numbers are never given twice."""

    next_version: int


class Store:
    """The collections."""

    def __init__(self, documents: Documents) -> None:
        self.transaction = documents.transaction
        self.functions: Collection[FunctionRecord] = documents.collection("lambda.functions", FunctionRecord)
        self.versions: Collection[VersionRecord] = documents.collection("lambda.versions", VersionRecord)
        self.aliases: Collection[AliasRecord] = documents.collection("lambda.aliases", AliasRecord)
        self.policies: Collection[PolicyRecord] = documents.collection("lambda.policies", PolicyRecord)
        self.event_configs: Collection[EventConfigRecord] = documents.collection("lambda.event-configs", EventConfigRecord)
        self.layers: Collection[LayerVersionRecord] = documents.collection("lambda.layers", LayerVersionRecord)
        self.layer_counters: Collection[LayerCounter] = documents.collection("lambda.layer-counters", LayerCounter)

    def of_function(self) -> tuple[Collection[Any], ...]:
        """The collections whose keys are `region/function/...`: they go with their function."""
        return self.versions, self.aliases, self.policies, self.event_configs

    def package_keys(self) -> set[str]:
        """Every package that a version or a layer refers to."""
        keys = {record.package.key for record in self.layers.values()}
        for version in self.versions.values():
            keys.add(version.code.key)
            keys.update(layer.package.key for layer in version.layers)
        return keys


def key(region: str, *parts: str) -> str:
    """The key of a record."""
    return "/".join((region, *parts))
