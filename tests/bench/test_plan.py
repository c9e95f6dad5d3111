"""What the command line makes of a run."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.plan import (
    BATCH,
    DOCUMENTS,
    LIMITERS,
    MOVING,
    ONE_WINDOW,
    OPPONENTS,
    PARTS,
    STRIKES_EVENLY,
    TAIL,
    Contender,
    half,
    in_windows,
    latency,
    plan,
    unseen,
)
from tests.judge.conditions import Duration
from tests.judge.fates import lasting


@given(st.floats(1, 1e6))
def test_work_comes_in_whole_windows(documents: float) -> None:
    """Documents are rounded to whole windows, and there are two at least: in the first nothing is measured."""
    assert in_windows(documents) % ONE_WINDOW == 0
    assert in_windows(documents) >= 2 * ONE_WINDOW


@given(st.floats(1, 1e6))
def test_the_first_half_is_whole_windows_too(documents: float) -> None:
    """The second half begins with a window, after one at the least, and is no smaller than the first."""
    count = in_windows(documents)
    assert half(count) % ONE_WINDOW == 0
    assert ONE_WINDOW <= half(count) <= count - half(count)


def test_a_full_run_measures_everything() -> None:
    """Without options every part is there, with five rounds of full size."""
    full = plan()
    assert [scenario.name for scenario in full.scenarios] == ["B", "A"]
    assert (full.rounds, len(full.waiting)) == (5, 2)
    assert abs(full.scenarios[0].documents[Contender.AT_LEAST_ONCE] - DOCUMENTS) < ONE_WINDOW
    assert full.bare_documents
    assert [load.name for load in (*full.tails, *full.loads)] == ["G", "L"]
    assert [each.kind for each in full.throttles] == [*LIMITERS, "tokenBucket"]
    assert {(size.documents, size.partitions) for size in full.sizes} >= {(1_000, 6), (1_000_000, 6), (100_000, 60)}


@pytest.mark.parametrize(
    ("only", "played", "bare", "waits"),
    [
        ("b", ["B"], True, 0),
        ("a", ["A"], False, 0),
        ("l", ["L"], False, 0),
        ("bare", [], True, 0),
        ("memory", [], False, 2),
        ("c", ["C token bucket", "C fixed windows", "C sliding window"], False, 0),
        ("moving", ["C'"], False, 0),
        ("g", ["G"], False, 0),
        ("growth", [], False, 0),
    ],
)
def test_one_part_brings_only_what_it_needs(only: str, played: list[str], *, bare: bool, waits: int) -> None:
    """A part is measured alone, B with the bare client that makes it count."""
    assert only in PARTS
    laid = plan(only=only)
    parts = laid.scenarios, laid.throttles, laid.tails, laid.loads
    assert [each.name for part in parts for each in part] == played
    assert bool(laid.sizes) is (only == "growth")
    assert bool(laid.bare_documents) is bare
    assert len(laid.waiting) == waits


def test_a_short_run_has_no_long_jobs() -> None:
    """A short run is one round of B, a quota for a few seconds, and one short wait."""
    short = plan(short=True)
    assert (short.loads, short.tails, short.sizes) == ((), (), ())
    assert [sum(each.documents.values()) for each in short.throttles] == [2_000]
    assert [scenario.name for scenario in short.scenarios] == ["B"]
    assert short.rounds == 1
    assert sum(waiting.seconds for waiting in short.waiting) == 15


def test_jobs_of_a_take_longer_than_the_plain_loop_waits() -> None:
    """In A most jobs outlast the plain loop's first pause, so that it asks twice, as measured for its peers."""
    scenario = latency(100_000)
    assert scenario.poll_every < scenario.whole_job_takes < 2 * scenario.poll_every


def test_a_moving_quota_is_moved_while_there_is_work() -> None:
    """In C' a client that used all of every quota would still have work when the last of them has held its time."""
    work = sum(quota * MOVING.each * BATCH for quota in MOVING.quotas)
    assert MOVING.documents[Contender.AT_LEAST_ONCE] > work
    assert MOVING.told == max(MOVING.quotas)


def test_slow_jobs_strike_whoever_has_few_jobs() -> None:
    """With the seed of G, jobs are slow as often as told, and some of those that the slowest client gets to."""
    dice = Random(STRIKES_EVENLY)
    duration = Duration(fixed=1.0, tail_rate=TAIL.tail_rate, tail_seconds=TAIL.tail_seconds)
    slow = [number for number in range(500) if lasting(duration, 1, 0.0, dice) > TAIL.tail_seconds]
    assert slow == [43, 112, 194, 397, 450]


def test_all_opponents_have_the_same_work_in_a_quota() -> None:
    """Where a quota bounds all, each is given the same documents, but for those of C' that nobody else could do."""
    for each in plan(only="c").throttles:
        assert set(each.documents) == {Contender.AT_LEAST_ONCE, *OPPONENTS}
        assert len(set(each.documents.values())) == 1
        assert [limit.operations for limit in each.conditions(10).limits] == [("submit",)]


def test_what_is_under_way_at_once_is_not_measured() -> None:
    """Who runs 64 jobs at once has a window unseen, who runs one has one."""
    assert [unseen(contender) for contender in Contender] == [ONE_WINDOW] * 5 + [BATCH]
