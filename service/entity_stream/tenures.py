"""The partitions that are ours now.

The epoch is part of a partition's name. Once released, a tenure is not found any more, so nothing that arrives late
can be submitted, published or committed for it; only a submit that is under way then may still name its job.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from entity_stream.core.model import Batch, Document, Job, Outcome, Partition, Record
from entity_stream.core.ordering import Order
from entity_stream.core.probe import PROBE
from entity_stream.core.progress import Entry
from entity_stream.moments import now
from entity_stream.ports import Claim, Lease, Ledger
from entity_stream.tenure import Tenure

LOOK = 0.05
"""Seconds between two looks at what has no event of its own."""

LAST_SETTLE = 2.0
"""Seconds that are kept for the last settle when partitions are let go, or half of all there are."""


class Grant:
    """A batch that may be submitted: the journals of its partitions have room for its job, or need none."""

    def __init__(self, batch: Batch, entries: Sequence[tuple[Tenure, Entry | None]] = ()) -> None:
        self.batch, self._entries = batch, entries

    def only(self, held: Collection[Tenure], batch: Batch) -> "Grant":
        """Leave out the partitions that are ours no more."""
        return Grant(batch, [(tenure, entry) for tenure, entry in self._entries if tenure in held])

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Have whoever lets partitions go wait for the answer."""
        with ExitStack() as stack:
            for tenure, _ in self._entries:
                stack.enter_context(tenure.asking())
            yield

    def name(self, job: Job) -> None:
        """Have the job that was accepted committed at once."""
        for tenure, entry in self._entries:
            if entry:
                tenure.name(entry, job)

    def give_back(self) -> None:
        """Give back the room: nothing was submitted, or it was refused."""
        for tenure, entry in self._entries:
            if entry:
                tenure.progress.give_back(entry)


class Resumed(Struct, frozen=True):
    """A job of an earlier life, and those of its documents that are ours and not settled."""

    job: Job
    batch: Batch
    attempts: int


def _nobody() -> None:
    """Hear of nothing."""


