"""Calling one resource until it has answered: submit until a batch is taken or refused, poll until a job has ended.

Passing trouble is waited out here. A throttle, a refused key or an outage holds everybody at once; nobody
gives a document up for it. What is held up before its submit may go elsewhere, a job may not.
"""

import asyncio
import math
import random
from itertools import count
from typing import Protocol

from msgspec import Struct

from entity_stream.core.choice import Offer
from entity_stream.core.gate import Gate
from entity_stream.core.model import Batch, Job, Reason
from entity_stream.core.polling import Polling, Watch, backoff
from entity_stream.core.probe import PROBE
from entity_stream.core.quota import Operation, Quota
from entity_stream.core.skew import Sighting, middle
from entity_stream.core.verdict import (
    Again,
    Done,
    Freeze,
    Halve,
    Judged,
    Park,
    PollVerdict,
    SubmitVerdict,
    Wait,
    too_long,
)
from entity_stream.core.vigil import Solitude, Vigil
from entity_stream.moments import heard, now
from entity_stream.plan import Plan
from entity_stream.ports import Language, Lease, unlimited
from entity_stream.tenures import Grant, Tenures

SECOND_OPINION = 5.0
"""Seconds until a job that the API does not know is asked for again; the second answer is believed."""

ALONE = 5
"""Submits of one batch in a row that bring trouble while others are taken: it is the batch then, not an outage."""


UNHEARD = 1.0
"""Seconds between two looks of a batch at a resource that does not tell how its jobs are, without news."""


class Submitted(Struct, frozen=True):
    """How a submit ended."""

    answer: Job | Halve
    batch: Batch
    """What of it was still ours when it was sent."""
    sent: float
    refused: bool = False
    """The API has refused it, and would again."""


class Elsewhere(Struct, frozen=True):
    """A batch was held up for so long that it had better be submitted somewhere else."""


class Others(Protocol):
    """Who else could take a batch."""

    @property
    def news(self) -> asyncio.Event:
        """What wakes whoever waits, here or there: it is set and cleared at once."""
        ...

    def beat(self, offer: Offer) -> bool:
        """Tell whether one of them makes a better offer."""
        ...


