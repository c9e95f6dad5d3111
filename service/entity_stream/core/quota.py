"""How fast the endpoint may be called: evenly spaced calls, and one freeze for everybody.

Calls take the next free slot (virtual scheduling: no queue of waiters, no background task). Whoever
waited for a freeze to end takes a slot then, so they come back spaced, not all at once.
"""

from enum import StrEnum


class Operation(StrEnum):
    """What the API throttles apart."""

    SUBMIT = "submit"
    POLL = "poll"


class Quota:
    """The calls of one resource: so many a minute for both operations together, each frozen apart."""

    __slots__ = ("_burst", "_frozen", "_interval", "_next")

    def __init__(self, per_minute: float, burst: float = 0.1) -> None:
        """Allow `per_minute` calls, of which those of `burst` seconds may come at once after a quiet spell."""
        self._interval = 60.0 / per_minute
        self._burst = burst
        self._next = 0.0
        self._frozen = dict.fromkeys(Operation, 0.0)

    def freeze(self, operation: Operation, until: float) -> None:
        """Let nobody call the operation before `until`."""
        self._frozen[operation] = max(self._frozen[operation], until)

    def frozen(self, operation: Operation, now: float) -> float:
        """Seconds until the operation may be called again."""
        return max(0.0, self._frozen[operation] - now)

    def reserve(self, now: float) -> float:
        """Take the next slot; return how many seconds away it is."""
        slot = max(self._next, now - self._burst)
        self._next = slot + self._interval
        return max(0.0, slot - now)

    def load(self, now: float) -> float:
        """Say how scarce calls are, from 0 to 1: as many seconds as one would have to wait for a slot, at most one."""
        return min(1.0, max(0.0, self._next - now))
