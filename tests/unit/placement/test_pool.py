"""The pool under arbitrary interleavings: an environment never serves two tenants, nor anyone after its retirement."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from tenantry.placement.pool import NOBODY, Bind, FunctionKey, Limits, Pool, Refuse, Reuse, Start

KEYS = [FunctionKey(f"arn:{name}", version, revision) for name in "fg" for version in ("$LATEST", "1") for revision in "ab"]
TENANTS = st.sampled_from(["Blue", "blue", "Green", "Red ", None])
LIMITS = Limits(concurrency=6, environments=8, memory_mib=1100)


class PoolMachine(RuleBasedStateMachine):
    """Drives a Pool as the router does, beside the plainest model of what each environment has done."""

    busy = Bundle("busy")
    starting = Bundle("starting")

    @initialize()
    def begin(self):
        self.pool = Pool(LIMITS)
        self.now = 0.0
        self.served: dict[int, set[object]] = {}
        self.keys: dict[int, FunctionKey] = {}
        self.dead: set[int] = set()
        self.retired: set[FunctionKey] = set()

    @rule(target=busy, key=st.sampled_from(KEYS), tenant=TENANTS)
    def invoke(self, key, tenant):
        if key in self.retired:  # the router asks for current revisions only
            return None
        self.now += 1
        decision = self.pool.acquire(key, tenant, 128, self.now)
        if isinstance(decision, Refuse):
            return None
        slot = decision.slot
        assert slot.key == key
        assert slot.id not in self.dead
        if isinstance(decision, Start):
            assert slot.id not in self.served
            self.dead.update(evicted.id for evicted in decision.evict)
        if isinstance(decision, Bind):
            assert not self.served.get(slot.id)
        if isinstance(decision, Reuse):
            assert self.served[slot.id] == {tenant}
        self.keys[slot.id] = key
        self.served.setdefault(slot.id, set()).add(tenant)
        return slot

    @rule(target=starting, key=st.sampled_from(KEYS))
    def park(self, key):
        slot = self.pool.park(key, 128, self.now)
        if slot is not None:
            assert key not in self.retired
            self.keys[slot.id] = key
        return slot

    @rule(slot=consumes(starting))
    def init_done(self, slot):
        if slot is not None and not self.pool.parked(slot, self.now):
            self.destroy(slot)

    @rule(slot=consumes(starting))
    def init_failed(self, slot):
        if slot is not None:
            self.destroy(slot)

    @rule(slot=consumes(busy))
    def complete(self, slot):
        if slot is not None:
            self.now += 1
            if not self.pool.release(slot, self.now):
                self.destroy(slot)

    @rule(slot=consumes(busy))
    def crash(self, slot):
        if slot is not None:
            self.destroy(slot)

    @rule(key=st.sampled_from(KEYS))
    def update(self, key):
        for slot in self.pool.retire(key):
            assert not slot.busy
            self.destroy(slot)
        self.retired.add(key)

    @rule(idle=st.sampled_from([0.5, 3.0]), age=st.sampled_from([4.0, 1e9]), at_most=st.sampled_from([None, 0, 1]))
    def expire(self, idle, age, at_most):
        self.now += 2
        expired = self.pool.expire(self.now, idle, age, at_most)
        assert at_most is None or len(expired) <= at_most
        for slot in expired:
            assert not slot.busy
            self.destroy(slot)

    @rule(name=st.sampled_from("fg"), reserved=st.sampled_from([None, 0, 1, 3]))
    def reserve(self, name, reserved):
        self.pool.reserve(f"arn:{name}", reserved)

    def destroy(self, slot):
        self.pool.lost(slot)
        self.dead.add(slot.id)

    @invariant()
    def one_tenant_for_life(self):
        assert all(len(tenants) == 1 for tenants in self.served.values())

    @invariant()
    def limits_hold(self):
        assert len(self.pool.slots) <= LIMITS.environments
        assert self.pool.memory_mib == 128 * len(self.pool.slots) <= LIMITS.memory_mib
        assert self.pool.busy == sum(slot.busy for slot in self.pool.slots.values()) <= LIMITS.concurrency + 3

    @invariant()
    def nothing_chosen_is_dead_or_busy(self):
        for home, slots in [*self.pool._idle.items(), *self.pool._parked.items()]:
            assert slots, home
            for slot in slots:
                assert slot.id in self.pool.slots
                assert slot.id not in self.dead
                assert not slot.busy
                assert not slot.retired
                assert slot.key not in self.retired

    @invariant()
    def counters_agree(self):
        for key in KEYS:
            of_key = [slot for slot in self.pool.slots.values() if slot.key == key]
            assert self.pool.count(key) == len(of_key)
            assert self.pool.parked_count(key) == sum(slot.tenant is NOBODY for slot in of_key)


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestPool = PoolMachine.TestCase

F = FunctionKey("arn:f", "$LATEST", "a")


def start(pool, tenant, key=F):
    decision = pool.acquire(key, tenant, 128, 0.0)
    assert isinstance(decision, (Start, Bind, Reuse)), decision
    return decision.slot


def test_binding_twice_is_impossible():
    pool = Pool(Limits())
    slot = start(pool, "Blue")
    with pytest.raises(AssertionError, match="bound once"):
        pool._bind(slot, "Green")


def test_idle_environment_of_another_tenant_is_never_taken_even_when_nothing_else_is_allowed():
    pool = Pool(Limits())
    pool.reserve("arn:f", 1)
    blue = start(pool, "Blue")
    pool.release(blue, 1.0)
    green = start(pool, "Green")
    assert green.id != blue.id
    pool.release(green, 2.0)
    refused = pool.acquire(F, "Red", 128, 3.0)
    assert refused == Refuse("ConcurrentInvocationLimitExceeded", tenants=True)  # floor(2.5 x 1) = 2 tenant-bound ones


def test_reserved_concurrency_throttles_and_leaves_the_rest_to_others():
    pool = Pool(Limits(concurrency=3))
    pool.reserve("arn:f", 2)
    start(pool, "a")
    start(pool, "b")
    assert pool.acquire(F, "c", 128, 0.0) == Refuse("ReservedFunctionConcurrentInvocationLimitExceeded")
    other = FunctionKey("arn:g", "$LATEST", "a")
    start(pool, None, other)
    assert pool.acquire(other, None, 128, 0.0) == Refuse("ConcurrentInvocationLimitExceeded")


def test_least_recently_used_idle_environment_makes_room():
    pool = Pool(Limits(environments=2))
    first, second = start(pool, "a"), start(pool, "b")
    pool.release(second, 1.0)
    pool.release(first, 2.0)
    decision = pool.acquire(F, "c", 128, 3.0)
    assert isinstance(decision, Start)
    assert [slot.id for slot in decision.evict] == [second.id]


def test_nothing_to_evict_means_throttled():
    pool = Pool(Limits(environments=1))
    start(pool, "a")
    assert isinstance(pool.acquire(F, "b", 128, 0.0), Refuse)


def test_parked_environment_is_bound_by_the_first_new_tenant_only():
    pool = Pool(Limits())
    slot = pool.park(F, 128, 0.0)
    assert pool.parked(slot, 0.0)
    decision = pool.acquire(F, "Blue", 128, 1.0)
    assert decision == Bind(slot)
    pool.release(slot, 2.0)
    assert isinstance(pool.acquire(F, "Green", 128, 3.0), Start)
    assert pool.acquire(F, "Blue", 128, 4.0) == Reuse(slot)


def test_ready_twice_after_a_reset_does_not_list_a_parked_environment_twice():
    pool = Pool(Limits())
    slot = pool.park(F, 128, 0.0)
    pool.parked(slot, 0.0)
    pool.parked(slot, 1.0)
    start(pool, "Blue")
    assert isinstance(pool.acquire(F, "Green", 128, 2.0), Start)


def test_environment_in_use_while_its_function_changes_is_destroyed_when_it_ends():
    pool = Pool(Limits())
    slot = start(pool, "Blue")
    assert pool.retire(F) == []
    assert pool.release(slot, 1.0) is False
