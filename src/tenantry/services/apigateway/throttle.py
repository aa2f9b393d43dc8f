"""A token bucket: the throttle of one method of a stage (aws-behaviour 4.10)."""

from __future__ import annotations

from tenantry.model.clock import Clock


class TokenBucket:
    """`rate` tokens a second up to `burst`; it starts full."""

    __slots__ = ("_burst", "_clock", "_rate", "_then", "_tokens")

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._then = clock.monotonic()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = self._clock.monotonic()
        self._tokens = min(float(self._burst), self._tokens + (now - self._then) * self._rate)
        self._then = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
