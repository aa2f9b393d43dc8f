"""Heavy libraries, loaded when a stage first needs them and not before: Velocity templates (0.1 s), JSON schemas (0.3 s).

They are imported in a thread, so that other requests go on meanwhile.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import cast

from tenantry.services.apigateway.templates import Engine
from tenantry.services.apigateway.validation import SchemaEngine

_PACKAGE = "tenantry.services.apigateway"


class Engines:
    """The engines that are loaded; None for one that is not."""

    def __init__(self) -> None:
        self.templates: Engine | None = None
        self.schemas: SchemaEngine | None = None

    async def load(self, *, templates: bool, schemas: bool) -> None:
        """Load what is needed and missing."""
        if templates and self.templates is None:
            self.templates = cast(Engine, await asyncio.to_thread(import_module, f"{_PACKAGE}.vtl"))
        if schemas and self.schemas is None:
            self.schemas = cast(SchemaEngine, await asyncio.to_thread(import_module, f"{_PACKAGE}.schemas"))
