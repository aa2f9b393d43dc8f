"""Functions as the invoke path sees them: frozen values that the Lambda service publishes and placement reads."""

from __future__ import annotations

import msgspec


class LoggingConfig(msgspec.Struct, frozen=True):
    """LoggingConfig of a function. Levels are None in Text format (aws-behaviour 2.7)."""

    log_group: str
    log_format: str = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None


class FunctionVersion(msgspec.Struct, frozen=True):
    """One invocable version: `$LATEST` or a number.

    revision changes with every change of code or configuration; environments made for an older revision are retired.
    code_key and layer_keys name unpacked code packages in the blob store (sha256, hexadecimal). tenancy is True for
    TenantIsolationMode PER_TENANT. init_mode is `fork` or `snapshot`; egress an allow-list of `host:port`, empty for none.
    """

    account_id: str
    region: str
    name: str
    version: str
    revision: str
    runtime: str
    handler: str
    role: str
    code_key: str
    timeout_s: int = 3
    memory_mib: int = 128
    ephemeral_mib: int = 512
    tenancy: bool = False
    environment: dict[str, str] = {}
    layer_keys: tuple[str, ...] = ()
    logging: LoggingConfig = LoggingConfig(log_group="")
    tracing: str = "PassThrough"
    init_mode: str = "fork"
    egress: tuple[str, ...] = ()
    parked: int | None = None

    @property
    def arn(self) -> str:
        """The unqualified function ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"


class AliasTarget(msgspec.Struct, frozen=True):
    """Where an alias points. `weights` maps one additional version to its share, 0 to 1."""

    version: str
    weights: dict[str, float] = {}


class PolicyStatement(msgspec.Struct, frozen=True):
    """One statement of a resource policy: who may invoke. Patterns may hold `*` and `?`."""

    sid: str
    principal_service: str | None = None
    principal_aws: str | None = None
    action: str = "lambda:InvokeFunction"
    source_arn: str | None = None
    source_account: str | None = None


class FunctionEntry(msgspec.Struct, frozen=True):
    """All the invoke path needs of one function; replaced whole at every change.

    state: Pending | Active | Inactive | Failed ... ; reserved: reserved concurrency or None; policies: by qualifier
    (`""` for the unqualified function); async_retries and async_max_age_s: event invoke config by qualifier, missing means
    AWS's defaults (2 and 21,600).
    """

    account_id: str
    region: str
    name: str
    versions: dict[str, FunctionVersion]
    aliases: dict[str, AliasTarget] = {}
    state: str = "Active"
    state_reason: str = ""
    reserved: int | None = None
    policies: dict[str, tuple[PolicyStatement, ...]] = {}
    async_retries: dict[str, int] = {}
    async_max_age_s: dict[str, int] = {}

    @property
    def arn(self) -> str:
        """The unqualified function ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:function:{self.name}"
