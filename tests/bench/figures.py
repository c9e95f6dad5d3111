"""What was measured, and how runs are summed up: medians and ranges, never means, never the best.

The rule that keeps it honest: a ratio is that of the medians, and beside it stands the range of what the rounds
gave one by one, as each round had its own share of the machine's noise.
"""

from collections.abc import Callable, Sequence
from statistics import median

from msgspec import Struct


class Run(Struct, frozen=True):
    """One contender's work in one round."""

    documents: int
    rate: float
    """Documents a second."""
    cpu: float
    """CPU seconds of the process for 1,000 documents."""
    peak: int
    """The most bytes that were ever resident."""
    gets: float
    """Polls for each job."""
    throttled: int
    """Calls that were answered 429."""
    late_rate: float
    """Documents a second of the second half of the documents."""
    late_cpu: float
    """CPU seconds for 1,000 of the second half."""


class Round(Struct, frozen=True):
    """The contenders' runs, one right after another."""

    service: Run
    plain: Run


class Outcome(Struct, frozen=True):
    """All rounds of a scenario."""

    name: str
    title: str
    rounds: tuple[Round, ...]


class Held(Struct, frozen=True):
    """What a service held in memory while the endpoint refused."""

    name: str
    title: str
    resident: tuple[int, ...]
    """Bytes, second by second from the start of the process."""
    settling: int
    """Seconds at the start that are left out."""

    @property
    def first_half(self) -> int:
        """The most bytes of the first half of what counts."""
        return max(self._counted[: len(self._counted) // 2])

    @property
    def second_half(self) -> int:
        """The most bytes of the second half of what counts."""
        return max(self._counted[len(self._counted) // 2 :])

    @property
    def _counted(self) -> tuple[int, ...]:
        return self.resident[self.settling :]


class Machine(Struct, frozen=True):
    """Where it was measured."""

    cores: int
    processor: str
    python: str
    kafka: str


class Report(Struct, frozen=True):
    """Everything a run of the benchmark found."""

    machine: Machine
    scenarios: tuple[Outcome, ...] = ()
    bare: tuple[float, ...] = ()
    """Documents a second, round by round."""
    held: tuple[Held, ...] = ()
    short: bool = False

    def scenario(self, name: str) -> Outcome | None:
        """Find a scenario, if it was played."""
        return next((one for one in self.scenarios if one.name == name), None)


class Spread(Struct, frozen=True):
    """A median and the range around it."""

    middle: float
    low: float
    high: float


Figure = Callable[[Run], float]


def spread(values: Sequence[float]) -> Spread:
    """Sum up what the rounds gave."""
    return Spread(median(values), min(values), max(values))


def of_service(outcome: Outcome, figure: Figure) -> Spread:
    """Sum up a figure of the service."""
    return spread([figure(each.service) for each in outcome.rounds])


def of_plain(outcome: Outcome, figure: Figure) -> Spread:
    """Sum up a figure of the plain loop."""
    return spread([figure(each.plain) for each in outcome.rounds])


def ratio(outcome: Outcome, figure: Figure) -> Spread:
    """Divide the service's median by the plain loop's; the range is that of the rounds."""
    each = spread([figure(one.service) / figure(one.plain) for one in outcome.rounds])
    return Spread(of_service(outcome, figure).middle / of_plain(outcome, figure).middle, each.low, each.high)
