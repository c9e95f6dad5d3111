"""Calling the API until it has answered: submit until a batch is taken or refused, poll until a job has ended.

Passing trouble is waited out here. A throttle or a refused key holds everybody at once; nobody
gives a document up for it.
"""

import asyncio
import random
from collections.abc import Callable
from itertools import count

from entity_stream.core.model import Batch, Job
from entity_stream.core.polling import Polling, backoff
from entity_stream.core.quota import Operation, Quota
from entity_stream.core.verdict import Again, Done, Freeze, Halve, Judged, Park, PollVerdict, Wait
from entity_stream.core.vigil import Vigil
from entity_stream.plan import Plan
from entity_stream.ports import Language

SECOND_OPINION = 5.0
"""Seconds until a job that the API does not know is asked for again; the second answer is believed."""

Ours = Callable[[Batch], Batch]
"""Returns the documents of a batch whose partition is still ours."""


class Calls:
    """The calls of one line to one resource."""

    def __init__(self, language: Language, plan: Plan, ours: Ours, stop: asyncio.Event) -> None:
        self._language, self._plan, self._ours, self._stop = language, plan, ours, stop
        self._polling = Polling()
        self._answered = 0.0  # when the endpoint last told anybody anything of use
        self._quota = Quota(plan.calls_per_minute)
        self.in_flight = 0
        """Jobs that are accepted and not known to have ended."""
        self._parked: dict[Operation, str] = {}

    @property
    def parked(self) -> str | None:
        """Why the endpoint refuses whatever is asked of it, if it does."""
        return next(iter(self._parked.values()), None)

    def frozen(self) -> dict[Operation, float]:
        """Seconds until each operation may be called again."""
        return {operation: self._quota.frozen(operation, _now()) for operation in Operation}

    async def submit(self, batch: Batch) -> tuple[Job | Halve, Batch] | None:
        """Submit until the API takes or refuses what is still ours; None when nothing is, or when we stop."""
        for attempt in count():
            await self._turn(Operation.SUBMIT)
            batch = self._ours(batch)  # right before the request: a revoke may have come while we waited
            if not batch or self._stop.is_set():
                break
            match await self._language.submit(batch):
                case Done(job):
                    self._heard(Operation.SUBMIT)
                    return job, batch
                case Halve() as refusal:
                    self._heard(Operation.SUBMIT)
                    return refusal, batch
                case Wait() | Freeze() | Park() as trouble:
                    await self._sit_out(Operation.SUBMIT, trouble, attempt)
        return None

    async def poll(self, job: Job, batch: Batch) -> Done[Judged] | Again | None:
        """Poll until the job has ended or is overdue; None when nothing of the batch is ours any more."""
        self.in_flight += 1
        try:
            return await self._poll(job, batch)
        finally:
            self.in_flight -= 1

    async def _poll(self, job: Job, batch: Batch) -> Done[Judged] | Again | None:
        vigil, pause = Vigil(_now(), self._plan.overdue), self._polling.first()
        while True:
            await asyncio.sleep(pause)
            await self._turn(Operation.POLL)
            if not self._ours(batch):
                return None
            verdict = await self._language.poll(job, batch)
            if ended := vigil.hear(verdict, _now(), self._answered):
                if isinstance(ended, Done):
                    self._polling.learn(vigil.born, _now(), vigil.polls)
                    self._heard(Operation.POLL)
                return ended
            pause = await self._wait_after(verdict, vigil)

    async def _wait_after(self, verdict: PollVerdict, vigil: Vigil) -> float:
        """Wait out trouble; return how long to leave the job alone on top of that."""
        match verdict:
            case Wait() | Freeze() | Park() as trouble:
                await self._sit_out(Operation.POLL, trouble, vigil.troubles - 1)
                return 0.0
            case Again():
                return SECOND_OPINION
            case _:
                self._heard(Operation.POLL)
                return self._polling.again(_now() - vigil.born)

    def _heard(self, operation: Operation) -> None:
        """Note that the endpoint told somebody something of use."""
        self._parked.pop(operation, None)
        self._answered = _now()

    async def _turn(self, operation: Operation) -> None:
        """Wait until the operation may be called and a slot is ours; a freeze may begin while we wait for the slot."""
        while not self._woken(operation):
            if wait := self._quota.frozen(operation, _now()):
                await self._pause(operation, wait)
                continue
            if slot := self._quota.reserve(_now()):
                await self._pause(operation, slot)
            if not self._quota.frozen(operation, _now()):
                return

    async def _sit_out(self, operation: Operation, trouble: Wait | Freeze | Park, attempt: int) -> None:
        """Wait for passing trouble to pass: alone for an outage, all who want the same for a throttle or a refusal."""
        pause = backoff(attempt, random.random())  # noqa: S311 (jitter is no secret)
        match trouble:
            case Wait():
                await self._pause(operation, pause)
            case Freeze(seconds=seconds):
                hold = pause if seconds is None else min(seconds, self._plan.longest_freeze)
                self._quota.freeze(operation, _now() + hold)
            case Park(cause):
                self._parked[operation] = cause
                self._quota.freeze(operation, _now() + self._plan.park_for)

    async def _pause(self, operation: Operation, seconds: float) -> None:
        """Sleep. Who waits to submit is woken by the stop, after which nothing is submitted."""
        if operation is Operation.POLL:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _woken(self, operation: Operation) -> bool:
        return operation is Operation.SUBMIT and self._stop.is_set()


def _now() -> float:
    return asyncio.get_running_loop().time()
