"""Copies inside S3: a whole object, or a range of one as a part of an upload. Source: S3 API reference, CopyObject."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from tenantry.services.operation import Context, operation
from tenantry.services.s3 import errors
from tenantry.services.s3.checksums import FULL_OBJECT, Algorithm, digest, named
from tenantry.services.s3.conditions import check_write, not_modified, span_of_copy
from tenantry.services.s3.content import off_loop
from tenantry.services.s3.description import answer_write, describe, refuse_archived, shown_version
from tenantry.services.s3.multipart import Multipart
from tenantry.services.s3.records import Bucket, Description, Version, quoted
from tenantry.services.s3.shelf import Shelf, check_key

COPY_BYTES_MAX = 5 * 1024**3
_DIRECTIVES = ("COPY", "REPLACE")
_CONTENT = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires")
# What changes an object that is copied onto itself.
_CHANGES = ("StorageClass", "WebsiteRedirectLocation", "ServerSideEncryption", "SSEKMSKeyId", "ChecksumAlgorithm")


@dataclass(frozen=True, slots=True)
class Source:
    """What a copy reads. named: the request named the version."""

    bucket: Bucket
    version: Version
    named: bool


class Copies:
    """CopyObject, UploadPartCopy."""

    def __init__(self, shelf: Shelf, multipart: Multipart) -> None:
        self._shelf = shelf
        self._multipart = multipart

    @operation("CopyObject")
    async def copy_object(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Copy an object; its bytes are shared, not written again."""
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        source = self._source(ctx, params)
        old = source.version
        if old.size > COPY_BYTES_MAX:
            reason = f"The specified copy source is larger than the maximum allowable size for a copy source: {COPY_BYTES_MAX}"
            raise errors.invalid_request(reason)
        description = _description(params, bucket, old.description)
        if (bucket, key) == (source.bucket, old.key) and not source.named and not _changes(params):
            raise errors.COPY_ONTO_ITSELF()
        check_write(params, key, self._shelf.current(bucket, key))
        self._shelf.content.share(old.pieces)
        try:
            etag, checksums = await self._digests(old, _algorithm(params, old))
            bucket = self._shelf.bucket(ctx, params)
            check_write(params, key, self._shelf.current(bucket, key))
            draft = Version(
                key=key,
                etag=etag,
                size=old.size,
                pieces=old.pieces,
                description=description,
                checksums=checksums,
                checksum_type=FULL_OBJECT,
            )
            version = self._shelf.add(bucket, draft)
        except BaseException:
            self._shelf.content.release(old.pieces)
            raise
        answer = answer_write(bucket, version)
        result = {name: answer.pop(name) for name in ("ETag", "ChecksumType", *checksums)}
        return answer | {
            "CopyObjectResult": result | {"LastModified": version.modified},
            "CopySourceVersionId": shown_version(source.bucket, old),
        }

    @operation("UploadPartCopy")
    async def upload_part_copy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Make a part of an upload from bytes of an object."""
        self._multipart.check_part(ctx, params)
        source = self._source(ctx, params)
        span = span_of_copy(params.get("CopySourceRange"), source.version.size)
        data = await self._shelf.content.read(source.version.pieces, span.start, span.stop)
        part = await self._multipart.keep_part(ctx, params, data)
        return {
            "CopyPartResult": {"ETag": quoted(part.etag), "LastModified": part.modified, **part.checksums},
            "CopySourceVersionId": shown_version(source.bucket, source.version),
        }

    def _source(self, ctx: Context, params: dict[str, Any]) -> Source:
        name, key, version_id = parse_source(params["CopySource"])
        # A copy may read from any region: only the bucket that is written to must be here.
        there = dataclasses.replace(ctx, region=self._shelf.region_of(name) or ctx.region)
        bucket = self._shelf.bucket(there, params, name, "ExpectedSourceBucketOwner")
        version = self._shelf.read(bucket, key, version_id)
        not_modified(params, version, "CopySource")
        refuse_archived(version)
        return Source(bucket, version, version_id is not None)

    async def _digests(self, version: Version, algorithm: Algorithm) -> tuple[str, dict[str, str]]:
        """(ETag, checksums) of a whole object; read again only where they are not known already."""
        if not version.multipart and algorithm.member in version.checksums:
            return version.etag, version.checksums
        data = await self._shelf.content.read(version.pieces, 0, version.size)
        found = await off_loop(len(data), digest, data, algorithm)
        return found.md5, found.checksums


def parse_source(text: str) -> tuple[str, str, str | None]:
    """(bucket, key, version id or None) of a CopySource: `bucket/key?versionId=id`, percent-encoded. Raises InvalidArgument."""
    path, _, query = text.partition("?")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    versions = parse_qs(query).get("versionId", [None])
    if not bucket or not key or (query and versions == [None]):
        reason = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise errors.invalid_argument(reason, "x-amz-copy-source", text)
    return bucket, check_key(key), versions[0]


def _description(params: dict[str, Any], bucket: Bucket, old: Description) -> Description:
    for member, header in (("MetadataDirective", "x-amz-metadata-directive"), ("TaggingDirective", "x-amz-tagging-directive")):
        if params.get(member) not in (None, *_DIRECTIVES):
            raise errors.invalid_argument("Unknown directive.", header, params[member])
    new = describe(params, bucket)
    if params.get("MetadataDirective") != "REPLACE":
        kept = {name: value for name, value in old.system.items() if name in _CONTENT}
        own = {name: value for name, value in new.system.items() if name not in _CONTENT}
        new = msgspec.structs.replace(new, system=kept | own, metadata=old.metadata)
    if params.get("TaggingDirective") != "REPLACE":
        new = msgspec.structs.replace(new, tags=old.tags)
    return new


def _changes(params: dict[str, Any]) -> bool:
    replaced = params.get("MetadataDirective") == "REPLACE"
    return replaced or any(params.get(member) not in (None, "") for member in _CHANGES)


def _algorithm(params: dict[str, Any], old: Version) -> Algorithm:
    """The checksum of a copy: the one asked for, else the source's."""
    if params.get("ChecksumAlgorithm"):
        return named(params["ChecksumAlgorithm"])
    return named(next(iter(old.checksums)).removeprefix("Checksum"))
