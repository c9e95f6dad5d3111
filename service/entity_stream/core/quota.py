"""How fast one resource may be called: slots by the windows of its quota, taken in turn, and one freeze for everybody.

Whoever wants to call takes a ticket and asks until there is nothing to wait for. Nobody holds a slot that he does not
use: what is asked again is decided anew, by the freezes, rates and shares of that moment. Time is an argument.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import count

from msgspec import Struct

from entity_stream.core.pacing import Pace
from entity_stream.core.share import Share
from entity_stream.core.throttle import Throttle

EDGE = 1e-6
"""Seconds that are not worth waiting for: less than a clock tells."""

WASTE = 0.01
"""The part of a quota that may be left unused for the sake of whole calls."""

LEAST_PART = 1e-3
"""The part of the slots that counts as ours for the throttle, when we have none and so make no call."""

ENOUGH, ENOUGH_SLOTS = 30.0, 20
"""Seconds, or slots if these last longer, of a window that the throttle goes by at the most: one 429 costs no day. With
fewer, a token bucket that others use, too, is tried too often: more than one call in a hundred gets a 429."""


AT_ONCE = 0.01
"""The part of a window's calls that may come at one moment, if these are more than two."""


class Operation(StrEnum):
    """What the API throttles apart."""

    SUBMIT = "submit"
    POLL = "poll"


BOTH = (Operation.SUBMIT, Operation.POLL)


class Rate(Struct, frozen=True):
    """One window of a quota."""

    calls: int
    seconds: float
    operations: tuple[Operation, ...] = BOTH
    """Whose calls are counted, together."""

    def part(self, part: float) -> "Rate":
        """Leave a part of it, from 0 (none of it, left out) to 1.

        Where that is no whole number of calls, and leaving out the rest would waste it, one more has a longer window:
        calls lie evenly, so no window as long as before holds more of them than that.
        """
        exactly = self.calls * part
        calls = math.floor(exactly + EDGE)
        if calls >= exactly * (1 - WASTE):
            return Rate(calls, self.seconds, self.operations)
        return Rate(calls + 1, self.seconds * (calls + 1) / exactly, self.operations)


Rates = tuple[Rate, ...]
"""All windows of a resource."""

MINUTE = (Rate(1_000, 60.0),)
"""What the API's owner documents for its standard tier."""


def _align(paces: Mapping[tuple[Operation, ...], Pace]) -> None:
    """Have the slots that one call needs at once come at once, where replicas divide them.

    All lie where the fewest come, so that each of these meets some of the others, unless too many of these came at a
    time for their own windows: then they lie where those for any operation do.
    """
    if BOTH in paces:
        grid = max(pace.interval for pace in paces.values())
        if any(grid / pace.interval > max(2, pace.fewest * AT_ONCE) for pace in paces.values()):
            grid = paces[BOTH].interval
        for pace in paces.values():
            pace.lie_on(grid)


def slowest(rates: Rates) -> float:
    """Tell the seconds from one slot to the next, of the operation that has the fewest; 0 where nothing is held."""
    return max((rate.seconds / rate.calls for rate in rates), default=0.0)


