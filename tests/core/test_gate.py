"""The circuit breaker: who may call when, as answers come and time passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.gate import TRIPS, TRY, Gate

DICE = st.floats(0, 1, exclude_max=True)


def tripped(now: float = 0.0) -> Gate:
    gate = Gate()
    for _ in range(TRIPS):
        gate.fail("HTTP 503", now, 0.0)
    return gate


@given(st.lists(st.floats(0, 1e6)))
def test_an_open_gate_lets_everybody_through(moments: list[float]) -> None:
    """Without trouble nobody waits, however many come at once."""
    gate = Gate()
    assert all(gate.wait(now) == 0.0 and gate.enter(now) for now in moments)


@given(st.integers(0, TRIPS - 1), DICE)
def test_a_few_failures_do_not_shut_it(failures: int, dice: float) -> None:
    """Nor do many, with an answer of use between them."""
    gate = Gate()
    for _ in range(3):
        for _ in range(failures):
            gate.fail("HTTP 503", 0.0, dice)
        assert gate.cause is None
        gate.open()


def test_failures_in_a_row_shut_it_and_it_says_why() -> None:
    """The cause is that of the last failure."""
    gate = tripped()
    assert gate.cause == "HTTP 503"
    assert not gate.enter(0.0)


@given(st.floats(0, 100))
def test_one_at_a_time_is_let_through_a_shut_gate(late: float) -> None:
    """When the pause is over, one goes; the others wait until that one is heard of, or has had its time."""
    gate = tripped()
    now = gate.wait(0.0) + late
    assert gate.enter(now)
    assert not gate.enter(now)
    assert gate.wait(now) == pytest.approx(TRY)
    assert gate.enter(now + TRY)


@given(st.lists(DICE, min_size=1, max_size=30))
def test_the_pauses_grow_up_to_half_a_minute(dice: list[float]) -> None:
    """A dead endpoint is tried ever more rarely, but never given up."""
    gate, now = tripped(), 0.0
    for each in dice:
        now += gate.wait(now)
        assert gate.enter(now)
        gate.fail("HTTP 503", now, each)
        assert 0 < gate.wait(now) <= 30.001
    if len(dice) > 5:
        assert gate.wait(now) > 14.9


@given(st.integers(0, 200), DICE)
def test_calls_that_fail_together_are_one_failure(more: int, dice: float) -> None:
    """What was under way when the gate shut does not make the first try later."""
    gate = tripped()
    before = gate.wait(0.0)
    for _ in range(more):
        gate.fail("HTTP 503", 0.1, dice)
    assert gate.wait(0.0) == before <= 1.0


def test_an_answer_of_use_lets_everybody_through_again() -> None:
    """And the next failure counts as the first."""
    gate = tripped()
    gate.open()
    assert gate.cause is None
    gate.fail("HTTP 503", 0.0, 0.0)
    assert gate.enter(0.0)


@given(st.floats(0, 1e6), st.floats(0.001, 1e6))
def test_what_no_caller_can_mend_shuts_it_at_once(now: float, pause: float) -> None:
    """Until the moment that is named, to the second."""
    gate = Gate()
    gate.shut("401", now + pause)
    assert not gate.enter(now)
    assert gate.enter(now + pause)
