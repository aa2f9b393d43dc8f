"""How many environments to keep parked: a few, more where new tenants keep finding none, fewer again when that stops.

The target of a function doubles when a new tenant found nothing parked (up to a bound), and falls by one for every quiet half
minute. A function whose INIT fails gets none for a while: parking what cannot start would keep the machine busy with failing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenantry.placement.pool import FunctionKey

TARGET_MAX = 32
DECAY_S = 30.0
FAILURE_PAUSE_S = 60.0


@dataclass(slots=True)
class _State:
    extra: int = 0
    changed: float = 0.0
    not_before: float = 0.0


class Parking:
    """Targets by function version. `default` is the platform's setting; a function's own number replaces it. 0 switches it
    off."""

    def __init__(self, default: int) -> None:
        self._default = default
        self._states: dict[FunctionKey, _State] = {}

    def target(self, key: FunctionKey, own: int | None, now: float) -> int:
        """How many environments of this version should be parked now."""
        base = self._default if own is None else own
        state = self._states.get(key)
        if state is None or base == 0:
            return base
        if now < state.not_before:
            return 0
        decayed = int((now - state.changed) / DECAY_S)
        if decayed and state.extra:
            state.extra = max(0, state.extra - decayed)
            state.changed = now
        return min(base + state.extra, max(TARGET_MAX, base))

    def missed(self, key: FunctionKey, now: float) -> None:
        """A new tenant came and nothing was parked."""
        state = self._states.setdefault(key, _State())
        state.extra = min(max(1, state.extra * 2), TARGET_MAX)
        state.changed = now

    def failed(self, key: FunctionKey, now: float) -> None:
        """An environment of this version could not finish INIT."""
        self._states.setdefault(key, _State()).not_before = now + FAILURE_PAUSE_S

    def forget(self, key: FunctionKey) -> None:
        """The version is retired."""
        self._states.pop(key, None)
