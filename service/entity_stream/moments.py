"""The loop's clock, virtual where the loop is; waiting for an event as long as one likes, for tasks, and for others."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def now() -> float:
    """Tell the seconds of the running loop's clock."""
    return asyncio.get_running_loop().time()


async def heard(event: asyncio.Event, within: float) -> bool:
    """Wait for an event, `within` seconds at the most; tell whether it came. One that is set has come."""
    try:
        async with asyncio.timeout(within):
            return await event.wait()
    except TimeoutError:
        return event.is_set()


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what has not ended by itself, and wait for it; whatever it raises is of no interest any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Errand:
    """What one does for all; whoever comes meanwhile waits for its end, and all go on together.

    A lock lets one pass in each turn of the event loop, and who comes meanwhile stands behind them, so that a queue
    that was there once never ends.
    """

    def __init__(self) -> None:
        self._over: asyncio.Event | None = None  # of the one that is under way

    async def seen_out(self) -> bool:
        """Wait for the end of the one that is under way; False, at once, when there is none."""
        if over := self._over:
            await over.wait()
        return over is not None

    @contextmanager
    def run(self) -> Iterator[None]:
        """Have others wait until the block ends, however it does."""
        self._over = over = asyncio.Event()
        try:
            yield
        finally:
            self._over = None
            over.set()
