"""Trouble of the brokers: what they do not take now they take later. A broker of our own, as it is to be killed."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from entity_stream.core.backlog import Look
from entity_stream.core.messages import Topics
from entity_stream.edges.kafka_backlog import KafkaBacklog
from entity_stream.plan import KafkaConnection
from tests.integration.brokers import required
from tests.integration.cluster import Cluster, cluster
from tests.integration.node import NoBroker
from tests.integration.stage import Member, Sent, eventually, everything, send
from tests.integration.topics import create_topic, delete_topics

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.kafka]

PATIENCE = 90.0

IN_BOTH_MODES = pytest.mark.parametrize("prefix", [None, "tests"], ids=["at_least_once", "exactly_once"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Run one broker; where there can be none, skip, or fail if one is required."""
    async with AsyncExitStack() as until_the_end:
        try:
            found = await until_the_end.enter_async_context(cluster(tmp_path_factory.mktemp("brokers")))
        except NoBroker as reason:
            if required():
                raise
            pytest.skip(str(reason))
        yield found


def documents(count: int, start: int = 0) -> list[Sent]:
    return [(b"key-%d" % (n % 7), b'{"id": "%d", "text": "a"}' % n, []) for n in range(start, start + count)]


async def topics(brokers: Cluster, name: str) -> tuple[str, Topics]:
    named = [f"{name}-{role}" for role in ("in", "out", "letters")]
    for each in named:
        await create_topic(brokers.bootstrap, each)
    return named[0], Topics(*named[1:])


async def ids(brokers: Cluster, topic: str) -> Counter[int]:
    records = await everything(brokers.bootstrap, topic)
    return Counter(int(json.loads(record.value)["id"]) for record in records)


@IN_BOTH_MODES
async def test_a_broker_that_is_away_is_waited_for(brokers: Cluster, prefix: str | None) -> None:
    """Killed in full work and started again, it is gone on with where it was: nothing is lost, and nothing doubled.

    Looks at what the group has left cease with it, and go on with it.
    """
    topic, made = await topics(brokers, f"killed-{prefix}")
    await send(brokers.bootstrap, topic, documents(2_000))
    connection = KafkaConnection(brokers.bootstrap, topic, transactional_id_prefix=prefix)
    async with Member(connection, topic, made, jobs_take=0.3).at_work() as member:
        looks: list[Look] = []
        watching = asyncio.create_task(KafkaBacklog(member.consumer, topic, [topic]).watch(looks.append))
        await eventually(lambda: any(member.positions) and bool(looks))
        [node] = brokers.nodes
        await node.end(signal.SIGKILL)
        await eventually(lambda: member.source.away)
        await brokers.start(node)
        await eventually(lambda: member.positions == [2_000], PATIENCE)
        assert not member.source.away
        await eventually(lambda: not looks[-1].left, PATIENCE)
        watching.cancel()
    assert await ids(brokers, made.output) == Counter(range(2_000))
    assert not await everything(brokers.bootstrap, made.dead_letter)


@IN_BOTH_MODES
async def test_a_topic_that_is_gone_is_waited_for(brokers: Cluster, prefix: str | None) -> None:
    """It is named as the cause; made again it takes what waited for it, and no document is rejected for it."""
    topic, made = await topics(brokers, f"gone-{prefix}")
    connection = KafkaConnection(brokers.bootstrap, topic, transactional_id_prefix=prefix)
    async with Member(connection, topic, made).at_work() as member:
        await eventually(lambda: member.source.joined)
        await delete_topics(brokers.bootstrap, [made.output])
        await send(brokers.bootstrap, topic, documents(20))
        await eventually(lambda: made.output in (member.ledger.trouble or ""), PATIENCE)
        assert sum(member.positions) == 0
        await create_topic(brokers.bootstrap, made.output)
        await eventually(lambda: member.positions == [20], PATIENCE)
    assert await ids(brokers, made.output) == Counter(range(20))
    assert not await everything(brokers.bootstrap, made.dead_letter)
