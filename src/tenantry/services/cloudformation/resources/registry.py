"""Every resource type, one row each. A new type is one file beside this one and one row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tenantry.services.cloudformation.resources.apigateway_authorizer import Authorizer
from tenantry.services.cloudformation.resources.apigateway_deployment import Deployment
from tenantry.services.cloudformation.resources.apigateway_gateway_response import GatewayResponse
from tenantry.services.cloudformation.resources.apigateway_method import Method
from tenantry.services.cloudformation.resources.apigateway_model import Model
from tenantry.services.cloudformation.resources.apigateway_request_validator import RequestValidator
from tenantry.services.cloudformation.resources.apigateway_resource import Resource
from tenantry.services.cloudformation.resources.apigateway_rest_api import RestApi
from tenantry.services.cloudformation.resources.apigateway_stage import Stage
from tenantry.services.cloudformation.resources.contract import ResourceType
from tenantry.services.cloudformation.resources.iam_managed_policy import ManagedPolicy
from tenantry.services.cloudformation.resources.iam_policy import Policy
from tenantry.services.cloudformation.resources.iam_role import Role
from tenantry.services.cloudformation.resources.lambda_alias import Alias
from tenantry.services.cloudformation.resources.lambda_event_invoke_config import EventInvokeConfig
from tenantry.services.cloudformation.resources.lambda_function import Function
from tenantry.services.cloudformation.resources.lambda_layer_version import LayerVersion
from tenantry.services.cloudformation.resources.lambda_permission import Permission
from tenantry.services.cloudformation.resources.lambda_version import Version
from tenantry.services.cloudformation.resources.logs_log_group import LogGroup
from tenantry.services.cloudformation.resources.s3_bucket import Bucket
from tenantry.services.cloudformation.resources.s3_bucket_policy import BucketPolicy

_ALL: tuple[ResourceType, ...] = (
    Function(),
    Permission(),
    Version(),
    Alias(),
    LayerVersion(),
    EventInvokeConfig(),
    Role(),
    Policy(),
    ManagedPolicy(),
    LogGroup(),
    RestApi(),
    Resource(),
    Method(),
    Deployment(),
    Stage(),
    Model(),
    RequestValidator(),
    GatewayResponse(),
    Authorizer(),
    Bucket(),
    BucketPolicy(),
)

RESOURCE_TYPES: Mapping[str, ResourceType] = MappingProxyType({kind.schema.type: kind for kind in _ALL})
