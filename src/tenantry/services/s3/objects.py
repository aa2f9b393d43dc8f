"""Objects: written, read, deleted, tagged. Source: S3 API reference of each operation; user guide, "Using versioning"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tenantry.model.errors import ServiceError
from tenantry.services.operation import Context, operation
from tenantry.services.s3 import errors, tags
from tenantry.services.s3.checksums import FULL_OBJECT, expectation
from tenantry.services.s3.conditions import Span, check_write, not_modified, span_of, span_of_part
from tenantry.services.s3.description import (
    answer_read,
    answer_write,
    describe,
    refuse_archived,
    refuse_unhonoured,
    shown_version,
)
from tenantry.services.s3.records import NULL_VERSION, Bucket, Version, quoted
from tenantry.services.s3.settings import owner_only
from tenantry.services.s3.shelf import Shelf, check_key

DELETE_MAX = 1000
_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


class Objects:
    """PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects, GetObjectAttributes, object tagging, GetObjectAcl."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @operation("PutObject")
    async def put_object(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Keep an object. Its conditions are checked before its bytes are kept, and again when it appears."""
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        description, expected = describe(params, bucket), expectation(params)
        check_write(params, key, self._shelf.current(bucket, key))
        body = params.get("Body") or b""
        found, piece = await self._shelf.receive(body, expected)
        try:
            bucket = self._shelf.bucket(ctx, params)
            check_write(params, key, self._shelf.current(bucket, key))
            draft = Version(
                key=key,
                etag=found.md5,
                size=len(body),
                pieces=(piece,) if body else (),
                description=description,
                checksums=found.checksums,
                checksum_type=FULL_OBJECT,
            )
            version = self._shelf.add(bucket, draft)
        except BaseException:
            self._shelf.content.release((piece,))
            raise
        return answer_write(bucket, version)

    @operation("GetObject")
    async def get_object(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """An object, or a part of it: 206 for a part, 304 where the client has it already."""
        version, answer, span = self._read(ctx, params)
        if span is None:
            return answer
        refuse_archived(version)
        return answer | {"Body": await self._shelf.content.read(version.pieces, span.start, span.stop)}

    @operation("HeadObject")
    async def head_object(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """What GetObject answers, without the bytes."""
        return self._read(ctx, params)[1]

    def _read(self, ctx: Context, params: dict[str, Any]) -> tuple[Version, dict[str, Any], Span | None]:
        """(the version, the answer without bytes, the bytes' span or None for 304)."""
        refuse_unhonoured(params)
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        version = self._shelf.read(bucket, key, params.get("VersionId"))
        if not_modified(params, version):
            known = {"ETag": quoted(version.etag), "LastModified": version.modified}
            return version, known | {"VersionId": shown_version(bucket, version), "__status__": 304}, None
        part, header = params.get("PartNumber"), params.get("Range")
        if part is not None and header is not None:
            raise errors.invalid_request("Cannot specify both Range header and partNumber query parameter")
        partial = span_of_part(part, version) if part is not None else span_of(header, version.size)
        span = partial or Span(0, version.size, version.size)
        answer = answer_read(bucket, version, params) | {"ContentLength": span.stop - span.start}
        if partial is not None:
            answer |= {"__status__": 206, "ContentRange": span.content_range if span.stop > span.start else None}
            answer["PartsCount"] = len(version.pieces) if part is not None and version.multipart else None
        elif params.get("ChecksumMode") == "ENABLED":
            answer |= {**version.checksums, "ChecksumType": version.checksum_type or None}
        return version, answer, span

    @operation("DeleteObject")
    async def delete_object(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete an object, or hide it behind a marker where the bucket keeps versions. Deleting nothing is no error."""
        refuse_unhonoured(params)
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        return self._delete(bucket, key, params.get("VersionId"), params.get("IfMatch"))

    @operation("DeleteObjects")
    async def delete_objects(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete up to 1,000 objects; each one's failure is told beside the others' success."""
        refuse_unhonoured(params)
        bucket, asked = self._shelf.bucket(ctx, params), params.get("Delete") or {}
        rows = asked.get("Objects") or []
        if not 1 <= len(rows) <= DELETE_MAX:
            raise errors.MALFORMED_XML()
        deleted, failed = [], []
        for row in rows:
            key, version_id = row["Key"], row.get("VersionId") or None
            try:
                refuse_unhonoured({"IfMatchSize": row.get("Size"), "IfMatchLastModifiedTime": row.get("LastModifiedTime")})
                done = self._delete(bucket, check_key(key), version_id, row.get("ETag"))
                deleted.append(_deleted(key, version_id, done))
            except ServiceError as error:
                failed.append({"Key": key, "VersionId": version_id, "Code": error.code, "Message": error.message})
        return {"Deleted": [] if asked.get("Quiet") else deleted, "Errors": failed}

    def _delete(self, bucket: Bucket, key: str, version_id: str | None, if_match: str | None) -> dict[str, Any]:
        if version_id is not None:
            version = self._shelf.find(bucket, key, version_id)
            if version is not None:
                _check_delete(if_match, key, None if version.marker else version)
                self._shelf.remove(bucket, version)
            marker = True if version is not None and version.marker else None
            return {"VersionId": version_id if bucket.versioning else None, "DeleteMarker": marker}
        current = self._shelf.current(bucket, key)
        _check_delete(if_match, key, current)
        if bucket.versioning:
            marker_version = self._shelf.add(bucket, Version(key=key, marker=True))
            return {"VersionId": marker_version.version_id, "DeleteMarker": True}
        if current is not None:
            self._shelf.remove(bucket, current)
        return {}

    @operation("GetObjectAttributes")
    async def get_object_attributes(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Chosen facts about an object, without its bytes."""
        refuse_unhonoured(params)
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        version = self._shelf.read(bucket, key, params.get("VersionId"))
        wanted = _wanted(params.get("ObjectAttributes") or [])
        facts = {
            "ETag": version.etag,
            "Checksum": {**version.checksums, "ChecksumType": version.checksum_type} if version.checksums else None,
            "ObjectParts": {"TotalPartsCount": len(version.pieces)} if version.multipart else None,
            "StorageClass": version.description.system.get("StorageClass", "STANDARD"),
            "ObjectSize": version.size,
        }
        found = {name: facts[name] for name in wanted}
        return found | {"LastModified": version.modified, "VersionId": shown_version(bucket, version)}

    @operation("GetObjectAcl")
    async def get_object_acl(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The one ACL there is: everything to the owner."""
        self._shelf.read(self._shelf.bucket(ctx, params), self._shelf.key(params), params.get("VersionId"))
        return owner_only(self._shelf.owner(ctx))

    @operation("PutObjectTagging")
    async def put_object_tagging(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Replace an object's tags."""
        return self._tag(ctx, params, tags.from_set(params.get("Tagging") or {}))

    @operation("GetObjectTagging")
    async def get_object_tagging(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """An object's tags."""
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        version = self._shelf.read(bucket, key, params.get("VersionId"))
        return {"TagSet": tags.to_set(version.description.tags), "VersionId": shown_version(bucket, version)}

    @operation("DeleteObjectTagging")
    async def delete_object_tagging(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take all tags off an object."""
        return self._tag(ctx, params, {})

    def _tag(self, ctx: Context, params: dict[str, Any], new: dict[str, str]) -> dict[str, Any]:
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        version = self._shelf.read(bucket, key, params.get("VersionId"))
        description = msgspec.structs.replace(version.description, tags=new)
        self._shelf.change(bucket, msgspec.structs.replace(version, description=description))
        return {"VersionId": shown_version(bucket, version)}


def _check_delete(if_match: str | None, key: str, current: Version | None) -> None:
    """A condition on what is not there holds: there is nothing to protect."""
    if if_match is not None and current is not None:
        check_write({"IfMatch": if_match}, key, current)


def _deleted(key: str, version_id: str | None, done: dict[str, Any]) -> dict[str, Any]:
    """A row of DeleteObjects' answer: the id asked for, and apart from it that of a marker made or removed."""
    marker = done.get("DeleteMarker")
    return {
        "Key": key,
        "VersionId": version_id,
        "DeleteMarker": marker,
        "DeleteMarkerVersionId": done.get("VersionId") or NULL_VERSION if marker else None,
    }


def _wanted(names: Sequence[str]) -> list[str]:
    wanted = [name.strip() for text in names for name in text.split(",")]
    if not wanted or any(name not in _ATTRIBUTES for name in wanted):
        raise errors.invalid_argument("Invalid attribute name specified.", "x-amz-object-attributes", ",".join(wanted))
    return wanted
