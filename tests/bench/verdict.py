"""Whether a run of the benchmark counts, and whether the service is as good as we say.

The rule that keeps it honest: a run counts only when the plain loop was fit and the endpoint far from its limit. Else
no figure of it means anything, however good it looks. Beating a tired opponent is no victory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from operator import ge, le, lt, methodcaller

from msgspec import Struct

from tests.bench.figures import Figure, Grown, Held, Outcome, Report, Run, Spent, Tail, of, ratio, spread
from tests.bench.known import KNOWN
from tests.bench.plan import MODES, MOVING, OPPONENTS, USUAL, Contender, allowed

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
    memory: float = 150.0
    """MB that may ever be resident."""
    growth: float = 1.05
    """The most of the second half of a wait, in the most of its first half."""
    like_known: float = 0.25
    """The part by which a peer may be off its known ratio to the plain loop."""
    window: float = 0.95
    """Of the service in A, of what the window allows."""
    gets: float = 1.08
    """Polls for a job in A."""
    ahead: float = 1.0
    """Of the service in B, in the best peer."""
    peers: float = 1.85
    """Of the service in A, in the best peer."""
    quota: float = 0.99
    """Part of a quota that the service uses in C."""
    throttled: float = 0.005
    """Part of its calls that are answered 429, in C."""
    back: float = 3.0
    """Seconds until a quota is used again that has changed, in C'."""
    moving_throttled: float = 0.01
    tail: float = 1.1
    """Delay of 99 of 100 untouched documents in G, in that without slow jobs."""
    flat: float = 0.10
    """The part by which CPU for a document may differ as there are more documents or partitions."""


STRICT = Bounds()
LOOSE = Bounds(
    plain_cpu=2.0,
    bare=1.0,
    throughput=2.0,
    cpu=0.5,
    exactly_once=0.4,
    exactly_once_throughput=1.4,
    growth=1.15,
    like_known=3.0,
    window=0.5,
    gets=2.0,
    peers=0.9,
    quota=0.8,
    throttled=0.05,
    back=10.0,
    moving_throttled=0.05,
    tail=2.0,
    flat=0.5,
)
"""For a short run on a machine that others use as well: does it run at all, and is it roughly right? Peers are held to
little there: in its first seconds the plain loop is far slower than later."""


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
    for scenario in report.scenarios:
        found += _known(scenario, bounds)
    for spent in report.spent:
        found += _moving(spent, bounds) if spent.name == MOVING.name else _quota(spent, bounds)
    for tail in report.tails:
        found += _tail(tail, bounds)
    found += _growth(report.grown, bounds)
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
    rate, cpu = _in_best(b, lambda run: run.rate, max), _in_best(b, lambda run: run.cpu, min)
    yield Check("B: documents a second, in the best peer", rate, Relation.AT_LEAST, bounds.ahead)
    yield Check("B: CPU for a document, in the best peer", cpu, Relation.AT_MOST, 1 / bounds.ahead)
    exactly = ratio(b, lambda run: run.rate, EXACTLY).middle
    what = "B: documents a second exactly once, in plain loops"
    yield Check(what, exactly, Relation.AT_LEAST, bounds.exactly_once_throughput)
    exactly = ratio(b, lambda run: run.rate, EXACTLY, AT_LEAST).middle
    what = "B: documents a second exactly once, in those at least once"
    yield Check(what, exactly, Relation.AT_LEAST, bounds.exactly_once)
    yield _peak(b, bounds)


def _latency(a: Outcome[Run], bounds: Bounds) -> Iterator[Check]:
    part = of(a, AT_LEAST, lambda run: run.rate).middle / allowed()
    yield Check("A: part of the documents a second that the window allows", part, Relation.AT_LEAST, bounds.window)
    best = _in_best(a, lambda run: run.rate, max)
    yield Check("A: documents a second, in the best peer", best, Relation.AT_LEAST, bounds.peers)
    gets = of(a, AT_LEAST, lambda run: run.gets).middle
    yield Check("A: polls for a job", gets, Relation.AT_MOST, bounds.gets)
    yield _peak(a, bounds)


