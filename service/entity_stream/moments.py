"""The loop's clock, and waiting for an event no longer than one likes: virtual where the loop is."""

import asyncio


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
