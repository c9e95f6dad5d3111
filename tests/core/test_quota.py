"""No limiter is overrun, whatever its kind; nothing of the quota is left unused while somebody waits."""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_stream.core.quota import MINUTE, Operation, Quota, Rate, slowest
from entity_stream.core.share import Seen
from tests.core.driving import Drive
from tests.judge.conditions import Limit
from tests.judge.limits import KINDS
from tests.judge.limits import Quota as Judge

SUBMIT, POLL = Operation.SUBMIT, Operation.POLL
ROUNDING = 1e-4

kinds = st.sampled_from(sorted(KINDS))
windows = st.tuples(st.integers(1, 40), st.sampled_from([1.0, 7.0, 60.0]))
operations = st.sampled_from(Operation)
pauses = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.05, 1.0, 60.0, 3_600.0]), min_size=1, max_size=60)
moments = st.floats(0, 1e6)


def calls(quota: Quota, asked: Sequence[float], operation: Operation = SUBMIT) -> list[float]:
    """Have callers ask one after another, each waiting as it is told; return when they go."""
    went, now = [], 0.0
    for moment in asked:
        now, ticket = max(now, moment), quota.enter()
        while wait := quota.wait(operation, ticket, now):
            now += wait
        quota.take(operation, ticket, now)
        went.append(now)
    return went


@settings(deadline=None)
@given(st.lists(windows, min_size=1, max_size=3), kinds, pauses, moments)
def test_no_limiter_is_overrun(given: list[tuple[int, float]], kind: str, gaps: list[float], start: float) -> None:
    """Of any windows at once, each of them a bucket, fixed or sliding, none refuses a call."""
    quota = Quota([Rate(*window) for window in given])
    judge = Judge([Limit(kind, *window) for window in given])  # type: ignore[arg-type]
    went = calls(quota, list(accumulate(gaps, initial=start)))
    assert [judge.admit("submit", at) for at in went] == [0.0] * len(went)


@settings(deadline=None)
@given(windows, st.lists(st.floats(0.0, 0.0045), min_size=60, max_size=60), moments)
def test_no_limiter_is_overrun_when_calls_take_now_less_now_more_time(
    window: tuple[int, float], ways: list[float], start: float
) -> None:
    """Ways that differ by less than half a hundredth of a second overrun not even a sliding window."""
    judge = Judge([Limit("slidingWindow", *window)])
    went = calls(Quota([Rate(*window)]), [start] * len(ways))
    arrivals = sorted(at + way for at, way in zip(went, ways, strict=True))
    assert [judge.admit("submit", at) for at in arrivals] == [0.0] * len(ways)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(("count", "seconds"), [(10, 1.0), (50, 1.0), (1_000, 60.0), (20, 60.0)])
def test_of_each_kind_of_limiter_nearly_all_is_used(kind: str, count: int, seconds: float) -> None:
    """With work waiting, calls that wake late and now and then 50 ms late, 99 % are used and nothing is refused."""
    limit = Limit(kind, count, seconds, ["submit"])  # type: ignore[arg-type]
    drive = Drive(Quota([Rate(count, seconds, (SUBMIT,))]), [limit])
    drive.stall = 0.05
    for _ in range(16):
        drive.call()
    long = max(60.0, 10 * seconds)
    drive.run(long + 1)
    assert not drive.refused
    first = drive.taken[0]
    assert drive.used(first, first + long, count / seconds) >= 0.99


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_calls_that_are_long_on_their_way_overrun_nothing(kind: str) -> None:
    """On a busy machine, where ways differ by three times the margin, hardly a call is refused, and 98 % are used."""
    drive = Drive(Quota([Rate(10, 1.0, (SUBMIT,))]), [Limit(kind, 10, 1.0, ["submit"])])  # type: ignore[arg-type]
    drive.jitter = 0.015
    for _ in range(16):
        drive.call()
    drive.run(61)
    assert len(drive.refused) <= 1
    assert drive.used(drive.taken[0], drive.taken[0] + 60, 10) >= 0.98


