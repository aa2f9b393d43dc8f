"""Listing in pages: the marker is the last key of the page before, wrapped so that nobody builds one by hand."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tenantry.services.lambda_ import errors

T = TypeVar("T")
PAGE_MAX = 50


def page(
    items: Iterable[tuple[str, T]], params: dict[str, Any], show: Callable[[T], dict[str, Any]]
) -> tuple[list[dict[str, Any]], str | None]:
    """The answers for one page of (key, record), which come in the order of their keys, and the next marker or None.

    Reads `Marker` and `MaxItems` of the parameters; AWS gives at most 50 a page whatever is asked.
    """
    after = _unwrap(params["Marker"]) if params.get("Marker") else ""
    size = min(params.get("MaxItems") or PAGE_MAX, PAGE_MAX)
    shown: list[dict[str, Any]] = []
    last = ""
    for key, record in items:
        if key <= after:
            continue
        if len(shown) == size:
            return shown, _wrap(last)
        shown.append(show(record))
        last = key
    return shown, None


def number_key(version: str) -> str:
    """A text that sorts as the version does: `$LATEST` first, then by number."""
    return f"{int(version):012d}" if version.isdigit() else "!"


def _wrap(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _unwrap(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise errors.BAD_MARKER(marker=marker) from None
