"""An endpoint, a quota and a window of jobs in virtual time: what a way of polling costs, and what it is worth.

The rule that keeps it honest: each way of polling meets the same jobs, network and quota, and is told nothing that
the service could not see. Only the tally knows when a job has really ended.
"""

import heapq
import math
from collections.abc import Generator
from itertools import count
from random import Random
from typing import Protocol

from entity_stream.core.model import Batch, Document, Partition, Record
from entity_stream.core.polling import Watch
from entity_stream.core.skew import Sighting, middle
from tests.polling.scenario import Scenario
from tests.polling.tally import Poll, Tally

Story = Generator[float, float, None]
"""What becomes of something: it yields until when it waits, and is told when it goes on."""

RETRY_AFTER = 1.0
"""Seconds that a 429 asks for."""

LEARNS_AFTER = 2.0
"""Seconds until the client dares more when its quota has grown. That it has shrunk the first 429 tells."""

LOOK = 0.01
"""Seconds in which a job that waits for what others teach sees that they have."""

RECORD = Record(Partition("documents", 0), 0, None, None)


class Asking(Protocol):
    """A way of polling: the service's own, or one that it is compared with."""

    @property
    def knows(self) -> bool:
        """Tell whether `due` stands until the job is asked for."""
        ...

    def watch(self, batch: Batch, born: float) -> Watch:
        """Begin to wait for a job."""
        ...

    def due(self, watch: Watch, ran: float | None, load: float) -> float:
        """Say when to ask for it."""
        ...

    def learn(self, watch: Watch, seen: Sighting) -> None:
        """See that it has ended."""


class Fixed:
    """Ask after an interval, and again after each."""

    knows = True

    def __init__(self, interval: float) -> None:
        self._interval = interval

    def watch(self, batch: Batch, born: float) -> Watch:
        """Note when."""
        return Watch(born, 0)

    def due(self, watch: Watch, ran: float | None, load: float) -> float:
        """Take no notice of anything."""
        return (watch.born if ran is None else ran) + self._interval

    def learn(self, watch: Watch, seen: Sighting) -> None:
        """Learn nothing."""


class Slots:
    """The client's quota: calls at an even pace, one freeze for all."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.frozen = self._next = 0.0

    def take(self, now: float) -> float:
        """Take the next slot; say when it is."""
        slot = max(now, self._next, self.frozen)
        self._next = slot + 1 / self.rate
        return slot

    def load(self, now: float) -> float:
        """Say how scarce calls are: 1 when one has to wait for a second, or longer."""
        return min(1.0, max(0.0, max(self._next, self.frozen) - now))


class World:
    """A scenario, and whoever asks in it."""

    def __init__(self, scenario: Scenario, asking: Asking) -> None:
        self._scenario, self._asking = scenario, asking
        self._jobs, self._network = Random(scenario.seed), Random(scenario.seed)
        self._agenda: list[tuple[float, int, Story]] = []
        self._numbers = count()
        self._slots = Slots(scenario.rate(0.0))
        self._tokens, self._filled = 0.0, 0.0
        self._in_flight = 0
        self._batches = [_batch(documents) for documents in range(26)]
        self.tally = Tally()

    def run(self) -> Tally:
        """Carry all jobs to their ends."""
        self._begin(0.0, self._arrivals())
        while self._agenda:
            now, _, story = heapq.heappop(self._agenda)
            for until in _next(story, now):
                heapq.heappush(self._agenda, (max(now, until), next(self._numbers), story))
        return self.tally

    def _begin(self, now: float, story: Story) -> None:
        next(story)
        heapq.heappush(self._agenda, (now, next(self._numbers), story))

    def _arrivals(self) -> Story:
        """Submit one job after another: as they come, as long as there is room in the window."""
        scenario = self._scenario
        now = yield 0.0
        comes = 0.0
        for _ in range(scenario.jobs):
            comes += self._jobs.expovariate(scenario.per_second) if scenario.per_second else 0.0
            now = yield max(comes, now)
            while self._in_flight >= scenario.window:
                now = yield now + LOOK
            self._in_flight += 1
            documents = scenario.documents(self._jobs)
            self._begin(now, self._carry(documents, scenario.lasting(documents, now, self._jobs)))

    def _carry(self, documents: int, lasts: float) -> Story:
        """Submit a job and ask for it until it is there."""
        scenario, skew = self._scenario, self._scenario.skew
        now = yield 0.0
        accepted = False
        while not accepted:
            sent = now = yield from self._slot(now)
            created = now = yield now + self._hop()
            accepted = self._admit(now)
            now = yield now + self._hop()
            if not accepted:
                self._freeze(now)
        answered, ends = now, created + lasts
        watch = self._asking.watch(self._batches[documents], middle(sent, answered))
        ran, polls, told = None, [], None
        while told is None:
            while (due := self._asking.due(watch, ran, self._slots.load(now))) > now:
                now = yield due if self._asking.knows else min(due, now + LOOK)
            asked = now = yield from self._slot(now)
            now = yield now + self._hop()
            polls.append(Poll(now - created, now >= ends))
            admitted, done = self._admit(now, poll=True), now >= ends
            now = yield now + self._hop()
            if not admitted:
                self._freeze(now)
            elif done:
                told = now
            else:
                ran = asked
        self.tally.count(documents, ends - created, told - ends, polls)
        self.tally.over = max(self.tally.over, now)
        self._in_flight -= 1
        told_times = (float(int(created + skew)), ends + skew) if scenario.timestamps else (math.inf, -math.inf)
        seen = Sighting(sent, answered, sent if ran is None else ran, now, *told_times, due)
        self._asking.learn(watch, seen)

    def _slot(self, now: float) -> Generator[float, float, float]:
        """Wait for a slot that nobody has frozen meanwhile."""
        while True:
            now = yield self._slots.take(now)
            if now >= self._slots.frozen:
                return now

    def _hop(self) -> float:
        return self._network.uniform(*self._scenario.network)

    def _admit(self, now: float, *, poll: bool = False) -> bool:
        """Let a call through at the endpoint, or answer it with 429."""
        rate = self._scenario.rate(now)
        self._tokens = min(rate, self._tokens + (now - self._filled) * rate)
        self._filled = now
        self.tally.allowed = self._scenario.allowed(now)
        if self._slots.rate < rate and self._scenario.rate(now - LEARNS_AFTER) == rate:
            self._slots.rate = rate
        self.tally.gets += poll
        if self._tokens < 1 or self._scenario.bursting(now):
            self.tally.throttled += 1
            self._slots.rate = min(self._slots.rate, rate)
            return False
        self._tokens -= 1
        self.tally.calls += 1
        return True

    def _freeze(self, now: float) -> None:
        self._slots.frozen = max(self._slots.frozen, now + RETRY_AFTER)


def _next(story: Story, now: float) -> list[float]:
    try:
        return [story.send(now)]
    except StopIteration:
        return []


def _batch(documents: int) -> Batch:
    return tuple(Document(RECORD, "", "", "x" * 2_000) for _ in range(documents))
