"""A service's line between a real Kafka and an endpoint in memory: what goes in, what comes out, where it stands."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from entity_stream.core.batching import Limits
from entity_stream.core.messages import Topics
from entity_stream.edges.kafka_ledger import KafkaLedger, new_producer
from entity_stream.edges.kafka_source import KafkaSource, new_consumer
from entity_stream.edges.telemetry import Metrics
from entity_stream.pipeline import Line
from entity_stream.plan import KafkaConnection, Plan
from tests.pipeline.worlds import Endpoint, Faults

PLAN = Plan(limits=Limits(linger=0.02), window=8, calls_per_minute=600_000, drain_for=5, release_for=5)

Sent = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Key, value and headers of a record."""


class Member:
    """One member of the group: a line with its edges."""

    def __init__(self, connection: KafkaConnection, topic: str, topics: Topics, jobs_take: float = 0.02) -> None:
        self.metrics, self.stop = Metrics(), asyncio.Event()
        self.consumer, self.producer = new_consumer(connection), new_producer(connection)
        self.source = KafkaSource(self.consumer, topic, self.metrics)
        self.ledger = KafkaLedger(self.consumer, self.producer, topics, self.metrics, connection.session_timeout)
        self.endpoint = Endpoint(random.Random(7), Faults(), lambda: jobs_take)
        self.line = Line(self.source, self.endpoint, self.ledger, PLAN, self.stop)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Member"]:
        """Work until the block ends, then drain and leave the group."""
        await self.producer.start()
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
            await self.producer.stop()

    def counted(self, name: str, **labels: str) -> float:
        """Read one of our counters."""
        return self.metrics.registry.get_sample_value(f"entity_stream_{name}_total", labels) or 0.0


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
