"""What API Gateway keeps: frozen records whose member names are botocore's, in camel case on the wire and in the store.

A method with its integration and responses lives inside its resource, so that one write changes them together. `shape` turns a
record into an operation's answer.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """Base of every record."""


class RestApi(Record, frozen=True):
    """An API. `created_date` is epoch seconds; `root_resource_id` names the resource `/`."""

    id: str
    name: str
    root_resource_id: str
    created_date: float
    description: str | None = None
    version: str | None = None
    binary_media_types: tuple[str, ...] | None = None
    minimum_compression_size: int | None = None
    api_key_source: str = "HEADER"
    endpoint_configuration: dict[str, Any] = {}
    tags: dict[str, str] = {}
    disable_execute_api_endpoint: bool = False
    security_policy: str | None = None
    endpoint_access_mode: str | None = None


class IntegrationResponse(Record, frozen=True):
    """How a backend's answer becomes the client's. `selection_pattern` None marks the default."""

    status_code: str
    selection_pattern: str | None = None
    response_parameters: dict[str, str] = {}
    response_templates: dict[str, str | None] = {}
    content_handling: str | None = None


class Integration(Record, frozen=True):
    """What stands behind a method."""

    type: str
    http_method: str | None = None
    uri: str | None = None
    connection_type: str | None = None
    credentials: str | None = None
    request_parameters: dict[str, str] = {}
    request_templates: dict[str, str | None] = {}
    passthrough_behavior: str = "WHEN_NO_MATCH"
    content_handling: str | None = None
    timeout_in_millis: int = 29_000
    cache_namespace: str | None = None
    cache_key_parameters: tuple[str, ...] = ()
    integration_responses: dict[str, IntegrationResponse] = {}
    response_transfer_mode: str | None = None


class MethodResponse(Record, frozen=True):
    """What a method may answer."""

    status_code: str
    response_parameters: dict[str, bool] = {}
    response_models: dict[str, str] = {}


class Method(Record, frozen=True):
    """One HTTP method of a resource (`ANY` for all)."""

    http_method: str
    authorization_type: str = "NONE"
    authorizer_id: str | None = None
    api_key_required: bool = False
    request_validator_id: str | None = None
    operation_name: str | None = None
    request_parameters: dict[str, bool] = {}
    request_models: dict[str, str] = {}
    method_responses: dict[str, MethodResponse] = {}
    method_integration: Integration | None = None


class Resource(Record, frozen=True):
    """One part of a path and its methods. `path` is whole, with variables in braces."""

    id: str
    path: str
    parent_id: str | None = None
    path_part: str | None = None
    resource_methods: dict[str, Method] = {}


class Model(Record, frozen=True):
    """A JSON schema (draft 4) by name."""

    id: str
    name: str
    content_type: str = "application/json"
    description: str | None = None
    schema: str | None = None


class RequestValidator(Record, frozen=True):
    """Which parts of a request are checked before the integration."""

    id: str
    name: str | None = None
    validate_request_body: bool = False
    validate_request_parameters: bool = False


class GatewayResponse(Record, frozen=True):
    """A customised answer of the gateway itself."""

    response_type: str
    status_code: str | None = None
    response_parameters: dict[str, str] = {}
    response_templates: dict[str, str] = {}
    default_response: bool = False


class Authorizer(Record, frozen=True):
    """A Lambda authorizer (TOKEN or REQUEST)."""

    id: str
    name: str
    type: str
    authorizer_uri: str
    auth_type: str = "custom"
    authorizer_credentials: str | None = None
    identity_source: str | None = None
    identity_validation_expression: str | None = None
    authorizer_result_ttl_in_seconds: int = 300


class Snapshot(Record, frozen=True):
    """The parts of an API as a deployment froze them."""

    resources: tuple[Resource, ...]
    models: tuple[Model, ...] = ()
    validators: tuple[RequestValidator, ...] = ()
    gateway_responses: tuple[GatewayResponse, ...] = ()
    authorizers: tuple[Authorizer, ...] = ()
    binary_media_types: tuple[str, ...] = ()
    disabled: bool = False


class Deployment(Record, frozen=True):
    """A frozen copy of an API. Its snapshot never changes."""

    id: str
    created_date: float
    snapshot: Snapshot
    description: str | None = None


class MethodSetting(Record, frozen=True):
    """Settings of one method of a stage, or of all (`*/*`). Rates are requests a second."""

    metrics_enabled: bool = False
    logging_level: str = "OFF"
    data_trace_enabled: bool = False
    throttling_burst_limit: int = 5000
    throttling_rate_limit: float = 10_000.0
    caching_enabled: bool = False
    cache_ttl_in_seconds: int = 300
    cache_data_encrypted: bool = False
    require_authorization_for_cache_control: bool = True
    unauthorized_cache_control_header_strategy: str = "SUCCEED_WITH_RESPONSE_HEADER"


class AccessLogSettings(Record, frozen=True):
    """Where a line about every request goes, and what it says."""

    format: str | None = None
    destination_arn: str | None = None


class Stage(Record, frozen=True):
    """A name under which a deployment answers."""

    stage_name: str
    deployment_id: str
    created_date: float
    last_updated_date: float
    description: str | None = None
    cache_cluster_enabled: bool = False
    cache_cluster_size: str | None = None
    cache_cluster_status: str = "NOT_AVAILABLE"
    method_settings: dict[str, MethodSetting] = {}
    variables: dict[str, str] = {}
    documentation_version: str | None = None
    access_log_settings: AccessLogSettings | None = None
    tracing_enabled: bool = False
    tags: dict[str, str] = {}


def shape(record: Record, *without: str) -> dict[str, Any]:
    """An operation's answer: the record's members in botocore's names; absent members and empty maps are left out."""
    pruned: dict[str, Any] = _pruned(msgspec.to_builtins(record))
    for name in without:
        pruned.pop(name, None)
    return pruned


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item is not None and item != {}}
    return list(value) if isinstance(value, tuple) else value
