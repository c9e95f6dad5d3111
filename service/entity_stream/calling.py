"""Calling the API until it has answered: submit until a batch is taken or refused, poll until a job has ended.

Passing trouble is waited out here. A throttle or a refused key holds everybody at once; nobody
gives a document up for it.
"""

import asyncio
import math
import random
from collections.abc import Callable
from itertools import count

from entity_stream.core.model import Batch, Job
from entity_stream.core.polling import Polling, backoff
from entity_stream.core.quota import Operation, Quota
from entity_stream.core.verdict import Again, Done, Freeze, Halve, Judged, Park, Running, Wait
from entity_stream.plan import Plan
from entity_stream.ports import Language

SECOND_OPINION = 5.0
"""Seconds until a job that the API does not know is asked for again; the second answer is believed."""

ALONE = 10
"""Polls in a row that bring trouble while others are answered: then an overdue job is given up, not in an outage."""

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
        self.parked: str | None = None
        """Why the endpoint refuses whatever is asked."""

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
                    self.parked, self._answered = None, _now()
                    return job, batch
                case Halve() as refusal:
                    self._answered = _now()
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
        born, pause, polls, troubles, doubted = _now(), self._polling.first(), 0, 0, False
        alone, asked = 0, math.inf
        while True:
            await asyncio.sleep(pause)
            await self._turn(Operation.POLL)
            if not self._ours(batch):
                return None
            polls, pause = polls + 1, 0.0
            match await self._language.poll(job, batch):
                case Done() as done:
                    self.parked, self._answered = None, _now()
                    self._polling.learn(born, _now(), polls)
                    return done
                case Running():
                    if (age := _now() - born) > self._plan.overdue:
                        return Again(f"overdue: the job still ran after {age:.0f} s")
                    troubles, alone, pause, self._answered = 0, 0, self._polling.again(age), _now()
                case Again(certain=certain) as again:
                    if certain or doubted:
                        return again
                    doubted, pause = True, SECOND_OPINION
                case Wait() | Freeze() | Park() as trouble:
                    alone, asked = alone + (self._answered > asked), _now()
                    if alone >= ALONE and _now() - born > self._plan.overdue:
                        return Again(f"overdue: {trouble.cause}")
                    await self._sit_out(Operation.POLL, trouble, troubles)
                    troubles += 1

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
        """Wait for passing trouble to pass: alone for an outage, everybody for a throttle or a refused key."""
        pause = backoff(attempt, random.random())  # noqa: S311 (jitter is no secret)
        match trouble:
            case Wait():
                await self._pause(operation, pause)
            case Freeze(seconds=seconds):
                hold = pause if seconds is None else min(seconds, self._plan.longest_freeze)
                self._quota.freeze(operation, _now() + hold)
            case Park(cause):
                self.parked = cause
                for each in Operation:
                    self._quota.freeze(each, _now() + self._plan.park_for)

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
