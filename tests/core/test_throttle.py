"""After a 429 the rate follows what the API takes, down and up again, and each burst of 429s is one event."""

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
