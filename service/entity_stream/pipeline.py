"""The whole service on one page.

    read -> batch -> submit -> poll -> publish -> commit

One task reads records and groups them, one task per batch carries it from submit to the job's end, one
task per partition settles, which is publish and commit as one act. Read, permit, spawn, in that order: a
full window stops reading. Trouble is a verdict, a value; an exception is a bug or a fatal configuration,
leaves through the task group and ends the run. State that tasks share changes only between awaits.
"""

import asyncio
from collections.abc import AsyncIterator, Collection

from entity_stream.calling import Calls
from entity_stream.core import messages
from entity_stream.core.batching import Batcher
from entity_stream.core.model import Batch, Document, Partition, Reason, Record, Rejected
from entity_stream.core.trial import Left, trial
from entity_stream.core.verdict import Again, Done, Halve, Judged
from entity_stream.doubt import Doubt
from entity_stream.moments import heard, now
from entity_stream.plan import Plan, Vitals
from entity_stream.ports import Fetched, Language, Ledger, Source
from entity_stream.tenure import Tenures

IDLE = 0.5
"""Seconds that a read waits for records at the most when no batch is open."""


class Line:
    """The service between its three ports, from its making to its `stop`."""

    def __init__(self, source: Source, language: Language, ledger: Ledger, plan: Plan, stop: asyncio.Event) -> None:
        self._source, self._plan, self._stop = source, plan, stop
        self._tenures = Tenures(ledger, plan.order)
        self._batcher = Batcher(plan.limits)
        self._calls = Calls(language, plan, self._tenures, stop)
        self._doubt = Doubt(self._calls, plan, stop)
        self._window = asyncio.Semaphore(plan.window)
        source.on_revoke(self._release)

    async def run(self) -> int:
        """Serve until the stop, then drain. Return how many records are left to whoever reads next."""
        async with asyncio.TaskGroup() as settlers:
            try:
                async with asyncio.timeout(None) as drain, asyncio.TaskGroup() as batches:
                    reading = batches.create_task(self._read(batches, settlers))
                    await self._stop.wait()
                    self._calls.wake()
                    reading.cancel()
                    drain.reschedule(now() + self._plan.drain_for)
            except TimeoutError:
                pass  # jobs still in flight: their records are read again
            return await self._tenures.release(list(self._tenures.unfinished()), self._plan.release_for)

    async def _read(self, batches: asyncio.TaskGroup, settlers: asyncio.TaskGroup) -> None:
        """Read, permit, spawn."""
        async for batch in self._full_batches(settlers):
            await self._window.acquire()  # the window is full: stop reading until a job ends
            batches.create_task(self._carry(batch))

    async def _full_batches(self, settlers: asyncio.TaskGroup) -> AsyncIterator[Batch]:
        """Group records as they arrive; what is still open at the stop is left to the next reader."""
        while True:
            began = now()
            fetched = await self._fetch()
            for claim in fetched.claims:
                self._tenures.claim(claim, settlers)
            arrived = now()
            for record in fetched.records:
                for batch in self._take(record, arrived):
                    yield batch
            while due := self._batcher.due(began):  # what waited for a permit may still be filled by the next read
                yield due

    async def _fetch(self) -> Fetched:
        """Read; but when memory is full, wait for room as long as the open batch may wait."""
        patience = self._batcher.patience(now())
        wait = IDLE if patience is None else patience
        if self._tenures.bytes_held() < self._plan.memory:
            return await self._source.read(wait)
        self._tenures.room.clear()
        await heard(self._tenures.room, wait)  # or the open batch is due
        return Fetched()

    def _take(self, record: Record, arrived: float) -> list[Batch]:
        """Begin a record; return the batches that are full with it."""
        if not self._tenures.begin(record):
            return []
        match messages.decode(record):
            case Document() as document:
                return self._batcher.add(document, arrived)
            case outcome:
                self._tenures.finish([outcome])
                return []

    async def _carry(self, batch: Batch) -> None:
        try:
            await self._annotate(batch)
        finally:
            self._window.release()

    async def _annotate(self, batch: Batch) -> None:
        """Bring each document of a batch to its outcome; what a broken API rejected is submitted again."""
        while batch:
            batch = await self._judge(batch)

    async def _judge(self, batch: Batch) -> Batch:
        """Run a batch as one job, again for what that does not bring, then part by part; return what stays open."""
        left, asked = Left(batch, NO_JOB), 0
        while left.documents and not left.final and asked < self._plan.attempts:
            left, asked = await self._run(left.documents), asked + 1
        if not left.documents:
            return ()
        if not await self._doubt.believes(left.sent):
            return left.documents
        convicted = await self._try(left, asked if len(batch) == 1 else 0)
        if convicted and not await self._doubt.believes(max(each.sent for each in convicted)):
            return tuple(document for each in convicted for document in each.documents)
        self._tenures.finish(Rejected(each.documents[0].record, each.reason) for each in convicted)
        return ()

    async def _run(self, batch: Batch) -> Left:
        """Run a batch as one job, finish what it brings, return what it does not."""
        if (submitted := await self._calls.submit(batch)) is None:
            return NOTHING
        batch, sent = submitted.batch, submitted.sent
        if isinstance(submitted.answer, Halve):
            return Left(batch, submitted.answer.reason, sent, final=submitted.refused or len(batch) > 1)
        match await self._calls.poll(submitted.answer, batch):
            case Done(judged):
                return await self._finish(judged, batch, sent)
            case Again(cause):
                return Left(batch, Reason("job-failed", cause), sent)
            case None:
                return NOTHING

    async def _finish(self, judged: Judged, batch: Batch, sent: float) -> Left:
        """Finish what a job brought; where it does nothing but reject, only if that is to be believed."""
        if judged.annotates:
            self._doubt.annotated()
        if judged.annotates or not judged.outcomes or await self._doubt.believes(now()):
            self._tenures.finish(judged.outcomes)
            return Left(judged.missing, MISSING, sent)
        return Left(batch, MISSING, sent)

    async def _try(self, left: Left, asked: int) -> list[Left]:
        """Find who in a batch is to blame for it; return them, each alone."""
        trying = trial(left, asked)
        try:
            suspects = next(trying)
            while True:
                suspects = trying.send(await self._run(suspects))
        except StopIteration as found:
            convicted: list[Left] = found.value
            return convicted

    async def _release(self, partitions: Collection[Partition]) -> None:
        """Let partitions go, with all that is open or unsettled of them."""
        self._batcher.drop(partitions)
        self._calls.wake()  # whoever runs next finds them gone: `release` forgets them before it waits
        await self._tenures.release(partitions, self._plan.release_for)

    def vitals(self) -> Vitals:
        """Look, without touching."""
        return Vitals(
            unfinished=self._tenures.unfinished(),
            in_flight=self._calls.in_flight,
            bytes_held=self._tenures.bytes_held(),
            draining=self._stop.is_set(),
            parked=self._calls.parked,
            frozen=self._calls.frozen(),
            shut=self._calls.shut(),
        )


NO_JOB = Reason("no-job", "no job was run for this document")
NOTHING = Left((), NO_JOB)
MISSING = Reason("missing-result", "the jobs it was part of ended without a result for this document")
