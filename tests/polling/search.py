"""The best fixed interval for a scenario, found by trying them all: what the service's own way has to beat.

The rule that keeps it honest: nobody who polls at an interval gets a better one than this search, and what is best is
not decided by one weighing of polls against waiting: an interval that is no worse in both would be enough to lose.
"""

from collections.abc import Sequence

from msgspec import Struct

from entity_stream.core.polling import CHEAP
from tests.polling.scenario import Scenario
from tests.polling.simulation import Fixed, World
from tests.polling.tally import Tally

SHORTEST, LONGEST, STEP = 0.15, 2.5, 1.12
"""Seconds of the intervals that are tried, and from each to the next: from far less to far more than is usual."""


class Tried(Struct, frozen=True):
    """An interval, and what came of it."""

    interval: float
    tally: Tally


def intervals() -> Sequence[float]:
    """List the intervals to try."""
    found = [SHORTEST]
    while found[-1] < LONGEST:
        found.append(found[-1] * STEP)
    return found


def tried(scenario: Scenario) -> Sequence[Tried]:
    """Run the scenario with each interval."""
    return [Tried(interval, World(scenario, Fixed(interval)).run()) for interval in intervals()]


def best(found: Sequence[Tried]) -> Tried:
    """Choose the interval whose polls and waiting cost least, a poll at the price of the service's own."""
    return min(found, key=lambda each: cost(each.tally))


def cost(tally: Tally) -> float:
    """Weigh polls against waiting: seconds for each job, where calls are not scarce."""
    return CHEAP * tally.usual * tally.gets_per_job + tally.mean_late
