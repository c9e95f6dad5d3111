"""What was measured, and how runs are summed up: medians and ranges, never means, never the best.

The rule that keeps it honest: a ratio is that of the medians, and beside it stands the range of what the rounds
gave one by one, as each round had its own share of the machine's noise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from entity_stream.core.mistake import Mistake
from tests.bench.plan import Contender


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


class Spent(Struct, frozen=True):
    """What one contender made of a quota in one round, by the books of the endpoint."""

    rate: float
    """Documents a second, in submits that were accepted."""
    used: float
    """Part of the quota, between the first submit that was accepted and the last."""
    gets: float
    """Polls for each job."""
    throttled: float
    """Part of all calls that was answered 429."""
    back: tuple[float | None, ...] = ()
    """After each change of the quota: seconds until 95 % of it is used again; None: never."""
    pace: tuple[float, ...] = ()
    """Submits that were accepted, second by second."""

    def seconds_back(self, change: int) -> float:
        """Give the seconds after a change; infinite where it was never so."""
        found = self.back[change] if change < len(self.back) else None
        return math.inf if found is None else found


class Delay(Struct, frozen=True):
    """Seconds from a document's record until whoever reads the output has its entities."""

    p50: float
    p99: float


class Tail(Struct, frozen=True):
    """The same load without slow jobs and with some; then of documents alone that were in none of them."""

    calm: Delay
    tailed: Delay
    touched: int
    """Documents in slow jobs."""

    @property
    def stretch(self) -> float:
        """How many times as long it takes for 99 of 100 untouched documents."""
        return self.tailed.p99 / self.calm.p99


class Grown(Struct, frozen=True):
    """What a document costs the service where so many of them wait, in so many partitions."""

    documents: int
    partitions: int
    cpu: tuple[float, ...]
    """CPU seconds for 1,000 documents, round by round."""


Found = TypeVar("Found")
"""What is found of one contender in one round."""


class Outcome(Struct, Generic[Found], frozen=True):
    """All rounds of a scenario; in each the contenders worked one right after another."""

    name: str
    title: str
    rounds: tuple[Mapping[Contender, Found], ...]


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
    scenarios: tuple[Outcome[Run], ...] = ()
    spent: tuple[Outcome[Spent], ...] = ()
    tails: tuple[Outcome[Tail], ...] = ()
    delays: tuple[Outcome[Delay], ...] = ()
    grown: tuple[Grown, ...] = ()
    bare: tuple[float, ...] = ()
    """Documents a second, round by round."""
    held: tuple[Held, ...] = ()
    short: bool = False

    def scenario(self, name: str) -> Outcome[Run] | None:
        """Find a scenario, if it was played."""
        return next((one for one in self.scenarios if one.name == name), None)


class Printed(Struct, frozen=True):
    """What a run of the benchmark has written to a file."""

    report: Report


def read(path: Path) -> Report:
    """Read what a run has written. Raises Mistake where there is nothing of the kind."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Printed).report
    except (OSError, msgspec.DecodeError) as reason:
        fix = "Name a file that --out of this version has written."
        raise Mistake(f"No report can be read ({reason})", str(path), fix) from None


def merged(reports: Sequence[Report]) -> Report:
    """Put runs of several parts together, as if they were one; where two have the same part, both are told."""
    first, *others = reports
    for other in others:
        first = Report(
            first.machine,
            first.scenarios + other.scenarios,
            first.spent + other.spent,
            first.tails + other.tails,
            first.delays + other.delays,
            first.grown + other.grown,
            first.bare + other.bare,
            first.held + other.held,
            first.short or other.short,
        )
    return first


class Spread(Struct, frozen=True):
    """A median and the range around it."""

    middle: float
    low: float
    high: float


Figure = Callable[[Found], float]


def spread(values: Sequence[float]) -> Spread:
    """Sum up what the rounds gave."""
    return Spread(median(values), min(values), max(values))


def quantile(values: Sequence[float], part: float) -> float:
    """Say below or at which of the values that part of them lies."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def of(outcome: Outcome[Found], contender: Contender, figure: Figure[Found]) -> Spread:
    """Sum up a figure of a contender."""
    return spread([figure(each[contender]) for each in outcome.rounds])


def ratio(
    outcome: Outcome[Found], figure: Figure[Found], above: Contender, below: Contender = Contender.PLAIN
) -> Spread:
    """Divide one contender's median by another's; the range is that of the rounds."""
    each = spread([figure(one[above]) / figure(one[below]) for one in outcome.rounds])
    return Spread(of(outcome, above, figure).middle / of(outcome, below, figure).middle, each.low, each.high)
