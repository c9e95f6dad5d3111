"""When the group's backlog will be gone, and how many replicas that takes, as the looks of a sliding minute tell.

Only what was seen to move counts: records settled and records arrived, by all replicas together. What is not known is
None, and what will not end as things are is infinite. More replicas do not raise a quota, so where the API is the limit
they are asked for in no greater number.
"""

import math
from collections import deque

from msgspec import Struct

from entity_stream.core.backlog import Look

MINUTE = 60.0
"""Seconds that a rate is taken over."""

IN_HAND = 10.0
"""Seconds of work that no backlog is made of: under a steady load so much is always under way."""

SATURATED = 0.9
"""Part of the quota from which on it is the limit."""

TOLERANCE = 0.1
"""Part by which a number of replicas may be off before another one is asked for."""


class Strain(Struct, frozen=True):
    """How hard one replica works at a moment."""

    window: float
    """Part of its window that is taken, from 0 to 1."""
    quota: float
    """Part of its quota that is used, from 0 to 1; 1 also while the API keeps everybody away."""
    left: float = math.inf
    """Records of its own partitions that are not settled."""


class Forecast(Struct, frozen=True):
    """What the looks add up to."""

    backlog: int
    """Records of the group that are not settled."""
    settled: float
    """Per second, by the whole group."""
    arrived: float
    """Likewise."""
    members: int | None
    partitions: int
    strain: Strain
    """Of the replica that looks, on average."""

    @property
    def time_to_clear(self) -> float:
        """Seconds until the backlog is gone if all goes on as it does: 0 when there is none, infinite if it never is.

        What is settled within some seconds is work in hand: it takes its own time, whatever arrives behind it.
        """
        if not self.backlog:
            return 0.0
        if self.backlog <= self._in_hand:
            return self.backlog / self.settled
        gain = self.settled - self.arrived
        return self.backlog / gain if gain > 0 else math.inf

    def desired_replicas(self, within: float) -> int | None:
        """Say how many replicas would clear the backlog in that many seconds; None where nobody tells how many we are.

        At least one: to scale to none is for whoever wakes us again. At most one a partition. Where the quota is the
        limit, or nothing has been settled yet that a rate could be told by, as many as there are. Never fewer than
        there are while they are not on the way to clear it in time, whatever room their windows have.
        """
        if self.members is None:
            return None
        wanted = self.members * self._load(within)
        if abs(wanted - self.members) <= TOLERANCE * self.members:
            wanted = self.members
        if self.backlog > self._in_hand and self.time_to_clear > within:
            wanted = max(wanted, self.members)
        return max(1, min(math.ceil(wanted - TOLERANCE), self.partitions))

    @property
    def _in_hand(self) -> float:
        """Records that are no backlog."""
        return self.settled * IN_HAND

    def _load(self, within: float) -> float:
        """Compare what a replica would have to do with what it can do."""
        if not self.settled:
            return 1.0 if self.backlog else 0.0
        load = self.strain.window * (self.arrived + self.backlog / within) / self.settled
        idle = self.strain.left * (self.members or 1) <= self._in_hand  # so it cannot tell what holds up the others
        return min(load, 1.0) if idle or self.strain.quota >= SATURATED else load


class _Step(Struct, frozen=True):
    """What has moved between two looks."""

    seconds: float
    settled: int
    arrived: int
    strain: Strain


class Trend:
    """The looks of the last minute."""

    __slots__ = ("_last", "_steps")

    def __init__(self) -> None:
        self._last: Look | None = None
        self._steps: deque[_Step] = deque()

    def see(self, look: Look, strain: Strain) -> None:
        """Take a look in, and how hard the replica that took it works just now."""
        if self._last and look.taken_at > self._last.taken_at:
            self._steps.append(_step(self._last, look, strain))
            while sum(step.seconds for step in self._steps) - self._steps[0].seconds >= MINUTE:
                self._steps.popleft()
        self._last = look

    def forecast(self) -> Forecast | None:
        """Say what is to be expected; None before there are two looks to compare."""
        if not self._steps or not self._last:
            return None
        seconds = sum(step.seconds for step in self._steps)
        return Forecast(
            backlog=self._last.left,
            settled=sum(step.settled for step in self._steps) / seconds,
            arrived=sum(step.arrived for step in self._steps) / seconds,
            members=self._last.members,
            partitions=len(self._last.parts),
            strain=Strain(
                window=sum(step.strain.window * step.seconds for step in self._steps) / seconds,
                quota=sum(step.strain.quota * step.seconds for step in self._steps) / seconds,
                left=sum(step.strain.left * step.seconds for step in self._steps) / seconds,
            ),
        )


def _step(earlier: Look, later: Look, strain: Strain) -> _Step:
    """Compare two looks, partition by partition. A replaced log or a reset position says nothing."""
    arrived = settled = 0
    for place in earlier.parts.keys() & later.parts.keys():
        before, after = earlier.parts[place], later.parts[place]
        came, went = after.end - before.end, before.left + after.end - before.end - after.left
        if came >= 0 and went >= 0:
            arrived, settled = arrived + came, settled + went
    return _Step(later.taken_at - earlier.taken_at, settled, arrived, strain)