class Tenures:
    """All of them, by partition."""

    def __init__(self, ledger: Ledger, order: Order, resources: Collection[str]) -> None:
        """Take over jobs in flight at these resources only."""
        self._ledger, self._order, self._resources = ledger, order, resources
        self._held: dict[Partition, Tenure] = {}
        self._settlers: dict[Tenure, asyncio.Task[None]] = {}
        self._settled = 0  # settles of partitions that are gone
        self._superseded = 0
        self._waiting: Counter[Partition] = Counter()  # what is to be submitted again and has no room
        self._hear: Callable[[], None] = _nobody
        self.room = asyncio.Event()
        """Set whenever memory has become free, or a journal."""

    def on_change(self, hear: Callable[[], None]) -> None:
        """Have `hear` called at once whenever partitions have become ours, or have ceased to be."""
        self._hear = hear

    def claim(self, claims: Collection[Claim], settlers: asyncio.TaskGroup) -> None:
        """Make partitions ours, all of them before anybody hears of it; their settlers live in `settlers`."""
        for claim in claims:
            tenure = self._held[claim.partition] = Tenure(claim, self._order, self._resources)
            self._settlers[tenure] = settlers.create_task(self._keep(tenure))
        if claims:
            self._hear()

    async def _keep(self, tenure: Tenure) -> None:
        """Settle for a partition until it is let go, or until the group goes on without us."""
        try:
            await tenure.settle(self._ledger, self.room)
        finally:
            self._settled += tenure.settles
            self._superseded += tenure.progress.passed
            del self._settlers[tenure]
            if self._held.get(tenure.partition) is tenure:
                del self._held[tenure.partition]
                self._hear()
                self.room.set()

    # records

    def begin(self, record: Record) -> bool:
        """Take a record in; False when its partition is not ours (any more), or it is finished."""
        held = self._held.get(record.partition)
        return held is not None and held.begin(record)

    def reach(self, reached: Mapping[Partition, int]) -> None:
        """Hear below which offsets all is read."""
        for partition, offset in reached.items():
            if held := self._held.get(partition):
                held.reach(offset)

    def inherits(self, document: Document) -> bool:
        """Tell whether a document that was just begun waits for a job of an earlier life."""
        return self._held[document.record.partition].inherits(document)

    def resumable(self, without: Collection[Partition], *, all_: bool) -> Iterator[Resumed]:
        """Take the jobs of earlier lives that can be asked for: all their records are read, or none come now."""
        for partition, tenure in self._held.items():
            for entry, documents in tenure.resumable(all_=all_ or partition in without):
                if entry.job:
                    yield Resumed(entry.job, tuple(documents), entry.attempts)

    def finish(self, outcomes: Iterable[Outcome]) -> None:
        """Hand outcomes to the settlers of their partitions; those of other epochs go nowhere."""
        for outcome in outcomes:
            if held := self._held.get(outcome.record.partition):
                held.finish(outcome)

    # submits

    def ours(self, grant: Grant) -> Grant:
        """Leave out the documents whose partition is not ours any more."""
        batch = self.held(grant.batch)
        return grant if batch is grant.batch else grant.only(self._held.values(), batch)

    def held(self, batch: Batch) -> Batch:
        """Return what of a batch is ours; the probe always is."""
        if batch is PROBE or all(document.record.partition in self._held for document in batch):
            return batch
        return tuple(document for document in batch if document.record.partition in self._held)

    def hold(self, batch: Batch) -> bool:
        """Tell whether any of a batch is ours, or is the probe."""
        return batch is PROBE or any(document.record.partition in self._held for document in batch)

    def grant(self, batch: Batch, attempts: int, whole: Batch | None = None) -> Grant | None:
        """Reserve room for what of a batch has room in the journal of its partition; None where that is nothing.

        What holds the position, or is part of a `whole` that does, never waits, as all else may wait for it. In a
        journal that is full it goes unnamed: a crash at that very time would have it paid again.
        """
        holders = {tenure for tenure, some in self._offsets(whole or batch).items() if tenure.progress.position in some}
        granted = {
            tenure.partition: (tenure, entry)
            for tenure, some in self._offsets(batch).items()
            if (entry := tenure.reserve(some, attempts, holds_up=tenure in holders)) or tenure in holders
        }
        through = tuple(each for each in batch if each.record.partition in granted)
        return Grant(through, list(granted.values())) if through else None

    def _offsets(self, batch: Batch) -> dict[Tenure, list[int]]:
        """Sort what is ours by partition."""
        offsets: dict[Tenure, list[int]] = {}
        for document in batch:
            if tenure := self._held.get(document.record.partition):
                offsets.setdefault(tenure, []).append(document.record.offset)
        return offsets

    def ungranted(self, batch: Batch, grant: Grant | None) -> Batch:
        """Return what of a batch is ours and was not granted."""
        granted = {id(document) for document in grant.batch} if grant else set()
        return tuple(each for each in batch if each.record.partition in self._held and id(each) not in granted)

    async def granted(self, batch: Batch, attempts: int, whole: Batch, stop: asyncio.Event) -> Grant | None:
        """Wait for a grant; None when nothing of the batch is ours any more, or when nothing will be submitted."""
        waiting = Counter(document.record.partition for document in batch)
        self._waiting += waiting
        try:
            while self.hold(batch) and not stop.is_set():
                if grant := self.grant(batch, attempts, whole):
                    return grant
                await asyncio.sleep(LOOK)
        finally:
            self._waiting -= waiting
        return None

    async def proven(self, batch: Batch) -> Lease | None:
        """Prove that what is ours is ours to the brokers too, once what we have submitted of it is committed."""
        partitions = {document.record.partition for document in batch}
        while any(self._held[each].dark() for each in partitions & self._held.keys()):  # noqa: ASYNC110 (many things end it)
            await asyncio.sleep(LOOK)
        return await self._ledger.prove()

    # seen from outside

    def unfinished(self) -> dict[Partition, int]:
        """Count the records of each partition that are begun and not settled."""
        return {partition: len(tenure.progress) for partition, tenure in self._held.items()}

    def oldest(self) -> dict[Partition, int]:
        """Tell the timestamp of the oldest record that is not settled, of each partition that has one."""
        return {each: oldest for each, tenure in self._held.items() if (oldest := tenure.oldest) is not None}

    def bytes_held(self) -> int:
        """Weigh all that is begun and not settled."""
        return sum(tenure.bytes_held for tenure in self._held.values())

    def full(self) -> set[Partition]:
        """Tell in which partitions something waits for room in the journal: to be submitted again, or to be settled."""
        return {each for each, tenure in self._held.items() if tenure.defers or self._waiting[each]}

    def settles(self) -> int:
        """Count the settles so far."""
        return self._settled + sum(tenure.settles for tenure in self._held.values())

    def superseded(self) -> int:
        """Count the documents of inherited jobs whose records the log does not have any more."""
        return self._superseded + sum(tenure.progress.passed for tenure in self._held.values())

    # the end

    async def release(self, partitions: Collection[Partition], within: float) -> int:
        """Let partitions go: each of their settles has ended, or is cancelled after `within` seconds.

        Answers to submits under way are waited for, as long as there is time for a last settle, which hands the jobs
        over. Returns how many records are left unfinished to whoever reads them next.
        """
        for partition in partitions:
            self._held.pop(partition, None)
        self._hear()
        ending = {tenure: task for tenure, task in self._settlers.items() if tenure.partition in partitions}
        self.room.set()
        try:
            await self._end(ending, now() + within)
        finally:
            for task in ending.values():
                task.cancel()  # which does nothing to one that has ended
        await asyncio.gather(*ending.values(), return_exceptions=True)
        return sum(len(tenure.progress) for tenure in ending)

    async def _end(self, ending: Mapping[Tenure, asyncio.Task[None]], deadline: float) -> None:
        answers = deadline - min(LAST_SETTLE, (deadline - now()) / 2)
        for tenure in ending:
            await tenure.answered(answers - now())
            tenure.end()
        if ending:
            await asyncio.wait(ending.values(), timeout=max(0.0, deadline - now()))
