"""The directory of functions the invoke path reads: published by the Lambda service, whole and frozen, one row a function."""

from __future__ import annotations

from collections.abc import Callable

from tenantry.model.function import FunctionEntry

Listener = Callable[[FunctionEntry | None, FunctionEntry | None], None]


class Functions:
    """Functions by (region, name). Listeners hear (old, new) of every change, synchronously and in order."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self._entries: dict[tuple[str, str], FunctionEntry] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(old, new)` at every change from now on; None stands for absence."""
        self._listeners.append(listener)

    def put(self, entry: FunctionEntry) -> None:
        """Publish a function, new or changed."""
        key = entry.region, entry.name
        old = self._entries.get(key)
        self._entries[key] = entry
        self._tell(old, entry)

    def remove(self, region: str, name: str) -> None:
        """Withdraw a function: its environments are destroyed once they are idle."""
        old = self._entries.pop((region, name), None)
        if old is not None:
            self._tell(old, None)

    def get(self, region: str, name: str) -> FunctionEntry | None:
        return self._entries.get((region, name))

    def entries(self) -> list[FunctionEntry]:
        return list(self._entries.values())

    def _tell(self, old: FunctionEntry | None, new: FunctionEntry | None) -> None:
        for listener in self._listeners:
            listener(old, new)
