"""Nodes that are killed and come back: they keep what they were given, and others stand in for them meanwhile."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.brokers import required
from tests.integration.cluster import Cluster, cluster
from tests.integration.node import NoBroker
from tests.integration.stage import everything
from tests.integration.topics import create_topic, until

pytestmark = [pytest.mark.asyncio, pytest.mark.kafka]

COUNT = 100


async def write(bootstrap: str) -> None:
    """Write records; return when all that replicate them have them."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await asyncio.gather(*[await producer.send("kept", f"{n}".encode()) for n in range(COUNT)])


@asynccontextmanager
async def nodes(folder: Path, size: int) -> AsyncIterator[Cluster]:
    """Run nodes with a topic and records in it; skip where none can be had, unless they are asked for."""
    try:
        async with cluster(folder, size) as found:
            await create_topic(found.bootstrap, "kept")
            await write(found.bootstrap)
            yield found
    except NoBroker as reason:
        if required():
            raise
        pytest.skip(str(reason))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_node_that_was_ended_comes_back_with_what_it_kept(tmp_path: Path, how: signal.Signals) -> None:
    """Told or forced to end, it has all acknowledged records when it is up again, and takes new ones."""
    async with nodes(tmp_path, 1) as one:
        await one.nodes[0].end(how)
        await one.start(one.nodes[0])
        await write(one.bootstrap)
        assert len(await everything(one.bootstrap, "kept")) == 2 * COUNT


async def test_transactions_go_on_without_their_coordinator(tmp_path: Path) -> None:
    """While the broker is away that led the log of all transactions, another one commits and aborts."""
    async with nodes(tmp_path, 3) as three:
        producer = AIOKafkaProducer(bootstrap_servers=three.bootstrap, transactional_id="of-the-test")
        async with producer:
            async with producer.transaction():
                await producer.send_and_wait("kept", b"before")
            leader = await three.leader("__transaction_state", 0)
            await leader.end(signal.SIGKILL)
            async with producer.transaction():
                await producer.send_and_wait("kept", b"after")
            await producer.begin_transaction()
            await producer.send_and_wait("kept", b"never")
            await producer.abort_transaction()

        async def all_are_there() -> bool:
            committed = await everything(three.bootstrap, "kept")
            return [record.value for record in committed[COUNT:]] == [b"before", b"after"]

        async with asyncio.timeout(30):
            await until(all_are_there)
        assert (await three.leader("__transaction_state", 0)) is not leader


async def test_a_cluster_of_three_goes_on_without_a_leader(tmp_path: Path) -> None:
    """While the killed leader of a partition is away, another one leads, and nothing acknowledged is gone."""
    async with nodes(tmp_path, 3) as three:
        leader = await three.leader("kept", 0)
        await leader.end(signal.SIGKILL)
        await write(three.bootstrap)

        async def all_are_there() -> bool:  # readers see what the other follower has as well, a moment later
            return len(await everything(three.bootstrap, "kept")) == 2 * COUNT

        async with asyncio.timeout(30):
            await until(all_are_there)
        assert (await three.leader("kept", 0)) is not leader