class Calls:
    """The calls of one line to one target: to a resource, for what is of one route."""

    def __init__(
        self, language: Language, quota: Quota, plan: Plan, tenures: Tenures, stop: asyncio.Event, others: Others
    ) -> None:
        """Share the quota with the other routes of the resource, and the news with the other resources of the route."""
        self._language, self._plan, self._tenures, self._stop = language, plan, tenures, stop
        self._others, self._news = others, others.news
        self._polling = Polling()
        self._quota = quota
        self._gates = {operation: Gate() for operation in Operation}
        self._answered = 0.0  # when the endpoint last told anybody anything of use
        self._taken = 0.0  # when it last took anybody's submit
        self._parked: dict[Operation, str] = {}
        self.in_flight = 0
        """Jobs that are accepted and not known to have ended."""
        self.submitting = 0
        """Batches that wait here, or are under way."""
        self.heard = 0
        """Answers of use so far."""
        self._doubt: str | None = None

    def wake(self) -> None:
        """Have whoever waits look again: the stop has come, partitions are gone, or a gate is open."""
        self._news.set()
        self._news.clear()

    def doubt(self, cause: str | None) -> None:
        """Submit nothing but the probe, and say why; with no cause, anything again."""
        self._doubt = cause
        self.wake()

    def offer(self, part: float = math.inf) -> Offer:
        """Tell how soon a batch could be submitted, and whether we have our part of all batches already.

        Who cannot be asked for the jobs that it has is to have no more of them.
        """
        if self._doubt:
            return Offer(shut=True, wait=math.inf)
        if wait := self._gates[Operation.SUBMIT].wait(now()):
            return Offer(shut=True, wait=wait)
        if wait := self._unheard():
            return Offer(shut=True, wait=wait)
        frozen = self._quota.frozen(Operation.POLL, now()) if self.in_flight else 0.0
        wait = max(frozen, self._quota.soonest(Operation.SUBMIT, now()))
        return Offer(wait=wait, full=self.submitting + self.in_flight >= part)

    def _unheard(self) -> float:
        """Seconds until it is worth while to look whether the jobs that we have can be asked for; 0: they can."""
        silent = self.in_flight and self._gates[Operation.POLL].cause is not None
        return max(UNHEARD, self._gates[Operation.POLL].wait(now())) if silent else 0.0

    @property
    def doubted(self) -> bool:
        """Whether nothing but the probe is submitted."""
        return self._doubt is not None

    @property
    def parked(self) -> str | None:
        """Why the endpoint refuses whatever is asked of it, if it does."""
        return self._doubt or next(iter(self._parked.values()), None)

    def load(self) -> float:
        """Tell what part of its quota is used, from 0 to 1; it is 1 also while the endpoint keeps everybody away."""
        frozen = any(self._quota.frozen(operation, now()) for operation in Operation)
        away = self.parked or frozen or any(self.shut().values())
        return 1.0 if away else self._quota.load(now())

    def shut(self) -> dict[Operation, str | None]:
        """Why each operation is tried by one caller at a time only, if it is."""
        return {operation: gate.cause for operation, gate in self._gates.items()}

    async def submit(self, grant: Grant, ticket: int | None = None) -> Submitted | Elsewhere | None:
        """Submit until the API takes or refuses what is still ours; None when nothing is, or when we stop.

        A job that is taken is named in the journals before anybody else can run. Who has a ticket has waited already.
        """
        self.submitting += 1
        try:
            return await self._submit(grant, self._quota.enter() if ticket is None else ticket)
        finally:
            self.submitting -= 1

    async def _submit(self, grant: Grant, ticket: int) -> Submitted | Elsewhere | None:
        solitude = Solitude(ALONE)
        for attempt in count():
            turn = await self._turn(Operation.SUBMIT, grant.batch, ticket)
            if turn is None or isinstance(turn, Elsewhere):
                break
            grant, sent = self._tenures.ours(grant), now()  # right before the request: a revoke may have come meanwhile
            match await self._ask(grant, turn):
                case Done(job):
                    return Submitted(job, grant.batch, sent)
                case Halve() as refusal:
                    self._heard(Operation.SUBMIT)
                    grant.give_back()
                    return Submitted(refusal, grant.batch, sent, refused=True)
                case Wait(cause) if solitude.trouble(now(), self._taken):
                    grant.give_back()
                    reason = Reason("unanswered", f"{cause}, while others were taken")
                    return Submitted(Halve(reason), grant.batch, sent)
                case trouble:
                    await self._sit_out(Operation.SUBMIT, trouble, attempt)
        if isinstance(turn, Elsewhere):
            return turn
        grant.give_back()
        return None

    async def _ask(self, grant: Grant, lease: Lease) -> SubmitVerdict:
        with grant.asking():
            sent = now()
            verdict = await self._language.submit(grant.batch, lease)
            self._quota.hear(Operation.SUBMIT, sent, now())
            if isinstance(verdict, Done):
                grant.name(verdict.value)
                self._heard(Operation.SUBMIT)
                self._taken = now()
            return verdict

    async def poll(self, job: Job, batch: Batch, sent: float, *, resumed: bool = False) -> Done[Judged] | Again | None:
        """Poll until the job has ended or is overdue; None when nothing of the batch is ours any more.

        When a resumed job was submitted nobody knows: it is asked for at once, and teaches what it says of itself.
        """
        self.in_flight += 1
        try:
            return await self._poll(job, batch, sent, resumed=resumed)
        finally:
            self.in_flight -= 1

    async def _poll(self, job: Job, batch: Batch, sent: float, *, resumed: bool) -> Done[Judged] | Again | None:
        accepted = now()
        born = accepted - self._polling.usual(batch) if resumed else middle(sent, accepted)
        watch, vigil = self._polling.watch(batch, born), Vigil(born, self._plan.overdue)
        if not resumed:
            await self._until_likely(watch, vigil, batch)
        while await self._turn(Operation.POLL, batch, self._quota.enter()):
            asked = now()
            verdict = await self._language.poll(job, self._tenures.held(batch))
            self._quota.hear(Operation.POLL, asked, now())
            if isinstance(verdict, Done):
                self._quota.owe(Operation.POLL, verdict.value.pages - 1, now())
            if ended := vigil.hear(verdict, asked, now(), self._answered):
                if isinstance(ended, Done):
                    self._heard(Operation.POLL)
                    submit = (-math.inf, math.inf) if resumed else (sent, accepted)
                    self._learn(watch, vigil.sighting(*submit, now(), ended.value))
                elif isinstance(verdict, Again):
                    self._open(Operation.POLL)
                return ended
            await self._wait_after(verdict, vigil, watch, batch)
        return None

    async def _until_likely(self, watch: Watch, vigil: Vigil, batch: Batch) -> None:
        """Leave a job alone until its answer is likely there; what others teach meanwhile counts."""
        while self._wanted(Operation.POLL, batch):
            scarce = min(1.0, self._quota.soonest(Operation.POLL, now()))
            crowded = self.submitting + self.in_flight >= self._plan.window
            vigil.due = self._polling.due(watch, vigil.ran, scarce, crowded=crowded)
            if (left := vigil.due - now()) <= 0:
                return
            await heard(self._news, left)

    def _learn(self, watch: Watch, seen: Sighting) -> None:
        knew = self._polling.knows
        self._polling.learn(watch, seen)
        if not knew:
            self.wake()  # all that wait for the first to teach them

    async def _wait_after(self, verdict: PollVerdict, vigil: Vigil, watch: Watch, batch: Batch) -> None:
        """Wait out trouble, or until it is worth while to ask for the job again."""
        match verdict:
            case Wait() | Freeze() | Park() as trouble:
                await self._sit_out(Operation.POLL, trouble, vigil.troubles - 1)
            case Again():
                self._open(Operation.POLL)
                await self._rest(Operation.POLL, batch, now() + SECOND_OPINION)
            case _:
                self._heard(Operation.POLL)
                await self._until_likely(watch, vigil, batch)

    def _heard(self, operation: Operation) -> None:
        """Note that the endpoint told somebody something of use."""
        self._answered = now()
        self.heard += 1
        self._open(operation)

    def _open(self, operation: Operation) -> None:
        """Let everybody call again: there was an answer, be it that a job is lost."""
        gate = self._gates[operation]
        if gate.cause is not None:
            self._parked.pop(operation, None)
            self.wake()
        gate.open()

    async def _turn(self, operation: Operation, batch: Batch, ticket: int) -> Lease | Elsewhere | None:
        """Wait until the operation may be called; None when there is nothing to call for any more.

        Trouble may begin while we wait for a slot. No document is paid for by who is no longer a member of the group.
        A batch that would have its turn sooner elsewhere moves, and keeps its ticket.
        """
        try:
            while self._wanted(operation, batch):
                if wait := self._held_up(operation, batch):
                    self._quota.leave(operation, ticket)  # whoever is behind may go
                    if operation is Operation.SUBMIT and self._moves(batch, self.offer()):
                        return Elsewhere()
                    await heard(self._news, wait)
                elif wait := self._slot(operation, ticket):
                    if operation is Operation.SUBMIT and self._moves(batch, Offer(wait=wait)):
                        return Elsewhere()
                    await heard(self._news, wait)
                else:
                    self._quota.leave(operation, ticket)
                    lease = unlimited if operation is Operation.POLL else await self._tenures.proven(batch)
                    if not lease:
                        break
                    if self._wanted(operation, batch) and not self._busy(operation, batch, ticket):
                        self._quota.take(operation, ticket, now())
                        self._gates[operation].enter(now())
                        return lease
        finally:
            self._quota.leave(operation, ticket)
        return None

    def _busy(self, operation: Operation, batch: Batch, ticket: int) -> bool:
        """Tell whether something came up while we proved what is ours."""
        return self._held_up(operation, batch) > 0 or self._slot(operation, ticket) > 0

    def _slot(self, operation: Operation, ticket: int) -> float:
        """Seconds until it is worth while to ask for our slot again; 0: it is there."""
        return self._quota.wait(operation, ticket, now())

    async def _rest(self, operation: Operation, batch: Batch, until: float) -> None:
        """Wait for a time, as long as there is something to call for."""
        while (left := until - now()) > 0 and self._wanted(operation, batch):
            await heard(self._news, left)

    def _held_up(self, operation: Operation, batch: Batch) -> float:
        """Seconds until it is worth while to ask for a slot, if there is no news before."""
        if operation is Operation.SUBMIT and batch is not PROBE:
            if self._doubt:
                return self._plan.park_for
            if wait := self._unheard():
                return wait
        return self._quota.frozen(operation, now()) or self._gates[operation].wait(now())

    async def _sit_out(self, operation: Operation, trouble: Wait | Freeze | Park, attempt: int) -> None:
        """Wait for passing trouble to pass: alone for one answer, all who want the same for what holds all up."""
        dice = random.random()  # noqa: S311 (jitter is no secret)
        pause = backoff(attempt, dice)
        match trouble:
            case Wait(cause):
                self._gates[operation].fail(cause, now(), dice)
                await heard(self._news, pause)
            case Freeze() if park := too_long(trouble, self._plan.longest_freeze):
                self._park(operation, park)
            case Freeze(seconds=seconds):
                self._quota.freeze(operation, now(), now() + (pause if seconds is None else seconds))
                if operation not in self._parked:
                    self._open(operation)  # it answers again
            case Park():
                self._park(operation, trouble)

    def _park(self, operation: Operation, park: Park) -> None:
        """Leave an operation alone, but for a try now and then."""
        self._parked[operation] = park.cause
        self._gates[operation].shut(park.cause, now() + self._plan.park_for)

    def _wanted(self, operation: Operation, batch: Batch) -> bool:
        """Tell whether there is still anything to call for: nobody else's batch may take a turn, or a try at a gate."""
        return self._tenures.hold(batch) and not (operation is Operation.SUBMIT and self._stop.is_set())

    def _moves(self, batch: Batch, stays: Offer) -> bool:
        """Tell whether a batch had better be submitted elsewhere than wait here; the probe asks us."""
        return batch is not PROBE and self._others.beat(stays)
