"""Multipart uploads: begun, filled part by part, completed into one object or given up.

An object made of parts keeps its parts' blobs as they are, so completing reads and writes no bytes.
Source: S3 user guide, "Multipart upload"; API reference of each operation.
"""

from __future__ import annotations

import secrets
from typing import Any

from tenantry.services.operation import Context, operation
from tenantry.services.s3 import errors
from tenantry.services.s3.checksums import (
    ALGORITHMS,
    COMPOSITE,
    DEFAULT_ALGORITHM,
    Expectation,
    expectation,
    multipart_etag,
    named,
    of_parts,
    upload_kind,
)
from tenantry.services.s3.conditions import check_write
from tenantry.services.s3.description import ENCRYPTION, answer_write, describe, refuse_unhonoured
from tenantry.services.s3.records import Bucket, Part, Upload, Version, part_key, quoted, upload_key
from tenantry.services.s3.shelf import Shelf

PART_BYTES_MIN = 5 * 1024 * 1024
PARTS_MAX = 10_000
LIST_MAX = 1000


class Multipart:
    """CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload, ListParts."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @operation("CreateMultipartUpload")
    async def create_multipart_upload(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Begin an upload; what is said about the object is said here."""
        bucket, key = self._shelf.bucket(ctx, params), self._shelf.key(params)
        description = describe(params, bucket)
        algorithm = params.get("ChecksumAlgorithm") or None
        kind = upload_kind(algorithm, params.get("ChecksumType"))
        upload = Upload(
            key=key,
            upload_id=secrets.token_urlsafe(48),
            initiated=self._shelf.now(),
            description=description,
            algorithm=named(algorithm).name if algorithm else None,
            checksum_type=kind,
        )
        self._shelf.uploads.put(upload_key(bucket, upload), upload)
        return {
            "Bucket": bucket.name,
            "Key": key,
            "UploadId": upload.upload_id,
            "ChecksumAlgorithm": upload.algorithm,
            "ChecksumType": kind if algorithm else None,
            **_encryption(upload),
        }

    @operation("UploadPart")
    async def upload_part(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Keep one part; one of the same number is replaced."""
        _, upload = self.check_part(ctx, params)
        part = await self.keep_part(ctx, params, params.get("Body") or b"")
        return {"ETag": quoted(part.etag), **part.checksums, **_encryption(upload)}

    def check_part(self, ctx: Context, params: dict[str, Any]) -> tuple[Bucket, Upload]:
        """What a part is for. Raises InvalidArgument, NoSuchUpload, and what `refuse_unhonoured` raises."""
        refuse_unhonoured(params)
        number = params["PartNumber"]
        if not 1 <= number <= PARTS_MAX:
            reason = f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive"
            raise errors.invalid_argument(reason, "partNumber", number)
        bucket = self._shelf.bucket(ctx, params)
        return bucket, self._shelf.upload(bucket, params)

    async def keep_part(self, ctx: Context, params: dict[str, Any], data: bytes) -> Part:
        """Check and keep a part's bytes. Raises BadDigest, InvalidRequest (another checksum than the upload's)."""
        _, upload = self.check_part(ctx, params)
        found, piece = await self._shelf.receive(data, _expected(params, upload))
        try:
            bucket, upload = self.check_part(ctx, params)  # it may be over by now
            number = params["PartNumber"]
            part = Part(number, piece, found.md5, self._shelf.now(), found.checksums)
            place = part_key(bucket, upload.upload_id, number)
            replaced = self._shelf.parts.get(place)
            self._shelf.parts.put(place, part)
        except BaseException:
            self._shelf.content.release((piece,))
            raise
        if replaced is not None:
            self._shelf.content.release((replaced.piece,))
        return part

    @operation("CompleteMultipartUpload")
    async def complete_multipart_upload(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Make the object of the parts named; the other parts are forgotten."""
        refuse_unhonoured(params)
        bucket = self._shelf.bucket(ctx, params)
        upload = self._shelf.upload(bucket, params)
        parts = self._shelf.uploaded(bucket, upload)
        chosen = _chosen((params.get("MultipartUpload") or {}).get("Parts") or [], parts, upload)
        size = sum(part.piece.size for part in chosen)
        if params.get("MpuObjectSize") not in (None, size):
            sent = params["MpuObjectSize"]
            reason = f"The provided 'x-amz-mp-object-size' header value {sent} does not match what was computed: {size}"
            raise errors.invalid_request(reason)
        checksums = _checksums(params, upload, chosen)
        check_write(params, upload.key, self._shelf.current(bucket, upload.key))
        draft = Version(
            key=upload.key,
            etag=multipart_etag([part.etag for part in chosen]),
            size=size,
            pieces=tuple(part.piece for part in chosen),
            multipart=True,
            description=upload.description,
            checksums=checksums,
            checksum_type=upload.checksum_type if checksums else "",
        )
        numbers = {part.number for part in chosen}
        version = self._shelf.add(bucket, draft, upload, [part for part in parts if part.number not in numbers])
        return answer_write(bucket, version) | {
            "Location": f"{ctx.endpoint}/{bucket.name}/{upload.key}",
            "Bucket": bucket.name,
            "Key": upload.key,
        }

    @operation("AbortMultipartUpload")
    async def abort_multipart_upload(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Give an upload up and forget its parts."""
        refuse_unhonoured(params)
        bucket = self._shelf.bucket(ctx, params)
        self._shelf.drop_upload(bucket, self._shelf.upload(bucket, params))
        return {}

    @operation("ListParts")
    async def list_parts(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The parts of an upload in progress, by number."""
        bucket = self._shelf.bucket(ctx, params)
        upload = self._shelf.upload(bucket, params)
        marker, limit = params.get("PartNumberMarker") or 0, params.get("MaxParts")
        limit = LIST_MAX if limit is None else min(limit, LIST_MAX)
        if limit < 0 or marker < 0:
            raise errors.invalid_argument("Argument max-parts must be an integer between 0 and 2147483647", "max-parts", limit)
        rest = [part for part in self._shelf.uploaded(bucket, upload) if part.number > marker]
        shown, owner = rest[:limit], self._shelf.owner(ctx)
        return {
            "Bucket": bucket.name,
            "Key": upload.key,
            "UploadId": upload.upload_id,
            "PartNumberMarker": marker,
            "NextPartNumberMarker": shown[-1].number if shown else 0,
            "MaxParts": limit,
            "IsTruncated": len(rest) > len(shown) and limit > 0,
            "Parts": [_row(part) for part in shown],
            "StorageClass": upload.description.system.get("StorageClass", "STANDARD"),
            "Owner": owner,
            "Initiator": owner,
            "ChecksumAlgorithm": upload.algorithm,
            "ChecksumType": upload.checksum_type if upload.algorithm else None,
        }


def _row(part: Part) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "LastModified": part.modified,
        "ETag": quoted(part.etag),
        "Size": part.piece.size,
        **part.checksums,
    }


