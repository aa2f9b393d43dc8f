"""Tags of functions: AWS's limits, and the three by which a function asks tenantry for something.

    tenantry:init-mode   fork (default): an environment imports the code for itself; snapshot: the zygote imports it once
    tenantry:egress      `host:port host:port ...`: where the function's environments may connect; nowhere by default
    tenantry:parked      how many anonymous environments to hold ready, 0 to 100; the platform decides by default

They are tags so that the same template deploys to AWS, where they do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tenantry.services.lambda_ import errors

TAGS_MAX = 50
INIT_MODE, EGRESS, PARKED = "tenantry:init-mode", "tenantry:egress", "tenantry:parked"
_OWN = "tenantry:"
INIT_MODES = ("fork", "snapshot")
EGRESS_MAX, PARKED_MAX = 32, 100
_HOST_PORT = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a function's tags ask of tenantry."""

    init_mode: str = "fork"
    egress: tuple[str, ...] = ()
    parked: int | None = None


def check(tags: Mapping[str, str]) -> None:
    """Refuse more tags than allowed, and a tag of ours that makes no sense. (Lengths are the model's business.)"""
    if len(tags) > TAGS_MAX:
        raise errors.TOO_MANY_TAGS()
    wishes(tags)


def wishes(tags: Mapping[str, str]) -> Wishes:
    """Read our tags. Raises InvalidParameterValueException for one that is unknown or makes no sense."""
    for key in tags:
        if key.startswith(_OWN) and key not in (INIT_MODE, EGRESS, PARKED):
            raise errors.BAD_TAG(key=key, reason=f"tenantry knows {INIT_MODE}, {EGRESS} and {PARKED}")
    mode = tags.get(INIT_MODE, "fork")
    if mode not in INIT_MODES:
        raise errors.BAD_OWN_TAG(value=mode, key=INIT_MODE, reason=f"it is one of {', '.join(INIT_MODES)}")
    parked = tags.get(PARKED)
    if parked is not None and not (re.fullmatch(r"[0-9]{1,3}", parked) and int(parked) <= PARKED_MAX):
        raise errors.BAD_OWN_TAG(value=parked, key=PARKED, reason=f"it is a number from 0 to {PARKED_MAX}")
    return Wishes(mode, _egress(tags.get(EGRESS, "")), None if parked is None else int(parked))


def _egress(text: str) -> tuple[str, ...]:
    entries = tuple(text.split())
    if len(entries) > EGRESS_MAX:
        raise errors.BAD_OWN_TAG(value=text, key=EGRESS, reason=f"it holds at most {EGRESS_MAX} destinations")
    for entry in entries:
        match = _HOST_PORT.fullmatch(entry)
        if match is None or not 1 <= int(match[2]) <= 65535:
            raise errors.BAD_OWN_TAG(value=text, key=EGRESS, reason="it is a list of host:port, separated by spaces")
    return entries
