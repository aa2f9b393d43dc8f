"""Velocity templates, evaluated by airspeed. Imported by engines.py only.

The names a template sees are plain values and the two small objects below; what leads from a Python value into the interpreter
was refused when the template was kept (templates.check_template), and the objects here offer nothing else.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_plus

import airspeed
import orjson

from tenantry.services.apigateway.expressions import walk
from tenantry.services.apigateway.templates import TemplateError

OUTPUT_CHARACTERS_MAX = 10 * 1024 * 1024
_JS = {"\\": "\\\\", '"': '\\"', "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "/": "\\/"}
_JS_SPECIAL = re.compile(r"""[\\"'\n\r\t\x08\f/]""")


def render(template: str, names: Mapping[str, Any]) -> str:
    """The template's text (templates.Engine). `names` holds body, params, context and stageVariables."""
    output = _Output()
    namespace = {
        "input": Input(names["body"], names["params"]),
        "util": Util(),
        "context": names["context"],
        "stageVariables": names["stageVariables"],
    }
    try:
        airspeed.Template(template).merge_to(namespace, output)
    except Exception as error:
        raise TemplateError(f"{type(error).__name__}: {error}") from error
    return output.text()


class _Output:
    """Collects text up to a limit. The engine reads and sets `stop`."""

    def __init__(self) -> None:
        self.stop = False
        self._parts: list[str] = []
        self._size = 0

    def write(self, text: str) -> None:
        if self.stop:
            return
        self._size += len(text)
        if self._size > OUTPUT_CHARACTERS_MAX:
            raise TemplateError("the output is larger than 10 MB")
        self._parts.append(text)

    def text(self) -> str:
        return "".join(self._parts)


class Input:
    """`$input`: the payload and the request's parameters (`params`: path, querystring, header)."""

    def __init__(self, body: str, params: dict[str, dict[str, str]]) -> None:
        self.body = body
        self._params = params

    def path(self, path: str) -> Any:
        """The payload's value at a JSON path."""
        try:
            return walk(orjson.loads(self.body or "{}"), path)
        except orjson.JSONDecodeError:
            return None

    def json(self, path: str) -> str:
        """The same as JSON text."""
        value = self.path(path)
        return '""' if value is None else orjson.dumps(value).decode()

    def params(self, name: str | None = None) -> Any:
        """A parameter by name (path, then query string, then header), or all of them."""
        if name is None:
            return self._params
        for place in ("path", "querystring", "header"):
            found = self._params.get(place, {})
            if name in found:
                return found[name]
            if place == "header":
                return next((value for key, value in found.items() if key.lower() == name.lower()), "")
        return ""


class Util:
    """`$util`."""

    def escapeJavaScript(self, text: Any) -> str:  # noqa: N802 - the template language's own name
        """Text for a JavaScript string."""
        return _JS_SPECIAL.sub(lambda match: _JS[match[0]], str(text))

    def parseJson(self, text: str) -> Any:  # noqa: N802 - likewise
        """The value a JSON text stands for."""
        return orjson.loads(text)

    def base64Encode(self, text: Any) -> str:  # noqa: N802 - likewise
        """Text in base64."""
        return b64encode(str(text).encode()).decode()

    def base64Decode(self, text: str) -> str:  # noqa: N802 - likewise
        """Text out of base64."""
        return b64decode(text).decode("utf-8", "replace")

    def urlEncode(self, text: Any) -> str:  # noqa: N802 - likewise
        """Text for a URL."""
        return quote(str(text), safe="").replace("%20", "+")

    def urlDecode(self, text: str) -> str:  # noqa: N802 - likewise
        """Text out of a URL."""
        return unquote_plus(text)
