"""The state behind S3's operations: records and bytes, and the few steps that change both together.

One `Shelf` is shared by the operation classes of this package. Every method that changes something is synchronous from its last
check to its commit, so that two requests on the event loop never interleave inside one; bytes are kept before that.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from tenantry.model.clock import Clock
from tenantry.services.operation import Context
from tenantry.services.s3 import errors
from tenantry.services.s3.checksums import Digests, Expectation, digest, verify
from tenantry.services.s3.content import Content, off_loop
from tenantry.services.s3.records import (
    NULL_VERSION,
    Bucket,
    Part,
    Piece,
    Upload,
    Version,
    parts_prefix,
    upload_key,
    version_key,
)
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Collection, Documents

KEY_BYTES_MAX = 1024
_VERSION_ID = re.compile(r"[A-Za-z0-9._]{32}|null")


class Shelf:
    """Buckets, versions, uploads, parts and bytes. `blobs` must be S3's own directory (see content.py)."""

    def __init__(self, documents: Documents, blobs: Blobs, clock: Clock) -> None:
        self.documents = documents
        self.clock = clock
        self.buckets: Collection[Bucket] = documents.collection("s3-buckets", Bucket)
        self.versions: Collection[Version] = documents.collection("s3-versions", Version)
        self.uploads: Collection[Upload] = documents.collection("s3-uploads", Upload)
        self.parts: Collection[Part] = documents.collection("s3-parts", Part)
        self._regions = {bucket.name: bucket.region for bucket in self.buckets.values()}
        stored = self.versions.values()
        self._sequence = max((version.sequence for version in stored), default=0)
        used = chain((piece for version in stored for piece in version.pieces), (part.piece for part in self.parts.values()))
        self.content = Content(blobs, used)

    def now(self) -> float:
        """Epoch seconds, whole: S3's times have no fractions."""
        return float(int(self.clock.now()))

    # Buckets

    def bucket(
        self, ctx: Context, params: dict[str, Any], name: str | None = None, owner: str = "ExpectedBucketOwner"
    ) -> Bucket:
        """The bucket a request names. Raises NoSuchBucket, PermanentRedirect (another region), AccessDenied (another owner)."""
        name = name or params["Bucket"]
        region = self._regions.get(name)
        if region is None:
            raise errors.refuse(errors.NO_SUCH_BUCKET, BucketName=name)
        if region != ctx.region:
            host = f"{name}.s3.{region}.amazonaws.com"
            members = {"Endpoint": host, "Bucket": name, "Region": region, "__headers__": {"x-amz-bucket-region": region}}
            raise errors.refuse(errors.PERMANENT_REDIRECT, members)
        if params.get(owner) not in (None, ctx.account_id):
            raise errors.ACCESS_DENIED()
        bucket = self.buckets.get(f"{region}/{name}")
        assert bucket is not None
        return bucket

    def region_of(self, name: str) -> str | None:
        """The region that has a bucket of this name."""
        return self._regions.get(name)

    def put_bucket(self, bucket: Bucket) -> None:
        """Keep a bucket, new or changed."""
        self.buckets.put(f"{bucket.region}/{bucket.name}", bucket)
        self._regions[bucket.name] = bucket.region

    def drop_bucket(self, bucket: Bucket) -> None:
        """Forget an empty bucket, and the uploads in progress in it."""
        parts = list(self.parts.items(bucket.base))
        with self.documents.transaction():
            for key, _ in parts:
                self.parts.delete(key)
            for key, _ in self.uploads.items(bucket.base):
                self.uploads.delete(key)
            self.buckets.delete(f"{bucket.region}/{bucket.name}")
        del self._regions[bucket.name]
        self.content.release(part.piece for _, part in parts)

    def owner(self, ctx: Context) -> dict[str, str]:
        """The Owner element: a canonical user id made from the account's."""
        return {"ID": hashlib.sha256(f"canonical user {ctx.account_id}".encode()).hexdigest()}

    # Bytes

    async def receive(self, data: bytes, expected: Expectation) -> tuple[Digests, Piece]:
        """Check and keep bytes; the caller owns the piece's reference. Raises BadDigest, OSError (disk full)."""
        found = await off_loop(len(data), digest, data, expected.algorithm)
        verify(found, expected)
        return found, await self.content.keep(data, found.sha256)

    # Versions

    def key(self, params: dict[str, Any]) -> str:
        """The object key of a request. Raises KeyTooLongError, InvalidURI (no UTF-8, or a NUL)."""
        return check_key(params["Key"])

    def history(self, bucket: Bucket, key: str) -> Iterator[Version]:
        """The versions of a key, newest first."""
        return (version for _, version in self.versions.items(f"{bucket.base}{key}\0"))

    def current(self, bucket: Bucket, key: str) -> Version | None:
        """The object of a key, None where there is none or a delete marker."""
        version = self.versions.first(f"{bucket.base}{key}\0")
        return None if version is None or version.marker else version

    def find(self, bucket: Bucket, key: str, version_id: str) -> Version | None:
        """A version by its id. Raises InvalidArgument for what cannot be one."""
        if not _VERSION_ID.fullmatch(version_id):
            raise errors.invalid_argument("Invalid version id specified", "versionId", version_id)
        return next((version for version in self.history(bucket, key) if version.version_id == version_id), None)

    def read(self, bucket: Bucket, key: str, version_id: str | None) -> Version:
        """The version that a reading request means. Raises NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker)."""
        if version_id is None:
            newest = self.versions.first(f"{bucket.base}{key}\0")
            if newest is None:
                raise errors.refuse(errors.NO_SUCH_KEY, Key=key)
            if newest.marker:
                raise errors.refuse(errors.NO_SUCH_KEY, {"Key": key, "__headers__": _marker_headers(newest)})
            return newest
        version = self.find(bucket, key, version_id)
        if version is None:
            raise errors.refuse(errors.NO_SUCH_VERSION, Key=key, VersionId=version_id)
        if version.marker:
            headers = {"allow": "DELETE", **_marker_headers(version)}
            members = {"Method": "GET", "ResourceType": "DeleteMarker", "__headers__": headers}
            raise errors.refuse(errors.METHOD_NOT_ALLOWED, members)
        return version

    def add(self, bucket: Bucket, draft: Version, finished: Upload | None = None, unused: Sequence[Part] = ()) -> Version:
        """Keep a new newest version (its pieces' references pass to it); returns it with its id and time.

        Where the bucket keeps no versions it replaces the null version. `finished` is the upload it came from, which goes
        with it; `unused` its parts that did not become part of the object.
        """
        version_id = new_version_id() if bucket.versioning == "Enabled" else NULL_VERSION
        replaced = self.find(bucket, draft.key, NULL_VERSION) if version_id == NULL_VERSION else None
        version = msgspec.structs.replace(
            draft, version_id=version_id, sequence=self._sequence + 1, modified=draft.modified or self.now()
        )
        with self.documents.transaction():
            if replaced is not None:
                self.versions.delete(version_key(bucket, replaced))
            self.versions.put(version_key(bucket, version), version)
            if finished is not None:
                self._delete_upload(bucket, finished)
        self._sequence = version.sequence
        self.content.release(replaced.pieces if replaced is not None else ())
        self.content.release(part.piece for part in unused)
        return version

    def change(self, bucket: Bucket, version: Version) -> None:
        """Keep a version whose description changed."""
        self.versions.put(version_key(bucket, version), version)

    def remove(self, bucket: Bucket, version: Version) -> None:
        """Forget a version for good."""
        self.versions.delete(version_key(bucket, version))
        self.content.release(version.pieces)

    # Uploads

    def upload(self, bucket: Bucket, params: dict[str, Any]) -> Upload:
        """The upload a request names. Raises NoSuchUpload."""
        key, upload_id = self.key(params), params["UploadId"]
        upload = self.uploads.get(f"{bucket.base}{key}\0{upload_id}")
        if upload is None:
            raise errors.refuse(errors.NO_SUCH_UPLOAD, UploadId=upload_id)
        return upload

    def uploaded(self, bucket: Bucket, upload: Upload) -> list[Part]:
        """The parts of an upload, by number."""
        return self.parts.values(parts_prefix(bucket, upload.upload_id))

    def drop_upload(self, bucket: Bucket, upload: Upload) -> None:
        """Forget an upload and its parts."""
        parts = self.uploaded(bucket, upload)
        with self.documents.transaction():
            self._delete_upload(bucket, upload)
        self.content.release(part.piece for part in parts)

    def _delete_upload(self, bucket: Bucket, upload: Upload) -> None:
        for key, _ in self.parts.items(parts_prefix(bucket, upload.upload_id)):
            self.parts.delete(key)
        self.uploads.delete(upload_key(bucket, upload))


def check_key(key: str) -> str:
    """An object key that can be one. Raises KeyTooLongError, InvalidURI."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise errors.INVALID_URI() from None
    if "\0" in key or not key:
        raise errors.INVALID_URI()
    if size > KEY_BYTES_MAX:
        raise errors.refuse(errors.KEY_TOO_LONG, {"Size": str(size), "MaxSizeAllowed": str(KEY_BYTES_MAX)})
    return key


def new_version_id() -> str:
    """32 characters, as S3's are."""
    return secrets.token_hex(16)


def _marker_headers(marker: Version) -> dict[str, str]:
    return {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
