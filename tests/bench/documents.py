"""Documents to read, the same in every run: made from a seed, written once, read again by every contender.

The rule that keeps it honest: each has its own key and text, so that what comes out can be counted by name.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from tests.bench.plan import PARTITIONS

WORDS = (
    "gateway", "payments", "refused", "timeout", "replica", "backlog", "restart", "certificate", "expired", "queue",
    "latency", "since", "deploy", "rolled", "back", "customer", "checkout", "disk", "full", "alert", "paged", "again",
    "node", "cluster", "index", "rebuild", "slow", "query", "locked", "table",
)  # fmt: skip
SHORTEST = min(map(len, WORDS))
SYMBOLS = "🚨🔥🐢🧯💾📟🛑🧨"
"""Four bytes each, in UTF-8 and in memory."""

VARIETY = 200
"""Different texts; beyond that only their beginnings differ."""

MOST_CHARACTERS = 125_000
"""What the API takes in one document."""
NEARLY_A_MEGABYTE = 990_000

Record = tuple[bytes, bytes]
"""Key and value."""


def reports(count: int, characters: int, *, marked: bool = False) -> Iterator[Record]:
    """Make documents of that many characters each; the endpoint's books name those that are marked by their keys."""
    dice = random.Random(count)
    texts = [_prose(dice, characters) for _ in range(VARIETY)]
    for number in range(count):
        name = f"doc-{number}"
        beginning = f"<<{name}>>" if marked else f"{name}:"
        text = f"{beginning} {texts[number % VARIETY]}"[:characters]
        yield name.encode(), msgspec.json.encode({"id": name, "text": text})


def giants(count: int) -> Iterator[Record]:
    """Make records of nearly 1 MB: one document that is as large as may be, then three whose text is too long."""
    dice = random.Random(count)
    for number in range(count):
        name = f"giant-{number}"
        value: dict[str, object] = {"id": name, "text": _prose(dice, NEARLY_A_MEGABYTE)}
        if number % 4 == 0:
            text = "".join(dice.choices(SYMBOLS, k=MOST_CHARACTERS))
            value |= {"text": text, "metadata": {"filler": _prose(dice, NEARLY_A_MEGABYTE - 4 * len(text))}}
        yield name.encode(), msgspec.json.encode(value)


def _prose(dice: random.Random, characters: int) -> str:
    return " ".join(dice.choices(WORDS, k=characters // SHORTEST))[:characters]


class _Road:
    """The way to one partition: one batch that fills, and one that is under way."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, index: int) -> None:
        self._producer, self._topic, self._index = producer, topic, index
        self._filling: BatchBuilder = producer.create_batch()
        self._sent: asyncio.Future[object] | None = None

    async def add(self, record: Record) -> None:
        """Add a record; a full batch is sent first."""
        while not self._filling.append(timestamp=None, key=record[0], value=record[1]):
            await self.send()

    async def send(self) -> None:
        """Send what there is once the batch before it has arrived."""
        await self.arrive()
        self._sent = await self._producer.send_batch(self._filling, self._topic, partition=self._index)
        self._filling = self._producer.create_batch()

    async def arrive(self) -> None:
        """Wait until what was sent is acknowledged."""
        if self._sent:
            await self._sent


async def write(bootstrap: str, topic: str, records: Iterable[Record], partitions: int = PARTITIONS) -> None:
    """Write records to a topic, to its partitions in turn; return when all are acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        max_batch_size=1_000_000,
        max_request_size=8_000_000,
        compression_type="lz4",
    )
    async with producer:
        roads = [_Road(producer, topic, index) for index in range(partitions)]
        for number, record in enumerate(records):
            await roads[number % partitions].add(record)
        for road in roads:
            await road.send()
        for road in roads:
            await road.arrive()
