"""Reading: what there is to do next, in the order in which it arrives.

Records are grouped into batches, each of which is granted once the journals of its partitions have room for its job. A
partition that has none is read no further; the others are. What an earlier life has in flight is asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence

from entity_stream.core import messages
from entity_stream.core.batching import Batcher
from entity_stream.core.model import Batch, Document, Partition, Record
from entity_stream.moments import heard, now
from entity_stream.plan import Plan
from entity_stream.ports import Fetched, Source
from entity_stream.tenures import LOOK, Grant, Resumed, Tenures

IDLE = 0.5
"""Seconds that a read waits for records at the most when no batch is open."""

FIRST = 1
"""Time that what was just read is submitted."""


class Reader:
    """The records of one line, from the source to what may be submitted."""

    def __init__(self, source: Source, tenures: Tenures, plan: Plan) -> None:
        self._source, self._tenures, self._plan = source, tenures, plan
        self._batcher = Batcher(plan.limits)
        self._waiting: list[Batch] = []  # for room in a journal, oldest first
        self.records = 0
        """Read so far."""

    async def work(self, settlers: asyncio.TaskGroup) -> AsyncIterator[Grant | Resumed]:
        """Go through what is to be done; what is still open at the stop is left to the next reader."""
        while True:
            waiting, self._waiting = self._waiting, []
            for batch in waiting:
                if grant := self._grant(batch):
                    yield grant
            began = now()
            fetched = await self._fetch()
            self._tenures.claim(fetched.claims, settlers)
            for batch in self._batches(fetched.records, began):
                if grant := self._grant(batch):
                    yield grant
            self._tenures.reach(fetched.reached)
            for resumed in list(self._tenures.resumable(self.full(), all_=not fetched.records)):
                yield resumed

    async def _fetch(self) -> Fetched:
        """Read; but when memory is full, wait for room as long as the open batch may wait."""
        patience = self._batcher.patience(now())
        wait = IDLE if patience is None else patience
        if self._waiting:
            wait = min(wait, LOOK)
        if self._tenures.bytes_held() < self._plan.memory:
            fetched = await self._source.read(wait, self.full())
            self.records += len(fetched.records)
            return fetched
        self._tenures.room.clear()
        await heard(self._tenures.room, wait)  # or the open batch is due
        return Fetched()

    def _batches(self, records: Sequence[Record], began: float) -> Iterator[Batch]:
        """Group records; what waits for a permit meanwhile may still be filled by the next read."""
        arrived = now()
        for record in records:
            yield from self._take(record, arrived)
        while due := self._batcher.due(began):
            yield due

    def _take(self, record: Record, arrived: float) -> list[Batch]:
        """Begin a record; return the batches that are full with it."""
        if not self._tenures.begin(record):
            return []
        match messages.decode(record, self._plan.routing):
            case Document() as document:
                return [] if self._tenures.inherits(document) else self._batcher.add(document, arrived)
            case outcome:
                self._tenures.finish([outcome])
                return []

    def _grant(self, batch: Batch) -> Grant | None:
        """Grant as much of a batch as there is room for; the rest waits, and so does what is behind it."""
        queued = self._queued()
        ahead = tuple(document for document in batch if document.record.partition not in queued)
        grant = self._tenures.grant(ahead, FIRST) if ahead else None
        if rest := self._tenures.ungranted(batch, grant):
            self._waiting.append(rest)
        return grant

    def full(self) -> Collection[Partition]:
        """Tell which partitions wait for room in their journal."""
        return self._queued() | self._tenures.full()

    def _queued(self) -> set[Partition]:
        return {document.record.partition for batch in self._waiting for document in batch}

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget what is open of partitions that are no longer ours."""
        self._batcher.drop(partitions)
        left = (tuple(d for d in batch if d.record.partition not in partitions) for batch in self._waiting)
        self._waiting = [batch for batch in left if batch]
