"""How many jobs may be in flight at once."""

import asyncio
from collections.abc import Callable

from entity_stream.moments import heard

LOOK = 0.5
"""Seconds between two looks at how many jobs are stranded, which has no event of its own."""


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

    async def enter(self) -> None:
        """Wait for a place and take it."""
        while self._full():
            self._left.clear()
            await heard(self._left, LOOK)
        self._taken += 1

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
