"""What the operation classes share: the store, the clock, pages of lists, tags' limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tenantry.model.clock import Clock
from tenantry.services.apigateway import errors
from tenantry.services.apigateway.records import Record, shape
from tenantry.services.apigateway.store import Store

PAGE_DEFAULT = 25
PAGE_MAX = 500
_TAG_KEY = re.compile(r"(?!aws:)[\w\s_.:/=+\-@]{1,128}")
_TAG_VALUE = re.compile(r"[\w\s_.:/=+\-@]{0,256}")
TAGS_MAX = 50


class Base:
    """The common part of the operation classes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock


def page(records: Iterable[tuple[str, Record]], params: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """`items` and, where more follow, `position`, of (name, record) pairs in order. The position is the last name shown."""
    after = params.get("position") or ""
    limit = params.get("limit") or PAGE_DEFAULT
    if not 0 < limit <= PAGE_MAX:
        raise errors.BAD_POSITION()
    found = [(name, record) for name, record in records if not after or name > after]
    answer: dict[str, Any] = {"items": [shape(record, *without) for _, record in found[:limit]]}
    if len(found) > limit:
        answer["position"] = found[limit - 1][0]
    return answer


def checked_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Tags within AWS's limits; BadRequestException otherwise."""
    tags = dict(tags or {})
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value) or len(tags) > TAGS_MAX:
            raise errors.BAD_TAG(key=key)
    return tags
