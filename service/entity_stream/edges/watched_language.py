"""Telling, in the log and to the probes, when an endpoint ceases to answer usefully and when it is back.

A single 503 is no news: trouble is told once it has lasted, a refused key at once, and neither twice.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog

from entity_stream import moments
from entity_stream.core.model import Batch, Job, Target
from entity_stream.core.probe import PROBE, failure, passed
from entity_stream.core.verdict import Freeze, Park, PollVerdict, SubmitVerdict, Wait, too_long
from entity_stream.ports import Language, Lease

log = structlog.get_logger("entity_stream.language")

PATIENCE = 5.0
"""Seconds without one useful answer, while there is somebody who asks, before that is told."""


class WatchedLanguage:
    """A language, and whether it answers."""

    def __init__(self, language: Language, target: Target, longest_freeze: float = math.inf) -> None:
        """Tell it by the name of its target; a freeze that is longer is a park."""
        self._language, self._target, self._longest = language, target, longest_freeze
        self._since: float | None = None  # when the first trouble came after the last useful answer
        self._rejects_all = False
        self.trouble: str | None = None
        """Why there has been no useful answer for a while."""

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        """Pass on, and watch."""
        verdict = await self._language.submit(batch, lease)
        self._watch(verdict, batch)
        return verdict

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        """Pass on, and watch."""
        verdict = await self._language.poll(job, batch)
        self._watch(verdict, batch)
        return verdict

    def _watch(self, verdict: SubmitVerdict | PollVerdict, batch: Batch) -> None:
        now = moments.now()
        if batch is PROBE and (cause := failure(verdict)):
            self._rejects_all = True
            self._tell("language.rejects_even_a_probe", cause, now)
        elif isinstance(verdict, Park):
            self._tell("language.parked", verdict.cause, now)
        elif isinstance(verdict, Freeze) and (park := too_long(verdict, self._longest)):
            until = datetime.now(UTC) + timedelta(seconds=verdict.seconds or 0.0)
            self._tell("language.parked", park.cause, now, until=until.isoformat(timespec="minutes"))
        elif isinstance(verdict, Wait):
            self._since = now if self._since is None else self._since
            if now - self._since >= PATIENCE:
                self._tell("language.unanswered", verdict.cause, now)
        elif passed(verdict) or not (self._rejects_all or isinstance(verdict, Freeze)):  # a throttle is counted
            self._recover(now)

    def _tell(self, event: str, cause: str, now: float, **more: str) -> None:
        if self.trouble is None:
            log.warning(event, resource=str(self._target), cause=cause, **more)
        self._since = now if self._since is None else self._since
        self.trouble = cause

    def _recover(self, now: float) -> None:
        if self.trouble is not None:
            log.info("language.recovered", resource=str(self._target), after=round(now - (self._since or now), 1))
        self._since = self.trouble = None
        self._rejects_all = False


class WatchedLanguages:
    """All languages that take new work: they are in trouble where none is left to do it."""

    def __init__(self, watched: Mapping[Target, WatchedLanguage]) -> None:
        self._watched = watched

    @property
    def trouble(self) -> str | None:
        """Why there has been no useful answer for a while on some route, by whoever was asked."""
        for route in dict.fromkeys(target.route for target in self._watched):
            some = {target: each.trouble for target, each in self._watched.items() if target.route == route}
            if all(some.values()):
                named = len(self._watched) > 1
                return "; ".join(f"{target}: {why}" if named else str(why) for target, why in some.items())
        return None
