"""When the backlog will be gone and how many replicas that takes: true if all goes on as it does."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entity_stream.core.backlog import Look, Part
from entity_stream.core.forecast import IN_HAND, MINUTE, Forecast, Strain, Trend

CALM, FULL, SPENT = Strain(window=0.1, quota=0.1), Strain(window=1.0, quota=0.3), Strain(window=1.0, quota=1.0)

rates = st.integers(0, 5_000)
parts = st.integers(1, 60)


def seen(at: float, settled: int, arrived: int, partitions: int = 1, members: int | None = 1) -> Look:
    """Look at a group that has settled and received so much, all in partition 0; the others are empty."""
    idle = {("in", index): Part(0, 0, None) for index in range(1, partitions)}
    return Look(at, {("in", 0): Part(0, arrived, settled), **idle}, members)


def foreseen(backlog: int, settling: int, arriving: int, strain: Strain = FULL, members: int | None = 1) -> Forecast:
    """Watch a group for a minute, at rates by the second, until so much is left, or more if it began with none."""
    trend, begun = Trend(), 10**6
    backlog = max(backlog, 60 * (arriving - settling))
    for second in range(0, 61, 3):
        done = begun + settling * second
        left = backlog + (60 - second) * (settling - arriving)
        trend.see(seen(float(second), done, done + left, 60, members), strain)
    found = trend.forecast()
    assert found
    return found


@given(rates, rates, st.integers(0, 10**6))
def test_if_all_goes_on_as_it_does_the_backlog_is_gone_then(settling: int, arriving: int, backlog: int) -> None:
    """After that time nothing is left at these rates; where it never ends, it does not shrink."""
    assume(backlog > settling * IN_HAND)
    found = foreseen(backlog, settling, arriving)
    assert (found.settled, found.arrived) == (settling, arriving)
    if settling > arriving:
        assert found.backlog + (arriving - settling) * found.time_to_clear == pytest.approx(0, abs=1e-3)
    else:
        assert found.time_to_clear == math.inf


@given(st.integers(1, 5_000), st.floats(0, IN_HAND))
def test_what_is_in_hand_is_no_backlog_that_grows(settling: int, seconds: float) -> None:
    """Under a steady load there is always something under way: its time is its own, and never infinite."""
    found = foreseen(int(settling * seconds), settling, settling)
    assert found.time_to_clear == pytest.approx(int(settling * seconds) / settling)


def test_nothing_is_told_before_there_are_two_looks() -> None:
    """One look has no rate; the same look twice has none either."""
    trend = Trend()
    assert trend.forecast() is None
    trend.see(seen(5.0, 0, 10), FULL)
    trend.see(seen(5.0, 0, 10), FULL)
    assert trend.forecast() is None


def test_nothing_left_is_no_time_and_nothing_moving_is_for_ever() -> None:
    """0 and infinity are told as such."""
    assert foreseen(0, 0, 0).time_to_clear == 0.0
    assert foreseen(7, 0, 0).time_to_clear == math.inf


def test_rates_are_those_of_the_last_minute() -> None:
    """What moved before that is forgotten, within one look."""
    trend = Trend()
    for second in range(0, 600, 3):
        done = 1_000 * min(second, 300)
        trend.see(seen(float(second), done, 10**6), FULL)
    found = trend.forecast()
    assert found
    assert found.settled == 0.0
    trend.see(seen(600.0, 300_000 + 30 * 63, 10**6), FULL)
    found = trend.forecast()
    assert found
    assert found.settled == pytest.approx(30, rel=3 / MINUTE + 0.01)


def test_a_log_that_was_replaced_says_nothing_of_rates() -> None:
    """Nor does a position that somebody has reset: only what moves forward was settled, or has arrived."""
    trend = Trend()
    for at, (settled, arrived) in enumerate([(900, 1_000), (0, 50), (20, 60), (0, 60), (10, 60)]):
        trend.see(seen(float(at), settled, arrived), FULL)
    found = trend.forecast()
    assert found
    assert (found.settled, found.arrived) == ((20 + 10) / 4, 10 / 4)


def test_finished_records_behind_a_slow_one_are_settled() -> None:
    """One job that takes long holds the position back, not the rate."""
    trend = Trend()
    for at in range(5):
        trend.see(Look(float(at), {("in", 0): Part(0, 1_000, 0, finished=100 * at)}, 1), FULL)
    found = trend.forecast()
    assert found
    assert (found.settled, found.backlog, found.time_to_clear) == (100.0, 600, 6.0)


@given(st.integers(0, 10**6), rates, rates, st.integers(1, 60), st.floats(0, 1), st.floats(0, 1))
def test_replicas_are_at_least_one_and_at_most_one_a_partition(
    backlog: int, settling: int, arriving: int, members: int, window: float, quota: float
) -> None:
    """Whatever is seen; and where the quota is the limit, never more than there are."""
    found = foreseen(backlog, settling, arriving, Strain(window, quota), members)
    wanted = found.desired_replicas(300.0)
    assert wanted
    assert 1 <= wanted <= 60
    if quota >= 0.95:
        assert wanted <= members


@given(st.integers(0, 10**6), st.integers(1, 5_000), rates, st.integers(1, 60))
def test_where_the_quota_is_the_limit_the_number_is_flat(
    backlog: int, settling: int, arriving: int, members: int
) -> None:
    """With a backlog to work off, more replicas would share the same quota: as many as there are."""
    assume(arriving + backlog / 300.0 >= settling)
    assert foreseen(backlog, settling, arriving, SPENT, members).desired_replicas(300.0) == members


@given(st.integers(1, 1_000), st.integers(1, 20), st.integers(0, 10**6))
def test_the_wanted_replicas_would_clear_the_backlog_in_time(each: int, members: int, backlog: int) -> None:
    """Where a replica's window is the limit, so many do it at the rate of one each, within the tolerance."""
    arriving = each * members // 2
    found = foreseen(backlog, each * members, arriving, FULL, members)
    wanted = found.desired_replicas(300.0)
    assert wanted
    assert (wanted * each * 1.1 - arriving) * 300.0 >= found.backlog * 0.999 or wanted == 60


