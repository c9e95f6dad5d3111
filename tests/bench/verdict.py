"""Whether a run of the benchmark counts, and whether the service is as good as we say.

The rule that keeps it honest: a run counts only when the plain loop was fit and the endpoint far from its limit. Else
no figure of it means anything, however good it looks. Beating a tired opponent is no victory.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from operator import ge, le, lt

from msgspec import Struct

from tests.bench.figures import Held, Outcome, Report, of_plain, of_service, ratio, spread


class Bounds(Struct, frozen=True):
    """What has to hold."""

    plain_cpu: float = 0.55
    """CPU seconds that the plain loop may need for 1,000 documents in B."""
    bare: float = 2.0
    """So many times as fast as the service in B the bare client must be."""
    throughput: float = 4.0
    """Of the service in B, in plain loops."""
    cpu: float = 0.25
    latency_throughput: float = 1.8
    """Of the service in A, in plain loops."""
    memory: float = 150.0
    """MB that may ever be resident."""
    growth: float = 1.05
    """The most of the second half of a wait, in the most of its first half."""


STRICT = Bounds()
LOOSE = Bounds(plain_cpu=2.0, bare=1.0, throughput=2.0, cpu=0.5, growth=1.15)
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


def _fitness(b: Outcome, bare: Sequence[float], bounds: Bounds) -> Iterator[Check]:
    """Check that the plain loop is what it should be, and the endpoint no bottleneck."""
    plain = of_plain(b, lambda run: run.cpu).middle
    what = "B: CPU seconds of the plain loop for 1,000 documents"
    yield Check(what, plain, Relation.AT_MOST, bounds.plain_cpu, validity=True)
    headroom = spread(bare).middle / of_service(b, lambda run: run.rate).middle
    what = "B: documents a second of the bare client, in those of the service"
    yield Check(what, headroom, Relation.AT_LEAST, bounds.bare, validity=True)


def _ceiling(b: Outcome, bounds: Bounds) -> Iterator[Check]:
    rate, cpu = ratio(b, lambda run: run.rate).middle, ratio(b, lambda run: run.cpu).middle
    yield Check("B: documents a second, in plain loops", rate, Relation.AT_LEAST, bounds.throughput)
    yield Check("B: CPU for a document, in plain loops", cpu, Relation.AT_MOST, bounds.cpu)
    yield _peak(b, bounds)


def _latency(a: Outcome, bounds: Bounds) -> Iterator[Check]:
    rate = ratio(a, lambda run: run.rate).middle
    yield Check("A: documents a second, in plain loops", rate, Relation.AT_LEAST, bounds.latency_throughput)
    ours, theirs = of_service(a, lambda run: run.gets).middle, of_plain(a, lambda run: run.gets).middle
    yield Check("A: polls for a job, and those of the plain loop", ours, Relation.BELOW, theirs)
    yield _peak(a, bounds)


def _peak(outcome: Outcome, bounds: Bounds) -> Check:
    most = of_service(outcome, lambda run: run.peak / 1e6).high
    return Check(f"{outcome.name}: most MB of the service", most, Relation.AT_MOST, bounds.memory)


def _memory(held: Held, bounds: Bounds) -> Iterator[Check]:
    growth = held.second_half / held.first_half
    yield Check(
        f"{held.title}: most MB of the second half, in that of the first", growth, Relation.AT_MOST, bounds.growth
    )
    yield Check(f"{held.title}: most MB", max(held.resident) / 1e6, Relation.AT_MOST, bounds.memory)
