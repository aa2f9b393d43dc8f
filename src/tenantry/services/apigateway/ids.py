"""Request ids, gateway ids and trace ids, cut from a pool of randomness: one system call for hundreds of them."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode

_POOL_BYTES = 6144  # a multiple of 3: its base64 has no padding


class Ids:
    """Makes ids; for one event loop."""

    __slots__ = ("_at", "_hex", "_letters", "_letters_at")

    def __init__(self) -> None:
        self._hex = ""
        self._at = 0
        self._letters = ""
        self._letters_at = 0

    def _take(self, digits: int) -> str:
        start = self._at
        end = start + digits
        if end > len(self._hex):
            self._hex = os.urandom(_POOL_BYTES).hex()
            start, end = 0, digits
        self._at = end
        return self._hex[start:end]

    def request_id(self) -> str:
        """A random UUID (version 4)."""
        d = self._take(32)
        return f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:]}"

    def extended_id(self) -> str:
        """An `x-amz-apigw-id`: fifteen characters and `=`."""
        start = self._letters_at
        end = self._letters_at = start + 15
        if end > len(self._letters):
            self._letters = urlsafe_b64encode(os.urandom(_POOL_BYTES)).decode()
            start, self._letters_at = 0, 15
        return self._letters[start : start + 15] + "="

    def trace_id(self, now: float) -> str:
        """`Root=1-<time>-<96 bits>;Parent=<64 bits>;Sampled=0`: tracing is never on."""
        d = self._take(40)
        return f"Root=1-{int(now):08x}-{d[:24]};Parent={d[24:]};Sampled=0"


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
