"""Finding a leader, and leaving a producer behind at a host that is gone. The rest is in tests/integration."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol
from aiokafka.errors import LeaderNotAvailableError
from aiokafka.protocol.produce import ProduceRequest

from entity_stream.edges.kafka_connection import ask_to_write
from entity_stream.edges.kafka_writer import new_transactional_producer, retire
from entity_stream.plan import KafkaConnection

pytestmark = pytest.mark.asyncio

MORE_THAN_FITS = 16_000_000
"""Bytes that no socket takes while nobody reads."""


class Client:
    """Has heard of a topic whose one partition had no leader then; it has one by now, or not."""

    def __init__(self, leader: int) -> None:
        self._now, self._heard = leader, -1
        self.sent_to: list[int] = []
        self.cluster = SimpleNamespace(partitions_for_topic=lambda _: {0}, leader_for_partition=lambda _: self._heard)

    async def _wait_on_metadata(self, topic: str) -> None:
        """Be content with what has been heard."""

    async def force_metadata_update(self) -> bool:
        self._heard = self._now
        return True

    async def send(self, node: int, request: ProduceRequest) -> SimpleNamespace:
        self.sent_to.append(node)
        return SimpleNamespace(topics=[("out", [(0, 21)])])


async def test_a_leader_that_was_missing_is_asked_for_again() -> None:
    """Whoever starts while a broker goes hears of none, and would not hear of the next one for five minutes."""
    client: Any = Client(leader=7)
    await ask_to_write(client, "out")
    assert client.sent_to == [7]
    with pytest.raises(LeaderNotAvailableError):
        await ask_to_write(cast("Any", Client(leader=-1)), "out")


@asynccontextmanager
async def deaf_host() -> AsyncIterator[int]:
    """Take connections, and read nothing; the block has its port."""
    writers: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writers.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def connected(port: int) -> AIOKafkaConnection:
    """Connect as aiokafka does, but ask nothing."""
    loop = asyncio.get_running_loop()
    conn = AIOKafkaConnection("127.0.0.1", port)
    conn._closed_fut, conn._reader = loop.create_future(), asyncio.StreamReader()
    conn._protocol = AIOKafkaProtocol(conn._closed_fut, conn._reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: conn._protocol, conn.host, conn.port)
    conn._writer = asyncio.StreamWriter(transport, conn._protocol, conn._reader, loop)
    conn._read_task = conn._create_reader_task()
    return conn


@pytest.mark.parametrize("closed_before", [False, True])
async def test_retiring_waits_for_nothing_to_arrive(*, closed_before: bool) -> None:
    """What is written and not taken is thrown away, also where the client has given the connection up before."""
    producer = new_transactional_producer(KafkaConnection("127.0.0.1:1", "group"), "of-the-test")
    async with deaf_host() as port, asyncio.timeout(5):
        conn = await connected(port)
        producer.client._conns[(0, ConnectionGroup.DEFAULT)] = conn
        conn._writer.write(bytes(MORE_THAN_FITS))
        if closed_before:
            conn.close()
        await retire(producer)
        assert conn._closed_fut.done()
