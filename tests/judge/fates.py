"""What goes wrong, and how long it takes: the dice are thrown here, and only here.

A document's mark names it, and may name a trouble that strikes whatever carries it: `<<doc-17 missing*2>>`.
A mark with a trouble that does not exist is no mark at all: its document is never found by name.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from random import Random
from typing import Final

from msgspec import Struct

from tests.judge.conditions import FAULTS, Conditions, Duration, Fault

_MARK: Final = re.compile(rf"<<([^\s<>]+)(?: ({'|'.join(sorted(FAULTS))})(?:\*(\d+))?)?>>")


class Mark(Struct, frozen=True, gc=False):
    """What a text says of itself."""

    name: str
    at: int
    """Where in the text the name begins, in code points."""
    end: int
    """Where in the text the mark has ended."""
    trouble: str | None = None
    times: int | None = None
    """The trouble strikes the first so many times only; None: always."""


def mark_in(text: str) -> Mark | None:
    """Find the first mark of a text."""
    start = text.find("<<")  # most texts have none, and this says so much sooner than the expression
    found = _MARK.search(text, start) if start >= 0 else None
    if found is None:
        return None
    name, trouble, times = found.groups()
    return Mark(name, found.start(1), found.end(), trouble, int(times) if times else None)


def lasting(duration: Duration, documents: int, minutes: float, dice: Random) -> float:
    """Say how many seconds a job takes that is accepted so many minutes after the start."""
    seconds = (duration.fixed + duration.per_document * documents) * (1 + duration.drift * minutes)
    seconds *= dice.uniform(1 - duration.jitter, 1 + duration.jitter)
    if dice.random() < duration.tail_rate:
        seconds += duration.tail_seconds
    return max(0.0, seconds)


class Fates:
    """Decides what strikes, and remembers how often it did."""

    def __init__(self, conditions: Conditions, now: float) -> None:
        self._started = now
        self._met: Counter[tuple[str, str | None]] = Counter()
        self.renew(conditions)

    def renew(self, conditions: Conditions) -> None:
        """Begin anew with other faults and dice. What documents have met stays met."""
        self.conditions, self.dice = conditions, Random(conditions.seed)
        self._struck: Counter[int] = Counter()

    def lasting(self, documents: int, now: float) -> float:
        """Say how many seconds a job takes that is accepted now."""
        return lasting(self.conditions.duration, documents, (now - self._started) / 60, self.dice)

    def strike(self, what: Collection[str], marks: Sequence[Mark], who: str) -> str | None:
        """Name the trouble of this kind that strikes what carries these documents, if one does."""
        mark = self.own(what, marks) if marks else None
        return mark.trouble if mark else self.thrown(what, who)

    def own(self, what: Collection[str], marks: Sequence[Mark]) -> Mark | None:
        """Find the first document whose own trouble is of this kind and strikes."""
        return next((mark for mark in marks if mark.trouble in what and self._meets(mark)), None)

    def thrown(self, what: Collection[str], who: str) -> str | None:
        """Throw the dice for each fault of this kind until one strikes."""
        for place, fault in enumerate(self.conditions.faults):
            if fault.what in what and self._lands(place, fault, who):
                return fault.what
        return None

    def _meets(self, mark: Mark) -> bool:
        if mark.times is None:
            return True
        self._met[mark.name, mark.trouble] += 1
        return self._met[mark.name, mark.trouble] <= mark.times

    def _lands(self, place: int, fault: Fault, who: str) -> bool:
        spent = fault.times is not None and self._struck[place] >= fault.times
        if spent or fault.who not in {None, who} or self.dice.random() >= fault.rate:
            return False
        self._struck[place] += 1
        return True
