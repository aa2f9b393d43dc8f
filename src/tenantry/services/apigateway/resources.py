"""Operations on resources: the tree of paths (aws-behaviour 4.1)."""

from __future__ import annotations

import re
from typing import Any

from msgspec.structs import replace

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.base import Base, page
from tenantry.services.apigateway.patch import patch, text
from tenantry.services.apigateway.records import Resource, shape
from tenantry.services.apigateway.store import CHILD_ID_LENGTH, new_id
from tenantry.services.operation import Context, operation

_PATH_PART = re.compile(r"[a-zA-Z0-9._\-:]+|\{[a-zA-Z0-9._\-:]+\+?\}")
RESOURCES_MAX = 300
_PATCHES = {"/pathPart": text("pathPart"), "/parentId": text("parentId")}


class Resources(Base):
    """CreateResource and its kin."""

    @operation("CreateResource")
    async def create_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new part of a path under a parent."""
        api_id, part = params["restApiId"], params["pathPart"]
        parent = self._store.resource(ctx.region, api_id, params["parentId"])
        prefix = f"{ctx.region}/{api_id}/"
        siblings = self._store.resources.values(prefix)
        check_part(part, parent, siblings, None)
        if len(siblings) >= RESOURCES_MAX:
            raise errors.TOO_MANY_RESOURCES()
        resource = Resource(id=new_id(CHILD_ID_LENGTH), path=joined(parent.path, part), parent_id=parent.id, path_part=part)
        self._store.resources.put(prefix + resource.id, resource)
        return resource_shape(resource)

    @operation("GetResource")
    async def get_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """One resource; its methods in full with `embed=methods`."""
        resource = self._store.resource(ctx.region, params["restApiId"], params["resourceId"])
        return resource_shape(resource, embed="methods" in (params.get("embed") or ()))

    @operation("GetResources")
    async def get_resources(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """All resources, by id."""
        api = self._store.api(ctx.region, params["restApiId"])
        resources = {item.id: item for item in self._store.resources.values(f"{ctx.region}/{api.id}/")}
        answer = page(resources.items(), params)
        embed = "methods" in (params.get("embed") or ())
        answer["items"] = [resource_shape(resources[item["id"]], embed=embed) for item in answer["items"]]
        return answer

    @operation("UpdateResource")
    async def update_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Rename a part of a path, or hang it elsewhere; everything below moves with it."""
        api_id = params["restApiId"]
        old = self._store.resource(ctx.region, api_id, params["resourceId"])
        if old.parent_id is None:
            raise errors.ROOT_UNCHANGEABLE()
        new = patch(old, params.get("patchOperations"), _PATCHES)
        prefix = f"{ctx.region}/{api_id}/"
        everything = self._store.resources.values(prefix)
        below = _below(old, everything)
        parent = self._store.resource(ctx.region, api_id, new.parent_id or "")
        if parent.id == old.id or parent in below:
            raise errors.BAD_PATCH_VALUE(path="/parentId", value=new.parent_id)
        part = new.path_part or ""
        check_part(part, parent, everything, old.id)
        if below and part.endswith("+}"):
            raise errors.UNDER_GREEDY(path=joined(parent.path, part))
        new = replace(new, path=joined(parent.path, part))
        with self._store.transaction():
            self._store.resources.put(prefix + new.id, new)
            for child in below:
                self._store.resources.put(prefix + child.id, replace(child, path=new.path + child.path[len(old.path) :]))
        return resource_shape(new)

    @operation("DeleteResource")
    async def delete_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a resource, its methods and all below it."""
        api_id = params["restApiId"]
        resource = self._store.resource(ctx.region, api_id, params["resourceId"])
        if resource.parent_id is None:
            raise errors.ROOT_UNDELETABLE()
        prefix = f"{ctx.region}/{api_id}/"
        doomed = [resource, *_below(resource, self._store.resources.values(prefix))]
        with self._store.transaction():
            for item in doomed:
                self._store.resources.delete(prefix + item.id)
        return {}


def joined(parent: str, part: str) -> str:
    """The path of a part under a parent's path."""
    return f"{parent.rstrip('/')}/{part}"


def check_part(part: str, parent: Resource, resources: list[Resource], own_id: str | None) -> None:
    """Refuse a part that may not hang under a parent among the API's resources (`own_id`: the resource that moves)."""
    if not _PATH_PART.fullmatch(part):
        raise errors.BAD_PATH_PART()
    if parent.path.endswith("+}"):
        raise errors.UNDER_GREEDY(path=parent.path)
    for sibling in resources:
        if sibling.parent_id != parent.id or sibling.id == own_id:
            continue
        if sibling.path_part == part:
            raise errors.SAME_NAME(name=part)
        other = sibling.path_part or ""
        if part[0] == "{" == other[0] and part.endswith("+}") == other.endswith("+}"):
            raise errors.ONE_VARIABLE(sibling=other)


def resource_shape(resource: Resource, *, embed: bool = False) -> dict[str, Any]:
    """An operation's answer: methods by name only, unless they are embedded."""
    answer = shape(resource)
    if resource.resource_methods and not embed:
        answer["resourceMethods"] = {name: {} for name in resource.resource_methods}
    return answer


def _below(resource: Resource, everything: list[Resource]) -> list[Resource]:
    return [item for item in everything if item.path.startswith(resource.path + "/")]