def _in_best(outcome: Outcome[Run], figure: Figure[Run], best: Callable[[Iterable[float]], float]) -> float:
    """Divide the service's median by that of the best peer."""
    peers = [of(outcome, peer, figure).middle for peer in OPPONENTS if peer in outcome.rounds[0]]
    return of(outcome, AT_LEAST, figure).middle / best(peers)


def _known(outcome: Outcome[Run], bounds: Bounds) -> Iterator[Check]:
    """Check that peers are what they are elsewhere: who was made slower than it is would be beaten too easily."""
    for known in KNOWN:
        if known.scenario == outcome.name and known.peer in outcome.rounds[0]:
            off = abs(ratio(outcome, known.figure, known.peer).middle / known.ratio - 1)
            what = f"{outcome.name}: {known.peer}, {known.what} in plain loops, off the {known.ratio:.3g} known by"
            yield Check(what, off, Relation.AT_MOST, bounds.like_known, validity=True)


def _quota(spent: Outcome[Spent], bounds: Bounds) -> Iterator[Check]:
    used, throttled = of(spent, AT_LEAST, lambda one: one.used).middle, of(spent, AT_LEAST, _throttled).middle
    yield Check(f"{spent.name}: part of the quota that is used", used, Relation.AT_LEAST, bounds.quota)
    yield Check(f"{spent.name}: part of the calls answered 429", throttled, Relation.BELOW, bounds.throttled)


def _moving(spent: Outcome[Spent], bounds: Bounds) -> Iterator[Check]:
    for number in range(len(MOVING.quotas) - 1):
        back = of(spent, AT_LEAST, methodcaller("seconds_back", number)).middle
        what = f"{spent.name}: seconds until 95 % of the quota is used again, change {number + 1}"
        yield Check(what, back, Relation.AT_MOST, bounds.back)
    throttled = of(spent, AT_LEAST, _throttled).middle
    yield Check(f"{spent.name}: part of the calls answered 429", throttled, Relation.BELOW, bounds.moving_throttled)


def _throttled(one: Spent) -> float:
    return one.throttled


def _tail(tail: Outcome[Tail], bounds: Bounds) -> Iterator[Check]:
    stretch = of(tail, AT_LEAST, lambda one: one.stretch).middle
    what = f"{tail.name}: delay of 99 of 100 untouched documents, in that without slow jobs"
    yield Check(what, stretch, Relation.AT_MOST, bounds.tail)


def _growth(grown: Sequence[Grown], bounds: Bounds) -> Iterator[Check]:
    """Hold every size against the usual."""
    held_against = USUAL.documents, USUAL.partitions
    usual = [spread(one.cpu).middle for one in grown if (one.documents, one.partitions) == held_against]
    for one in grown if usual else ():
        if (one.documents, one.partitions) != held_against:
            what = f"growth: CPU for a document, {one.documents:,} in {one.partitions} partitions, off the usual by"
            off = abs(spread(one.cpu).middle / usual[0] - 1)
            yield Check(what, off, Relation.AT_MOST, bounds.flat)


def _peak(outcome: Outcome[Run], bounds: Bounds) -> Check:
    most = max(of(outcome, mode, lambda run: run.peak / 1e6).high for mode in MODES)
    return Check(f"{outcome.name}: most MB of the service, in either mode", most, Relation.AT_MOST, bounds.memory)


def _memory(held: Held, bounds: Bounds) -> Iterator[Check]:
    growth = held.second_half / held.first_half
    yield Check(
        f"{held.title}: most MB of the second half, in that of the first", growth, Relation.AT_MOST, bounds.growth
    )
    yield Check(f"{held.title}: most MB", max(held.resident) / 1e6, Relation.AT_MOST, bounds.memory)
