"""How many jobs may be in flight at once."""

import asyncio


class Window:
    """Places for jobs in flight.

    Jobs of an earlier life need not ask for one, but they count; one place is always left to new jobs, since others may
    wait for the outcome of what is not submitted yet.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = self._inherited = 0
        self._left = asyncio.Event()

    async def enter(self) -> None:
        """Wait for a place and take it."""
        while self._taken + min(self._inherited, self._size - 1) >= self._size:
            self._left.clear()
            await self._left.wait()
        self._taken += 1

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
