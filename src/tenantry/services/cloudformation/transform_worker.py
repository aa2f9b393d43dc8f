"""The process behind `transform.py`: aws-sam-translator, and AWS's resource schemas as cfn-lint ships them.

    {"do": "transform", "template": ..., "parameters": ..., "region": ...}   ->  {"result": template} or {"error": text}
    {"do": "check", "resources": {id: {"Type": ..., "Properties": ...}}}      ->  {"result": [text, ...]}

Run as `python -m tenantry.services.cloudformation.transform_worker`; never imported by the platform (two seconds).
cfn-lint's own rule engine is left out on purpose: it needs another two seconds and 150 MB, and refuses more than AWS does.
The schemas alone are what CloudFormation itself validates properties with.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import create
from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template

from tenantry.services.cloudformation.records import partition
from tenantry.services.cloudformation.resources.shape import LATER

_PROBLEMS_MAX = 20
_GROWING = ("Runtime",)  # enumerations that grow faster than the schemas here; the service itself knows what it runs


class Region:
    """What the translator wants of a boto session: the region's name."""

    def __init__(self, region_name: str) -> None:
        self.region_name = region_name


def transform(template: dict[str, Any], parameters: dict[str, Any], region: str) -> dict[str, Any]:
    """Expand a SAM template. Raises InvalidDocumentException with everything that is wrong."""
    to_py27_compatible_template(template, parameters)  # keeps the hashes in generated logical ids what AWS makes them
    translator = Translator(None, Parser(), boto_session=Region(region))
    policies = get_bundled_managed_policy_map(partition(region)) or {}
    expanded = translator.translate(template, parameter_values=parameters, get_managed_policy_map=lambda: policies)
    result: dict[str, Any] = undo_mark_unicode_str_in_template(expanded)
    return result


def complaint(error: InvalidDocumentException) -> str:
    """The text of AWS's refusal."""
    causes = sorted(str(cause.message) for cause in error.causes)
    return " ".join([error.message, *causes])


class Schemas:
    """AWS's resource schemas, read from cfn-lint's data when first asked for."""

    # Of JSON schema only what CloudFormation's validation and ours certainly agree on. Combinations (oneOf, if, ...) are left
    # out: cfn-lint adds its own to the schemas, and they are wrong about values that are not known yet.
    _KEYWORDS = (
        "$ref",
        "enum",
        "const",
        "items",
        "maximum",
        "minimum",
        "maxItems",
        "minItems",
        "maxLength",
        "minLength",
        "patternProperties",
        "properties",
        "required",
    )

    @cached_property
    def _folder(self) -> Path:
        found = importlib.util.find_spec("cfnlint")
        if found is None or found.origin is None:
            raise ImportError("cfn-lint is not installed")
        return Path(found.origin).parent / "data" / "schemas"

    @cached_property
    def _index(self) -> dict[str, str]:
        index: dict[str, str] = json.loads((self._folder / "providers" / "us-east-1.json").read_text())
        return index

    @cached_property
    def _validator(self) -> Any:
        chosen = {name: check for name, check in Draft7Validator.VALIDATORS.items() if name in self._KEYWORDS}
        return create(Draft7Validator.META_SCHEMA, {**chosen, "pattern": _pattern}, type_checker=Draft7Validator.TYPE_CHECKER)

    def problems(self, kind: str, properties: dict[str, Any]) -> Iterator[str]:
        """What the schema of a type says against properties; nothing for a type without a schema."""
        name = self._index.get(kind)
        if name is None:
            return
        schema = json.loads((self._folder / "resources" / f"{name}.json").read_text())
        for error in self._validator(schema).iter_errors(properties):
            if error.validator == "enum" and error.absolute_path[-1] in _GROWING:
                continue
            if not _later(error.instance) or error.validator == "required":
                yield f"#/{'/'.join(map(str, error.absolute_path))}: {error.message}"


def check(schemas: Schemas, resources: dict[str, Any]) -> list[str]:
    """Every fault of every resource's properties."""
    found = [
        f"{logical_id}: {problem}"
        for logical_id, resource in resources.items()
        for problem in schemas.problems(resource["Type"], resource["Properties"])
    ]
    return found[:_PROBLEMS_MAX]


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        fits = re.search(pattern, instance) is not None
    except re.error:  # an expression of another dialect says nothing here
        return
    if not fits:
        yield ValidationError(f"failed validation constraint for keyword [pattern] {pattern!r}")


def _later(value: Any) -> bool:
    return LATER in json.dumps(value)


def answer(request: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    """What to reply to a request."""
    try:
        if request["do"] == "transform":
            return {"result": transform(request["template"], request["parameters"], request["region"])}
        if request["do"] == "check":
            return {"result": check(schemas, request["resources"])}
        return {"result": None}
    except InvalidDocumentException as error:
        return {"error": complaint(error)}
    except Exception as error:  # noqa: BLE001 - the translator raises anything at all for a template it did not expect
        print(f"transform failed: {type(error).__name__}: {error}", file=sys.stderr)
        return {"error": "Internal transform failure."}


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer line by line until the requests end."""
    schemas = Schemas()
    for line in requests:
        replies.write(json.dumps(answer(json.loads(line), schemas)).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    channel = sys.stdout.buffer
    logging.basicConfig(level=logging.ERROR)  # the translator remarks on metrics that nobody here publishes
    sys.stdout = sys.stderr  # whatever a library prints must not get between the answers
    serve(sys.stdin.buffer, channel)
