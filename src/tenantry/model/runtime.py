"""Runtimes as the Lambda service sees them; sandbox/runtimes.py finds the interpreters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ResolvedRuntime:
    """A runtime identifier and the interpreter that stands for it.

    version: the interpreter's (`3.11`); warning: set when that is not the version the identifier names.
    """

    identifier: str
    interpreter: str
    version: str
    warning: str | None


class Runtimes(Protocol):
    """Finds interpreters."""

    def resolve(self, runtime: str) -> ResolvedRuntime:
        """The interpreter for `python3.N`. Raises ServiceError when it is missing and no other may stand in."""