def _encryption(upload: Upload) -> dict[str, Any]:
    return {member: upload.description.system[member] for member in ENCRYPTION if member in upload.description.system}


def _expected(params: dict[str, Any], upload: Upload) -> Expectation:
    """What a part must add up to: checked with whatever it carries, kept in the upload's algorithm."""
    expected = expectation(params, upload.algorithm or DEFAULT_ALGORITHM)
    if upload.algorithm is not None and expected.algorithm.name != upload.algorithm:
        raise errors.invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm.lower()}, "
            f"actual checksum Type: {expected.algorithm.name.lower()}"
        )
    return expected


def _chosen(rows: list[dict[str, Any]], parts: list[Part], upload: Upload) -> list[Part]:
    """The parts a completion names. Raises MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall."""
    if not 1 <= len(rows) <= PARTS_MAX:
        raise errors.MALFORMED_XML()
    by_number, chosen = {part.number: part for part in parts}, []
    previous = 0
    for row in rows:
        number = row.get("PartNumber") or 0
        if number <= previous:
            raise errors.refuse(errors.INVALID_PART_ORDER, UploadId=upload.upload_id)
        previous = number
        part, etag = by_number.get(number), (row.get("ETag") or "").strip('"')
        if part is None or part.etag != etag or not _same_checksum(row, part):
            members = {"UploadId": upload.upload_id, "PartNumber": str(number), "ETag": etag}
            raise errors.refuse(errors.INVALID_PART, members)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.piece.size < PART_BYTES_MIN:
            members = {
                "ProposedSize": str(part.piece.size),
                "MinSizeAllowed": str(PART_BYTES_MIN),
                "PartNumber": str(part.number),
                "ETag": part.etag,
            }
            raise errors.refuse(errors.ENTITY_TOO_SMALL, members)
    return chosen


def _same_checksum(row: dict[str, Any], part: Part) -> bool:
    return all(row.get(member) in (None, value) for member, value in part.checksums.items())


def _checksums(params: dict[str, Any], upload: Upload, chosen: list[Part]) -> dict[str, str]:
    """The object's checksum from its parts'. Raises BadDigest where the client expects another.

    An upload without an algorithm takes the parts' where they agree; CRCs then give one of the whole object.
    """
    names = {member for part in chosen for member in part.checksums}
    member = f"Checksum{upload.algorithm}" if upload.algorithm else next(iter(names), "")
    if len(names) != 1 or member not in names:
        return {}
    algorithm = ALGORITHMS[member.removeprefix("Checksum")]
    if upload.checksum_type != COMPOSITE and algorithm.combine is None:
        return {}
    asked_kind = params.get("ChecksumType")
    if asked_kind and asked_kind != upload.checksum_type:
        raise errors.BAD_CHECKSUM(algorithm="checksum type")
    value = of_parts(algorithm, upload.checksum_type, [(part.checksums[member], part.piece.size) for part in chosen])
    asked = params.get(member)
    if asked and asked.partition("-")[0] != value.partition("-")[0]:
        raise errors.BAD_CHECKSUM(algorithm=algorithm.name)
    return {member: value}
