"""Placement's decisions, as pure data: which environment serves an invocation, or whether a new one may be made.

    acquire(function, tenant) -> Reuse | Bind | Start | Refuse
    release, parked, lost, retire, expire, evict            what happens to environments elsewhere, told to the pool

The pool never sees a process: a `Slot` stands for an environment. One function, `_bind`, gives a slot to a tenant, and only a
slot that belongs to nobody; there is no way to take it back. Rules: aws-behaviour 1.4 (routing) and 1.5 (limits).
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

TENANTS_PER_UNIT = 2.5  # tenant-bound environments for each unit of the function's concurrency (aws-behaviour 1.5)


class _Nobody:
    """The owner of a slot that is not bound yet; no tenant id can equal it."""

    def __repr__(self) -> str:
        return "NOBODY"


NOBODY: Final = _Nobody()
Tenant = str | None | _Nobody  # None: the one shared "tenant" of a function that is not isolated


@dataclass(frozen=True, slots=True)
class FunctionKey:
    """What an environment is made for: one version of one function in one revision of its code and configuration."""

    arn: str
    version: str
    revision: str


@dataclass(slots=True)
class Slot:
    """An environment, as the pool sees it."""

    id: int
    key: FunctionKey
    memory_mib: int
    born: float
    tenant: Tenant = NOBODY
    busy: bool = False
    retired: bool = False
    idle_since: float = 0.0


@dataclass(frozen=True, slots=True)
class Reuse:
    """Use this environment: it is idle, and belongs to the same tenant."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Bind:
    """Use this parked environment: it has just been bound to the tenant."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Start:
    """Make a new environment for the tenant, bound already; first destroy `evict`."""

    slot: Slot
    evict: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Throttled. reason: Lambda's `Reason` member; tenants: True when it is the limit of tenant-bound environments."""

    reason: str
    tenants: bool = False


