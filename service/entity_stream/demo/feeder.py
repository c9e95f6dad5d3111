"""Feeding documents no faster than they come out: what the demo's broker has no room for it would forget."""

import asyncio
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator

from aiokafka import AIOKafkaProducer
from msgspec import Struct

from entity_stream.demo.broker import AHEAD, PARTITIONS
from entity_stream.demo.documents import Fed

AHEAD_IN_ALL = 2 * AHEAD
"""Bytes fed and not out, over all partitions: their outcomes may meet in one partition of the other topic."""

DOCUMENTS_AHEAD = 2_000
"""Documents fed and not out: each of their outcomes takes up to some kB, however short the text."""

LARGEST = 1_040_000
"""Bytes of one record: brokers take 1 MiB with key and headers unless told otherwise."""


class Place(Struct, frozen=True):
    """Where a record is in the input topic."""

    partition: int
    offset: int


class Tally:
    """What is fed and what has come out."""

    def __init__(self) -> None:
        self.fed = self.out = self.rejected = 0
        self.too_large: list[tuple[str, int]] = []
        self.all_fed = False
        self._pending: dict[Place, tuple[Fed, float]] = {}
        self._ahead: dict[int, int] = defaultdict(int)
        self._room = asyncio.Event()

    @property
    def pending(self) -> int:
        """Count what is fed and has no outcome."""
        return len(self._pending)

    @property
    def complete(self) -> bool:
        """Tell whether all there is to feed has an outcome."""
        return self.all_fed and not self._pending

    async def room(self, partition: int, size: int) -> None:
        """Wait until a record may be fed."""
        while self._pending and not self._fits(partition, size):
            self._room.clear()
            await self._room.wait()

    def _fits(self, partition: int, size: int) -> bool:
        return (
            self._ahead[partition] + size <= AHEAD
            and sum(self._ahead.values()) + size <= AHEAD_IN_ALL
            and len(self._pending) < DOCUMENTS_AHEAD
        )

    def sent(self, place: Place, fed: Fed) -> None:
        """Note that a record is in the topic."""
        self.fed += 1
        self._pending[place] = fed, time.monotonic()
        self._ahead[place.partition] += len(fed.value)

    def settled(self, place: Place, *, rejected: bool) -> tuple[Fed, float] | None:
        """Note an outcome; return what it is of and the seconds it took, or None for one that was seen before."""
        if (known := self._pending.pop(place, None)) is None:
            return None
        fed, since = known
        self.out += 1
        self.rejected += rejected
        self._ahead[place.partition] -= len(fed.value)
        self._room.set()
        return fed, time.monotonic() - since


async def feed(
    producer: AIOKafkaProducer, topic: str, documents: Iterator[Fed], tally: Tally, rate: float | None
) -> None:
    """Feed all documents, `rate` a second where it is given."""
    for fed in documents:
        if len(fed.value) > LARGEST:
            tally.too_large.append((fed.key.decode("utf-8", "replace"), len(fed.value)))
            continue
        partition = zlib.crc32(fed.key) % PARTITIONS
        await tally.room(partition, len(fed.value))
        told = await producer.send_and_wait(topic, fed.value, key=fed.key, partition=partition)
        tally.sent(Place(told.partition, told.offset), fed)
        if rate:
            await asyncio.sleep(1 / rate)
    tally.all_fed = True
