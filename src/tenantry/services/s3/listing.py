"""Listing: objects (both versions of the operation), versions and uploads, in pages, with keys rolled up at a delimiter.

All of them walk records in key order through `page`; a rolled-up prefix is stepped over in one jump, whatever lies under it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus

from tenantry.services.operation import Context, operation
from tenantry.services.s3 import errors
from tenantry.services.s3.records import Bucket, Upload, Version, quoted
from tenantry.services.s3.shelf import Shelf
from tenantry.store.documents import prefix_end

T = TypeVar("T")

PAGE_MAX = 1000
_INT_MAX = 2**31 - 1
_TOKEN_MARK = b"\x01"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. last: the key or prefix it ends with; last_entry: the entry it ends with, None after a prefix."""

    entries: list[T]
    prefixes: list[str]
    truncated: bool
    last: str
    last_entry: T | None


@dataclass(frozen=True, slots=True)
class Query:
    """What every listing asks for. encode is what EncodingType says to do with keys."""

    prefix: str
    delimiter: str
    limit: int
    encode: Callable[[str], str]
    encoding: str | None


Walk = Callable[[str, bool], Iterator[tuple[str, T]]]


def page(walk: Walk[T], query: Query, after: str = "", resume: Iterator[tuple[str, T]] | None = None) -> Page[T]:
    """One page of `walk(key, inclusive)`, which yields (key, entry) in key order from a key on.

    Starts behind `after`, or with `resume` where given. A prefix equal to `after` was on the page before and is not repeated.
    """
    entries: list[T] = []
    prefixes: list[str] = []
    last, last_entry = "", None
    source = resume or (walk(after, False) if after >= query.prefix else walk(query.prefix, True))
    while True:
        for key, entry in source:
            if not key.startswith(query.prefix):
                return Page(entries, prefixes, False, last, last_entry)
            group = _group(key, query)
            if group is not None and group == after:
                break
            if len(entries) + len(prefixes) >= query.limit:
                return Page(entries, prefixes, query.limit > 0, last, last_entry)
            if group is not None:
                prefixes.append(group)
                last, last_entry = group, None
                break
            entries.append(entry)
            last, last_entry = key, entry
        else:
            return Page(entries, prefixes, False, last, last_entry)
        beyond = prefix_end(group or "")
        if beyond is None:
            return Page(entries, prefixes, False, last, last_entry)
        source = walk(beyond, True)


def _group(key: str, query: Query) -> str | None:
    if not query.delimiter:
        return None
    at = key.find(query.delimiter, len(query.prefix))
    return None if at < 0 else key[: at + len(query.delimiter)]


def query_of(params: dict[str, Any], limit_member: str = "MaxKeys", limit_name: str = "maxKeys") -> Query:
    """The common parameters. Raises InvalidArgument."""
    limit = params.get(limit_member)
    limit = PAGE_MAX if limit is None else limit
    if not 0 <= limit <= _INT_MAX:
        reason = f"Argument {limit_name} must be an integer between 0 and {_INT_MAX}"
        raise errors.invalid_argument(reason, limit_name, limit)
    encoding = params.get("EncodingType")
    if encoding not in (None, "", "url"):
        raise errors.invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", encoding)
    encode = (lambda text: quote_plus(text, safe="/")) if encoding else str
    return Query(params.get("Prefix") or "", params.get("Delimiter") or "", min(limit, PAGE_MAX), encode, encoding or None)


