"""The whole service on one page.

    read -> batch -> submit -> poll -> publish -> commit

One task reads records and groups them, one task per batch carries it from submit to the job's end, one
task per partition settles, which is publish and commit as one act. Read, permit, spawn, in that order: a
full window stops reading. Trouble is a verdict, a value; an exception is a bug or a fatal configuration,
leaves through the task group and ends the run. State that tasks share changes only between awaits.

Start, restart, crash and rebalance are one path: whoever reads a partition takes over position and journal of its
last commit, asks for the jobs that are in flight, and submits the rest.
"""

import asyncio
from collections.abc import Collection, Mapping

from entity_stream.core.backlog import Look
from entity_stream.core.forecast import Forecast, Strain, Trend
from entity_stream.core.model import Batch, Job, Partition, Place, Reason, Rejected, Target
from entity_stream.core.trial import Left, by_route, merged, trial
from entity_stream.core.verdict import Again, Done, Halve, Judged
from entity_stream.doubt import Doubt
from entity_stream.moments import heard, now
from entity_stream.plan import Plan, Vitals
from entity_stream.ports import Language, Ledger, Source
from entity_stream.reading import Reader
from entity_stream.resources import Resources
from entity_stream.tenures import Grant, Resumed, Tenures
from entity_stream.window import Window


