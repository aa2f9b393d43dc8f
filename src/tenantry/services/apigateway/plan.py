"""A stage, compiled: everything about its deployment that can be decided before a request comes (aws-behaviour 4.1).

The tree leads a path to a resource's routes by method; a route holds its event template, its mappings as functions, its checks,
its function and its throttle. Compiled from the frozen snapshot and the stage record alone, so a restart compiles the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tenantry.model.clock import Clock
from tenantry.services.apigateway.authorize import CompiledAuthorizer, identity_sources
from tenantry.services.apigateway.custom import Custom, needs_engine
from tenantry.services.apigateway.engines import Engines
from tenantry.services.apigateway.event import EventTemplate, SecondClock
from tenantry.services.apigateway.expressions import Read, read
from tenantry.services.apigateway.gateway import Gateway
from tenantry.services.apigateway.records import Integration, Method, MethodSetting, Resource, Snapshot, Stage
from tenantry.services.apigateway.routing import Tree
from tenantry.services.apigateway.targets import Target, target_of
from tenantry.services.apigateway.throttle import TokenBucket
from tenantry.services.apigateway.validation import Validation, compile_validation, needs_schemas

ANY = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
TENANT_HEADER = "x-amz-tenant-id"

# Lambda's Invoke refuses to be sent these by a mapping: every request of the route fails (aws-behaviour 4.4, recorded).
ILLEGAL_TARGETS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "expect",
        "proxy-authenticate",
        "te",
        "transfer-encoding",
        "x-amzn-trace-id",
    }
)


@dataclass(frozen=True, slots=True)
class Where:
    """What a compilation needs to know about its surroundings."""

    region: str
    account_id: str
    api_id: str
    clock: Clock
    seconds: SecondClock


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one resource in one stage. `target` is None where the URI names no function in this stage."""

    kind: str
    facts: Mapping[str, str]
    source_arn: str
    event: EventTemplate
    timeout_s: float
    target: Target | None
    assumes_role: bool
    post: bool
    tenant: Read | None
    illegal: tuple[Read, ...]
    validation: Validation | None
    bucket: TokenBucket | None
    authorizer: CompiledAuthorizer | None
    custom: Custom | None


@dataclass(frozen=True, slots=True)
class CompiledStage:
    """A stage as the data plane serves it. It is valid while `record` is the stage's record, by identity."""

    key: str
    record: Stage
    disabled: bool
    tree: Tree[dict[str, Route]]
    gateway: Gateway
    binary: tuple[str, ...]
    source_arn: str


async def load_engines(snapshot: Snapshot, engines: Engines) -> None:
    """Load the engines that compiling and serving a snapshot takes."""
    methods = [method for resource in snapshot.resources for method in resource.resource_methods.values()]
    validators = {item.id: item for item in snapshot.validators}
    await engines.load(
        templates=any(m.method_integration is not None and needs_engine(m.method_integration) for m in methods),
        schemas=any(needs_schemas(method, validators) for method in methods),
    )


def compile_stage(key: str, stage: Stage, snapshot: Snapshot, where: Where, engines: Engines) -> CompiledStage:
    """Compile; the engines the snapshot needs are loaded."""
    compiler = _Compiler(stage, snapshot, where, engines)
    routes = [(item.path, compiler.routes(item)) for item in snapshot.resources if item.resource_methods]
    return CompiledStage(
        key=key,
        record=stage,
        disabled=snapshot.disabled,
        tree=Tree(routes),
        gateway=Gateway(snapshot.gateway_responses),
        binary=snapshot.binary_media_types,
        source_arn=compiler.arn,
    )


