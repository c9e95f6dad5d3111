"""Medians, ranges and ratios."""

from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Held, Outcome, Run, of, quantile, ratio, spread
from tests.bench.plan import Contender

rates = st.lists(st.tuples(*[st.floats(1, 1e6)] * len(Contender)), min_size=1, max_size=9)


def outcome(rounds: list[tuple[float, ...]]) -> Outcome[Run]:
    played = [[Run(1, rate, 1.0, 1, 1.0, 0, rate, 1.0) for rate in each] for each in rounds]
    return Outcome("B", "", tuple(dict(zip(Contender, runs, strict=True)) for runs in played))


def rate(run: Run) -> float:
    return run.rate


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_a_median_lies_within_its_range(values: list[float]) -> None:
    """The range holds the median, and both its ends were measured."""
    found = spread(values)
    assert found.low <= found.middle <= found.high
    assert {found.low, found.high} <= set(values)


@given(rates, st.permutations(range(len(Contender))))
def test_a_ratio_is_that_of_the_medians(rounds: list[tuple[float, ...]], chosen: list[int]) -> None:
    """The ratio divides the medians of two contenders; its range is that of the rounds one by one."""
    played, (above, below, *_) = outcome(rounds), chosen
    one, other = (list(Contender)[number] for number in (above, below))
    found = ratio(played, rate, one, other)
    assert found.middle == of(played, one, rate).middle / of(played, other, rate).middle
    assert found.low == min(each[above] / each[below] for each in rounds)
    assert found.high == max(each[above] / each[below] for each in rounds)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_was_measured_and_has_its_part_below(values: list[float], part: float) -> None:
    """At least that part of the values is no larger, and no smaller value of them has so many."""
    found = quantile(values, part)
    assert sum(value <= found for value in values) >= part * len(values)
    assert sum(value < found for value in values) < part * len(values)


def test_settling_counts_in_neither_half() -> None:
    """What a process held while it started is left out, and the rest is halved."""
    held = Held("x", "", (999, 999, 10, 30, 20, 25), settling=2)
    assert (held.first_half, held.second_half) == (30, 25)
