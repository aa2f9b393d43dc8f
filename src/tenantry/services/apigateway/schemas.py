"""JSON schemas of draft 4, checked by the jsonschema library. Imported by engines.py only: it takes a third of a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft4Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4

_PREFIX = "https://apigateway.amazonaws.com/restapis/"


class DraftFour:
    """One compiled schema."""

    __slots__ = ("_validator",)

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def accepts(self, value: Any) -> bool:
        """Whether a JSON value fits. A schema that refers to what is not there fits nothing."""
        try:
            return bool(self._validator.is_valid(value))
        except (Unresolvable, SchemaError):
            return False


def compile(name: str, models: Mapping[str, str]) -> DraftFour:
    """The schema of the model `name` (validation.SchemaEngine)."""
    schema = _localised(orjson.loads(models[name]))
    needed = [(f"model:{other}", DRAFT4.create_resource(_localised(orjson.loads(text))))
              for other, text in models.items()]  # fmt: skip
    registry: Registry[Any] = Registry().with_resources(needed)
    return DraftFour(Draft4Validator({"id": f"model:{name}", **schema}, registry=registry))


def _localised(value: Any) -> Any:
    """References to other models of the API (a URL with the API's id in it) by a name that no id is part of."""
    if isinstance(value, list):
        return [_localised(item) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _localised(item) for key, item in value.items()}
    reference = changed.get("$ref")
    if isinstance(reference, str) and reference.startswith(_PREFIX):
        changed["$ref"] = "model:" + reference.rpartition("/models/")[2]
    return changed