class Quota:
    """The calls of one resource."""

    __slots__ = ("_paces", "_queues", "_throttles", "_tickets", "share")

    def __init__(self, rates: Sequence[Rate] = MINUTE, tickets: Iterator[int] | None = None) -> None:
        """Keep to all of these at once; an operation that none of them names may be called at any time.

        Quotas that draw their tickets from the same numbers know who came first to any of them.
        """
        self.share = Share(min((rate.calls / rate.seconds for rate in rates), default=math.inf))
        """Which of the slots are ours: all, until it is told of other replicas."""
        self._paces = {
            operations: Pace([(r.calls, r.seconds) for r in rates if r.operations == operations], self.share)
            for operations in dict.fromkeys(rate.operations for rate in rates)
        }
        _align(self._paces)
        self._throttles = {operation: Throttle(_window(rates, operation)) for operation in Operation}
        self._queues: dict[Operation, list[int]] = {operation: [] for operation in Operation}
        self._tickets = tickets or count()

    def enter(self) -> int:
        """Take a ticket: who has an earlier one goes first."""
        return next(self._tickets)

    def wait(self, operation: Operation, ticket: int, now: float) -> float:
        """Seconds until it is worth while to ask again; 0: go now, and say so with `take`."""
        queue, throttle = self._queues[operation], self._throttles[operation]
        place = bisect_left(queue, ticket)
        if place == len(queue) or queue[place] != ticket:
            queue.insert(place, ticket)
        wait = throttle.slot(place, now, self._most(operation, now)) - now if throttle.awake else 0.0
        for operations, pace in self._paces.items():
            if operation in operations:
                others = sum(self._ahead(each, operation, ticket, now) for each in operations if each is not operation)
                wait = max(wait, pace.wait(place + others, now))
        return wait if wait > EDGE else 0.0

    def _ahead(self, other: Operation, operation: Operation, ticket: int, now: float) -> int:
        """Count who of another operation goes before a ticket: nobody while they wait for what is theirs alone."""
        if not (queue := self._queues[other]) or self._rare(operation, now):
            return 0
        throttle = self._throttles[other]
        alone = self._paces.get((other,))
        slow = throttle.awake and throttle.slot(0, now, self._most(other, now)) > now
        if slow or (alone and alone.wait(0, now) > 0):
            return 0
        return max(bisect_left(queue, ticket), int(self._rare(other, now)))

    def _rare(self, operation: Operation, now: float) -> bool:
        """Tell whether slots of its own come to an operation more seldom than those for any: it goes first then.

        Else it would miss them, as slots that are divided wait for nobody; the others have one soon.
        """
        alone = self._paces.get((operation,))
        return alone is not None and not self.share.alone(now) and alone.interval > self._paces[BOTH].interval

    def take(self, operation: Operation, ticket: int, now: float) -> None:
        """Go."""
        self.leave(operation, ticket)
        throttle = self._throttles[operation]
        throttle.take(now, self._most(operation, now) if throttle.awake else math.inf)
        for pace in self._paces_of(operation):
            pace.take(now)

    def owe(self, operation: Operation, calls: int, now: float) -> None:
        """Count calls that were made without asking, as a result has more pages than one: others wait for them."""
        for _ in range(calls):
            self.take(operation, self.enter(), now)

    def hear(self, operation: Operation, sent: float, now: float) -> None:
        """Hear that a call is answered. Whoever never says so has no allowance for calls that are long on their way."""
        for pace in self._paces_of(operation):
            pace.hear(sent, now)

    def leave(self, operation: Operation, ticket: int) -> None:
        """Step aside, for good or until the next time of asking; the ticket keeps its place."""
        queue = self._queues[operation]
        place = bisect_left(queue, ticket)
        if place < len(queue) and queue[place] == ticket:
            del queue[place]

    def freeze(self, operation: Operation, now: float, until: float) -> None:
        """Hear of a 429: nobody calls the operation before `until`, and then more slowly."""
        self._throttles[operation].refuse(now, until)

    def frozen(self, operation: Operation, now: float) -> float:
        """Seconds until the operation may be called again."""
        return max(0.0, self._throttles[operation].until - now)

    def slowed(self, operation: Operation, now: float) -> bool:
        """Tell whether the operation is called more slowly than its slots allow, since a 429 that is not long ago."""
        self.rate(operation, now)  # which may end it
        return self._throttles[operation].awake

    def soonest(self, operation: Operation, now: float) -> float:
        """Seconds until the operation may be called by one who comes now."""
        wait = self.wait(operation, ticket := self.enter(), now)
        self.leave(operation, ticket)
        return max(wait, self.frozen(operation, now))

    def rate(self, operation: Operation, now: float) -> float:
        """Tell how many calls a second we may make now; infinite where nothing holds us."""
        return self._throttles[operation].rate(now, self._most(operation, now))

    def load(self, now: float) -> float:
        """Tell how much of what may be called was called lately, from 0 to 1, which it is while anybody waits."""
        if any(self._queues.values()):
            return 1.0
        part = self.share.part(now)
        return min(1.0, max((pace.load(now) for pace in self._paces.values()), default=0.0) / part) if part else 1.0

    def _paces_of(self, operation: Operation) -> list[Pace]:
        return [pace for operations, pace in self._paces.items() if operation in operations]

    def _most(self, operation: Operation, now: float) -> float:
        """Tell how many calls a second our part of the slots allows."""
        slots = min((1 / pace.interval for pace in self._paces_of(operation)), default=math.inf)
        return slots * max(self.share.part(now), LEAST_PART)


def _window(rates: Sequence[Rate], operation: Operation) -> float:
    """Tell the seconds that the throttle of an operation goes by: the window that binds, or what is enough of it."""
    binding = [rate for rate in rates if operation in rate.operations]
    if not binding:
        return 1.0
    rate = max(binding, key=lambda rate: rate.seconds / rate.calls)
    return min(rate.seconds, max(ENOUGH, ENOUGH_SLOTS * rate.seconds / rate.calls))
