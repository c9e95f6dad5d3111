"""The partitions that are ours, each with one settler: publish and commit, one act at a time.

The epoch is part of a partition's name. Once released, a tenure is not found any more, so nothing
that arrives late can be published or committed for it.
"""

import asyncio
from collections.abc import Collection, Iterable

from entity_stream.core import journal
from entity_stream.core.model import Batch, Outcome, Partition, Record, weight
from entity_stream.core.ordering import Lanes, Order
from entity_stream.core.progress import Progress
from entity_stream.ports import Claim, Ledger


class Tenure:
    """One partition while it is ours: what is begun, whose turn it is, what is ready to be settled."""

    def __init__(self, claim: Claim, order: Order) -> None:
        self.partition = claim.partition
        self.progress = Progress(claim.position, journal.read(claim.journal) if claim.journal else None)
        self.bytes_held = 0
        self._lanes = Lanes(order)
        self._weights: dict[int, int] = {}  # by offset
        self._ready: list[Outcome] = []
        self._wake = asyncio.Event()
        self._passed = False  # finished records were read, and no outcome will come
        self._ends = False

    def begin(self, record: Record) -> bool:
        """Take a record in, in the order of offsets; False when an earlier life has finished it."""
        if not self.progress.begin(record.offset):
            self._passed = not self.progress  # nothing else will move the position
            self._wake.set()
            return False
        self._lanes.enter(record)
        self._weights[record.offset] = weighed = weight(record)
        self.bytes_held += weighed
        return True

    def finish(self, outcome: Outcome) -> None:
        """Take an outcome; it is settled when its turn comes."""
        if released := self._lanes.release(outcome):
            self._ready += released
            self._wake.set()

    def end(self) -> None:
        """Settle what is ready and no more."""
        self._ends = True
        self._wake.set()

    async def settle(self, ledger: Ledger, room: asyncio.Event) -> None:
        """Settle whatever has become ready since the last settle, until the tenure ends."""
        while self._ready or not self._ends:
            await self._wake.wait()
            self._wake.clear()
            if not self._ready and not self._passed:
                continue
            outcomes, self._ready, self._passed = self._ready, [], False
            for outcome in outcomes:
                self.progress.finish(outcome.record.offset)
            now = self.progress.journal()
            await ledger.settle(self.partition, outcomes, now.position, journal.write(now))
            self.bytes_held -= sum(self._weights.pop(outcome.record.offset) for outcome in outcomes)
            room.set()


class Tenures:
    """All partitions that are ours now."""

    def __init__(self, ledger: Ledger, order: Order) -> None:
        self._ledger = ledger
        self._order = order
        self._held: dict[Partition, tuple[Tenure, asyncio.Task[None]]] = {}
        self.room = asyncio.Event()
        """Set whenever memory has become free."""

    def claim(self, claim: Claim, settlers: asyncio.TaskGroup) -> None:
        """Make a partition ours; its settler lives in `settlers`."""
        tenure = Tenure(claim, self._order)
        self._held[claim.partition] = tenure, settlers.create_task(tenure.settle(self._ledger, self.room))

    def begin(self, record: Record) -> bool:
        """Take a record in; False when its partition is not ours (any more), or it is finished."""
        held = self._held.get(record.partition)
        return held is not None and held[0].begin(record)

    def finish(self, outcomes: Iterable[Outcome]) -> None:
        """Hand outcomes to the settlers of their partitions; those of other epochs go nowhere."""
        for outcome in outcomes:
            if held := self._held.get(outcome.record.partition):
                held[0].finish(outcome)

    def ours(self, batch: Batch) -> Batch:
        """Return the documents whose partition is ours."""
        return tuple(document for document in batch if document.record.partition in self._held)

    def hold(self, batch: Batch) -> bool:
        """Tell whether any of a batch is ours."""
        return any(document.record.partition in self._held for document in batch)

    async def proven(self) -> bool:
        """Tell whether what is ours is still ours as the brokers see it."""
        return await self._ledger.prove()

    def unfinished(self) -> dict[Partition, int]:
        """Count the records of each partition that are begun and not settled."""
        return {partition: len(tenure.progress) for partition, (tenure, _) in self._held.items()}

    def bytes_held(self) -> int:
        """Weigh all that is begun and not settled."""
        return sum(tenure.bytes_held for tenure, _ in self._held.values())

    async def release(self, partitions: Collection[Partition], within: float) -> int:
        """Let partitions go: each of their settles has ended, or is cancelled after `within` seconds.

        Returns how many of their records are left unfinished to whoever reads them next.
        """
        ending = [self._held.pop(partition) for partition in partitions if partition in self._held]
        if not ending:
            return 0
        for tenure, _ in ending:
            tenure.end()
        self.room.set()
        _, late = await asyncio.wait([task for _, task in ending], timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return sum(len(tenure.progress) for tenure, _ in ending)
