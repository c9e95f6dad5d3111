"""Every async test of the pipeline runs in virtual time; none can forget to."""

import asyncio
from collections.abc import Callable, Mapping

from tests.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Offer one kind of loop, so that it is the default."""
    return {"virtual time": VirtualTimeLoop}
