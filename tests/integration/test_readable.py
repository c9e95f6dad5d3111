"""What a source says could be read now, at a real broker: the work that a watchdog may hold against it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from entity_stream.edges.kafka_membership import Membership
from entity_stream.edges.kafka_source import KafkaSource, new_consumer
from entity_stream.edges.telemetry import Metrics
from entity_stream.plan import KafkaConnection
from tests.integration.brokers import Broker, required
from tests.integration.cluster import cluster
from tests.integration.conftest import NewTopic
from tests.integration.node import NoBroker
from tests.integration.stage import eventually, send
from tests.integration.topics import create_topic, until

pytestmark = pytest.mark.asyncio


async def release(_: object) -> None:
    """Let go: nothing is held."""


async def nobody(_: object) -> None:
    """Fence nobody: nothing is published."""


@asynccontextmanager
async def reading(bootstrap: str, topic: str) -> AsyncIterator[KafkaSource]:
    """Join a group of its own and claim the topic's one partition."""
    connection = KafkaConnection(bootstrap, topic)
    consumer = new_consumer(connection)
    membership = Membership(consumer, connection.session_timeout)
    source = KafkaSource(consumer, topic, membership, nobody, Metrics())
    await consumer.start()
    source.on_revoke(release)
    try:

        async def claims() -> bool:
            return bool((await source.read(0.1)).claims)

        await until(claims)
        yield source
    finally:
        await consumer.stop()


def unread(source: KafkaSource) -> int:
    return sum(map(len, source.readable().values()))


async def at_rest(source: KafkaSource) -> None:
    """Read until the mark that ends the transaction is passed."""

    async def passed() -> bool:
        await source.read(0.1)
        [offsets] = source.readable().values()
        return offsets == range(3, 3)

    await until(passed)


async def test_what_is_not_read_yet_is_readable(kafka: Broker, new_topic: NewTopic) -> None:
    """Records wait to be read until they are read, and no longer."""
    topic = await new_topic()
    async with reading(kafka.bootstrap, topic) as source:
        assert unread(source) == 0
        await send(kafka.bootstrap, topic, [(b"k", b"v", [])] * 700)
        await eventually(lambda: unread(source) > 0)
        begun = 0

        async def all_read() -> bool:
            nonlocal begun
            begun += len((await source.read(0.1)).records)
            return begun == 700

        await until(all_read)
        assert unread(source) == 0


async def test_what_is_behind_an_open_transaction_is_not_readable(kafka: Broker, new_topic: NewTopic) -> None:
    """It cannot be read before the transaction ends; and what an end leaves in the log is not waited for."""
    topic = await new_topic()
    async with (
        reading(kafka.bootstrap, topic) as source,
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic) as upstream,
    ):
        await upstream.begin_transaction()
        await upstream.send_and_wait(topic, b"open", b"k")
        await send(kafka.bootstrap, topic, [(b"k", b"behind it", [])])
        looks = 0

        async def looked_often() -> bool:
            nonlocal looks
            fetched = await source.read(0.2)
            assert not fetched.records
            assert unread(source) == 0
            looks += 1
            return looks == 5

        await until(looked_often)
        await upstream.abort_transaction()
        read = [record.value for record in (await source.read(10.0)).records]
        assert read == [b"behind it"]
        async with asyncio.timeout(10):
            await at_rest(source)


@pytest.mark.kafka
async def test_what_a_dead_leader_holds_is_not_readable(tmp_path: Path) -> None:
    """Nobody can read it before a leader is back, however long that takes."""
    try:
        async with cluster(tmp_path) as one:
            await create_topic(one.bootstrap, "in")
            async with reading(one.bootstrap, "in") as source:
                await send(one.bootstrap, "in", [(b"k", b"v", [])] * 700)
                await eventually(lambda: unread(source) > 0)
                await one.nodes[0].end(signal.SIGKILL)
                await eventually(lambda: unread(source) == 0)
    except NoBroker as reason:
        if required():
            raise
        pytest.skip(str(reason))
