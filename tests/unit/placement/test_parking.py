"""How many environments are kept parked."""

from tenantry.placement.parking import DECAY_S, FAILURE_PAUSE_S, TARGET_MAX, Parking
from tenantry.placement.pool import FunctionKey

F = FunctionKey("arn:f", "$LATEST", "a")


def test_default_and_own_number():
    parking = Parking(2)
    assert parking.target(F, None, 0.0) == 2
    assert parking.target(F, 5, 0.0) == 5
    assert parking.target(F, 0, 0.0) == 0


def test_grows_with_misses_up_to_the_bound_and_falls_when_quiet():
    parking = Parking(2)
    seen = []
    for _ in range(9):
        parking.missed(F, 0.0)
        seen.append(parking.target(F, None, 0.0))
    assert seen == sorted(seen)
    assert seen[0] > 2
    assert seen[-1] == TARGET_MAX
    assert parking.target(F, None, 3 * DECAY_S) < TARGET_MAX
    assert parking.target(F, None, 1000 * DECAY_S) == 2


def test_switched_off_stays_off_whatever_is_missed():
    parking = Parking(0)
    parking.missed(F, 0.0)
    assert parking.target(F, None, 0.0) == 0


def test_nothing_is_parked_for_a_while_after_a_failed_init():
    parking = Parking(2)
    parking.failed(F, 10.0)
    assert parking.target(F, None, 11.0) == 0
    assert parking.target(F, None, 10.0 + FAILURE_PAUSE_S) == 2
    parking.failed(F, 10.0)
    parking.forget(F)
    assert parking.target(F, None, 11.0) == 2