class _Compiler:
    def __init__(self, stage: Stage, snapshot: Snapshot, where: Where, engines: Engines) -> None:
        self._stage = stage
        self._snapshot = snapshot
        self._where = where
        self._engines = engines
        self._validators = {item.id: item for item in snapshot.validators}
        self._models = {item.name: item for item in snapshot.models}
        self.arn = f"arn:aws:execute-api:{where.region}:{where.account_id}:{where.api_id}"
        self._authorizers = {
            item.id: CompiledAuthorizer(
                item,
                target_of(item.authorizer_uri, stage.variables),
                f"{self.arn}/authorizers/{item.id}",
                identity_sources(item),
                where.clock,
            )
            for item in snapshot.authorizers
        }

    def routes(self, resource: Resource) -> dict[str, Route]:
        """A resource's routes by HTTP method: an exact method before ANY."""
        methods = dict(resource.resource_methods)
        fallback = methods.pop("ANY", None)
        routes = {name: self._route(resource, name, fallback) for name in ANY} if fallback is not None else {}
        for name, method in methods.items():
            routes[name] = self._route(resource, name, method)
        return routes

    def _route(self, resource: Resource, name: str, method: Method) -> Route:
        stage, where, integration = self._stage, self._where, method.method_integration
        assert integration is not None, "CreateDeployment refuses a method without an integration"
        facts = self._facts(resource, name, method)
        headers = _mapped_headers(integration)
        custom = None if integration.type == "AWS_PROXY" else Custom(integration, self._engines.templates)
        pattern = re.sub(r"\{[^}]*\}", "*", resource.path)
        return Route(
            kind=integration.type,
            facts=facts,
            source_arn=f"{self.arn}/{stage.stage_name}/{name}{pattern}",
            event=EventTemplate(facts, stage.variables, self._snapshot.binary_media_types, where.seconds),
            timeout_s=integration.timeout_in_millis / 1000,
            target=target_of(integration.uri, stage.variables) if integration.uri else None,
            assumes_role=integration.credentials is not None,
            post=integration.http_method == "POST",
            tenant=headers.get(TENANT_HEADER),
            illegal=tuple(reader for header, reader in headers.items() if header in ILLEGAL_TARGETS),
            validation=compile_validation(method, self._validators, self._models, self._engines.schemas),
            bucket=self._bucket(resource.path, name),
            authorizer=self._authorizers.get(method.authorizer_id or "") if method.authorization_type == "CUSTOM" else None,
            custom=custom,
        )

    def _facts(self, resource: Resource, name: str, method: Method) -> dict[str, str]:
        """The constants of `$context` on a route."""
        where, host = self._where, f"{self._where.api_id}.execute-api.{self._where.region}.amazonaws.com"
        facts = {
            "resourceId": resource.id,
            "resourcePath": resource.path,
            "httpMethod": name,
            "accountId": where.account_id,
            "stage": self._stage.stage_name,
            "domainPrefix": where.api_id,
            "domainName": host,
            "deploymentId": self._stage.deployment_id,
            "apiId": where.api_id,
        }
        if method.operation_name:
            facts["operationName"] = method.operation_name
        return facts

    def _bucket(self, path: str, name: str) -> TokenBucket | None:
        """A route's throttle: its own setting, else the stage's for all methods, where one differs from AWS's account limit."""
        settings = {_setting_path(key): setting for key, setting in self._stage.method_settings.items()}
        for key in (f"{path.strip('/')}/{name}", f"{path.strip('/')}/*", "*/*"):
            setting = settings.get(key.lstrip("/"))
            if setting is not None:
                break
        else:
            return None
        untouched = MethodSetting()
        rate, burst = setting.throttling_rate_limit, setting.throttling_burst_limit
        if (rate, burst) == (untouched.throttling_rate_limit, untouched.throttling_burst_limit):
            return None
        return TokenBucket(rate, burst, self._where.clock)


def _setting_path(key: str) -> str:
    """A method setting's key (`~1hello~1{id}/GET`, `*/*`) as path and method without the first slash."""
    return key.replace("~1", "/").strip("/")


def _mapped_headers(integration: Integration) -> dict[str, Read]:
    """The backend headers an integration maps, by lower-cased name; of two spellings of one name the last counts."""
    found: dict[str, Read] = {}
    for target, expression in integration.request_parameters.items():
        place, _, name = target.removeprefix("integration.request.").partition(".")
        if place == "header":
            found[name.lower()] = read(expression)
    return found
