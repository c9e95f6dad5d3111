"""One job from its submit to its end: what the answers to its polls add up to. Time is an argument."""

import math

from entity_stream.core.skew import Sighting
from entity_stream.core.verdict import Again, Done, Judged, PollVerdict, Running

ALONE = 10
"""Polls of one job in a row that bring trouble while others are answered: it is the job then, not an outage."""


class Solitude:
    """Troubles in a row that only one caller has: before each but the first, others were answered since the last."""

    __slots__ = ("_asked", "_limit", "_troubles")

    def __init__(self, limit: int) -> None:
        """Bear up to `limit` of them."""
        self._limit = limit
        self.end()

    def end(self) -> None:
        """Hear of an answer of use."""
        self._troubles = 0
        self._asked = math.inf

    def trouble(self, now: float, answered: float) -> bool:
        """Hear of trouble; tell whether it is the caller's own. `answered`: when anybody last had an answer of use."""
        self._troubles += answered > self._asked
        self._asked = now
        return self._troubles >= self._limit


class Vigil:
    """The polls of one job so far."""

    __slots__ = ("_doubted", "_overdue", "_solitude", "born", "due", "ran", "troubles")

    def __init__(self, born: float, overdue: float) -> None:
        """Begin at its submit; `overdue` is the age in seconds at which it may be given up."""
        self.born = self.due = born
        """`due`: when it is to be asked for next."""
        self.ran: float | None = None
        """When it was last asked for and still ran."""
        self.troubles = 0
        """Polls in a row that brought trouble."""
        self._overdue = overdue
        self._solitude = Solitude(ALONE)
        self._doubted = False

    def hear(self, verdict: PollVerdict, asked: float, now: float, answered: float) -> Done[Judged] | Again | None:
        """Take the answer to a poll; return how the job has ended, None while it has to be asked for again.

        The poll was sent at `asked`; `answered` is when the endpoint last told anybody anything of use: in an outage
        no job is given up.
        """
        match verdict:
            case Done():
                return verdict
            case Running():
                self.ran, self.troubles = asked, 0
                self._solitude.end()
                return self._given_up(now, "it still ran")
            case Again(certain=certain):
                believed = certain or self._doubted
                self._doubted = True
                return verdict if believed else None
            case trouble:
                self.troubles += 1
                return self._given_up(now, trouble.cause) if self._solitude.trouble(now, answered) else None

    def sighting(self, sent: float, accepted: float, found: float, judged: Judged) -> Sighting:
        """Sum up what was seen of a job that was found ended."""
        ran = sent if self.ran is None else self.ran
        return Sighting(sent, accepted, ran, found, judged.created, judged.ended, self.due)

    def _given_up(self, now: float, cause: str) -> Again | None:
        age = now - self.born
        return Again(f"overdue: after {age:.0f} s {cause}") if age > self._overdue else None
