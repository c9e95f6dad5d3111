"""Medians, ranges and ratios."""

from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Held, Outcome, Round, Run, of_plain, of_service, ratio, spread

rates = st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=1, max_size=9)


def outcome(pairs: list[tuple[float, float]]) -> Outcome:
    runs = [[Run(1, rate, 1.0, 1, 1.0, 0, rate, 1.0) for rate in pair] for pair in pairs]
    return Outcome("B", "", tuple(Round(service, plain) for service, plain in runs))


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_a_median_lies_within_its_range(values: list[float]) -> None:
    """The range holds the median, and both its ends were measured."""
    found = spread(values)
    assert found.low <= found.middle <= found.high
    assert {found.low, found.high} <= set(values)


@given(rates)
def test_a_ratio_is_that_of_the_medians(pairs: list[tuple[float, float]]) -> None:
    """The ratio divides the medians; its range is that of the rounds one by one."""
    found, played = ratio(outcome(pairs), lambda run: run.rate), outcome(pairs)
    middles = of_service(played, lambda run: run.rate).middle, of_plain(played, lambda run: run.rate).middle
    assert found.middle == middles[0] / middles[1]
    assert found.low == min(ours / theirs for ours, theirs in pairs)
    assert found.high == max(ours / theirs for ours, theirs in pairs)


def test_settling_counts_in_neither_half() -> None:
    """What a process held while it started is left out, and the rest is halved."""
    held = Held("x", "", (999, 999, 10, 30, 20, 25), settling=2)
    assert (held.first_half, held.second_half) == (30, 25)