class Line:
    """The service between its three ports, from its making to its `stop`."""

    def __init__(
        self, source: Source, languages: Mapping[Target, Language], ledger: Ledger, plan: Plan, stop: asyncio.Event
    ) -> None:
        """Have a language for each route at each resource of the plan."""
        self._plan, self._stop = plan, stop
        self._tenures = Tenures(ledger, plan.order, [resource.name for resource in plan.resources])
        self._reader = Reader(source, self._tenures, plan)
        self._resources = Resources(languages, plan, self._tenures, stop)
        self._window = Window(plan.window, self._resources.stranded)
        self._trend = Trend()
        self._carried = 0  # batches
        self._idle = asyncio.Event()
        self._idle.set()
        source.on_revoke(self._release)

    async def run(self) -> int:
        """Serve until the stop, then drain. Return how many records are left to whoever reads next."""
        left = 0
        async with asyncio.TaskGroup() as settlers:
            try:
                async with asyncio.timeout(None) as over, asyncio.TaskGroup() as batches:
                    self._resources.live_in(batches)
                    reading = batches.create_task(self._read(batches, settlers))
                    await self._stop.wait()
                    reading.cancel()
                    self._resources.wake()
                    await heard(self._idle, self._plan.drain_for)
                    left = await self._tenures.release(list(self._tenures.unfinished()), self._plan.release_for)
                    over.reschedule(now())
            except TimeoutError:
                pass  # jobs still in flight: they were handed over
        return left

    async def _read(self, batches: asyncio.TaskGroup, settlers: asyncio.TaskGroup) -> None:
        """Read, permit, spawn; a job of an earlier life has its permit."""
        async for work in self._reader.work(settlers):
            if isinstance(work, Grant):
                await self._window.enter()  # the window is full: stop reading until a job ends
                carrying = self._carry(work)
            else:
                self._window.inherit()
                carrying = self._carry_on(work)
            self._carried += 1
            self._idle.clear()
            batches.create_task(carrying).add_done_callback(self._set_down)

    def _set_down(self, _: asyncio.Task[None]) -> None:
        self._carried -= 1
        if not self._carried:
            self._idle.set()

    async def _carry(self, grant: Grant) -> None:
        """Carry a batch from its first submit to its outcomes."""
        try:
            left = await self._job(grant)
        finally:
            self._window.leave()
        await self._annotate(left, 1, alone=len(grant.batch) == 1)

    async def _carry_on(self, resumed: Resumed) -> None:
        """Carry what an earlier life has submitted to its outcomes."""
        try:
            left = await self._follow(resumed.job, resumed.batch, now(), resumed=True)
        finally:
            self._window.disinherit()
        for part in by_route(left):  # it may have been submitted under other rules
            await self._annotate(part, resumed.attempts, alone=False)

    async def _annotate(self, left: Left, asked: int, *, alone: bool) -> None:
        """Bring what is left of a batch to its outcomes; what a broken API rejected is submitted again."""
        while left.documents:
            void = await self._judge(left, asked, alone=alone)
            left, asked, alone = Left(void, NO_JOB), 0, len(void) == 1

    async def _judge(self, left: Left, asked: int, *, alone: bool) -> Batch:
        """Run what is left again, as one job, then part by part; return what is to be tried from the beginning.

        It was `asked` already; `alone` tells whether it stood alone then.
        """
        while left.documents and not left.final and asked < self._plan.attempts:
            asked += 1
            left = await self._run(left.documents, asked, left.documents)
        if not left.documents:
            return ()
        if not await self._resources.believes([left]):
            return left.documents
        convicted = await self._try(left, asked if alone else 0)
        if not await self._resources.believes(convicted):
            return tuple(document for each in convicted for document in each.documents)
        self._tenures.finish(Rejected(each.documents[0].record, each.reason) for each in convicted)
        return ()

    async def _run(self, batch: Batch, attempt: int, whole: Batch) -> Left:
        """Run a batch again, or part of a whole, as one job; first what there is room for in the journals."""
        if (grant := await self._tenures.granted(batch, attempt, whole, self._stop)) is None:
            return NOTHING
        await self._window.enter()
        try:
            left = await self._job(grant)
        finally:
            self._window.leave()
        rest = self._tenures.ungranted(batch, grant)
        return merged(left, await self._run(rest, attempt, whole)) if rest else left

    async def _job(self, grant: Grant) -> Left:
        """Run a batch as one job, finish what it brings, return what it does not."""
        if (answered := await self._resources.submit(grant)) is None:
            return NOTHING
        resource, submitted = answered
        batch, sent = submitted.batch, submitted.sent
        if isinstance(submitted.answer, Halve):
            final = submitted.refused or len(batch) > 1
            return Left(batch, submitted.answer.reason, sent, final, resource)
        return await self._follow(submitted.answer, batch, sent)

    async def _follow(self, job: Job, batch: Batch, sent: float, *, resumed: bool = False) -> Left:
        """Wait for the end of a job, finish what it brings, return what it does not."""
        doubt = self._resources.doubt(job.resource, batch)
        match await self._resources.poll(job, batch, sent, resumed=resumed):
            case Done(judged) if resumed and not await self._inherit(judged, doubt):
                return Left(batch, MISSING, sent, resource=job.resource)
            case Done(judged):
                left = await self._finish(judged, batch, doubt, sent)
                return Left(left, MISSING, sent, resource=job.resource)
            case Again(cause):
                return Left(batch, Reason("job-failed", cause), sent, resource=job.resource)
            case None:
                return NOTHING

    async def _inherit(self, judged: Judged, doubt: Doubt) -> bool:
        """Tell whether the result of a job of an earlier life may be taken for what it says."""
        if judged.annotates:
            doubt.inherited(judged.ended)
        return judged.annotates or not judged.outcomes or await doubt.believes_inherited(judged.created)

    async def _finish(self, judged: Judged, batch: Batch, doubt: Doubt, sent: float) -> Batch:
        """Finish what a job brought; where it does nothing but reject, only if that is to be believed."""
        if judged.annotates:
            doubt.annotated()
        if judged.annotates or not judged.outcomes or await doubt.believes(now(), sent):
            self._tenures.finish(judged.outcomes)
            return judged.missing
        return batch

    async def _try(self, left: Left, asked: int) -> list[Left]:
        """Find who in a batch is to blame for it; return them, each alone."""
        trying = trial(left, asked)
        try:
            suspects = next(trying)
            while True:
                suspects = trying.send(await self._run(suspects, self._plan.attempts + 1, left.documents))
        except StopIteration as found:
            convicted: list[Left] = found.value
            return convicted

    async def _release(self, partitions: Collection[Partition]) -> None:
        """Let partitions go, with all that is open or unsettled of them."""
        self._reader.drop(partitions)
        self._resources.wake()  # whoever runs next finds them gone: `release` forgets them before it waits
        await self._tenures.release(partitions, self._plan.release_for)

    def see(self, look: Look) -> None:
        """Take in where the whole group stands: when it will be done, and which part of the quota is ours."""
        mine = {(each.topic, each.index) for each in self._tenures.unfinished()}
        left = sum(part.left for place, part in look.parts.items() if place in mine)
        self._trend.see(look, Strain(self._window.occupancy, self._resources.load(), left))
        self._resources.see(look)

    def miss(self, group: Collection[Place], ahead: float) -> None:
        """Hear that a look failed: which partitions there are, if known, and how far the clock on the wall is ahead."""
        self._resources.miss(group, ahead)

    def forecast(self) -> Forecast | None:
        """Say when the group will have settled all that there is; None as long as nobody can tell."""
        return self._trend.forecast()

    def vitals(self) -> Vitals:
        """Look, without touching."""
        return Vitals(
            unfinished=self._tenures.unfinished(),
            in_flight=self._resources.in_flight(),
            bytes_held=self._tenures.bytes_held(),
            draining=self._stop.is_set(),
            parked=self._resources.parked(),
            resources=self._resources.health(),
            moved=self._reader.records + self._resources.heard() + self._tenures.settles(),
            superseded=self._tenures.superseded(),
            full=self._reader.full(),
            oldest=self._tenures.oldest(),
        )


NO_JOB = Reason("no-job", "no job was run for this document")
NOTHING = Left((), NO_JOB)
MISSING = Reason("missing-result", "the jobs it was part of ended without a result for this document")
