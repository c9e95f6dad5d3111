"""What the books say of a quota."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.plan import MOVING, quota_bound
from tests.bench.spending import OVER, STEP, back, pace, spent, stretches
from tests.judge.books import Change, Event, Poll, Submit

PLAIN = quota_bound("tokenBucket", 30, ()).conditions(10)


def even(begin: float, end: float, per_second: float) -> list[float]:
    return [begin + number / per_second for number in range(int((end - begin) * per_second))]


def accepted(at: float) -> Submit:
    return Submit(at, "key", 202, job=f"job-{at}", documents=["doc-1", "doc-2"])


def books(*times: float) -> list[Event]:
    return [Change(0.0, PLAIN), *map(accepted, times)]


@given(st.integers(1, 60), st.integers(1, 50))
def test_even_calls_at_the_quota_use_all_of_it(seconds: int, per_second: int) -> None:
    """Who submits as often as the quota says, from the first call to the last, has used it exactly."""
    events: list[Event] = [Change(0.0, quota_bound("slidingWindow", 1, ()).conditions(per_second))]
    events += [accepted(5 + number / per_second) for number in range(seconds * per_second + 1)]
    assert spent(events).used == pytest.approx(1.0)


def test_what_is_turned_away_uses_nothing() -> None:
    """A submit that is answered 429 counts as a call and as throttled, and not as a job; polls count for jobs."""
    events = [
        *books(10.0, 11.0),
        Submit(10.5, "key", 429),
        Poll(10.6, "key", 200, "job"),
        Poll(10.7, "key", 429, "job"),
    ]
    found = spent(events)
    assert (found.used, found.gets, found.throttled) == (0.1, 1.0, 0.4)
    assert found.rate == 2.0


def test_who_submitted_nothing_used_no_quota() -> None:
    """Books without two accepted submits tell of no rate."""
    with pytest.raises(ValueError, match="accepted"):
        spent(books(10.0))


def test_a_quota_that_moves_is_used_as_it_was() -> None:
    """Each quota counts for as long as it held, between the first submit and the last."""
    full, reduced = MOVING.conditions(50), MOVING.conditions(25)
    times = even(10, 20, 50) + even(20, 40, 25) + even(40, 50, 50)
    events: list[Event] = [Change(1.0, full), Change(20.0, reduced), Change(40.0, full), *map(accepted, times)]
    assert [quota for *_, quota in stretches(events, times[0], times[-1])] == [50, 25, 50]
    found = spent(events)
    assert found.used == pytest.approx(1.0, rel=0.01)
    assert found.back == (0.0, 0.0)
    assert found.pace[:2] == (50, 50)


@given(st.floats(0, 12))
def test_who_comes_back_late_is_seen_to(late: float) -> None:
    """After a gap that long the quota is used again when the gap is over, but for the five parts in a hundred."""
    found = back(even(100 + late, 120, 40), (100.0, 120.0, 40.0))
    assert found is not None
    slack = 0.05 * OVER + 2 * STEP
    assert late - slack <= found <= late + STEP


def test_one_lapse_later_on_counts() -> None:
    """Back means for good: who falls behind again was not."""
    times = even(100, 110, 40) + even(111, 120, 40)
    found = back(times, (100.0, 120.0, 40.0))
    assert found is not None
    assert 10.5 < found <= 11 + STEP


@pytest.mark.parametrize("times", [even(100, 120, 37), even(100, 118, 40), []], ids=["too slow", "ends early", "none"])
def test_who_never_comes_back_is_told_so(times: list[float]) -> None:
    """A rate below 95 % of the quota, or one that stops, is never back."""
    assert back(times, (100.0, 120.0, 40.0)) is None


def test_too_short_to_say_is_never() -> None:
    """A quota that held for less than three seconds tells nothing."""
    assert back(even(100, 102, 40), (100.0, 102.0, 40.0)) is None


def test_the_pace_is_that_of_whole_seconds() -> None:
    """Seconds count from the first call; what is left at the end is no second."""
    assert list(pace([5.0, 5.5, 6.0, 6.2, 7.0, 7.3])) == [2, 2]
