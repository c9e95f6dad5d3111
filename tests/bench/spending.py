"""What became of a quota, read from the endpoint's books and from nothing else.

The rule that keeps it honest: a contender's word counts for nothing here. What was accepted, refused and asked is what
the endpoint wrote down when it answered, and its quota is what it held at that moment.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.bench.figures import Spent
from tests.judge.books import Change, Event, Poll, Submit

OVER = 3.0
"""Seconds over which a rate is taken."""
NEARLY_ALL = 0.95
"""The part of a quota at which it counts as used again."""
STEP = 0.05
"""Seconds between two looks at the rate."""

Stretch = tuple[float, float, float]
"""Begin, end, and the submits a second that were allowed meanwhile."""


def spent(events: Sequence[Event]) -> Spent:
    """Sum up the books, from the first submit that was accepted to the last. Raises ValueError without them."""
    calls = [event for event in events if isinstance(event, Submit | Poll)]
    jobs = [call for call in calls if isinstance(call, Submit) and call.job is not None]
    accepted = [job.at for job in jobs]
    if len(accepted) < 2:
        raise ValueError("no two submits were accepted")
    held = list(stretches(events, accepted[0], accepted[-1]))
    return Spent(
        rate=sum(len(job.documents) for job in jobs[1:]) / (accepted[-1] - accepted[0]),
        used=(len(accepted) - 1) / sum((end - begin) * quota for begin, end, quota in held),
        gets=sum(isinstance(call, Poll) for call in calls) / len(accepted),
        throttled=sum(call.status == 429 for call in calls) / len(calls),
        back=tuple(back(accepted, stretch) for stretch in held[1:]),
        pace=tuple(pace(accepted)),
    )


def stretches(events: Sequence[Event], begin: float, end: float) -> Iterator[Stretch]:
    """Say which quota held when, between two moments."""
    changes = [(event.at, _quota(event)) for event in events if isinstance(event, Change)]
    for (since, quota), (until, _) in pairwise([*changes, (end, 0.0)]):
        if max(since, begin) < min(until, end):
            yield max(since, begin), min(until, end), quota


def back(accepted: Sequence[float], stretch: Stretch) -> float | None:
    """Seconds until nearly all of a quota is used for good: in any three seconds from then on, as long as it holds.

    None where that is never so, also because it did not hold long enough to say.
    """
    begin, end, quota = stretch
    found: float | None = None
    for number in range(int((end - OVER - begin) / STEP) + 1):
        since = begin + number * STEP
        calls = bisect_right(accepted, since + OVER) - bisect_right(accepted, since)
        if calls < NEARLY_ALL * quota * OVER:
            found = None
        elif found is None:
            found = since - begin
    return found


def pace(accepted: Sequence[float]) -> Iterator[float]:
    """Count calls second by second, from the first one on; the last, which is not whole, is left out."""
    first, last = accepted[0], accepted[-1]
    until = [bisect_right(accepted, first + second) for second in range(int(last - first) + 1)]
    for before, after in pairwise(until):
        yield float(after - before)


def _quota(change: Change) -> float:
    return sum(limit.calls / limit.seconds for limit in change.conditions.limits if "submit" in limit.operations)
