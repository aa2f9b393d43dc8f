"""ImportRestApi and PutRestApi: an API's parts from one OpenAPI document. All of it is kept, or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.apis import Apis, default_models, endpoint
from tenantry.services.apigateway.authorizers import check_authorizer
from tenantry.services.apigateway.gateway import DEFAULTS
from tenantry.services.apigateway.methods import (
    check_integration,
    check_integration_response,
    check_method,
    check_method_response,
)
from tenantry.services.apigateway.openapi import Document, parse, read
from tenantry.services.apigateway.parts import check_gateway_response, check_model
from tenantry.services.apigateway.records import Method, Model, Resource, RestApi, shape
from tenantry.services.apigateway.resources import RESOURCES_MAX, check_part, joined
from tenantry.services.apigateway.store import CHILD_ID_LENGTH, Known, new_id
from tenantry.services.operation import Context, operation


class Imports(Apis):
    """ImportRestApi and PutRestApi."""

    @operation("ImportRestApi")
    async def import_rest_api(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new API from a document."""
        document = parse(params["body"])
        kind = (params.get("parameters") or {}).get("endpointConfigurationTypes")
        info = document.get("info")
        name = str(info.get("title") or "") if isinstance(info, dict) else ""
        made = await self.create_rest_api(ctx, {"name": name, "endpointConfiguration": _types(kind)})
        try:
            return await self.put_rest_api(ctx, {"restApiId": made["id"], "mode": "overwrite", "body": params["body"]})
        except BaseException:
            await self.delete_rest_api(ctx, {"restApiId": made["id"]})
            raise

    @operation("PutRestApi")
    async def put_rest_api(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Replace an API's parts by a document's, or (mode `merge`) add them; resources keep their ids where paths stay."""
        api = self._store.api(ctx.region, params["restApiId"])
        document = read(parse(params["body"]), api.id)
        merge = params.get("mode", "merge") == "merge"
        prefix = f"{ctx.region}/{api.id}/"
        old = self._store.resources.values(prefix)
        resources = _resources(old, document, merge=merge)
        models = _models(self._store.models.values(prefix) if merge else default_models(), document.models)
        known = Known(
            models=frozenset(model.name for model in models),
            validators=frozenset(item.id for item in document.validators) | self._ids(prefix, merge).validators,
            authorizers=frozenset(item.id for item in document.authorizers) | self._ids(prefix, merge).authorizers,
        )
        _check(document, resources, models, known)
        kind = (params.get("parameters") or {}).get("endpointConfigurationTypes")
        api = replace(
            api,
            endpoint_configuration=endpoint(_types(kind)) if kind else api.endpoint_configuration,
            name=document.title or api.name,
            description=document.description or api.description,
            version=document.version or api.version,
            binary_media_types=document.binary_media_types or (api.binary_media_types if merge else None),
            minimum_compression_size=document.minimum_compression_size or api.minimum_compression_size,
        )
        self._keep_document(ctx.region, api, document, resources, models, merge=merge)
        return shape(api)

    def _ids(self, prefix: str, merge: bool) -> Known:
        return self._store.known(prefix) if merge else Known(frozenset())

    def _keep_document(
        self, region: str, api: RestApi, document: Document, resources: list[Resource], models: list[Model], *, merge: bool
    ) -> None:
        store, prefix = self._store, f"{region}/{api.id}/"
        with store.transaction():
            store.remove_children(region, api.id, store.resources, store.models)
            if not merge:
                store.remove_children(region, api.id, store.validators, store.authorizers, store.gateway_responses)
            store.apis.put(f"{region}/{api.id}", api)
            for resource in resources:
                store.resources.put(prefix + resource.id, resource)
            for model in models:
                store.models.put(prefix + model.name, model)
            for validator in document.validators:
                store.validators.put(prefix + validator.id, validator)
            for authorizer in document.authorizers:
                store.authorizers.put(prefix + authorizer.id, authorizer)
            for response in document.gateway_responses:
                store.gateway_responses.put(prefix + response.response_type, response)


def _types(kind: str | None) -> dict[str, Any] | None:
    return {"types": [kind]} if kind else None


def _models(kept: Iterable[Model], given: list[Model]) -> list[Model]:
    """The models by name; a document's come before those that are there."""
    return list({model.name: model for model in (*kept, *given)}.values())


def _resources(old: list[Resource], document: Document, *, merge: bool) -> list[Resource]:
    """The API's resources after an import, checked part by part."""
    by_path = {item.path: item for item in old}
    made = dict(by_path) if merge else {"/": replace(by_path["/"], resource_methods={})}
    for path, methods in document.methods.items():
        if not path.startswith("/"):
            raise errors.BAD_BODY()
        at = made["/"]
        for part in filter(None, path.split("/")):
            here = joined(at.path, part)
            if here not in made:
                check_part(part, at, list(made.values()), None)
                earlier = by_path.get(here)
                id_ = earlier.id if earlier is not None else new_id(CHILD_ID_LENGTH)
                made[here] = Resource(id=id_, path=here, parent_id=at.id, path_part=part)
            at = made[here]
        made[at.path] = replace(at, resource_methods={**at.resource_methods, **methods})
    if len(made) > RESOURCES_MAX:
        raise errors.TOO_MANY_RESOURCES()
    return list(made.values())


def _check(document: Document, resources: list[Resource], models: list[Model], known: Known) -> None:
    """The rules of the single operations, over all that a document brings."""
    for model in models:
        check_model(model, known.models)
    for authorizer in document.authorizers:
        check_authorizer(authorizer)
    for response in document.gateway_responses:
        if response.response_type not in DEFAULTS:
            raise errors.BAD_GATEWAY_PARAMETER(name=response.response_type)
        check_gateway_response(response)
    for resource in resources:
        for method in resource.resource_methods.values():
            _check_method(method, known)


def _check_method(method: Method, known: Known) -> None:
    check_method(method, known)
    for declared in method.method_responses.values():
        check_method_response(declared, known)
    integration = method.method_integration
    if integration is not None:
        check_integration(integration, method)
        for answer in integration.integration_responses.values():
            check_integration_response(answer, method)
