"""What keeps outcomes from being settled, in words: told as long as it lasts, and no longer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from aiokafka import errors

from entity_stream import moments

log = structlog.get_logger("entity_stream.kafka")

LOOK_AGAIN = 5.0
"""Seconds between two tries while an operator has to mend something."""

SOON = 0.25
"""Seconds between two tries while a topic has no leader: that mends itself, often as soon as a broker is back."""

PATIENCE = 5.0
"""Seconds that brokers may take to acknowledge before we say that we wait for them."""


class Troubles:
    """The troubles there are now; the oldest is the one to tell."""

    def __init__(self) -> None:
        self._told: dict[object, str] = {}
        self._logged: dict[str, float] = {}  # when

    @property
    def first(self) -> str | None:
        """Why nothing can be published or committed, if that is so."""
        return next(iter(self._told.values()), None)

    @contextmanager
    def telling(self, trouble: str, after: float = PATIENCE) -> Iterator[None]:
        """Tell of a trouble as long as the block lasts, once it has lasted a while."""
        this = object()
        telling = asyncio.get_running_loop().call_later(after, self._tell, this, trouble)
        try:
            yield
        finally:
            telling.cancel()
            self._told.pop(this, None)

    async def sit_out(self, topic: str, error: Exception) -> None:
        """Wait a little for an operator, or for a leader, and say what for."""
        with self.telling(f"topic '{topic}' cannot be written: {error!r}", after=0.0):
            await asyncio.sleep(SOON if isinstance(error, errors.LeaderNotAvailableError) else LOOK_AGAIN)

    def _tell(self, this: object, trouble: str) -> None:
        self._told[this] = trouble
        now = moments.now()
        if now - self._logged.get(trouble, -LOOK_AGAIN) >= LOOK_AGAIN:
            self._logged[trouble] = now
            log.warning("publish.blocked", reason=trouble)
