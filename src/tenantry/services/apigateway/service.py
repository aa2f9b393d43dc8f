"""The control plane as one service: every operation of botocore's `apigateway` that tenantry answers."""

from __future__ import annotations

from tenantry.model.clock import Clock
from tenantry.services.apigateway.authorizers import Authorizers
from tenantry.services.apigateway.deployments import Deployments
from tenantry.services.apigateway.imports import Imports
from tenantry.services.apigateway.methods import Methods
from tenantry.services.apigateway.parts import Parts
from tenantry.services.apigateway.resources import Resources
from tenantry.services.apigateway.store import Store
from tenantry.store.documents import Documents


class ApiGatewayService(Imports, Resources, Methods, Parts, Authorizers, Deployments):
    """API Gateway's operations over `documents`. `store` is what the data plane reads."""

    name = "apigateway"

    def __init__(self, documents: Documents, clock: Clock, account_id: str) -> None:
        self.store = Store(documents, account_id)
        super().__init__(self.store, clock)


def invoke_url(api_id: str, region: str) -> str:
    """The address AWS gives an API, without a stage: what stack outputs name and the platform maps to one that works here."""
    return f"https://{api_id}.execute-api.{region}.amazonaws.com"
