"""API Gateway's patch operations, made from two sets of properties."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tenantry.services.cloudformation.intrinsics import scalar_text


def escaped(segment: str) -> str:
    """A name as one segment of a patch path (JSON pointer rules)."""
    return segment.replace("~", "~0").replace("/", "~1")


def replaced(path: str, value: Any) -> dict[str, str]:
    """Set a scalar."""
    return {"op": "replace", "path": path, "value": scalar_text(value)}


def scalars(old: dict[str, Any], new: dict[str, Any], paths: dict[str, tuple[str, Any]]) -> list[dict[str, str]]:
    """Operations for changed scalar properties. paths: property -> (patch path, value when a template no longer sets it)."""
    return [replaced(path, new.get(name, default)) for name, (path, default) in paths.items() if old.get(name) != new.get(name)]


def members(prefix: str, old: Iterable[str], new: Iterable[str]) -> list[dict[str, str]]:
    """Operations that make a set of names (`/binaryMediaTypes/image~1png`) from another."""
    before, after = list(old), list(new)
    return [{"op": "add", "path": f"{prefix}/{escaped(name)}"} for name in after if name not in before] + [
        {"op": "remove", "path": f"{prefix}/{escaped(name)}"} for name in before if name not in after
    ]


def entries(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, str]]:
    """Operations that make a map (`/variables/name`) from another."""
    return [replaced(f"{prefix}/{escaped(name)}", value) for name, value in new.items() if old.get(name) != value] + [
        {"op": "remove", "path": f"{prefix}/{escaped(name)}"} for name in old if name not in new
    ]
