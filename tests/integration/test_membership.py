"""What costs a member its place in the group, and what does not: its partitions go to others only when they must."""

import asyncio
import signal
import time
from pathlib import Path

import msgspec
import pytest

from entity_stream.core.messages import Topics
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain
from tests.integration.brokers import Broker, required
from tests.integration.cluster import Cluster, cluster
from tests.integration.conftest import NewTopic
from tests.integration.node import NoBroker
from tests.integration.stage import Owner, eventually, everything, joining, owning
from tests.integration.topics import create_topic

pytestmark = pytest.mark.asyncio

SESSION = 10.0
"""Once it is back, the broker gives each member a whole one to be heard from again, however busy the cores are."""


@pytest.mark.kafka
@pytest.mark.parametrize("prefix", [None, "tests"], ids=["at_least_once", "exactly_once"])
async def test_an_outage_longer_than_the_session_costs_no_membership(tmp_path: Path, prefix: str | None) -> None:
    """The group's clock stands still while its broker is away: what was begun goes on, under the same generation."""
    try:
        async with cluster(tmp_path) as brokers:
            await _outlive(brokers, prefix)
    except NoBroker as reason:
        if required():
            raise
        pytest.skip(str(reason))


async def _outlive(brokers: Cluster, prefix: str | None) -> None:
    for topic in ("in", "out", "letters"):
        await create_topic(brokers.bootstrap, topic)
    connection = KafkaConnection(brokers.bootstrap, "group", session_timeout=SESSION, transactional_id_prefix=prefix)
    async with owning(connection, "in", Topics("out", "letters")) as owner:
        assert await owner.settle(1, b"before")
        standing = owner.membership.standing
        [node] = brokers.nodes
        await node.end(signal.SIGKILL)
        gone = time.monotonic()
        settling = asyncio.create_task(owner.settle(2, b"meanwhile"))
        await eventually(lambda: time.monotonic() - gone > 1.5 * SESSION)
        assert not settling.done()
        await brokers.start(node)
        async with asyncio.timeout(30):
            assert await settling
            assert await owner.settle(3, b"after")
            assert await owner.ledger.prove()
        assert owner.membership.standing == standing
    assert [record.key for record in await everything(brokers.bootstrap, "out")] == [b"before", b"meanwhile", b"after"]


async def test_a_static_member_that_is_restarted_has_its_partitions_back_at_once(
    kafka: Broker, new_topic: NewTopic
) -> None:
    """Nobody waits for a session to end, and nobody else is disturbed."""
    topic, topics = await new_topic(2), Topics(await new_topic(), await new_topic())
    dynamic = KafkaConnection(kafka.bootstrap, topic, session_timeout=45.0)
    one, two = (msgspec.structs.replace(dynamic, group_instance_id=name) for name in ("one", "two"))
    async with joining(one, topic, topics) as stays:
        async with joining(two, topic, topics) as leaves:
            await asyncio.gather(_claims_half(stays), _claims_half(leaves))
        standing = stays.membership.standing
        async with asyncio.timeout(10), owning(two, topic, topics) as back:
            assert back.claims.keys() == leaves.claims.keys()
            assert stays.membership.standing == standing
            [index] = stays.claims
            assert await stays.settle(1, index=index)


async def _claims_half(owner: Owner) -> None:
    while len(owner.claims) != 1:
        await owner.claim()


async def test_two_members_of_one_name_are_told_of_each_other(kafka: Broker, new_topic: NewTopic) -> None:
    """Each takes the partitions from the other, again and again; readiness says why, and names the name."""
    topic, topics = await new_topic(), Topics(await new_topic(), await new_topic())
    connection = KafkaConnection(kafka.bootstrap, topic, group_instance_id="pod-0", session_timeout=SESSION)
    async with joining(connection, topic, topics) as one, joining(connection, topic, topics) as other:
        told: str | None = None
        async with asyncio.timeout(30):
            while not told:
                try:
                    await asyncio.gather(one.source.read(0.1), other.source.read(0.1))
                except StartAgain as fenced:
                    told = str(fenced)
                told = told or one.ledger.trouble or other.ledger.trouble
    assert "another member of the group goes by the name 'pod-0'" in told
