"""Callers at a quota and an endpoint with limits, in a time of their own: what the endpoint took, and what it refused.

The endpoint's limits are the judge's, which know nothing of ours. Calls take a while to arrive, now less, now more, and
callers wake late, as in a process that is busy.
"""

import math
import random
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from entity_stream.core.quota import Operation, Quota
from tests.judge.conditions import Limit
from tests.judge.limits import Quota as Judge


class Drive:
    """One run; times are seconds since its beginning."""

    def __init__(self, quota: Quota, limits: Sequence[Limit], seed: int = 1) -> None:
        self.quota, self.judge, self.dice = quota, Judge(limits), random.Random(seed)
        self.begin = self.dice.uniform(0.0, 1e6)  # limits and quota know no zero
        self.way, self.jitter = 0.005, 0.002  # seconds to the endpoint, and by how much these differ
        self.late = 0.001  # by how much a caller wakes late at the most; one in a hundred by `stall`
        self.stall = 0.0
        self.time = 0.0
        self.taken: list[float] = []
        self.refused: list[float] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time: float, what: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._order), what))

    def run(self, until: float) -> "Drive":
        while self._events and self._events[0][0] <= until:
            self.time, _, what = heappop(self._events)
            what()
        self.time = until
        return self

    def limit(self, *limits: Limit) -> None:
        """Have other limits from now on."""
        self.judge = Judge(limits)

    def call(self, operation: Operation = Operation.SUBMIT, again: bool = True) -> None:
        """Have one caller call, as soon as it may, and again and again."""
        self._ask(operation, self.quota.enter(), again)

    def _ask(self, operation: Operation, ticket: int, again: bool) -> None:
        now = self.begin + self.time
        wait = self.quota.frozen(operation, now) or self.quota.wait(operation, ticket, now)
        if wait:
            late = self.stall if self.dice.random() < 0.01 else self.dice.uniform(0.0, self.late)
            self.at(self.time + wait + late, lambda: self._ask(operation, ticket, again))
            return
        self.quota.take(operation, ticket, now)
        sent = now
        arrives = self.time + self.way + self.dice.uniform(0.0, self.jitter)
        self.at(arrives, lambda: self._arrive(operation, sent, again))

    def _arrive(self, operation: Operation, sent: float, again: bool) -> None:
        wait = self.judge.admit(operation.value, self.begin + self.time)
        (self.refused if wait else self.taken).append(self.time)
        self.at(self.time + self.way, lambda: self._hear(operation, sent, wait, again))

    def _hear(self, operation: Operation, sent: float, wait: float, again: bool) -> None:
        now = self.begin + self.time
        self.quota.hear(operation, sent, now)
        if wait:
            self.quota.freeze(operation, now, now + math.ceil(wait))
        if again:
            self.call(operation)

    def used(self, begin: float, end: float, per_second: float) -> float:
        """Tell which part of a quota the endpoint gave between two moments."""
        return sum(begin <= time < end for time in self.taken) / ((end - begin) * per_second)
