"""The life of an execution environment as one table; what is not listed raises.

    starting -> parked -> (bound) idle <-> busy          parked: INIT done, belongs to nobody yet
       |           |        |        |
       |           `--------+--------+-> resetting       the process died or ran out of time; `/tmp`, stream and tenant stay
       `-> dead <- every state

A tenant is bound while the environment is starting or parked (or resetting, if it was parked), once, and never changes.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where an environment is in its life."""

    STARTING = "starting"
    PARKED = "parked"
    IDLE = "idle"
    BUSY = "busy"
    RESETTING = "resetting"
    DEAD = "dead"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.PARKED, State.IDLE, State.BUSY, State.RESETTING, State.DEAD}),
    State.PARKED: frozenset({State.BUSY, State.RESETTING, State.DEAD}),
    State.IDLE: frozenset({State.BUSY, State.RESETTING, State.DEAD}),
    State.BUSY: frozenset({State.IDLE, State.RESETTING, State.DEAD}),
    State.RESETTING: frozenset({State.PARKED, State.IDLE, State.BUSY, State.RESETTING, State.DEAD}),
    State.DEAD: frozenset(),
}


class IllegalTransition(Exception):  # noqa: N818 - the name AWS's runtime emulator gives it
    """A state change that the table does not list: a defect of the platform."""


def move(old: State, new: State) -> State:
    """`new`, if the table allows it from `old`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"an environment cannot go from {old.value} to {new.value}")
    return new