class Listings:
    """ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @operation("ListObjects")
    async def list_objects(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Version 1. NextMarker is given only where a delimiter is, as on S3."""
        bucket, query = self._shelf.bucket(ctx, params), query_of(params)
        found = page(self._objects(bucket), query, params.get("Marker") or "")
        marker = query.encode(found.last) if found.truncated and query.delimiter else None
        return self._answer(bucket, query, found, ctx, fetch_owner=True) | {
            "Marker": query.encode(params.get("Marker") or ""),
            "NextMarker": marker,
        }

    @operation("ListObjectsV2")
    async def list_objects_v2(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Version 2."""
        bucket, query = self._shelf.bucket(ctx, params), query_of(params)
        token, start = params.get("ContinuationToken"), params.get("StartAfter")
        after = _read_token(token) if token is not None else start or ""
        found = page(self._objects(bucket), query, after)
        return self._answer(bucket, query, found, ctx, fetch_owner=bool(params.get("FetchOwner"))) | {
            "KeyCount": len(found.entries) + len(found.prefixes),
            "ContinuationToken": token,
            "NextContinuationToken": _write_token(found.last) if found.truncated else None,
            "StartAfter": query.encode(start) if start else None,
        }

    @operation("ListObjectVersions")
    async def list_object_versions(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Versions and delete markers, newest first within a key."""
        bucket, query = self._shelf.bucket(ctx, params), query_of(params)
        key_marker, version_marker = params.get("KeyMarker") or "", params.get("VersionIdMarker") or ""
        if version_marker and not key_marker:
            reason = "A version-id marker cannot be specified without a key marker."
            raise errors.invalid_argument(reason, "version-id-marker", version_marker)
        walk = self._versions(bucket)
        resume = self._after_version(bucket, key_marker, version_marker) if version_marker else None
        found = page(walk, query, key_marker, resume)
        versions: list[dict[str, Any]] = []
        markers: list[dict[str, Any]] = []
        for version, latest in found.entries:
            (markers if version.marker else versions).append(self._version(ctx, query, version, latest))
        last = found.last_entry[0].version_id if found.truncated and found.last_entry else None
        return self._frame(bucket, query, found) | {
            "KeyMarker": query.encode(key_marker),
            "VersionIdMarker": version_marker,
            "NextKeyMarker": query.encode(found.last) if found.truncated else None,
            "NextVersionIdMarker": last,
            "Versions": versions,
            "DeleteMarkers": markers,
        }

    @operation("ListMultipartUploads")
    async def list_multipart_uploads(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Uploads in progress, by key."""
        bucket, query = self._shelf.bucket(ctx, params), query_of(params, "MaxUploads", "max-uploads")
        key_marker, id_marker = params.get("KeyMarker") or "", params.get("UploadIdMarker") or ""
        resume = self._uploads_after(bucket, f"{key_marker}\0{id_marker}") if key_marker and id_marker else None
        found = page(self._uploads(bucket), query, key_marker, resume)
        frame = self._frame(bucket, query, found)
        frame["Bucket"], frame["MaxUploads"] = frame.pop("Name"), frame.pop("MaxKeys")
        owner = self._shelf.owner(ctx)
        return frame | {
            "KeyMarker": query.encode(key_marker),
            "UploadIdMarker": id_marker,
            "NextKeyMarker": query.encode(found.last) if found.truncated else None,
            "NextUploadIdMarker": found.last_entry.upload_id if found.truncated and found.last_entry else None,
            "Uploads": [_upload(query, upload, owner) for upload in found.entries],
        }

    # Walks

    def _objects(self, bucket: Bucket) -> Walk[Version]:
        def walk(key: str, inclusive: bool) -> Iterator[tuple[str, Version]]:
            for found, (version, latest) in self._versions(bucket)(key, inclusive):
                if latest and not version.marker:
                    yield found, version

        return walk

    def _versions(self, bucket: Bucket) -> Walk[tuple[Version, bool]]:
        def walk(key: str, inclusive: bool) -> Iterator[tuple[str, tuple[Version, bool]]]:
            previous = None
            for _, version in self._shelf.versions.items(bucket.base, _start(bucket, key, inclusive)):
                yield version.key, (version, version.key != previous)
                previous = version.key

        return walk

    def _after_version(self, bucket: Bucket, key: str, version_id: str) -> Iterator[tuple[str, tuple[Version, bool]]]:
        """The versions behind one; a marker that is no more there starts behind its key, as an unknown one does."""
        marker = self._shelf.find(bucket, key, version_id)
        for found, (version, latest) in self._versions(bucket)(key, True):
            if found != key or (marker is not None and version.sequence < marker.sequence):
                yield found, (version, latest)

    def _uploads(self, bucket: Bucket) -> Walk[Upload]:
        def walk(key: str, inclusive: bool) -> Iterator[tuple[str, Upload]]:
            for _, upload in self._shelf.uploads.items(bucket.base, _start(bucket, key, inclusive)):
                yield upload.key, upload

        return walk

    def _uploads_after(self, bucket: Bucket, record: str) -> Iterator[tuple[str, Upload]]:
        for _, upload in self._shelf.uploads.items(bucket.base, bucket.base + record):
            yield upload.key, upload

    # Shapes

    def _answer(self, bucket: Bucket, query: Query, found: Page[Version], ctx: Context, fetch_owner: bool) -> dict[str, Any]:
        owner = self._shelf.owner(ctx) if fetch_owner else None
        return self._frame(bucket, query, found) | {"Contents": [_object(query, version, owner) for version in found.entries]}

    def _frame(self, bucket: Bucket, query: Query, found: Page[Any]) -> dict[str, Any]:
        return {
            "Name": bucket.name,
            "Prefix": query.encode(query.prefix),
            "Delimiter": query.encode(query.delimiter) if query.delimiter else None,
            "MaxKeys": query.limit,
            "EncodingType": query.encoding,
            "IsTruncated": found.truncated,
            "CommonPrefixes": [{"Prefix": query.encode(prefix)} for prefix in found.prefixes],
        }

    def _version(self, ctx: Context, query: Query, version: Version, latest: bool) -> dict[str, Any]:
        row = {
            "Key": query.encode(version.key),
            "VersionId": version.version_id,
            "IsLatest": latest,
            "LastModified": version.modified,
            "Owner": self._shelf.owner(ctx),
        }
        return row if version.marker else _object(query, version, None) | row


def _object(query: Query, version: Version, owner: dict[str, str] | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "Key": query.encode(version.key),
        "LastModified": version.modified,
        "ETag": quoted(version.etag),
        "ChecksumAlgorithm": [member.removeprefix("Checksum") for member in version.checksums],
        "ChecksumType": version.checksum_type or None,
        "Size": version.size,
        "StorageClass": version.description.system.get("StorageClass", "STANDARD"),
    }
    return row if owner is None else row | {"Owner": owner}


def _upload(query: Query, upload: Upload, owner: dict[str, str]) -> dict[str, Any]:
    return {
        "Key": query.encode(upload.key),
        "UploadId": upload.upload_id,
        "Initiated": upload.initiated,
        "StorageClass": upload.description.system.get("StorageClass", "STANDARD"),
        "Owner": owner,
        "Initiator": owner,
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.checksum_type if upload.algorithm else None,
    }


def _start(bucket: Bucket, key: str, inclusive: bool) -> str:
    """The collection key behind which a key's records begin (or end): records of `key` are `key\\0...`."""
    return bucket.base + key if inclusive else f"{bucket.base}{key}\x01"


def _write_token(last: str) -> str:
    return base64.urlsafe_b64encode(_TOKEN_MARK + last.encode()).decode()


def _read_token(token: str) -> str:
    try:
        raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        if raw.startswith(_TOKEN_MARK):
            return raw[1:].decode()
    except (binascii.Error, UnicodeError):
        raw = b""
    raise errors.invalid_argument("The continuation token provided is incorrect", "continuation-token", token)