def test_a_replica_that_has_time_wants_fewer_and_one_in_full_work_stays() -> None:
    """With a tenth of the window taken, one of ten would do; with a full window, all are needed."""
    assert foreseen(50, 100, 100, CALM, members=10).desired_replicas(300.0) == 1
    assert foreseen(50, 100, 100, FULL, members=10).desired_replicas(300.0) == 10
    assert foreseen(0, 0, 0, CALM, members=10).desired_replicas(300.0) == 1


@given(st.integers(1, 10**6), st.integers(1, 5_000), rates, st.integers(1, 60), st.floats(0, 1), st.floats(0, 1))
def test_a_group_that_falls_behind_is_made_no_smaller(
    backlog: int, settling: int, arriving: int, members: int, window: float, quota: float
) -> None:
    """Room in its windows says nothing while its backlog is not on the way to be gone in time."""
    found = foreseen(backlog, settling, arriving, Strain(window, quota), members)
    assume(found.backlog > settling * IN_HAND and found.time_to_clear > 300.0)
    wanted = found.desired_replicas(300.0)
    assert wanted
    assert wanted >= members


@given(st.integers(1, 10**6), st.integers(1, 5_000), rates, st.integers(1, 60), st.floats(0, 1), st.floats(0, 1))
def test_who_has_nothing_to_do_asks_for_no_more_replicas(
    backlog: int, settling: int, arriving: int, members: int, window: float, quota: float
) -> None:
    """What holds up those who have the backlog it cannot know: it may be the quota, that it has lent itself."""
    found = foreseen(backlog, settling, arriving, Strain(window, quota, left=0), members)
    wanted = found.desired_replicas(300.0)
    assert wanted
    assert wanted <= members


def test_before_anything_is_settled_the_number_stays() -> None:
    """A cold start, or an outage, is no reason for more."""
    assert foreseen(10**6, 0, 100, FULL, members=3).desired_replicas(300.0) == 3


def test_brokers_that_do_not_tell_how_many_we_are_get_no_advice() -> None:
    """Nor do whoever scales us."""
    assert foreseen(10**6, 10, 100, FULL, members=None).desired_replicas(300.0) is None
