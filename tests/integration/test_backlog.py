"""Looks at a real group: all its partitions, also those of other members, and nobody is disturbed by them."""

import asyncio
import json
import re
from contextlib import suppress

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from entity_stream.core import journal
from entity_stream.core.backlog import Look, Part
from entity_stream.core.messages import Topics
from entity_stream.core.share import LOOK_EVERY
from entity_stream.edges.kafka_backlog import KafkaBacklog
from entity_stream.moments import now
from entity_stream.plan import KafkaConnection
from tests.integration.brokers import Broker
from tests.integration.conftest import NewTopic
from tests.integration.processes import running
from tests.integration.stage import Member, committed, everything, joining, owning, send
from tests.integration.test_journal_command import IN_FULL_WORK, members
from tests.integration.topics import create_topic, until
from tests.test_cli import RIGHT

pytestmark = pytest.mark.asyncio


async def test_a_look_sees_what_every_member_has_left(kafka: Broker, new_topic: NewTopic) -> None:
    """Of two members each sees all three partitions, the jobs that a journal names, and that there are two of them."""
    topic, output = await new_topic(3), await new_topic()
    connection, topics = KafkaConnection(kafka.bootstrap, topic), Topics(output, output)
    await send(kafka.bootstrap, topic, [(b"k-%d" % n, b"v", []) for n in range(300)])
    async with owning(connection, topic, topics) as first:
        assert await first.settle(2, b"a", b"b", journal=journal.write(IN_FULL_WORK))
        async with joining(connection, topic, topics) as second:
            looks: list[Look] = []
            async with asyncio.timeout(30):
                while not looks or looks[-1].members != 2 or second.source._assigned is None:
                    await first.source.read(0.1)  # lets go, and joins again beside the other
                    looks.append(await KafkaBacklog(first.consumer, topic, [topic]).look())
            seen = await KafkaBacklog(second.consumer, topic, [topic]).look()
            generation = second.membership.standing
            ends = await second.consumer.end_offsets([TopicPartition(topic, index) for index in range(3)])
            assert sum(ends.values()) == 300
            assert seen.parts == looks[-1].parts
            assert seen.parts[topic, 0] == Part(0, ends[TopicPartition(topic, 0)], 2, open_jobs=2, finished=3)
            assert {part.committed for part in seen.parts.values()} == {2, None}
            assert seen.left == 300 - 2 - 3
            assert second.membership.standing == generation
    assert "Stable" not in str(await members(kafka.bootstrap, topic))  # both could leave in order


async def test_looks_come_at_once_and_again_to_whoever_hears(kafka: Broker, new_topic: NewTopic) -> None:
    """The first does not wait for the interval; the broker's own word on what can be read is what counts."""
    topic, output = await new_topic(), await new_topic()
    heard: asyncio.Queue[Look] = asyncio.Queue()
    async with owning(KafkaConnection(kafka.bootstrap, topic), topic, Topics(output, output)) as owner:
        await send(kafka.bootstrap, topic, [(b"k", b"v", [])] * 7)
        seen: list[Look] = []
        began = now()
        watching = asyncio.create_task(
            KafkaBacklog(owner.consumer, topic, [topic]).watch(seen.append, heard.put_nowait)
        )
        first = await asyncio.wait_for(heard.get(), 30.0)
        second = await asyncio.wait_for(heard.get(), 30.0)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        assert first.taken_at - began < LOOK_EVERY
        assert (first.left, first.busy) == (7, frozenset({(topic, 0)}))
        assert second.taken_at > first.taken_at
        assert seen == [first, second]
        assert await owner.settle(7, *[b"k"] * 7)
        assert not (await KafkaBacklog(owner.consumer, topic, [topic]).look()).busy


@pytest.mark.parametrize("prefix", [None, "ours"])
async def test_marks_of_transactions_are_no_backlog(kafka: Broker, new_topic: NewTopic, prefix: str | None) -> None:
    """Whoever wrote the topic in transactions, also one that came to nothing: once all is settled nothing is left."""
    topic, output = await new_topic(), await new_topic()
    connection = KafkaConnection(kafka.bootstrap, topic, transactional_id_prefix=prefix)
    async with (
        Member(connection, topic, Topics(output, output)).at_work() as member,
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic) as upstream,
    ):
        for ends_well in (True, False):
            await upstream.begin_transaction()
            await upstream.send_and_wait(topic, b'{"text":"t"}', b"k")
            await (upstream.commit_transaction() if ends_well else upstream.abort_transaction())
            end = 2 if ends_well else 4

            async def at_the_end(end: int = end) -> bool:
                return await committed(kafka.bootstrap, topic, topic) == (end, "")

            await until(at_the_end)
            assert (await KafkaBacklog(member.consumer, topic, [topic]).look()).left == 0
        assert len(await everything(kafka.bootstrap, output)) == 1


async def test_a_service_says_what_its_group_has_left(kafka: Broker, new_topic: NewTopic) -> None:
    """With nobody at the endpoint: how much, for how long it has waited, that it will never end, and one replica."""
    topic = await new_topic(2)
    await create_topic(kafka.bootstrap, f"{topic}-out")
    await create_topic(kafka.bootstrap, f"{topic}-out.dead-letter")
    await send(kafka.bootstrap, topic, [(b"k-%d" % n, json.dumps({"text": "t"}).encode(), []) for n in range(40)])
    settings = {"INPUT_TOPIC": topic, "OUTPUT_TOPIC": f"{topic}-out", "KAFKA_GROUP": topic, "HTTP_HOST": "127.0.0.1"}
    where = {f"ENTITY_STREAM_{name}": value for name, value in settings.items()}
    environment = RIGHT | where | {"ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
    async with running("serve", environment=environment) as service, httpx.AsyncClient(timeout=5) as client:
        address = (await service.says(r"http://127\.0\.0\.1:\d+/metrics"))[0]
        page = ""
        async with asyncio.timeout(30):
            while "entity_stream_desired_replicas 1.0" not in page:
                await asyncio.sleep(0.2)
                page = (await client.get(address)).text
    assert "entity_stream_backlog_records 40.0" in page
    assert "entity_stream_time_to_clear_seconds +Inf" in page
    ages = re.findall(r"entity_stream_lag_seconds{.*} (.*)", page)
    assert len(ages) == 2
    assert all(0 < float(age) < 120 for age in ages)
