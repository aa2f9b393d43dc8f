"""Content-addressed bytes on disk: code packages and S3 objects. A blob's key is the sha256 of its bytes, hexadecimal.

A blob is complete under its name or not there at all: it is written to a temporary file, then renamed. Who refers to which
blob is the owner's business; `remove` is called when the last reference goes, `sweep` at start-up for what a crash left.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


class Blobs:
    """Blobs under one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / "incoming"
        self._temporary.mkdir(parents=True, exist_ok=True)
        for leftover in self._temporary.iterdir():
            leftover.unlink()

    def put(self, data: bytes) -> str:
        """Keep bytes; returns their key. Raises OSError where the disk is full."""
        key = hashlib.sha256(data).hexdigest()
        target = self.path(key)
        if not target.exists():
            incoming = self._temporary / secrets.token_hex(8)
            try:
                incoming.write_bytes(data)
                target.parent.mkdir(exist_ok=True)
                os.replace(incoming, target)  # noqa: PTH105 - the atomic rename is the point
            finally:
                incoming.unlink(missing_ok=True)
        return key

    def get(self, key: str) -> bytes:
        """The bytes of a blob. Raises FileNotFoundError for an unknown key."""
        return self.path(key).read_bytes()

    def path(self, key: str) -> Path:
        """Where a blob lies (whether or not it exists)."""
        return self._root / key[:2] / key

    def remove(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def sweep(self, referenced: Iterable[str]) -> int:
        """Remove every blob not in `referenced`; returns how many."""
        keep, removed = set(referenced), 0
        for path in self._root.glob("??/*"):
            if path.name not in keep:
                path.unlink()
                removed += 1
        return removed
