"""Two clocks, and what jobs tell of the difference."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.skew import DRIFT, Sighting, Skew

ROUNDING = 1e-3
"""Moments since 1970 are told to the microsecond, and half a million seconds are about as far as the tests go."""

skews = st.floats(-1e6, 1e6).map(lambda seconds: round(seconds, 6))
pieces = st.floats(0.001, 100)
jobs = st.lists(st.tuples(pieces, pieces, pieces, pieces, pieces, st.booleans()), min_size=1, max_size=30)


def sightings(skew: float, told: list[tuple[float, float, float, float, float, bool]]) -> list[Sighting]:
    """Jobs one after another, as truthful clocks tell of them; some were seen running, some were not."""
    found, now = [], 0.0
    for sending, answering, running, ending, finding, watched in told:
        created = now + sending
        ran = created + answering + running
        ended = ran + ending
        seen = Sighting(
            now, created + answering, ran if watched else now, ended + finding, math.floor(created + skew), ended + skew
        )
        found.append(seen)
        now = seen.found
    return found


@given(skews, jobs)
def test_the_truth_is_never_excluded(skew: float, told: list[tuple[float, float, float, float, float, bool]]) -> None:
    """Whatever truthful jobs tell, the moment at which one ended lies in the span that is said of it."""
    learned = Skew()
    for seen in sightings(skew, told):
        learned.hear(seen)
        earliest, latest = learned.span(seen.ended)
        assert earliest - ROUNDING <= seen.ended - skew <= latest + 1 + ROUNDING
        assert latest <= seen.found + 1 + ROUNDING


@given(skews)
def test_many_jobs_tell_it_to_what_a_call_takes(skew: float) -> None:
    """Whole seconds are enough: jobs that begin at any part of one narrow it to a few hundredths."""
    learned = Skew()
    for number in range(200):
        sent = number * 1.618
        created = sent + 0.01
        learned.hear(Sighting(sent, sent + 0.02, sent, sent + 3.0, math.floor(created + skew), created + skew + 1.05))
    assert learned.width < 0.1


@given(skews, skews)
def test_a_clock_that_is_set_is_believed_anew(before: float, after: float) -> None:
    """Once no job can tell of the old difference any more, the new one is in the span."""
    learned = Skew()
    for skew, start in ((before, 0.0), (after, 1_000.0)):
        for number in range(60):
            sent = start + number * 1.618
            ended = sent + 1.0
            learned.hear(Sighting(sent, sent + 0.1, sent + 0.9, ended + 0.1, math.floor(sent + skew), ended + skew))
    earliest, latest = learned.span(2_000.25 + after)
    assert earliest - 1 - ROUNDING <= 2_000.25 <= latest + ROUNDING


def test_what_no_clock_can_have_said_is_not_heard() -> None:
    """A job that ended before it was created says nothing of the difference."""
    learned = Skew()
    learned.hear(Sighting(100.0, 100.1, 100.0, 101.0, created=500.5, ended=100.5))
    assert learned.width == math.inf


def test_what_is_known_grows_old() -> None:
    """Two clocks part: a bound of a thousand seconds ago is wider by what they can have parted."""
    learned = Skew()
    exact = Sighting(0.0, 0.0, 0.0, 1.0, created=10.5, ended=11.25)
    learned.hear(exact)
    width = learned.width
    learned.hear(Sighting(-math.inf, math.inf, -math.inf, 1_001.0))
    assert learned.width == pytest.approx(width + 2 * DRIFT * 1_000.0)
