"""Log groups: CreateLogGroup and its kin, retention, tags (aws-behaviour 6.2)."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from msgspec.structs import replace

from tenantry.services.logs import errors
from tenantry.services.logs.base import Base, make_token, read_token
from tenantry.services.logs.records import GROUPS_PER_PAGE, RETENTION_DAYS, TAGS_MAX, LogGroup
from tenantry.services.operation import Context, operation
from tenantry.store.logs.store import LogStoreUnavailableError

_TAG_KEY = re.compile(r"(?!aws:)[\w\s_.:/=+\-@]{1,128}")
_TAG_VALUE = re.compile(r"[\w\s_.:/=+\-@]{0,256}")


class Groups(Base):
    """Operations on log groups."""

    @operation("CreateLogGroup")
    async def create_log_group(self, ctx: Context, params: dict[str, Any]) -> None:
        name = params["logGroupName"]
        if name.lower().startswith("aws/"):
            raise errors.GROUP_RESERVED()
        if f"{ctx.region}/{name}" in self._groups:
            raise errors.GROUP_EXISTS()
        group = LogGroup(
            region=ctx.region,
            account_id=ctx.account_id,
            name=name,
            created_ms=self._now_ms(),
            kms_key_id=params.get("kmsKeyId"),
            group_class=params.get("logGroupClass", "STANDARD"),
            protected=params.get("deletionProtectionEnabled", False),
            tags=_checked({}, params.get("tags") or {}),
        )
        self._groups.put(group.key, group)

    @operation("DeleteLogGroup")
    async def delete_log_group(self, ctx: Context, params: dict[str, Any]) -> None:
        """Events go first: a crash in between leaves an empty group, never a forgotten one's events."""
        group = self._group(ctx, params["logGroupName"])
        if group.protected:
            raise errors.GROUP_PROTECTED()
        try:
            await self._store.delete_group(ctx.region, group.name)
        except LogStoreUnavailableError:
            raise errors.UNAVAILABLE() from None
        self._groups.delete(group.key)
        if await self._read(lambda reader: reader.stored_bytes(ctx.region, [group.name])):
            self.ensure_group(ctx.region, group.name)  # an environment wrote meanwhile

    @operation("DescribeLogGroups")
    async def describe_log_groups(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        prefix, pattern = params.get("logGroupNamePrefix"), params.get("logGroupNamePattern")
        if prefix and pattern:
            raise errors.BAD_GROUP_FILTER()
        await self._settled()  # groups of events on their way are made by now
        wanted = params.get("logGroupClass")
        names = params.get("logGroupIdentifiers")
        chosen = {identifier.removesuffix(":*").rpartition(":")[2] for identifier in names} if names else None
        query = ("groups", ctx.region, prefix, pattern, wanted, names)
        after = read_token(params.get("nextToken"), str, *query)
        matching = (
            group
            for group in self._by_name(ctx, prefix or "", after)
            if (not pattern or pattern.lower() in group.name.lower())
            and (wanted is None or group.group_class == wanted)
            and (chosen is None or group.name in chosen)
        )
        limit = params.get("limit", GROUPS_PER_PAGE)
        found = list(islice(matching, limit + 1))
        page = found[:limit]
        sizes = await self._read(lambda reader: reader.stored_bytes(ctx.region, [group.name for group in page]))
        return {
            "logGroups": [_shape(group, sizes.get(group.name, 0)) for group in page],
            "nextToken": make_token(page[-1].name, *query) if len(found) > limit else None,
        }

    @operation("ListLogGroups")
    async def list_log_groups(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        pattern, wanted = params.get("logGroupNamePattern"), params.get("logGroupClass")
        await self._settled()
        query = ("list", ctx.region, pattern, wanted)
        after = read_token(params.get("nextToken"), str, *query)
        matching = (
            group
            for group in self._by_name(ctx, "", after)
            if _listed(group.name, pattern) and (wanted is None or group.group_class == wanted)
        )
        limit = params.get("limit", GROUPS_PER_PAGE)
        found = list(islice(matching, limit + 1))
        return {
            "logGroups": [
                {"logGroupName": group.name, "logGroupArn": group.arn, "logGroupClass": group.group_class}
                for group in found[:limit]
            ],
            "nextToken": make_token(found[limit - 1].name, *query) if len(found) > limit else None,
        }

    @operation("PutRetentionPolicy")
    async def put_retention_policy(self, ctx: Context, params: dict[str, Any]) -> None:
        days = params["retentionInDays"]
        if days not in RETENTION_DAYS:
            raise errors.BAD_RETENTION(days=days, allowed=", ".join(map(str, RETENTION_DAYS)))
        group = self._group(ctx, params["logGroupName"])
        self._groups.put(group.key, replace(group, retention_days=days))

    @operation("DeleteRetentionPolicy")
    async def delete_retention_policy(self, ctx: Context, params: dict[str, Any]) -> None:
        group = self._group(ctx, params["logGroupName"])
        self._groups.put(group.key, replace(group, retention_days=None))

    @operation("PutLogGroupDeletionProtection")
    async def put_log_group_deletion_protection(self, ctx: Context, params: dict[str, Any]) -> None:
        group = self._identified(ctx, params["logGroupIdentifier"])
        self._groups.put(group.key, replace(group, protected=params["deletionProtectionEnabled"]))

    # -- tags ---------------------------------------------------------------------------------------------------------

    @operation("TagResource")
    async def tag_resource(self, ctx: Context, params: dict[str, Any]) -> None:
        self._tag(self._group_of_arn(ctx, params["resourceArn"]), params["tags"])

    @operation("UntagResource")
    async def untag_resource(self, ctx: Context, params: dict[str, Any]) -> None:
        self._untag(self._group_of_arn(ctx, params["resourceArn"]), params["tagKeys"])

    @operation("ListTagsForResource")
    async def list_tags_for_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"tags": dict(self._group_of_arn(ctx, params["resourceArn"]).tags)}

    @operation("TagLogGroup")
    async def tag_log_group(self, ctx: Context, params: dict[str, Any]) -> None:
        self._tag(self._group(ctx, params["logGroupName"]), params["tags"])

    @operation("UntagLogGroup")
    async def untag_log_group(self, ctx: Context, params: dict[str, Any]) -> None:
        self._untag(self._group(ctx, params["logGroupName"]), params["tags"])

    @operation("ListTagsLogGroup")
    async def list_tags_log_group(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"tags": dict(self._group(ctx, params["logGroupName"]).tags)}

    def ensure_group(self, region: str, name: str) -> None:
        """Make the group of events that an environment wrote, where it is missing (aws-behaviour 2.6)."""
        key = f"{region}/{name}"
        if key not in self._groups:
            self._groups.put(key, LogGroup(region, self._account_id, name, self._now_ms()))

    def _tag(self, group: LogGroup, tags: dict[str, str]) -> None:
        self._groups.put(group.key, replace(group, tags=_checked(group.tags, tags)))

    def _untag(self, group: LogGroup, keys: list[str]) -> None:
        self._groups.put(group.key, replace(group, tags={key: group.tags[key] for key in group.tags if key not in keys}))

    def _by_name(self, ctx: Context, prefix: str, after: str | None) -> Any:
        start = None if after is None else f"{ctx.region}/{after}"
        return (group for _, group in self._groups.items(f"{ctx.region}/{prefix}", start))


def _shape(group: LogGroup, stored_bytes: int) -> dict[str, Any]:
    return {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "retentionInDays": group.retention_days,
        "metricFilterCount": 0,
        "arn": f"{group.arn}:*",
        "storedBytes": stored_bytes,
        "kmsKeyId": group.kms_key_id,
        "logGroupClass": group.group_class,
        "logGroupArn": group.arn,
        "deletionProtectionEnabled": group.protected,
    }


def _listed(name: str, pattern: str | None) -> bool:
    """ListLogGroups' pattern: parts between `|`, each a piece of the name, or its start after `^`."""
    if pattern is None:
        return True
    parts = pattern.split("|")
    return any(name.startswith(part[1:]) if part.startswith("^") else part in name for part in parts)


def _checked(present: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """The tags together, within AWS's limits."""
    for key, value in more.items():
        if not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
            raise errors.BAD_TAG(key=key)
    tags = {**present, **more}
    if len(tags) > TAGS_MAX:
        raise errors.TOO_MANY_TAGS(limit=TAGS_MAX)
    return tags
