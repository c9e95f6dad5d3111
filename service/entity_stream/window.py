"""How many jobs may be in flight at once."""

import asyncio
from collections.abc import Callable

from entity_stream.moments import heard, now

LOOK = 0.5
"""Seconds between two looks at how many jobs are stranded, which has no event of its own."""

OPENING = 0.008
"""Seconds between two places that are taken for the first time: jobs that begin at once end at once, and each then
waits until the loop has found, settled and replaced those before it, for some 5 ms each."""


class Window:
    """Places for jobs in flight.

    Jobs of an earlier life need not ask for one, but they count; one place is always left to new jobs, since others may
    wait for the outcome of what is not submitted yet. Jobs whose owner is out of reach do not count where another
    resource could work meanwhile.
    """

    def __init__(self, size: int, stranded: Callable[[], int]) -> None:
        """Ask `stranded` how many jobs nobody can be asked for now, though others could take new ones."""
        self._size, self._stranded = size, stranded
        self._taken = self._inherited = 0
        self._left = asyncio.Event()
        self._most = 0  # places that were ever taken at once
        self._opens = 0.0  # when the next of the others may be

    async def enter(self) -> None:
        """Wait for a place and take it."""
        if self._taken >= self._most and not self._full():
            await self._opened()
        while self._full():
            self._left.clear()
            await heard(self._left, LOOK)
        self._taken += 1
        self._most = max(self._most, self._taken)

    async def _opened(self) -> None:
        """Wait until a place opens that nobody has had yet."""
        wait, self._opens = self._opens - now(), max(self._opens, now()) + OPENING
        if wait > 0:
            await asyncio.sleep(wait)

    def _full(self) -> bool:
        counted = self._taken + min(self._inherited, self._size - 1)
        return min(counted, self._taken + self._inherited - self._stranded()) >= self._size

    @property
    def occupancy(self) -> float:
        """The part that is taken, from 0 to 1."""
        return min(1.0, (self._taken + self._inherited) / self._size)

    def leave(self) -> None:
        """Give a place back."""
        self._taken -= 1
        self._left.set()

    def inherit(self) -> None:
        """Count a job of an earlier life."""
        self._inherited += 1

    def disinherit(self) -> None:
        """Count it no more: it has ended."""
        self._inherited -= 1
        self._left.set()
