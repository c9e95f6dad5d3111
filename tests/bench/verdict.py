"""Whether a run of the benchmark counts, and whether the service is as good as we say.

The rule that keeps it honest: a run counts only when the plain loop was fit and the endpoint far from its limit. Else
no figure of it means anything, however good it looks. Beating a tired opponent is no victory.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from operator import ge, le, lt

from msgspec import Struct

from tests.bench.figures import Held, Outcome, Report, Run, of, ratio, spread
from tests.bench.plan import MODES, Contender

AT_LEAST, EXACTLY, PLAIN = Contender.AT_LEAST_ONCE, Contender.EXACTLY_ONCE, Contender.PLAIN


class Bounds(Struct, frozen=True):
    """What has to hold."""

    plain_cpu: float = 0.55
    """CPU seconds that the plain loop may need for 1,000 documents in B."""
    bare: float = 2.0
    """So many times as fast as the service in B the bare client must be."""
    throughput: float = 4.0
    """Of the service in B where it delivers at least once, in plain loops."""
    cpu: float = 0.25
    exactly_once: float = 0.70
    """Of the service in B where it delivers exactly once, in what it does at least once."""
    exactly_once_throughput: float = 2.8
    """The same, in plain loops."""
    latency_throughput: float = 1.8
    """Of the service in A, in plain loops."""
    memory: float = 150.0
    """MB that may ever be resident."""
    growth: float = 1.05
    """The most of the second half of a wait, in the most of its first half."""


STRICT = Bounds()
LOOSE = Bounds(
    plain_cpu=2.0,
    bare=1.0,
    throughput=2.0,
    cpu=0.5,
    exactly_once=0.4,
    exactly_once_throughput=1.4,
    growth=1.15,
)
"""For a short run on a machine that others use as well: does it run at all, and is it roughly right?"""


class Verdict(StrEnum):
    """What to make of a run."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INVALID = "INVALID"


class Relation(StrEnum):
    """How a figure has to stand to its bound."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    BELOW = "below"


HOLDS = {Relation.AT_LEAST: ge, Relation.AT_MOST: le, Relation.BELOW: lt}


class Check(Struct, frozen=True):
    """One figure and its bound."""

    what: str
    measured: float
    relation: Relation
    bound: float
    validity: bool = False
    """Without it no other check means anything."""

    @property
    def holds(self) -> bool:
        """Tell whether the figure keeps to its bound; what is no number does not."""
        return bool(HOLDS[self.relation](self.measured, self.bound))

    def __str__(self) -> str:
        return f"{self.what}: {self.measured:.3g}, {self.relation} {self.bound:.3g}"


def checks(report: Report, bounds: Bounds) -> list[Check]:
    """List what can be checked of what was measured."""
    found: list[Check] = []
    if b := report.scenario("B"):
        found += [*_fitness(b, report.bare, bounds), *_ceiling(b, bounds)]
    if a := report.scenario("A"):
        found += _latency(a, bounds)
    for held in report.held:
        found += _memory(held, bounds)
    return found


def verdict(found: Sequence[Check]) -> Verdict:
    """Weigh the checks: whether the run counts comes first."""
    if any(check.validity and not check.holds for check in found):
        return Verdict.INVALID
    return Verdict.PASSED if all(check.holds for check in found) else Verdict.FAILED


def _fitness(b: Outcome[Run], bare: Sequence[float], bounds: Bounds) -> Iterator[Check]:
    """Check that the plain loop is what it should be, and the endpoint no bottleneck."""
    plain = of(b, PLAIN, lambda run: run.cpu).middle
    what = "B: CPU seconds of the plain loop for 1,000 documents"
    yield Check(what, plain, Relation.AT_MOST, bounds.plain_cpu, validity=True)
    headroom = spread(bare).middle / max(of(b, mode, lambda run: run.rate).middle for mode in MODES)
    what = "B: documents a second of the bare client, in those of the service"
    yield Check(what, headroom, Relation.AT_LEAST, bounds.bare, validity=True)


def _ceiling(b: Outcome[Run], bounds: Bounds) -> Iterator[Check]:
    rate, cpu = ratio(b, lambda run: run.rate, AT_LEAST).middle, ratio(b, lambda run: run.cpu, AT_LEAST).middle
    yield Check("B: documents a second, in plain loops", rate, Relation.AT_LEAST, bounds.throughput)
    yield Check("B: CPU for a document, in plain loops", cpu, Relation.AT_MOST, bounds.cpu)
    exactly = ratio(b, lambda run: run.rate, EXACTLY).middle
    what = "B: documents a second exactly once, in plain loops"
    yield Check(what, exactly, Relation.AT_LEAST, bounds.exactly_once_throughput)
    exactly = ratio(b, lambda run: run.rate, EXACTLY, AT_LEAST).middle
    what = "B: documents a second exactly once, in those at least once"
    yield Check(what, exactly, Relation.AT_LEAST, bounds.exactly_once)
    yield _peak(b, bounds)


def _latency(a: Outcome[Run], bounds: Bounds) -> Iterator[Check]:
    rate = ratio(a, lambda run: run.rate, AT_LEAST).middle
    yield Check("A: documents a second, in plain loops", rate, Relation.AT_LEAST, bounds.latency_throughput)
    ours, theirs = (of(a, contender, lambda run: run.gets).middle for contender in (AT_LEAST, PLAIN))
    yield Check("A: polls for a job, and those of the plain loop", ours, Relation.BELOW, theirs)
    yield _peak(a, bounds)


def _peak(outcome: Outcome[Run], bounds: Bounds) -> Check:
    most = max(of(outcome, mode, lambda run: run.peak / 1e6).high for mode in MODES)
    return Check(f"{outcome.name}: most MB of the service, in either mode", most, Relation.AT_MOST, bounds.memory)


def _memory(held: Held, bounds: Bounds) -> Iterator[Check]:
    growth = held.second_half / held.first_half
    yield Check(
        f"{held.title}: most MB of the second half, in that of the first", growth, Relation.AT_MOST, bounds.growth
    )
    yield Check(f"{held.title}: most MB", max(held.resident) / 1e6, Relation.AT_MOST, bounds.memory)
