"""Operations on Lambda authorizers. Cognito user pools and JWT are refused: they would not be enforced."""

from __future__ import annotations

import re
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.services.apigateway import errors
from tenantry.services.apigateway.base import Base, page
from tenantry.services.apigateway.expressions import valid
from tenantry.services.apigateway.patch import number, patch, text
from tenantry.services.apigateway.records import Authorizer, shape
from tenantry.services.apigateway.store import CHILD_ID_LENGTH, new_id
from tenantry.services.apigateway.targets import check_lambda_uri
from tenantry.services.operation import Context, operation

TTL_MAX_S = 3600
_PATCHES = {
    "/name": text("name"),
    "/authType": text("authType"),
    "/authorizerUri": text("authorizerUri"),
    "/authorizerCredentials": text("authorizerCredentials"),
    "/identitySource": text("identitySource"),
    "/identityValidationExpression": text("identityValidationExpression"),
    "/authorizerResultTtlInSeconds": number("authorizerResultTtlInSeconds"),
}


class Authorizers(Base):
    """CreateAuthorizer and its kin."""

    @operation("CreateAuthorizer")
    async def create_authorizer(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new authorizer."""
        api = self._store.api(ctx.region, params["restApiId"])
        authorizer = new_authorizer(params)
        prefix = f"{ctx.region}/{api.id}/"
        if any(item.name == authorizer.name for item in self._store.authorizers.values(prefix)):
            raise errors.AUTHORIZER_EXISTS(name=authorizer.name)
        self._store.authorizers.put(prefix + authorizer.id, authorizer)
        return shape(authorizer)

    @operation("GetAuthorizer")
    async def get_authorizer(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """An authorizer."""
        return shape(self._authorizer(ctx, params))

    @operation("GetAuthorizers")
    async def get_authorizers(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """All authorizers, by id."""
        api = self._store.api(ctx.region, params["restApiId"])
        return page(((item.id, item) for item in self._store.authorizers.values(f"{ctx.region}/{api.id}/")), params)

    @operation("UpdateAuthorizer")
    async def update_authorizer(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change an authorizer. Takes effect with the next deployment."""
        authorizer = patch(self._authorizer(ctx, params), params.get("patchOperations"), _PATCHES)
        check_authorizer(authorizer)
        self._store.authorizers.put(f"{ctx.region}/{params['restApiId']}/{authorizer.id}", authorizer)
        return shape(authorizer)

    @operation("DeleteAuthorizer")
    async def delete_authorizer(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget an authorizer that no method uses."""
        authorizer = self._authorizer(ctx, params)
        prefix = f"{ctx.region}/{params['restApiId']}/"
        for resource in self._store.resources.values(prefix):
            for method in resource.resource_methods.values():
                if method.authorizer_id == authorizer.id:
                    raise errors.AUTHORIZER_IN_USE(where=f"{resource.path}/{method.http_method}")
        self._store.authorizers.delete(prefix + authorizer.id)
        return {}

    def _authorizer(self, ctx: Context, params: dict[str, Any]) -> Authorizer:
        api = self._store.api(ctx.region, params["restApiId"])
        authorizer = self._store.authorizers.get(f"{ctx.region}/{api.id}/{params['authorizerId']}")
        if authorizer is None:
            raise errors.NO_AUTHORIZER(account=ctx.account_id, id=params["authorizerId"])
        return authorizer


def new_authorizer(params: dict[str, Any]) -> Authorizer:
    """A checked authorizer from CreateAuthorizer's parameters."""
    if params["type"] not in ("TOKEN", "REQUEST"):
        raise errors.unsupported(f"authorizers of type {params['type']}: they would not be enforced")
    ttl = params.get("authorizerResultTtlInSeconds")
    authorizer = Authorizer(
        id=new_id(CHILD_ID_LENGTH),
        name=params["name"],
        type=params["type"],
        authorizer_uri=params.get("authorizerUri") or "",
        auth_type=params.get("authType") or "custom",
        authorizer_credentials=params.get("authorizerCredentials"),
        identity_source=params.get("identitySource"),
        identity_validation_expression=params.get("identityValidationExpression") or None,
        authorizer_result_ttl_in_seconds=300 if ttl is None else ttl,
    )
    check_authorizer(authorizer)
    return authorizer


def check_authorizer(authorizer: Authorizer) -> None:
    """Refuse an authorizer that could not be asked, or whose cache would mix callers up."""
    try:
        check_lambda_uri(authorizer.authorizer_uri, proxy=True)
    except ServiceError:
        raise errors.BAD_AUTHORIZER_URI(uri=authorizer.authorizer_uri) from None
    if not 0 <= authorizer.authorizer_result_ttl_in_seconds <= TTL_MAX_S:
        raise errors.BAD_TTL()
    sources = [part.strip() for part in (authorizer.identity_source or "").split(",") if part.strip()]
    needed = authorizer.type == "TOKEN" or authorizer.authorizer_result_ttl_in_seconds > 0
    if (needed and not sources) or any(not valid(source) for source in sources):
        raise errors.BAD_IDENTITY_SOURCE(value=authorizer.identity_source)
    if authorizer.type == "TOKEN" and (len(sources) != 1 or not sources[0].startswith("method.request.header.")):
        raise errors.BAD_IDENTITY_SOURCE(value=authorizer.identity_source)
    if authorizer.identity_validation_expression is not None:
        try:
            re.compile(authorizer.identity_validation_expression)
        except re.error:
            raise errors.BAD_PATTERN(value=authorizer.identity_validation_expression) from None
