"""Whether the service has stalled: there is work, nothing moves, and no cause for it has a name. Time is an argument.

A restart mends a stall and nothing else: to wait for what has a name is in order, however long it takes.
"""

from collections.abc import Hashable, Sequence

from msgspec import Struct

from entity_stream.core.polling import LATEST_FIRST

GLANCE = 15.0
"""Seconds since the last look that count at the most: a process that was stopped, and wakes, has not stalled."""


def patience(timeout: float, window: int, slot: float) -> float:
    """Say how many seconds of quiet are too many: twice those that a healthy line can be quiet for.

    A job is left alone, then waits for a slot behind every other one in the window, then its call goes unanswered;
    after a second such call the endpoint's silence has a name. `slot`: seconds from one to the next.
    """
    return 2 * (LATEST_FIRST + window * slot + timeout)


class Sight(Struct, frozen=True):
    """What a look at the service shows."""

    work: Sequence[str]
    """What waits to be done, in words."""
    moved: Hashable
    """Another value after each sign of progress."""
    causes: Sequence[str]
    """What it may have to wait for."""


class Watchdog:
    """Looks at one life of the service now and then."""

    __slots__ = ("_looked", "_moved", "_patience", "_quiet")

    def __init__(self, patience: float) -> None:
        """Bear so many seconds of unexplained quiet."""
        self._patience = patience
        self._moved: Hashable = None
        self._looked = self._quiet = 0.0

    def look(self, sight: Sight, now: float) -> str | None:
        """Take a look; return why only a restart will help, in words."""
        watched, self._looked = min(now - self._looked, GLANCE), now
        if sight.moved != self._moved or sight.causes or not sight.work:
            self._moved, self._quiet = sight.moved, 0.0
        else:
            self._quiet += watched
        if self._quiet < self._patience:
            return None
        return f"stalled: {' and '.join(sight.work)}, nothing has moved for {self._quiet:.0f} s, and no cause is known"
