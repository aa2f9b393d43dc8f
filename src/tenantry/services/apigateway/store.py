"""Where API Gateway's records live: one collection a kind, keys `region/api/child`. Ids are unique over all regions.

The data plane reads the same collections: a stage record that is still the same object means that nothing changed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.records import (
    Authorizer,
    Deployment,
    GatewayResponse,
    Model,
    RequestValidator,
    Resource,
    RestApi,
    Stage,
)
from tenantry.store.documents import Collection, Documents

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
API_ID_LENGTH = 10
CHILD_ID_LENGTH = 6


def new_id(length: int) -> str:
    """A random id of lower-case letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


@dataclass(frozen=True, slots=True)
class Known:
    """What a method or a model may refer to in its API."""

    models: frozenset[str]
    validators: frozenset[str] = frozenset()
    authorizers: frozenset[str] = frozenset()


class Store:
    """Every record of every API."""

    def __init__(self, documents: Documents, account_id: str) -> None:
        self.account_id = account_id
        self.transaction = documents.transaction
        self.apis: Collection[RestApi] = documents.collection("apigateway.apis", RestApi)
        self.resources: Collection[Resource] = documents.collection("apigateway.resources", Resource)
        self.models: Collection[Model] = documents.collection("apigateway.models", Model)
        self.validators: Collection[RequestValidator] = documents.collection("apigateway.validators", RequestValidator)
        self.gateway_responses: Collection[GatewayResponse] = documents.collection(
            "apigateway.gateway-responses", GatewayResponse
        )
        self.authorizers: Collection[Authorizer] = documents.collection("apigateway.authorizers", Authorizer)
        self.deployments: Collection[Deployment] = documents.collection("apigateway.deployments", Deployment)
        self.stages: Collection[Stage] = documents.collection("apigateway.stages", Stage)
        self.regions: dict[str, str] = {key.partition("/")[2]: key.partition("/")[0] for key, _ in self.apis.items()}
        """The region of each API."""

    @property
    def children(self) -> tuple[Collection[Any], ...]:
        """The collections whose records belong to an API."""
        return (
            self.resources,
            self.models,
            self.validators,
            self.gateway_responses,
            self.authorizers,
            self.deployments,
            self.stages,
        )

    def api(self, region: str, api_id: str) -> RestApi:
        """An API; NotFoundException where there is none."""
        api = self.apis.get(f"{region}/{api_id}")
        if api is None:
            raise errors.NO_API(account=self.account_id, id=api_id)
        return api

    def resource(self, region: str, api_id: str, resource_id: str) -> Resource:
        """A resource of an API; NotFoundException where there is none."""
        self.api(region, api_id)
        resource = self.resources.get(f"{region}/{api_id}/{resource_id}")
        if resource is None:
            raise errors.NO_RESOURCE()
        return resource

    def known(self, prefix: str) -> Known:
        """What the API whose keys begin with `prefix` has to refer to."""
        return Known(
            models=frozenset(item.name for item in self.models.values(prefix)),
            validators=frozenset(item.id for item in self.validators.values(prefix)),
            authorizers=frozenset(item.id for item in self.authorizers.values(prefix)),
        )

    def new_api_id(self) -> str:
        """An id no API has."""
        while (api_id := new_id(API_ID_LENGTH)) in self.regions:
            pass
        return api_id

    def remove_children(self, region: str, api_id: str, *collections: Collection[Any]) -> None:
        """Forget all records of an API in some collections."""
        for collection in collections:
            for key, _ in list(collection.items(f"{region}/{api_id}/")):
                collection.delete(key)
