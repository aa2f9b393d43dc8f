"""Mapping templates, the part that needs no engine: what may not stand in one, and which engine evaluates it.

Most templates of proxy APIs are trivial (`{"statusCode": 200}`, empty): `constant` answers those. The rest is Velocity; its
engine costs a tenth of a second to import, so it is loaded by the first stage that needs it (engines.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from tenantry.services.apigateway import errors

TEMPLATE_BYTES_MAX = 300 * 1024

# The engine resolves names on Python objects. Names that would lead from a value into the interpreter are never passed to it.
_UNSAFE = re.compile(r"__|\.\s*(?:format|format_map|mro|gi_|cr_|ag_|tb_|f_|func_|co_|_)|#\s*(?:include|parse|evaluate)\b")


class TemplateError(Exception):
    """A template that cannot be evaluated."""


class Engine(Protocol):
    """Evaluates Velocity templates."""

    def render(self, template: str, names: Mapping[str, Any]) -> str:
        """The template's text with `names` as its variables. Raises TemplateError."""


def check_template(template: str | None) -> None:
    """Refuse a template that is too large, or that reaches for what is not a template's business."""
    if template is None:
        return
    if len(template.encode()) > TEMPLATE_BYTES_MAX:
        raise errors.BAD_TEMPLATE(reason="it is larger than 300 KB")
    unsafe = _UNSAFE.search(template)
    if unsafe is not None and _is_dynamic(template):
        raise errors.BAD_TEMPLATE(reason=f"it may not contain {unsafe[0]!r}")


def constant(template: str | None) -> str | None:
    """The text of a template that has nothing to evaluate, or None."""
    if template is None:
        return ""
    return None if _is_dynamic(template) else template


def _is_dynamic(template: str) -> bool:
    return "$" in template or "#" in template or "\\" in template
