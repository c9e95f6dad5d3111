"""What can be seen of the service from outside: whether it is ready, whether it has stalled. It only looks.

Every no comes with its reasons in words.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import structlog

from entity_stream.core.model import Partition
from entity_stream.core.watchdog import Sight, Watchdog
from entity_stream.moments import now
from entity_stream.plan import Health, Vitals
from entity_stream.stacks import stacks

log = structlog.get_logger("entity_stream")

LOOK = 5.0
"""Seconds between two looks of our own: how patient we are must not depend on how often probes come."""


class Troubled(Protocol):
    """An edge that knows when it is in trouble."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be done there, in words, if that is so."""
        ...


class Reader(Protocol):
    """Where records come from."""

    @property
    def joined(self) -> bool:
        """Whether the group has spoken."""
        ...

    @property
    def away(self) -> bool:
        """Whether the broker that leads the group is out of reach."""
        ...

    def readable(self) -> Mapping[Partition, range]:
        """Offsets that could be read now."""
        ...


class Board:
    """What keeps the service from being ready, and what shows that it has stalled."""

    def __init__(self, language: Troubled, patience: float) -> None:
        """Bear `patience` seconds of unexplained quiet."""
        self._language, self._patience = language, patience
        self._life: _Life | None = None
        self._waiting = "starting: connecting to the brokers"

    def wait(self, reason: str) -> None:
        """Say what has to happen before there is a line."""
        self._life, self._waiting = None, reason

    def live(self, look: Callable[[], Vitals], ledger: Troubled, source: Reader) -> None:
        """Ask these from now on."""
        self._life = _Life(look, self._language, ledger, source, Watchdog(self._patience))

    def unready(self) -> list[str]:
        """List the reasons; a replica without a partition is ready to take one."""
        return [self._waiting] if self._life is None else self._life.troubles()

    def stalled(self) -> list[str]:
        """Say why only a restart will help, if that is so. The first time, log where every task waits."""
        stall = self._life and self._life.stall()
        return [stall] if stall else []

    async def look_out(self) -> None:
        """Look for a stall every now and then."""
        while True:
            await asyncio.sleep(LOOK)
            self.stalled()


class _Life:
    """A line between its edges."""

    def __init__(
        self, look: Callable[[], Vitals], language: Troubled, ledger: Troubled, source: Reader, watchdog: Watchdog
    ) -> None:
        self._look, self._language, self._ledger, self._source = look, language, ledger, source
        self._watchdog = watchdog
        self._told = False  # of this stall

    def troubles(self) -> list[str]:
        vitals = self._look()
        reasons = {
            "draining: the service was told to stop": vitals.draining,
            "joining: the group has not assigned partitions yet": not self._source.joined,
            "waiting: the broker that leads the group cannot be reached": self._source.away,
            f"parked: {vitals.parked}": vitals.parked is not None,
            f"endpoint: {self._language.trouble}": self._language.trouble is not None and vitals.parked is None,
            f"publish: {self._ledger.trouble}": self._ledger.trouble is not None,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def stall(self) -> str | None:
        stall = self._watchdog.look(self._sight(), now())
        if stall and not self._told:
            log.error("serve.stalled", reason=stall)
            for frames, tasks in stacks().items():
                log.error("serve.stalled_tasks", tasks=tasks, frames=frames)
        self._told = stall is not None
        return stall

    def _sight(self) -> Sight:
        """See what waits, what moves, and what for.

        A full window, memory or journal is no cause: something else holds it full. A job that still runs needs none:
        each poll of it is answered.
        """
        vitals, readable = self._look(), self._source.readable()
        unread = sum(map(len, readable.values()))
        work = {"records are read and not settled": vitals.bytes_held, f"{unread} offsets wait to be read": unread}
        held_up = [cause for name, health in vitals.resources.items() for cause in _held_up(name, health)]
        return Sight(
            work=[words for words, there_is in work.items() if there_is],
            moved=(vitals.moved, *(offsets.start for offsets in readable.values())),
            causes=self.troubles() + held_up,
        )


def _held_up(name: str, health: Health) -> Iterator[str]:
    """Tell what jobs at one resource may have to wait for, though the others work."""
    if health.parked is not None:
        yield f"parked: {name}: {health.parked}"
    if health.share < 1.0 and health.load == 1.0:
        yield f"waiting: {name}: for a slot of our share of the quota"
    yield from (f"throttled: {name}: {operation}" for operation, seconds in health.frozen.items() if seconds)
    if health.load == 1.0:
        yield from (f"slowed after 429: {name}: {operation}" for operation, slowed in health.slowed.items() if slowed)
    yield from (f"spared: {name}: {operation}: {cause}" for operation, cause in health.shut.items() if cause)
