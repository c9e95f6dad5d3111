"""How soon a static member publishes for its partitions again that was killed and started again at once.

Told by the times of the outcomes, as the brokers set them, and by what a life says it was given. Slow is no fault
while something else is wrong: what excuses is taken from the books, the brokers and our own notes, never from the life.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import inf
from statistics import median
from typing import Final

from msgspec import Struct

from tests.chaos.shocks import Rebalance
from tests.judge.books import Change, Event
from tests.judge.case import Evidence, Outcome
from tests.judge.conditions import Conditions

LIMIT: Final = 5.0
"""Seconds from the start of a process until it must have published something."""

AFTERMATH: Final = 3.0
"""Seconds after brokers are back in which it may still be felt that they were away."""

OTHERS: Final = ("Adding new member", "removing member", "LeaveGroup")
"""Why a group rebalances that a static member's own return cannot be the cause of."""

AGAIN: Final = "struck again"


class Return(Struct, frozen=True):
    """A life that began as soon as its predecessor, a static member, was killed."""

    who: str
    began: float
    assigned: float
    """When it was given partitions; infinity: never."""
    partitions: frozenset[int]
    over: float
    """When something else was done to it; infinity: never."""


class Recovery(Struct, frozen=True):
    """How long it took, and what else was wrong meanwhile."""

    who: str
    seconds: float | None
    """From its start to what was next published of its partitions; None: nothing was, before it was over."""
    excuse: str | None

    @property
    def slow(self) -> bool:
        """Whether it took too long, and nothing excuses that."""
        return self.excuse is None and (self.seconds is None or self.seconds > LIMIT)

    def __str__(self) -> str:
        took = "never" if self.seconds is None else f"only {self.seconds:.1f} s after its start"
        return f"{self.who}, a static member, published for its partitions {took}"


class Summary(Struct, frozen=True):
    """All recoveries of a run in figures."""

    judged: int
    median: float | None
    longest: float | None
    excused: int
    in_time: int
    """Of those that are excused, how many were quick all the same."""


def recoveries(returns: Iterable[Return], evidence: Evidence, rebalances: Sequence[Rebalance]) -> Iterator[Recovery]:
    """Measure each return."""
    published = _times(evidence.outcomes)
    spans = [*_outages(evidence), *_rebalances(rebalances), *_foul_weather(evidence.books)]
    for each in returns:
        first = min((_next(published[index], each.assigned) for index in each.partitions), default=inf)
        seconds = first - each.began if first < inf and first <= each.over else None
        deadline = each.began + min(LIMIT, seconds or LIMIT)
        excuse = AGAIN if seconds is None and each.over <= deadline else _excuse(spans, each.began, deadline)
        yield Recovery(each.who, seconds, excuse)


def summary(recoveries: Sequence[Recovery]) -> Summary:
    """Count them, and say how long those took that are judged."""
    judged = [each.seconds for each in recoveries if each.excuse is None]
    excused = [each.seconds for each in recoveries if each.excuse is not None]
    took = [seconds for seconds in judged if seconds is not None]
    return Summary(
        judged=len(judged),
        median=median(took) if took else None,
        longest=max(took) if took else None,
        excused=len(excused),
        in_time=sum(seconds is not None and seconds <= LIMIT for seconds in excused),
    )


_Span = tuple[float, float, str]
"""From when to when something was wrong, and what."""


def _times(outcomes: Iterable[Outcome]) -> dict[int, list[float]]:
    """Sort the times at which entities were published by input partition."""
    times: dict[int, list[float]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.source and outcome.kind == "annotated":
            times[outcome.source[0]].append(outcome.at)
    for some in times.values():
        some.sort()
    return times


def _next(times: Sequence[float], after: float) -> float:
    place = bisect_left(times, after)
    return times[place] if place < len(times) else inf


def _excuse(spans: Iterable[_Span], begin: float, end: float) -> str | None:
    return next((what for since, until, what in spans if since <= end and until >= begin), None)


def _outages(evidence: Evidence) -> Iterator[_Span]:
    for shock in evidence.shocks:
        if shock.blow == "outage":
            yield shock.at, (shock.until or shock.at) + AFTERMATH, "a broker was away"


def _rebalances(rebalances: Iterable[Rebalance]) -> Iterator[_Span]:
    for each in rebalances:
        if any(reason in each.why for reason in OTHERS):
            yield each.began, inf if each.ended is None else each.ended, "others joined or left"


def _foul_weather(books: Iterable[Event]) -> Iterator[_Span]:
    changes = [event for event in books if isinstance(event, Change)]
    for change, following in pairwise([*changes, None]):
        if change and _is_foul(change.conditions):
            yield change.at, following.at if following else inf, "the endpoint made trouble"


def _is_foul(conditions: Conditions) -> bool:
    return bool(conditions.faults or conditions.down or conditions.refuse)