@pytest.mark.parametrize("seed", range(5))
def test_the_first_calls_may_have_to_connect(seed: int) -> None:
    """They arrive later than those behind them, which come too soon for a sliding window unless that is allowed for."""
    drive = Drive(Quota([Rate(10, 1.0, (SUBMIT,))]), [Limit("slidingWindow", 10, 1.0, ["submit"])], seed)
    drive.way = 0.06
    drive.at(0.15, lambda: setattr(drive, "way", 0.005))
    for _ in range(16):
        drive.call()
    drive.run(31)
    assert not drive.refused
    assert drive.used(drive.taken[0], drive.taken[0] + 30, 10) >= 0.99


def test_slots_are_evenly_spaced() -> None:
    """Callers who come at once go one after another, with no heap at the start of a window."""
    went = calls(Quota([Rate(100, 10.0)]), [5.0] * 200)
    gaps = [late - early for early, late in pairwise(went)]
    assert min(gaps) >= 0.05
    assert max(gaps) <= 0.21
    assert sum(gap > 0.101 for gap in gaps) <= 1  # when the call that was late has left the window


@given(st.integers(1, 60_000), pauses)
def test_slots_are_given_in_the_order_of_tickets(per_minute: int, gaps: list[float]) -> None:
    """Whoever came first is told to wait least, and only he goes when there is one slot."""
    quota, now = Quota([Rate(per_minute, 60.0)]), sum(gaps)
    calls(quota, list(accumulate(gaps)))
    tickets = [quota.enter() for _ in range(5)]
    waits = [quota.wait(SUBMIT, ticket, now) for ticket in tickets]
    assert waits == sorted(waits)
    assert all(later > first for first, later in pairwise(waits) if later)


def test_a_slot_that_is_given_up_goes_to_the_next() -> None:
    """Who leaves the queue costs nobody anything; who only steps aside finds his place again."""
    quota = Quota([Rate(1, 10.0)])
    quota.take(SUBMIT, quota.enter(), 0.0)
    first, second, third = (quota.enter() for _ in range(3))
    waits = [quota.wait(SUBMIT, ticket, 1.0) for ticket in (first, second, third)]
    assert waits == pytest.approx([9.05, 19.1, 29.15], abs=0.2)
    quota.leave(SUBMIT, first)
    assert quota.wait(SUBMIT, second, 1.0) == waits[0]
    assert quota.wait(SUBMIT, first, 1.0) == waits[0]
    assert quota.wait(SUBMIT, second, 1.0) == waits[1]


def test_operations_with_quotas_of_their_own_do_not_wait_for_each_other() -> None:
    """A queue of submits holds up no poll, unless both are counted together; then the older one goes first."""
    for rates, free in [
        ((Rate(1, 10.0, (SUBMIT,)), Rate(10, 1.0, (POLL,))), True),
        ((Rate(1, 10.0, (SUBMIT,)), Rate(10, 1.0)), True),
        ((Rate(1, 10.0),), False),
    ]:
        quota = Quota(rates)
        quota.take(SUBMIT, quota.enter(), 0.0)
        assert quota.wait(SUBMIT, quota.enter(), 1.0) > 5
        assert (quota.wait(POLL, quota.enter(), 1.0) == 0.0) is free


def test_an_operation_without_a_quota_never_waits() -> None:
    """What no window names may be called at any time."""
    quota = Quota([Rate(1, 60.0, (SUBMIT,))])
    assert calls(quota, [1.0] * 100, POLL) == [1.0] * 100


