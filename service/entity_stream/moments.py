"""The loop's clock, virtual where the loop is; waiting for an event as long as one likes, and for tasks to end."""

import asyncio
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
