"""Limits let through what they say, and no more: judged by counting what passed, not by how it is counted."""

from collections.abc import Iterable
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge.conditions import Limit
from tests.judge.limits import Quota

START = 1_700_000_000.0
EDGE = 1e-4
"""Seconds, for moments that are floats of this century."""

moments = st.lists(st.floats(0, 3), min_size=1, max_size=60).map(lambda gaps: [START + gap for gap in accumulate(gaps)])
calls, seconds = st.integers(1, 6), st.floats(0.5, 5)


def passed(limit: Limit, at: Iterable[float]) -> list[float]:
    quota = Quota([limit])
    return [moment for moment in at if quota.admit("submit", moment) == 0.0]


@given(calls, seconds, moments)
def test_a_sliding_window_never_holds_more_than_its_calls(count: int, length: float, at: list[float]) -> None:
    """Between any call that passed and the one `calls` later lie `seconds`."""
    times = passed(Limit("slidingWindow", count, length), at)
    assert all(late - early > length - EDGE for early, late in zip(times, times[count:], strict=False))


@given(calls, seconds, moments)
def test_a_fixed_window_never_holds_more_than_its_calls(count: int, length: float, at: list[float]) -> None:
    """Of the calls that passed, no more than `calls` lie between two multiples of `seconds`."""
    windows = [moment // length for moment in passed(Limit("fixedWindow", count, length), at)]
    assert all(windows.count(window) <= count for window in windows)


@given(calls, st.integers(1, 6), seconds, moments)
def test_a_bucket_gives_no_more_than_it_held_and_got(count: int, burst: int, length: float, at: list[float]) -> None:
    """In any stretch of time no more calls pass than the burst and what flows in meanwhile."""
    times = passed(Limit("tokenBucket", count, length, burst=burst), at)
    for first, early in enumerate(times):
        for last, late in enumerate(times[first:]):
            assert last + 1 <= burst + (late - early) * count / length + EDGE


@given(st.sampled_from(["tokenBucket", "fixedWindow", "slidingWindow"]), calls, seconds, moments)
def test_who_waits_as_told_passes(kind: str, count: int, length: float, at: list[float]) -> None:
    """A refused call that comes again when it was told to passes, and half that time is too soon."""
    quota = Quota([Limit(kind, count, length)])  # type: ignore[arg-type]
    for moment in at:
        if wait := quota.admit("submit", moment):
            assert wait < 2 * EDGE or quota.admit("submit", moment + wait / 2) > 0.0
            assert quota.admit("submit", moment + wait + EDGE) == 0.0
            return


@pytest.mark.parametrize(("kind", "around_the_edge"), [("tokenBucket", 5), ("fixedWindow", 10), ("slidingWindow", 5)])
def test_only_a_fixed_window_lets_twice_as_much_pass_around_its_edge(kind: str, around_the_edge: int) -> None:
    """Five calls at the end of a window and five at the next one's start pass a fixed window alone."""
    edge = START - START % 10 + 10
    at = [edge - 0.01] * 5 + [edge + 0.01] * 5
    assert len(passed(Limit(kind, 5, 10.0), at)) == around_the_edge  # type: ignore[arg-type]


def test_operations_of_one_limit_share_it() -> None:
    """Submits and polls are counted together, where a limit names both, and not where it names one."""
    quota = Quota([Limit("slidingWindow", 2, 10.0), Limit("slidingWindow", 1, 60.0, operations=["submit"])])
    assert quota.admit("submit", START) == 0.0
    assert quota.admit("submit", START) == 60.0
    assert quota.admit("poll", START) == 0.0
    assert quota.admit("poll", START) == 10.0


def test_a_refused_call_uses_nothing_up() -> None:
    """What one limit refuses is not counted by another."""
    quota = Quota([Limit("slidingWindow", 1, 1.0), Limit("slidingWindow", 2, 60.0)])
    assert [quota.admit("poll", START + offset) for offset in (0.0, 0.5, 1.0)] == [0.0, 0.5, 0.0]


def test_a_bucket_is_full_at_first_and_never_fuller() -> None:
    """However long nobody calls, a bucket gives its burst and no more at once."""
    limit = Limit("tokenBucket", 1, 1.0, burst=3)
    assert len(passed(limit, [START] * 10)) == 3
    assert len(passed(limit, [START, *[START + 1000] * 10])) == 4