@given(st.lists(st.tuples(operations, moments, st.floats(0, 300)), max_size=8), operations, moments)
def test_a_freeze_holds_until_its_end_and_for_its_operation_alone(
    freezes: list[tuple[Operation, float, float]], operation: Operation, now: float
) -> None:
    """Of several the last to end counts, in whatever order they were learned; it ends by itself."""
    quota = Quota()
    for frozen, at, hold in freezes:
        quota.freeze(frozen, at, at + hold)
    end = max((at + hold for frozen, at, hold in freezes if frozen is operation), default=0.0)
    assert quota.frozen(operation, now) == max(0.0, end - now)
    assert quota.frozen(operation, end) == 0.0


def test_the_load_tells_how_much_is_left() -> None:
    """None at rest, about half when half is called, all of it while anybody waits."""
    quota = Quota([Rate(10, 1.0)])
    assert quota.load(0.0) == 0.0
    calls(quota, [0.2 * n for n in range(60)])
    assert quota.load(12.0) == pytest.approx(0.5, abs=0.1)
    quota.wait(SUBMIT, ticket := quota.enter(), 12.0)
    assert quota.load(12.0) == 1.0
    quota.leave(SUBMIT, ticket)
    assert quota.load(60.0) < 0.01


def test_who_comes_now_is_told_of_the_slot_that_he_gets() -> None:
    """To ask takes nothing; and submits that wait keep polls waiting only where both are taken from the same calls."""
    apart, together = Quota([Rate(10, 1.0, (SUBMIT,))]), Quota([Rate(10, 1.0)])
    for quota in (apart, together):
        calls(quota, [0.0] * 10)
        now = quota.soonest(SUBMIT, 0.5)
        assert quota.soonest(SUBMIT, 0.5) == now == quota.wait(SUBMIT, quota.enter(), 0.5) > 0
    assert apart.soonest(POLL, 0.5) == 0.0 < together.soonest(POLL, 0.5)


@given(st.integers(1, 10_000), st.floats(0.001, 1.0))
def test_a_part_of_a_quota_is_never_more(count: int, part: float) -> None:
    """A share reserved for others stays theirs, also where less than one call of a window is left."""
    ours = Rate(count, 60.0).part(part)
    assert ours.calls / ours.seconds <= count * part / 60.0 + ROUNDING
    assert ours.calls >= 1
    assert ours.calls / ours.seconds >= 0.99 * count * part / 60.0
    assert ours.calls - 1 <= count * part
    assert ours.seconds >= 60.0


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_a_second_page_took_is_made_up_for(replicas: int) -> None:
    """A result of two pages is two calls for one slot: the next slot is taken for it, whoever divides them."""
    quota, places = Quota([Rate(10, 1.0)]), [("in", index) for index in range(replicas)]
    quota.share.see(0.0, dict.fromkeys(places[:1], 1), places, Seen(dict.fromkeys(places, 1)))
    quota.share.see(6.0, dict.fromkeys(places[:1], 1), places, Seen(dict.fromkeys(places, 1)))
    went, now = 0, 10.0
    while now < 40.0:
        ticket = quota.enter()
        while wait := quota.wait(POLL, ticket, now):
            now += wait
        quota.take(POLL, ticket, now)
        quota.owe(POLL, 1, now)
        went += 2
    assert went == pytest.approx(300 / replicas, rel=0.05)


def test_the_slowest_of_all_windows_sets_the_pace() -> None:
    """The patience of whoever watches goes by it."""
    assert slowest(MINUTE) == 0.06
    assert slowest((Rate(10, 1.0), Rate(60, 60.0, (POLL,)))) == 1.0
    assert slowest(()) == 0.0


def test_a_large_quota_takes_little_memory() -> None:
    """Of a million calls in a window no more than a thousand moments are kept, and none too many pass."""
    quota = Quota([Rate(10_000, 1.0)])
    went = calls(quota, [1.0] * 25_000)
    assert all(late - early >= 1.0 for early, late in zip(went, went[10_000:], strict=False))
    assert went[-1] - went[0] <= 2.5 * 1.01
    assert math.isfinite(went[-1])
