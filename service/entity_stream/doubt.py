"""Whether a rejection may be believed: it may where the API has annotated something meanwhile, at least a probe.

Poison or a broken deployment? While the probe fails nothing else is submitted there, it is asked again after a
pause, and whatever was rejected before it passed is void: nothing goes to the dead letters for it.
"""

import asyncio
import math

from entity_stream.calling import Calls, Submitted
from entity_stream.core.model import Job
from entity_stream.core.probe import PROBE, failure
from entity_stream.core.verdict import Halve
from entity_stream.moments import heard, now
from entity_stream.plan import Plan
from entity_stream.tenures import Grant

REJECTED = "the API rejects even a probe document"
UNANSWERED = "the probe was not asked to its end"

SIBLINGS = 5.0
"""Seconds in which an inherited job that rejects everything waits for another that was annotated in its time."""

BREATH = 1.0
"""Seconds until a probe that could not be asked is asked again."""


class Doubt:
    """What is known for and against one target."""

    home: asyncio.TaskGroup
    """Where the probe is asked until it passes, while those who doubted have gone elsewhere."""

    def __init__(self, calls: Calls, plan: Plan, stop: asyncio.Event) -> None:
        self._calls, self._plan, self._stop = calls, plan, stop
        self._asking = asyncio.Lock()
        self._annotated = -math.inf  # when it last annotated something
        self._mended = -math.inf  # when the probe last passed after it had failed
        self._inherited = -math.inf  # when the last inherited job ended that was annotated, by the API's clock

    def annotated(self) -> None:
        """Note that a job has brought entities."""
        self._annotated = now()

    def inherited(self, ended: float) -> None:
        """Note that a job of an earlier life has brought entities, and when it ended."""
        self._inherited = max(self._inherited, ended)

    async def believes_inherited(self, created: float) -> bool:
        """Tell whether what an inherited job rejects stands: after it was created, another of its time was annotated.

        That the API annotates now says nothing of the model that it ran with then.
        """
        patience = now() + SIBLINGS
        while self._inherited < created and now() < patience and not self._stop.is_set():
            await heard(self._stop, BREATH / 5)
        return self._inherited >= created

    async def believes(self, since: float, submitted: float | None = None) -> bool:
        """Tell whether rejections from `since` on stand: something was annotated after it. False: submit it again.

        What a job that was `submitted` before the API was mended rejects, it rejects for nothing.
        """
        async with self._asking:  # who waits for another's probe need not ask again
            if (since if submitted is None else submitted) < self._mended or self._calls.doubted:
                return False
            return since <= self._annotated or await self._ask()

    async def _ask(self) -> bool:
        """Ask the probe; tell whether it has passed."""
        while (cause := await self._probe()) == UNANSWERED and not self._stop.is_set():
            await heard(self._stop, BREATH)  # we are being taken out of the group: nothing is known of the API
        if cause == UNANSWERED:
            return False
        if cause:
            self._calls.doubt(f"{REJECTED}: {cause}")
            self.home.create_task(self._mend())
            return False
        self._annotated = now()
        return True

    async def _mend(self) -> None:
        """Ask the probe until it passes, and then have everything submitted again."""
        pause = self._plan.park_for
        while not await heard(self._stop, pause):
            if (cause := await self._probe()) is None:
                self._annotated = self._mended = now()
                self._calls.doubt(None)
                return
            pause = BREATH if cause == UNANSWERED else self._plan.park_for

    async def _probe(self) -> str | None:
        """Run the probe as a job; return why it failed."""
        match await self._calls.submit(Grant(PROBE)):
            case Submitted(answer=Halve() as refusal):
                return failure(refusal)
            case Submitted(answer=Job() as job, sent=sent):
                ended = await self._calls.poll(job, PROBE, sent)
                return UNANSWERED if ended is None else failure(ended)
            case _:
                return UNANSWERED
