"""A service's line between a real Kafka and an endpoint in memory: what goes in, what comes out, where it stands."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from entity_stream.core.batching import Limits
from entity_stream.core.messages import Topics
from entity_stream.core.model import Deleted, Record, Target
from entity_stream.core.quota import Rate
from entity_stream.edges.kafka_membership import Membership
from entity_stream.edges.kafka_source import KafkaSource, new_consumer
from entity_stream.edges.telemetry import Metrics
from entity_stream.pipeline import Line
from entity_stream.plan import KafkaConnection, Plan
from entity_stream.ports import Claim
from entity_stream.serving import new_ledger
from tests.pipeline.worlds import Endpoint, Faults

PLAN = Plan(limits=Limits(linger=0.02), window=8, quota=(Rate(600_000, 60.0),), drain_for=5, release_for=5)

Sent = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Key, value and headers of a record."""


class Member:
    """One member of the group: a line with its edges."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        topics: Topics,
        jobs_take: float = 0.02,
        endpoint: Endpoint | None = None,
    ) -> None:
        """Ask an endpoint of its own, or one that other members ask as well."""
        self.metrics, self.stop = Metrics(), asyncio.Event()
        self.consumer = new_consumer(connection)
        self.membership = Membership(self.consumer, connection.session_timeout)
        self.ledger = new_ledger(self.membership, connection, topics, self.metrics)
        self.source = KafkaSource(self.consumer, topic, self.membership, self.ledger.fence, self.metrics)
        self.endpoint = endpoint or Endpoint(random.Random(7), Faults(), lambda: jobs_take)
        self.line = Line(self.source, {Target(): self.endpoint}, self.ledger, PLAN, self.stop)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Member"]:
        """Work until the block ends, then drain and leave the group."""
        await self.ledger.start()
        await self.consumer.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.line.run())
                try:
                    yield self
                finally:
                    self.stop.set()
        finally:
            await self.consumer.stop()
            await self.ledger.close()

    @property
    def positions(self) -> list[int]:
        """What it has committed, of what it holds."""
        return list(self.membership.positions.values())

    def counted(self, name: str, **labels: str) -> float:
        """Read one of our counters."""
        return self.metrics.registry.get_sample_value(f"entity_stream_{name}_total", labels) or 0.0


class Owner:
    """A member of the group that settles what it is told to, and nothing else."""

    def __init__(self, connection: KafkaConnection, topic: str, topics: Topics, metrics: Metrics) -> None:
        self.consumer = new_consumer(connection)
        self.membership = Membership(self.consumer, connection.session_timeout)
        self.ledger = new_ledger(self.membership, connection, topics, metrics)
        self.source = KafkaSource(self.consumer, topic, self.membership, self.ledger.fence, metrics)
        self.claims: dict[int, Claim] = {}

    async def claim(self) -> None:
        """Read until the group has given us partitions."""
        while not (fetched := await self.source.read(0.1)).claims:
            pass
        self.claims = {claim.partition.index: claim for claim in fetched.claims}

    async def settle(self, position: int, *keys: bytes, index: int = 0, journal: bytes = b"") -> bool:
        """Settle tombstones of these keys, at the offsets below a position."""
        partition = self.claims[index].partition
        first = position - len(keys)
        outcomes = [Deleted(Record(partition, first + n, key, None)) for n, key in enumerate(keys)]
        return await self.ledger.settle(partition, outcomes, position, journal)

    async def freeze(self) -> None:
        """Say nothing more to the group of our own, as a process does that is stopped."""
        await self.consumer._coordinator._stop_heartbeat_task()


@asynccontextmanager
async def joining(
    connection: KafkaConnection, topic: str, topics: Topics, metrics: Metrics | None = None
) -> AsyncIterator[Owner]:
    """Join the group until the block ends; what it assigns is claimed when the owner reads."""

    async def release(_: object) -> None:
        """Let go: nothing goes on by itself."""

    owner = Owner(connection, topic, topics, metrics or Metrics())
    try:
        await owner.ledger.start()
        await owner.consumer.start()
        owner.source.on_revoke(release)
        yield owner
    finally:
        await owner.consumer.stop()
        await owner.ledger.close()


@asynccontextmanager
async def owning(
    connection: KafkaConnection, topic: str, topics: Topics, metrics: Metrics | None = None
) -> AsyncIterator[Owner]:
    """Join the group, and claim what it assigns."""
    async with joining(connection, topic, topics, metrics) as owner:
        await owner.claim()
        yield owner


async def committed(bootstrap: str, group: str, topic: str, index: int = 0) -> tuple[int, str] | None:
    """Read what a group has committed for a partition, position and metadata."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as reader:
        place = TopicPartition(topic, index)
        found = (await reader._coordinator.fetch_committed_offsets([place])).get(place)
        return (found.offset, found.metadata) if found else None


async def send(bootstrap: str, topic: str, records: Sequence[Sent]) -> None:
    """Produce records, in their order."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=50_000_000) as producer:
        sending = []
        for key, value, headers in records:
            if key is None and value is None:  # `send` refuses what a broker takes
                batch = producer.create_batch()
                batch.append(timestamp=None, key=None, value=None)
                sending.append(await producer.send_batch(batch, topic, partition=0))
            else:
                sending.append(await producer.send(topic, value, key, headers=list(headers)))
        await asyncio.gather(*sending)


async def everything(bootstrap: str, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
    """Read all that a topic holds now."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed") as reader:
        places = [TopicPartition(topic, index) for index in await reader._client._wait_on_metadata(topic)]
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        ends, records = await reader.end_offsets(places), []
        while [place for place, end in ends.items() if await reader.position(place) < end]:
            for some in (await reader.getmany(timeout_ms=200)).values():
                records += some
        return records


async def position(bootstrap: str, group: str, topic: str, index: int = 0) -> int | None:
    """Read what a group has committed for a partition."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as reader:
        place = TopicPartition(topic, index)
        reader.assign([place])
        committed: int | None = await reader.committed(place)
        return committed


async def eventually(condition: Callable[[], bool], within: float = 30.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)
