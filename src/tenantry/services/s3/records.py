"""What S3 keeps: buckets, object versions, multipart uploads and their parts. Frozen; changed by replacing.

Collections and their keys (`\\0` sorts before every character a key may hold, so keys list in S3's order):

    s3-buckets    region/bucket
    s3-versions   region/bucket\\0key\\0inverted sequence      newest version of a key first
    s3-uploads    region/bucket\\0key\\0upload id
    s3-parts      region/bucket\\0upload id\\0part number
"""

from __future__ import annotations

from typing import Any

import msgspec

NULL_VERSION = "null"
_SEQUENCE_MAX = (1 << 63) - 1


class Bucket(msgspec.Struct, frozen=True):
    """A bucket. versioning: `""` (never enabled) | Enabled | Suspended; settings: configuration members by setting name."""

    name: str
    region: str
    created: float
    versioning: str = ""
    settings: dict[str, Any] = {}

    @property
    def base(self) -> str:
        """What every key of the bucket's records starts with."""
        return f"{self.region}/{self.name}\0"


class Piece(msgspec.Struct, frozen=True):
    """A run of an object's bytes: one blob. An empty piece has no blob."""

    blob: str
    size: int


class Description(msgspec.Struct, frozen=True):
    """What a client says about an object beside its bytes. system: by botocore's member name; Expires in epoch seconds."""

    system: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}


class Version(msgspec.Struct, frozen=True):
    """One version of an object, or a delete marker.

    modified: epoch seconds, whole, as S3 shows them; etag: without quotes; multipart: the pieces are the parts of an upload;
    checksums: base64 by botocore's member name, of checksum_type FULL_OBJECT or COMPOSITE.
    """

    key: str
    version_id: str = NULL_VERSION
    sequence: int = 0
    modified: float = 0.0
    marker: bool = False
    etag: str = ""
    size: int = 0
    pieces: tuple[Piece, ...] = ()
    multipart: bool = False
    description: Description = Description()
    checksums: dict[str, str] = {}
    checksum_type: str = ""


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload in progress. algorithm is None where the client named none."""

    key: str
    upload_id: str
    initiated: float
    description: Description = Description()
    algorithm: str | None = None
    checksum_type: str = ""


class Part(msgspec.Struct, frozen=True):
    """One uploaded part."""

    number: int
    piece: Piece
    etag: str
    modified: float
    checksums: dict[str, str] = {}


def version_key(bucket: Bucket, version: Version) -> str:
    return f"{bucket.base}{version.key}\0{_SEQUENCE_MAX - version.sequence:016x}"


def upload_key(bucket: Bucket, upload: Upload) -> str:
    return f"{bucket.base}{upload.key}\0{upload.upload_id}"


def parts_prefix(bucket: Bucket, upload_id: str) -> str:
    return f"{bucket.base}{upload_id}\0"


def part_key(bucket: Bucket, upload_id: str, number: int) -> str:
    return f"{parts_prefix(bucket, upload_id)}{number:05d}"


def quoted(etag: str) -> str:
    """An ETag as it goes over the wire."""
    return f'"{etag}"'
