"""One partition while it is ours, with one settler: publish and commit, one act at a time.

What a commit says of the partition is true of it: jobs are named as soon as they are accepted, outcomes are counted as
they are settled, and what there is no room to say is not done.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from entity_stream.core import journal
from entity_stream.core.model import Document, Job, Outcome, Record, weight
from entity_stream.core.ordering import Lanes, Order
from entity_stream.core.progress import Entry, Progress, Room
from entity_stream.moments import heard, now
from entity_stream.ports import Claim, Ledger

DARK = 0.5
"""Seconds after which a job that is accepted and not committed yet keeps others from being submitted: were we to die,
it would be paid again, and so would they."""


class Tenure:
    """What is begun, in which job, whose turn it is, what is ready to be settled."""

    def __init__(self, claim: Claim, order: Order, resources: Collection[str]) -> None:
        """Take over what the claim's journal says; only jobs of these resources can be asked for."""
        self.partition = claim.partition
        self.progress = Progress(claim.position, journal.read(claim.journal) if claim.journal else None, resources)
        self.bytes_held = 0
        self.settles = 0
        self._lanes = Lanes(order)
        self._held: dict[int, tuple[int, int]] = {}  # weight and timestamp, by offset
        self._ready: list[Outcome] = []
        self._deferred: list[Outcome] = []  # the journal has no room for them
        self._inherited: dict[Entry, list[Document]] = {}  # jobs of an earlier life, and what was read of them
        self._wake = asyncio.Event()
        self._passed = False  # finished records were read, and no outcome will come
        self._named: float | None = None  # when the first job was accepted that is in no settle yet
        self._naming: float | None = None  # the same of the settle that is under way
        self._asking = 0  # submits under way
        self._answered = asyncio.Event()
        self._answered.set()
        self._ends = False

    # records

    def begin(self, record: Record) -> bool:
        """Take a record in, in the order of offsets; False when an earlier life has finished it."""
        if not self.progress.begin(record.offset):
            self._passed = not self.progress  # nothing else will move the position
            self._wake.set()
            return False
        self._lanes.enter(record)
        weighed = weight(record)
        self._held[record.offset] = weighed, record.timestamp
        self.bytes_held += weighed
        return True

    def reach(self, offset: int) -> None:
        """Hear that all below an offset is read, also where there was no record: the position waits for none."""
        if self.progress.reach(offset):
            self._passed = True
            self._wake.set()

    def inherits(self, document: Document) -> bool:
        """Tell whether a document that was just begun is in a job of an earlier life; if so it waits for that."""
        if entry := self.progress.entry(document.record.offset):
            self._inherited.setdefault(entry, []).append(document)
        return entry is not None

    def resumable(self, *, all_: bool) -> list[tuple[Entry, Sequence[Document]]]:
        """Take the inherited jobs whose records have been read, or all of which any was."""
        taken = [entry for entry in self._inherited if all_ or not entry.unread]
        return [(entry, self._inherited.pop(entry)) for entry in taken]

    def finish(self, outcome: Outcome) -> None:
        """Take an outcome; it is settled when its turn comes, and there is room to say so."""
        if self.progress.admits(outcome.record.offset):
            self._release(outcome)
        else:
            self._deferred.append(outcome)

    def _release(self, outcome: Outcome) -> None:
        if released := self._lanes.release(outcome):
            self._ready += released
            self._wake.set()

    def _finish_deferred(self) -> None:
        self._deferred.sort(key=lambda outcome: outcome.record.offset)
        while self._deferred and self.progress.admits(self._deferred[0].record.offset):
            self._release(self._deferred.pop(0))

    @property
    def defers(self) -> bool:
        """Tell whether outcomes wait for room in the journal."""
        return bool(self._deferred)

    @property
    def oldest(self) -> int | None:
        """The timestamp of the first record that is not settled, in milliseconds since 1970, if there is one."""
        return next((timestamp for _, timestamp in self._held.values()), None)

    # submits

    def reserve(self, offsets: Sequence[int], attempts: int, *, holds_up: bool) -> Entry | None:
        """Reserve room in the journal for a submit of ascending offsets: their first one, or the first of many.

        `holds_up`: they belong to what holds the position, for which all else waits.
        """
        usual = Room.NEW if attempts == 1 else Room.AGAIN
        return self.progress.reserve(offsets, attempts, Room.ALL if holds_up else usual)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Have whoever lets the partition go wait for the answer to a submit."""
        self._asking += 1
        self._answered.clear()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                self._answered.set()

    def name(self, entry: Entry, job: Job) -> None:
        """Have a job that was accepted committed at once."""
        self.progress.name(entry, job)
        self._named = now() if self._named is None else self._named
        self._wake.set()

    def dark(self) -> bool:
        """Tell whether an accepted job has not been committed for too long."""
        return any(since is not None and now() - since > DARK for since in (self._named, self._naming))

    # settling

    def end(self) -> None:
        """Settle what is ready and no more."""
        self._ends = True
        self._wake.set()

    async def answered(self, within: float) -> bool:
        """Wait until no submit is under way."""
        return await heard(self._answered, within)

    async def settle(self, ledger: Ledger, room: asyncio.Event) -> None:
        """Settle whatever has become ready since the last settle, until the tenure ends or the group ends it."""
        while self._due() or not self._ends:
            await self._wake.wait()
            self._wake.clear()
            if self._due() and not await self._settle_once(ledger):
                return
            room.set()

    def _due(self) -> bool:
        return bool(self._ready) or self._passed or self._named is not None

    async def _settle_once(self, ledger: Ledger) -> bool:
        outcomes, self._ready, self._passed = self._ready, [], False
        self._naming, self._named = self._named, None
        for outcome in outcomes:
            self.progress.finish(outcome.record.offset)
        said = self.progress.journal()
        if not await ledger.settle(self.partition, outcomes, said.position, journal.write(said)):
            return False
        self._naming = None
        self.settles += 1
        self.bytes_held -= sum(self._held.pop(outcome.record.offset)[0] for outcome in outcomes)
        self._finish_deferred()
        return True
