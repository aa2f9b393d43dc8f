"""Conditions and ranges of requests, decided without touching anything: RFC 9110 section 13 as S3 narrows it.

Source: S3 user guide, "Conditional requests"; API reference of GetObject and PutObject.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.services.s3 import errors
from tenantry.services.s3.records import Version

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes start to stop (exclusive) of an object of `size` bytes."""

    start: int
    stop: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of the Content-Range header."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


def epoch(moment: Any) -> float:
    """Epoch seconds of a timestamp in any form that parameters have."""
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)


def not_modified(params: dict[str, Any], version: Version, prefix: str = "") -> bool:
    """Whether the client already has this version (304). Raises PreconditionFailed.

    `prefix` is `CopySource` for the conditions of a copy, where a client that already has it is refused instead.
    """
    match, since = params.get(f"{prefix}IfMatch"), params.get(f"{prefix}IfUnmodifiedSince")
    if match is not None:
        if not _matches(match, version.etag):
            raise _failed("If-Match", prefix)
    elif since is not None and version.modified > epoch(since):
        raise _failed("If-Unmodified-Since", prefix)
    none_match, modified = params.get(f"{prefix}IfNoneMatch"), params.get(f"{prefix}IfModifiedSince")
    if none_match is not None:
        known = _matches(none_match, version.etag)
    else:
        known = modified is not None and version.modified <= epoch(modified)
    if known and prefix:
        raise _failed("If-None-Match" if none_match is not None else "If-Modified-Since", prefix)
    return known


def check_write(params: dict[str, Any], key: str, current: Version | None) -> None:
    """Whether a write may go ahead; `current` is None where there is no object or a delete marker.

    Raises PreconditionFailed, NoSuchKey (If-Match on nothing), NotImplemented (values S3 does not know).
    """
    match, none_match = params.get("IfMatch"), params.get("IfNoneMatch")
    if match is not None and none_match is not None:
        raise errors.not_implemented("If-Match,If-None-Match")
    if none_match is not None:
        if none_match != "*":
            raise errors.not_implemented("If-None-Match")
        if current is not None:
            raise _failed("If-None-Match")
    if match is not None:
        if current is None:
            raise errors.refuse(errors.NO_SUCH_KEY, Key=key)
        if not _matches(match, current.etag):
            raise _failed("If-Match")


def span_of(header: str | None, size: int) -> Span | None:
    """The span a Range header asks for; None for the whole object, which is also the answer to a header S3 cannot read.

    Raises InvalidRange.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    else:
        start, stop = max(size - int(last), 0), size
    if start >= size or (not first and int(last) == 0):
        raise errors.refuse(errors.INVALID_RANGE, {"RangeRequested": header, "ActualObjectSize": str(size)})
    return Span(start, stop, size)


def span_of_copy(header: str | None, size: int) -> Span:
    """The span of a part copied from an object. Raises InvalidArgument."""
    if header is None:
        return Span(0, size, size)
    match = _COPY_RANGE.fullmatch(header)
    if match is None:
        reason = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
        raise errors.invalid_argument(
            reason + "zero-based offsets of the first and last bytes to copy", "x-amz-copy-source-range", header
        )
    start, last = int(match.group(1)), int(match.group(2))
    if start > last or last >= size:
        raise errors.invalid_argument(
            f"Range specified is not valid for source object of size: {size}", "x-amz-copy-source-range", header
        )
    return Span(start, last + 1, size)


def span_of_part(number: int, version: Version) -> Span:
    """The span of one part of an object that was uploaded in parts; others have one part. Raises InvalidPartNumber."""
    sizes = [piece.size for piece in version.pieces] if version.multipart else [version.size]
    if not 1 <= number <= len(sizes):
        raise errors.refuse(
            errors.INVALID_PART_NUMBER, {"ActualPartCount": str(len(sizes)), "PartNumberRequested": str(number)}
        )
    start = sum(sizes[: number - 1])
    return Span(start, start + sizes[number - 1], version.size)


def _matches(header: str, etag: str) -> bool:
    candidates = [text.strip().removeprefix("W/").strip('"') for text in header.split(",")]
    return "*" in candidates or etag in candidates


def _failed(condition: str, prefix: str = "") -> ServiceError:
    name = f"x-amz-copy-source-{condition.lower()}" if prefix else condition
    return errors.refuse(errors.PRECONDITION_FAILED, {"Condition": name})
