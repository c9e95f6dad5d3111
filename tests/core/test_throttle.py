"""After a 429 the rate follows what the API takes, down and up again, and each burst of 429s is one event."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.quota import Operation, Quota, Rate
from entity_stream.core.throttle import GROW, Throttle
from tests.core.driving import Drive
from tests.judge.conditions import Limit

SUBMIT, POLL = Operation.SUBMIT, Operation.POLL
HALVED, BACK, OVER = 20.3, 40.6, 60.0
"""Seconds at which the quota is halved, and doubled again, and the scenario ends."""


def moved(kind: str, seed: int, way: float = 0.005) -> Drive:
    """Fifty submits a second are configured; the endpoint takes 50, 25 and 50 again."""
    drive = Drive(Quota([Rate(50, 1.0, (SUBMIT,))]), [Limit(kind, 50, 1.0, ["submit"])], seed)  # type: ignore[arg-type]
    drive.way = way
    for _ in range(32):
        drive.call()
    drive.at(HALVED, lambda: drive.limit(Limit(kind, 25, 1.0, ["submit"])))  # type: ignore[arg-type]
    drive.at(BACK, lambda: drive.limit(Limit(kind, 50, 1.0, ["submit"])))  # type: ignore[arg-type]
    return drive.run(OVER)


def back_after(drive: Drive, begin: float, end: float, per_second: float) -> float:
    """Tell after how many seconds each three seconds that begin then or later get 95 % of the quota."""
    starts = [begin + n / 10 for n in range(round(10 * (end - begin - 3)))]
    short = [start for start in starts if drive.used(start, start + 3, per_second) < 0.95]
    return max(short, default=begin) - begin


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("way", [0.001, 0.01])
def test_a_bucket_that_is_halved_and_doubled_is_followed_within_three_seconds(seed: int, way: float) -> None:
    """At 95 % of the new quota for good within 3 s of each change, and fewer than one call in a hundred gets a 429."""
    drive = moved("tokenBucket", seed, way)
    assert back_after(drive, HALVED, BACK, 25) <= 3.0
    assert back_after(drive, BACK, OVER, 50) <= 3.0
    assert drive.used(1.0, HALVED, 50) >= 0.99
    assert len(drive.refused) < 0.01 * (len(drive.refused) + 2 * len(drive.taken))  # each submit has a poll


@pytest.mark.parametrize(("kind", "least"), [("fixedWindow", 0.6), ("slidingWindow", 0.5)])
def test_a_window_of_one_second_is_followed_at_a_price(kind: str, least: float) -> None:
    """It forgets what was not called while we were frozen, for whole seconds: so to find out costs a part of it."""
    drive = moved(kind, 1)
    assert drive.used(HALVED, BACK, 25) >= least
    assert back_after(drive, BACK, OVER, 50) <= 3.0
    assert len(drive.refused) < 0.01 * (len(drive.refused) + 2 * len(drive.taken))


@pytest.mark.parametrize("kind", ["tokenBucket", "fixedWindow", "slidingWindow"])
def test_who_takes_a_third_of_a_minute_leaves_us_the_rest(kind: str) -> None:
    """Of a quota of a minute that others use, too, we get nearly all that is left, with few 429s."""
    drive = Drive(Quota([Rate(600, 60.0)]), [Limit(kind, 400, 60.0)])  # type: ignore[arg-type]
    for _ in range(16):
        drive.call()
    drive.run(1_800.0)
    assert drive.used(120.0, 1_800.0, 400 / 60) >= 0.7
    assert len(drive.refused) < 0.01 * len(drive.taken)


@pytest.mark.parametrize(("calls", "seconds"), [(20, 60.0), (1_000, 86_400.0)])
def test_a_quota_of_few_calls_is_followed_too(calls: int, seconds: float) -> None:
    """Half of what is configured is found and used, though half a minute holds few slots or none."""
    slot = seconds / calls
    drive = Drive(Quota([Rate(calls, seconds)]), [Limit("tokenBucket", 5, 10 * slot)])
    for _ in range(4):
        drive.call()
    drive.run(400 * slot)
    assert drive.used(40 * slot, 400 * slot, 0.5 / slot) >= 0.95
    assert len(drive.refused) < 0.2 * (len(drive.refused) + len(drive.taken))


def after_a_stray(rate: Rate, before: float, seconds: float) -> tuple[float, float]:
    """Have one 429 after so long, of a second; return the longest gap after it, in slots, and the part that is used."""
    drive = Drive(Quota([rate]), [])
    drive.call()
    drive.at(before, lambda: drive.quota.freeze(SUBMIT, drive.begin + before, drive.begin + before + 1.0))
    drive.run(before + 1 + seconds)
    per_second = rate.calls / rate.seconds
    taken = [before + 1.0, *(time for time in drive.taken if time > before + 1.0)]
    gap = max(late - early for early, late in pairwise(taken))
    return gap * per_second, drive.used(before + 1, before + 1 + seconds, per_second)


@pytest.mark.parametrize("rate", [Rate(20, 60.0), Rate(1_000, 60.0), Rate(2_000, 7_200.0), Rate(1_000, 86_400.0)])
def test_a_stray_429_after_calls_at_the_rate_costs_its_freeze_only(rate: Rate) -> None:
    """What the API took is known, however short the time: of the hundred slots after it nine in ten are used."""
    slot = rate.seconds / rate.calls
    gap, used = after_a_stray(rate, max(5.0, 3.5 * slot), max(60.0, 100 * slot))
    assert gap <= 2
    assert used >= 0.9


@pytest.mark.parametrize("rate", [Rate(20, 60.0), Rate(1_000, 60.0), Rate(10_000, 3_600.0), Rate(1_000, 86_400.0)])
def test_a_stray_429_at_the_very_first_call_is_over_within_a_minute_or_some_slots(rate: Rate) -> None:
    """Nothing is known of the API then: slots come nearer as the rate grows, and no long window is waited for."""
    slot = rate.seconds / rate.calls
    horizon = max(120.0, 40 * slot)
    gap, used = after_a_stray(rate, 0.01, horizon)
    assert gap * slot <= max(4.0, 4 * slot)
    assert used >= 0.7


@given(st.floats(0.0, 2.0), st.integers(1, 40), st.floats(0.5, 100.0))
def test_a_slot_comes_when_the_rate_of_its_moment_says(idle: float, taken: int, most: float) -> None:
    """Whenever it is asked for, the next slot is as long after the last as the rate there says."""
    throttle = Throttle(1.0)
    for n in range(taken):
        throttle.take(n / taken, most)
    throttle.refuse(1.0, 2.0)
    throttle.take(2.0, most)
    due = throttle.slot(0, 2.0, most)
    assert throttle.slot(0, min(due, 2.0 + idle * 0.9), most) == pytest.approx(due)
    if due < 2.0 + GROW:
        assert (due - 2.0) * throttle.rate(due, most) == pytest.approx(1.0)


def test_while_the_rate_grows_back_the_quota_says_that_it_is_slowed() -> None:
    """From the 429 on until it is as fast as configured; the other operation is not slowed."""
    quota = Quota([Rate(50, 1.0)])
    assert not quota.slowed(SUBMIT, 0.0)
    quota.freeze(SUBMIT, 0.0, 1.0)
    assert quota.slowed(SUBMIT, 0.5)
    assert quota.slowed(SUBMIT, 1.0 + 0.9 * GROW)
    assert not quota.slowed(POLL, 1.0 + 0.9 * GROW)
    assert not quota.slowed(SUBMIT, 1.0 + GROW)


def test_asleep_it_holds_nobody() -> None:
    """Before the first 429 the configured rate is the rate."""
    throttle = Throttle(1.0)
    for n in range(1_000):
        throttle.take(float(n), 50.0)
    assert not throttle.awake
    assert throttle.rate(1_000.0, 50.0) == 50.0


@given(st.lists(st.floats(0.0, 0.9), min_size=1, max_size=20))
def test_calls_under_way_say_nothing_new(after: list[float]) -> None:
    """However many of them get a 429 during the freeze, the rate shrinks once."""
    one, many = Throttle(1.0), Throttle(1.0)
    for throttle in (one, many):
        for n in range(100):
            throttle.take(n / 50, 50.0)
        throttle.refuse(2.0, 3.0)
    for moment in sorted(after):
        many.refuse(2.0 + moment, 3.0)
    assert many.rate(3.0, 50.0) == one.rate(3.0, 50.0)
    assert many.until == one.until


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(1, 200))
def test_the_rate_grows_back_and_never_beyond(early: float, late: float, taken: int) -> None:
    """From what the API took, evenly, to what is configured; then it sleeps again."""
    throttle = Throttle(1.0)
    for n in range(taken):
        throttle.take(n / taken, 50.0)
    throttle.refuse(1.0, 2.0)
    low, high = sorted([early, late])
    rates = [throttle.rate(2.0 + part * GROW, 50.0) for part in (0.0, low, high, 1.0)]
    assert rates == sorted(rates)
    assert 1.0 <= rates[0] <= min(taken, 50.0)
    assert rates[-1] == 50.0
    assert not throttle.awake


def test_without_a_configured_rate_it_grows_from_what_was_taken() -> None:
    """An operation that is not held goes at four times what was taken, at the most, until it is not held again."""
    quota = Quota([Rate(50, 1.0, (SUBMIT,))])
    for n in range(100):
        quota.take(POLL, quota.enter(), n / 10 + 0.05)
    quota.freeze(POLL, 10.0, 11.0)
    assert quota.rate(POLL, 11.0) == pytest.approx(9, abs=1.1)
    assert quota.rate(POLL, 11 + 0.99 * GROW) <= 40
    assert quota.rate(POLL, 11.01 + GROW) == float("inf")
    assert quota.rate(SUBMIT, 11.0) == pytest.approx(50, abs=0.5)
