"""`entity-stream estimate` as a process at a real Kafka: what a group has left is told, and stays as it is."""

import asyncio
import json
import subprocess

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from entity_stream.core import journal
from tests.integration.brokers import Broker
from tests.integration.conftest import NewTopic
from tests.integration.stage import Sent, committed, send
from tests.integration.test_journal_command import IN_FULL_WORK, commit
from tests.test_cli import assert_told, run

pytestmark = pytest.mark.asyncio


async def ask(kafka: Broker, topic: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command beside this loop, with nothing configured but what it uses."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "INPUT_TOPIC": topic, "KAFKA_GROUP": topic} | changes
    environment = {f"ENTITY_STREAM_{name}": value for name, value in settings.items()}
    return await asyncio.to_thread(run, "estimate", *arguments, **environment)


def documents(count: int, characters: int = 1_500) -> list[Sent]:
    return [(b"k-%d" % n, json.dumps({"text": "x" * characters}).encode(), []) for n in range(count)]


async def test_what_is_left_is_told_to_the_record(kafka: Broker, new_topic: NewTopic) -> None:
    """Neither what is settled or in a job of ours counts, nor what is no document; nothing is committed by asking."""
    topic = await new_topic()
    await send(kafka.bootstrap, topic, [*documents(300), (b"gone", None, []), (b"bad", b"{", [])])
    before = 2, journal.write(IN_FULL_WORK)
    await commit(kafka.bootstrap, topic, {TopicPartition(topic, 0): before})
    told = await ask(kafka, topic, "--json", "--price", "10", LANGUAGE_QUOTA="60/min")
    assert (told.returncode, told.stderr) == (0, "")
    left = 300 - 12 + 1 + 1  # of the first twelve one is unfinished, and one is in a job of nobody we know
    assert json.loads(told.stdout) == {
        "records": left + 2,
        "read": left + 2,
        "documents": left,
        "characters": left * 1_500,
        "textRecords": left * 2,
        "invalid": 1,
        "tombstones": 1,
        "submits": 12,
        "polls": 12,
        "documentsOff": 0,
        "textRecordsOff": 0,
        "seconds": 24.0,
        "price": left * 2 / 100,
    }
    assert await committed(kafka.bootstrap, topic, topic) == (before[0], before[1].decode())


async def test_a_large_topic_is_sampled_and_read_as_a_whole_on_demand(kafka: Broker, new_topic: NewTopic) -> None:
    """The sample says how far it may be off, and is not; with --all nothing is."""
    topic = await new_topic(2)
    mixed = [each for n in range(20) for each in documents(100, 500 + 100 * (n % 7) ** 2)]
    await send(kafka.bootstrap, topic, mixed)
    sampled, whole = [
        json.loads((await ask(kafka, topic, "--json", *more)).stdout) for more in (["--sample", "200"], ["--all"])
    ]
    assert (whole["documents"], whole["read"], whole["textRecordsOff"]) == (2_000, 2_000, 0)
    assert (sampled["documents"], sampled["documentsOff"]) == (2_000, 0)
    assert 400 <= sampled["read"] < 1_000
    assert 0 < sampled["textRecordsOff"] < whole["textRecords"] / 2
    assert abs(sampled["textRecords"] - whole["textRecords"]) <= sampled["textRecordsOff"]
    table = await ask(kafka, topic, "--sample", "200")
    assert f"{sampled['textRecords']:,} ± {sampled['textRecordsOff']:,}" in table.stdout
    assert f"{sampled['read']:,} of 2,000 records" in table.stdout


async def test_records_are_told_apart_by_their_routes(kafka: Broker, new_topic: NewTopic) -> None:
    """By their headers: what asks for a route that nobody may ask for becomes a dead letter."""
    topic = await new_topic()
    some = [(key, value, [("entity-stream-project", b"chat")]) for key, value, _ in documents(10)]
    await send(
        kafka.bootstrap, topic, [*documents(10), *some, (b"k", b'{"text": "x"}', [("entity-stream-project", b"x")])]
    )
    settings = {"LANGUAGE_PROJECT": "incidents", "LANGUAGE_DEPLOYMENT": "production", "ROUTES": "chat/production"}
    found = json.loads((await ask(kafka, topic, "--json", **settings)).stdout)
    assert (found["documents"], found["invalid"]) == (20, 1)


async def test_marks_of_transactions_end_no_reading(kafka: Broker, new_topic: NewTopic) -> None:
    """What was aborted counts as nothing, what is open is not waited for, and a mark is no record."""
    topic = await new_topic()
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic) as producer:
        for commits in (True, False, True):
            await producer.begin_transaction()
            for key, value, _ in documents(10):
                await producer.send_and_wait(topic, value, key)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
        await producer.begin_transaction()
        await producer.send_and_wait(topic, *documents(1)[0][1::-1])
        found = json.loads((await ask(kafka, topic, "--json")).stdout)
        await producer.abort_transaction()
    assert (found["documents"], found["records"]) == (20, 33)


async def test_a_topic_that_is_not_there_is_told(kafka: Broker) -> None:
    """By its name, and with the setting to look at."""
    assert_told(await ask(kafka, "no-such-topic-here"), "topic 'no-such-topic-here'", "ENTITY_STREAM_INPUT_TOPIC")
