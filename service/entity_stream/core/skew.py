"""How far the API's clock is ahead of ours: an interval that every job narrows, by what must have come before what.

The rule that keeps it honest: of either clock nothing is assumed but that it runs. A job is created between its submit
and the answer to that, and ends after it was last seen running and before we have its result: each is a bound.
"""

import math

from msgspec import Struct

DRIFT = 1e-4
"""Seconds by which two clocks may part in each second: what quartz does, and how a clock is set right slowly."""


class Sighting(Struct, frozen=True):
    """A job from both sides: what we saw of it by our clock, and what it says of itself by the API's. In seconds."""

    sent: float
    """When its submit was sent; -inf where nobody knows."""
    accepted: float
    """When that was answered; inf where nobody knows."""
    ran: float
    """When it was last asked for and still ran; `sent` where it never was."""
    found: float
    """When we had its result."""
    created: float = math.inf
    """By the API's clock; not finite where it does not say."""
    ended: float = -math.inf
    due: float = math.inf
    """When the poll that found it was due, by our clock: to be kept from it for a while teaches nothing."""

    @property
    def born(self) -> float:
        """When it was created, as near as we can tell: no further off than half of what its submit took."""
        return middle(self.sent, self.accepted)


class Skew:
    """What has to be added to a moment of our clock to have it by the API's."""

    __slots__ = ("_at", "_high", "_low")

    def __init__(self) -> None:
        self._low, self._high, self._at = -math.inf, math.inf, 0.0

    @property
    def width(self) -> float:
        """Seconds between the least and the most that it can be."""
        return self._high - self._low

    def hear(self, seen: Sighting) -> None:
        """Take what a job tells of it. Who contradicts all others is believed: a clock was set."""
        low, high = -math.inf, math.inf
        if math.isfinite(seen.created):
            low, high = seen.created - seen.accepted, over(seen.created) - seen.sent
        if math.isfinite(seen.ended):
            low, high = max(low, seen.ended - seen.found), min(high, over(seen.ended) - seen.ran)
        if low > high:  # no clock can have said that
            return
        parted = DRIFT * max(0.0, seen.found - self._at)
        self._at = max(self._at, seen.found)
        self._low, self._high = max(low, self._low - parted), min(high, self._high + parted)
        if self._low > self._high:
            self._low, self._high = low, high

    def span(self, theirs: float) -> tuple[float, float]:
        """Say from when until when, by our clock, a moment of the API's may have been."""
        return (theirs - self._high, over(theirs) - self._low) if math.isfinite(theirs) else (-math.inf, math.inf)


def over(told: float) -> float:
    """Say when a moment is over that was told: one without a part of a second may be any in that second."""
    return told if told % 1 else told + 1


def middle(sent: float, accepted: float) -> float:
    """Say when a job was created whose submit was sent and answered then."""
    return (sent + accepted) / 2
