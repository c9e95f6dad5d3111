"""No window of time sees more calls than the quota grants, and none is wasted on a caller who is waiting."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_stream.core.quota import Operation, Quota

ROUNDING = 1e-6

rates = st.integers(1, 100_000)
bursts = st.sampled_from([0.0, 0.1, 1.0, 7.5])
operations = st.sampled_from(Operation)
moments = st.floats(0, 1e6)
gaps = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.05, 1.0, 60.0, 3_600.0]), min_size=1, max_size=60)


@settings(deadline=None)
@given(rates, bursts, gaps, moments)
def test_no_window_sees_more_calls_than_the_quota_grants(
    per_minute: int, burst: float, pauses: list[float], start: float
) -> None:
    """In any span there are at most those of the span, those of the burst, and one."""
    quota = Quota(per_minute, burst)
    calls = [now + quota.reserve(now) for now in accumulate(pauses, initial=start)]
    for first, begins in enumerate(calls):
        for last, ends in enumerate(calls[first:], first):
            granted = (ends - begins + burst) * per_minute / 60 + 1
            assert last - first + 1 <= granted + ROUNDING * per_minute


@given(rates, bursts, gaps)
def test_slots_are_given_in_the_order_of_asking(per_minute: int, burst: float, pauses: list[float]) -> None:
    """Nobody is overtaken, and nobody is sent into the past."""
    quota = Quota(per_minute, burst)
    asked = list(accumulate(pauses))
    calls = [now + quota.reserve(now) for now in asked]
    assert calls == sorted(calls)
    assert all(call >= now for call, now in zip(calls, asked, strict=True))


@given(rates, bursts, st.integers(1, 200), moments)
def test_waiting_callers_use_all_that_is_granted(per_minute: int, burst: float, callers: int, now: float) -> None:
    """Callers who ask at once get the burst at once and the rest evenly, with no slot left out."""
    quota = Quota(per_minute, burst)
    interval = 60 / per_minute
    waits = [quota.reserve(now) for _ in range(callers)]
    # a quota that is new at the beginning of time has no quiet spell behind it
    spared = min(burst, now)
    expected = [max(0.0, place * interval - spared) for place in range(callers)]
    assert waits == pytest.approx(expected, abs=ROUNDING * (1 + interval))


@given(rates, bursts, st.floats(60, 1e6))
def test_a_quiet_spell_is_worth_one_burst_however_long(per_minute: int, burst: float, quiet: float) -> None:
    """Calls that were not made are not made up for, beyond the burst."""
    quota = Quota(per_minute, burst)
    quota.reserve(0.0)
    at_once = sum(quota.reserve(quiet) == 0.0 for _ in range(int(burst * per_minute / 60) + 5))
    assert at_once <= burst * per_minute / 60 + 1 + ROUNDING


@given(st.lists(st.tuples(operations, moments), max_size=8), operations, moments)
def test_a_freeze_holds_until_its_end_and_for_its_operation_alone(
    freezes: list[tuple[Operation, float]], operation: Operation, now: float
) -> None:
    """Of several the last to end counts, in whatever order they were learned; it ends by itself."""
    quota = Quota(1_000)
    for frozen, until in freezes:
        quota.freeze(frozen, until)
    end = max((until for frozen, until in freezes if frozen is operation), default=0.0)
    assert quota.frozen(operation, now) == max(0.0, end - now)
    assert quota.frozen(operation, end) == 0.0


@given(gaps, moments)
def test_a_freeze_costs_no_slots(pauses: list[float], until: float) -> None:
    """Whoever asks during a freeze takes a slot when it has ended, so the slots are those of a quota never frozen."""
    frozen, free = Quota(1_000), Quota(1_000)
    frozen.freeze(Operation.SUBMIT, until)
    for now in accumulate(pauses):
        assert frozen.reserve(now) == free.reserve(now)


@given(gaps, operations, moments)
def test_what_is_told_of_the_next_slot_is_what_a_caller_gets(
    pauses: list[float], operation: Operation, until: float
) -> None:
    """To ask takes nothing: whoever reserves then waits as long, or for the end of a freeze."""
    quota = Quota(1_000)
    quota.freeze(operation, until)
    for now in accumulate(pauses):
        told, frozen = quota.soonest(operation, now), quota.frozen(operation, now)
        assert told == quota.soonest(operation, now)
        assert told == max(frozen, quota.reserve(now))
