"""Lives of the line in worlds.py: begun, lost and begun again, as often as a test wants."""

import asyncio
import random
from collections.abc import Callable

from entity_stream.core.batching import Limits
from entity_stream.core.model import Partition, Record, Target
from entity_stream.core.quota import Rate
from entity_stream.pipeline import Line
from entity_stream.plan import Plan
from entity_stream.ports import StartAgain
from tests.pipeline.worlds import TOPIC, CheckingLedger, Endpoint, Faults, Log, LogSource, fits, now, records

PLAN = Plan(limits=Limits(linger=0.2), window=8, quota=(Rate(6_000, 60.0),), drain_for=30, overdue=600)
CALM = Faults()
SETTLED = 2.5
"""Seconds after which a commit names an accepted job: that of the settle under way and of the next, each slow."""
PLAN_FIELDS = {name: getattr(PLAN, name) for name in PLAN.__struct_fields__}


class World:
    """One log, and as many lives of the line on it as a test wants."""

    def __init__(
        self,
        seed: int,
        count: int,
        faults: Faults = CALM,
        plan: Plan = PLAN,
        odd: float = 0.1,
        *,
        exactly_once: bool = False,
    ) -> None:
        random.seed(seed)  # the line's own dice: the jitter of its pauses
        self.rng = random.Random(seed)
        self.plan, self.faults, self.exactly_once = plan, faults, exactly_once
        self.log = Log(records(self.rng, count, odd=odd), marks=seed % 3)
        self.endpoint = Endpoint(self.rng, faults)
        self.others: dict[Target, Endpoint] = {}  # beside that one
        self.stop = asyncio.Event()
        self.begin()

    def begin(self, chunks: tuple[int, int] = (0, 40)) -> None:
        """Start a new life: all that a crash loses is made anew."""
        self.stop = asyncio.Event()
        languages = {Target(self.endpoint.name): self.endpoint, **self.others}
        for endpoint in languages.values():
            endpoint.meet_a_new_process()
            endpoint.epochs = self.log.epochs
        self.source = LogSource(self.log, self.rng, chunks)
        self.ledger = CheckingLedger(self.log, self.rng, self.faults, self.plan.order, exactly_once=self.exactly_once)
        self.line = Line(self.source, languages, self.ledger, self.plan, self.stop)
        for index in self.log.epochs:
            self.log.epochs[index] += 1

    async def run_until(self, condition: Callable[[], bool], limit: float = 100_000.0) -> None:
        """Live, again after each life that is lost, until the condition holds."""

        async def watch() -> None:
            while not condition():
                assert now() < limit, f"stuck: {self.line.vitals()}"
                await asyncio.sleep(0.5)
            self.stop.set()

        lost = True
        while lost:
            lost = False
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(watch())
                    await self.line.run()
            except* StartAgain:
                lost = True
                self.excuse()
                self.begin()

    def excuse(self) -> None:
        """A life ended without a word: what it had just submitted and no commit names may be paid for again."""
        committed = {index: (self.log.settled(index), self.log.named(index)) for index in self.log.records}
        endpoints = (self.endpoint, *self.others.values())
        for at, batch in (submit for endpoint in endpoints for submit in endpoint.submits):
            for document in batch if now() - at < SETTLED else ():
                index, offset = document.record.partition.index, document.record.offset
                settled, named = committed[index]
                if not settled(offset) and named.get(offset) != self.endpoint.good.get(document.wire_id):
                    self.endpoint.good.pop(document.wire_id, None)

    def assert_whole(self) -> None:
        """Every record has the outcome it deserves, once where that is promised, and no document was paid twice."""
        assert not self.endpoint.billed_twice
        for index, log in self.log.records.items():
            for record in log:
                outcomes = self.log.published[index, record.offset]
                assert outcomes
                assert all(fits(record, outcome) for outcome in outcomes), (record, outcomes)
                assert len(outcomes) == 1 or not self.exactly_once


def plain(count: int, key: bytes | None = None, text: bytes = b"all is well") -> list[Record]:
    value = b'{"text":"%s"}' % text
    return [Record(Partition(TOPIC, 0), offset, key, value) for offset in range(count)]


def calm_world(log: Log, plan: Plan = PLAN, duration: float = 5.0) -> World:
    world = World(1, 0, plan=plan)
    world.log = log
    world.endpoint = Endpoint(world.rng, CALM, lambda: duration)
    world.begin(chunks=(40, 40))
    return world
