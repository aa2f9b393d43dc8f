"""Tag sets of objects and buckets: the three ways they arrive, and S3's rules for them (user guide, "Tagging")."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from tenantry.services.s3 import errors

OBJECT_TAGS_MAX, BUCKET_TAGS_MAX = 10, 50
_KEY_MAX, _VALUE_MAX = 128, 256
_TEXT = re.compile(r"[\w\s+\-=.:/@]*")


def from_header(header: str | None) -> dict[str, str]:
    """Tags of an x-amz-tagging header. Raises InvalidArgument, InvalidTag, BadRequest."""
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = []
    if not pairs or len({key for key, _ in pairs}) < len(pairs):
        raise errors.invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
            "without tag name duplicates.",
            "x-amz-tagging",
            header,
        )
    return _checked(pairs, "Object", OBJECT_TAGS_MAX)


def from_set(tagging: dict[str, Any], kind: str = "Object", limit: int = OBJECT_TAGS_MAX) -> dict[str, str]:
    """Tags of a Tagging element. Raises InvalidTag, BadRequest."""
    pairs = [(tag.get("Key") or "", tag.get("Value") or "") for tag in tagging.get("TagSet") or []]
    return _checked(pairs, kind, limit)


def to_set(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _checked(pairs: list[tuple[str, str]], kind: str, limit: int) -> dict[str, str]:
    if len(pairs) > limit:
        raise errors.TOO_MANY_TAGS(kind=kind, limit=limit)
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise errors.refuse(errors.INVALID_TAG, {"TagKey": key}, reason="Cannot provide multiple Tags with the same key")
        if key.startswith("aws:") and kind == "Object":
            reason = "Your TagKey cannot be prefixed with aws:"
            raise errors.refuse(errors.INVALID_TAG, {"TagKey": key}, reason=reason)
        if not 1 <= len(key) <= _KEY_MAX or not _TEXT.fullmatch(key):
            raise errors.refuse(errors.INVALID_TAG, {"TagKey": key}, reason="The TagKey you have provided is invalid")
        if len(value) > _VALUE_MAX or not _TEXT.fullmatch(value):
            raise errors.refuse(
                errors.INVALID_TAG, {"TagKey": key, "TagValue": value}, reason="The TagValue you have provided is invalid"
            )
        tags[key] = value
    return tags