Decision = Reuse | Bind | Start | Refuse


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the whole platform. concurrency: invocations at a time; environments and memory_mib: alive at a time."""

    concurrency: int = 1000
    environments: int = 2500
    memory_mib: int = 1 << 40


@dataclass(slots=True)
class _Function:
    """Everything the pool knows of one function, over its versions."""

    busy: int = 0
    reserved: int | None = None
    bound: int = 0


@dataclass(slots=True)
class Pool:
    """See the module's docstring. Times are monotonic seconds."""

    limits: Limits
    slots: dict[int, Slot] = field(default_factory=dict)
    _idle: dict[tuple[FunctionKey, str | None], list[Slot]] = field(default_factory=dict)
    _parked: dict[FunctionKey, list[Slot]] = field(default_factory=dict)
    _functions: dict[str, _Function] = field(default_factory=dict)
    _by_age: OrderedDict[int, Slot] = field(default_factory=OrderedDict)  # idle slots, longest idle first
    _retired: set[FunctionKey] = field(default_factory=set)
    _alive: Counter[FunctionKey] = field(default_factory=Counter)
    _unbound: Counter[FunctionKey] = field(default_factory=Counter)
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    memory_mib: int = 0
    busy: int = 0

    # -- what placement asks

    def acquire(self, key: FunctionKey, tenant: str | None, memory_mib: int, now: float) -> Decision:
        """An environment for one invocation. Whatever it answers but Refuse counts as busy until `release` or `lost`."""
        function = self._functions.setdefault(key.arn, _Function())
        refusal = self._throttle(function)
        if refusal is not None:
            return refusal
        idle = self._idle.get((key, tenant))
        if idle:
            slot = idle[-1]
            self._withdraw(slot)
            return Reuse(self._occupy(slot))
        if tenant is not None and function.bound >= self._tenants_max(function):
            return Refuse("ConcurrentInvocationLimitExceeded", tenants=True)
        parked = self._parked.get(key)
        if parked:
            slot = parked[-1]
            self._withdraw(slot)
            self._bind(slot, tenant)
            return Bind(self._occupy(slot))
        evicted = self._make_room(memory_mib)
        if evicted is None:
            return Refuse("ConcurrentInvocationLimitExceeded")
        slot = self._new(key, memory_mib, now)
        self._bind(slot, tenant)
        return Start(self._occupy(slot), evicted)

    def park(self, key: FunctionKey, memory_mib: int, now: float) -> Slot | None:
        """A slot for an environment made ahead of time; None when it would crowd out others or the revision is retired."""
        if key in self._retired or not self._fits(memory_mib):
            return None
        return self._new(key, memory_mib, now)

    # -- what happens to environments

    def parked(self, slot: Slot, now: float) -> bool:
        """A slot made by `park` has finished INIT. False: it is not wanted any more, destroy it."""
        if slot.id not in self.slots or slot.retired:
            return False
        if slot.tenant is NOBODY and not slot.busy and slot.id not in self._by_age:
            self._parked.setdefault(slot.key, []).append(slot)
            self._rest(slot, now)
        return True

    def release(self, slot: Slot, now: float) -> bool:
        """An invocation has ended. False: the environment is retired (or gone), destroy it."""
        if slot.id not in self.slots:
            return False
        self._vacate(slot)
        if slot.retired:
            return False
        assert not isinstance(slot.tenant, _Nobody)
        self._idle.setdefault((slot.key, slot.tenant), []).append(slot)
        self._rest(slot, now)
        return True

    def lost(self, slot: Slot) -> None:
        """The environment is gone. Telling it twice does no harm."""
        if self.slots.pop(slot.id, None) is None:
            return
        if slot.busy:
            self._vacate(slot)
        self._withdraw(slot)
        self.memory_mib -= slot.memory_mib
        self._alive[slot.key] -= 1
        if slot.tenant is NOBODY:
            self._unbound[slot.key] -= 1
        if isinstance(slot.tenant, str):
            self._functions[slot.key.arn].bound -= 1

    def retire(self, key: FunctionKey) -> list[Slot]:
        """No new invocation goes to this revision's environments. Returns those to destroy now; busy ones follow at
        `release`."""
        self._retired.add(key)
        return self._retire(slot for slot in self.slots.values() if slot.key == key)

    def expire(self, now: float, idle_s: float, age_s: float, at_most: int | None = None) -> list[Slot]:
        """Retire what has been idle (bound, not parked) or alive for too long, the oldest first. Returns those to destroy."""
        old = [
            slot
            for slot in self.slots.values()
            if not slot.retired
            and (
                now - slot.born > age_s
                or (slot.id in self._by_age and slot.tenant is not NOBODY and now - slot.idle_since > idle_s)
            )
        ]
        return self._retire(old[:at_most])

    def forget(self, key: FunctionKey) -> None:
        """A retired revision has no environment left and never comes back."""
        self._retired.discard(key)
        for counter in (self._alive, self._unbound):
            counter.pop(key, None)

    def reserve(self, arn: str, reserved: int | None) -> None:
        """Set or clear a function's reserved concurrency."""
        self._functions.setdefault(arn, _Function()).reserved = reserved

    def count(self, key: FunctionKey) -> int:
        """Environments of one revision, whatever they do."""
        return self._alive[key]

    def parked_count(self, key: FunctionKey) -> int:
        """Environments of one revision that belong to nobody, INIT done or not."""
        return self._unbound[key]

    # -- the one place that assigns

    def _bind(self, slot: Slot, tenant: str | None) -> None:
        if slot.tenant is not NOBODY:
            raise AssertionError("a slot is bound once")
        slot.tenant = tenant
        self._unbound[slot.key] -= 1
        if tenant is not None:
            self._functions[slot.key.arn].bound += 1

    # -- bookkeeping

    def _throttle(self, function: _Function) -> Refuse | None:
        if function.reserved is not None:
            if function.busy >= function.reserved:
                return Refuse("ReservedFunctionConcurrentInvocationLimitExceeded")
            return None
        reserved = [other for other in self._functions.values() if other.reserved is not None]
        available = self.limits.concurrency - sum(other.reserved or 0 for other in reserved)
        if self.busy - sum(other.busy for other in reserved) >= available:
            return Refuse("ConcurrentInvocationLimitExceeded")
        return None

    def _tenants_max(self, function: _Function) -> int:
        return int(TENANTS_PER_UNIT * (self.limits.concurrency if function.reserved is None else function.reserved))

    def _fits(self, memory_mib: int) -> bool:
        return len(self.slots) < self.limits.environments and self.memory_mib + memory_mib <= self.limits.memory_mib

    def _make_room(self, memory_mib: int) -> tuple[Slot, ...] | None:
        """Evict the longest idle environments until one more fits; None when all are busy."""
        evicted: list[Slot] = []
        while not self._fits(memory_mib):
            if not self._by_age:
                return None
            slot = next(iter(self._by_age.values()))
            slot.retired = True
            self.lost(slot)
            evicted.append(slot)
        return tuple(evicted)

    def _new(self, key: FunctionKey, memory_mib: int, now: float) -> Slot:
        slot = Slot(next(self._ids), key, memory_mib, now)
        self.slots[slot.id] = slot
        self.memory_mib += memory_mib
        self._alive[key] += 1
        self._unbound[key] += 1
        return slot

    def _occupy(self, slot: Slot) -> Slot:
        if slot.busy or slot.retired:
            raise AssertionError("a busy or retired slot was chosen")
        slot.busy = True
        self.busy += 1
        self._functions[slot.key.arn].busy += 1
        return slot

    def _vacate(self, slot: Slot) -> None:
        if slot.busy:
            slot.busy = False
            self.busy -= 1
            self._functions[slot.key.arn].busy -= 1

    def _rest(self, slot: Slot, now: float) -> None:
        slot.idle_since = now
        self._by_age[slot.id] = slot

    def _withdraw(self, slot: Slot) -> None:
        """Take a slot out of every list from which it could be chosen."""
        if self._by_age.pop(slot.id, None) is None:
            return
        if isinstance(slot.tenant, _Nobody):
            self._parked[slot.key].remove(slot)
            if not self._parked[slot.key]:
                del self._parked[slot.key]
        else:
            home = slot.key, slot.tenant
            self._idle[home].remove(slot)
            if not self._idle[home]:
                del self._idle[home]

    def _retire(self, slots: Iterable[Slot]) -> list[Slot]:
        destroy = []
        for slot in list(slots):
            slot.retired = True
            self._withdraw(slot)
            if not slot.busy:
                destroy.append(slot)
        return destroy
