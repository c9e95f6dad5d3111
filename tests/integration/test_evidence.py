"""What the judge reads from a real Kafka is what was written there, the aborted told from the committed."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec import structs

from tests.integration.brokers import Broker
from tests.integration.conftest import NewTopic
from tests.judge.books import Submit, write_event
from tests.judge.case import Input, Outcome
from tests.judge.evidence import Scene, collect

ROOT = Path(__file__).parents[2]
Sent = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""Key, value and headers of a record."""


def named(name: str) -> list[tuple[str, bytes]]:
    return [("judge-name", name.encode())]


def document(name: str, trouble: str = "") -> Sent:
    text = f"Somewhere in this text stands <<{name}{trouble}>>, its mark."
    return b"key", msgspec.json.encode({"text": text}), named(name)


def entities(name: str, offset: int) -> Sent:
    found = [{"text": name, "category": "Name"}, {"text": "mark", "category": "Word"}]
    source = {"topic": "in", "partition": 0, "offset": offset}
    return b"key", msgspec.json.encode({"entities": found, "source": source}), named(name)


def why(offset: int) -> list[tuple[str, bytes]]:
    said = {"reason": "wrong-type", "partition": "0", "offset": str(offset)}
    return [(f"entity-stream-{what}", value.encode()) for what, value in said.items()]


@asynccontextmanager
async def writing(kafka: Broker, transactional_id: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=transactional_id)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def write(producer: AIOKafkaProducer, topic: str, *records: Sent, partition: int = 0) -> None:
    for key, value, headers in records:
        await producer.send_and_wait(topic, value, key, partition=partition, headers=list(headers))


async def scene(kafka: Broker, new_topic: NewTopic) -> Scene:
    return Scene(kafka.bootstrap, await new_topic(2), await new_topic(), await new_topic(), await new_topic())


async def commit(at: Scene, partition: int, offset: int) -> None:
    reader = AIOKafkaConsumer(bootstrap_servers=at.bootstrap, group_id=at.group, enable_auto_commit=False)
    place = TopicPartition(at.input, partition)
    reader.assign([place])
    await reader.start()
    try:
        await reader.commit({place: offset})
    finally:
        await reader.stop()


@pytest.mark.asyncio
async def test_inputs_are_told_as_they_are(kafka: Broker, new_topic: NewTopic) -> None:
    """Documents, their troubles, tombstones and what is no document, each with its name, key, place and time."""
    at, began = await scene(kafka, new_topic), time.time()
    blank, mark = msgspec.json.encode({"text": " \t"}), document("marked")[1]
    async with writing(kafka) as producer:
        await write(
            producer, at.input, document("plain"), document("troubled", " missing*2"), document("lasting", " fails")
        )
        await write(producer, at.input, (b"gone", None, named("gone")), (None, b"{", named("poison")), partition=1)
        await write(producer, at.input, (None, mark, []), (b"\xff", blank, []), partition=1)
    evidence = await collect(at, [])
    assert all(began - 1 < record.at < time.time() for record in evidence.inputs)
    assert {structs.replace(record, at=0.0) for record in evidence.inputs} == {
        Input("plain", 0, 0, b"key", "", aborted=False, tombstone=False, valid=True, at=0.0),
        Input("troubled", 0, 1, b"key", "missing*2", aborted=False, tombstone=False, valid=True, at=0.0),
        Input("lasting", 0, 2, b"key", "fails", aborted=False, tombstone=False, valid=True, at=0.0),
        Input("gone", 1, 0, b"gone", "", aborted=False, tombstone=True, valid=True, at=0.0),
        Input("poison", 1, 1, None, "", aborted=False, tombstone=False, valid=False, at=0.0),
        Input("marked", 1, 2, None, "", aborted=False, tombstone=False, valid=True, at=0.0),
        Input("1-3", 1, 3, b"\xff", "", aborted=False, tombstone=False, valid=False, at=0.0),
    }


@pytest.mark.asyncio
async def test_what_the_output_topic_does_not_take_is_unwelcome(kafka: Broker, new_topic: NewTopic) -> None:
    """A compacted topic takes nothing without a key, and each topic only so many bytes."""
    at = await scene(kafka, new_topic)
    at = structs.replace(at, output=await new_topic(1, {"cleanup.policy": "compact", "max.message.bytes": "1000"}))
    async with writing(kafka) as producer:
        large = (b"key", msgspec.json.encode({"text": "x" * 1_000}), named("large"))
        await write(producer, at.input, document("welcome"), (None, document("keyless")[1], []), large)
    evidence = await collect(at, [])
    assert {record.name: record.unwelcome for record in evidence.inputs} == {
        "welcome": False,
        "keyless": True,
        "large": True,
    }


@pytest.mark.asyncio
async def test_what_is_not_committed_is_told_apart(kafka: Broker, new_topic: NewTopic) -> None:
    """Records of an aborted transaction, and of one still open, are aborted inputs; the reading ends all the same."""
    at = await scene(kafka, new_topic)
    async with writing(kafka) as plain, writing(kafka, at.group) as producer:
        await write(plain, at.input, document("before"))
        async with producer.transaction():
            await write(producer, at.input, document("committed"))
        await producer.begin_transaction()
        await write(producer, at.input, document("aborted"), document("aborted-too"))
        await producer.abort_transaction()
        await write(plain, at.input, document("after"))
        await producer.begin_transaction()
        await write(producer, at.input, document("open"), partition=1)
        evidence = await collect(at, [])
        await producer.abort_transaction()
    assert {record.name: record.aborted for record in evidence.inputs} == {
        "before": False,
        "committed": False,
        "aborted": True,
        "aborted-too": True,
        "after": False,
        "open": True,
    }


@pytest.mark.asyncio
async def test_a_topic_may_end_in_an_aborted_transaction(kafka: Broker, new_topic: NewTopic) -> None:
    """Where nothing but an aborted transaction is, outcomes are none and the reading ends."""
    at = await scene(kafka, new_topic)
    async with writing(kafka, at.group) as producer:
        await producer.begin_transaction()
        await write(producer, at.output, entities("doc-1", 0))
        await producer.abort_transaction()
    assert (await collect(at, [])).outcomes == []


@pytest.mark.asyncio
async def test_what_an_open_transaction_hides_is_waited_for(kafka: Broker, new_topic: NewTopic) -> None:
    """Outcomes behind an open transaction are committed for all we know: the reading goes on until it has ended."""
    at = await scene(kafka, new_topic)
    async with writing(kafka) as plain, writing(kafka, at.group) as producer:
        await producer.begin_transaction()
        await write(producer, at.output, entities("doc-0", 0))
        await write(plain, at.output, entities("doc-1", 1))
        reading = asyncio.create_task(collect(at, []))
        ended, _ = await asyncio.wait([reading], timeout=3)
        assert not ended
        await producer.abort_transaction()
        assert [outcome.name for outcome in (await reading).outcomes] == ["doc-1"]


@pytest.mark.asyncio
async def test_outcomes_are_told_as_they_are(kafka: Broker, new_topic: NewTopic) -> None:
    """Entities, tombstones, dead letters and what nobody can read; what lost its name is named by its source."""
    at = await scene(kafka, new_topic)
    async with writing(kafka) as producer:
        await write(producer, at.input, document("doc-0"), (b"key", b"{", named("doc-1")))
        await write(
            producer, at.output, entities("doc-0", 0), (b"key", None, named("gone")), (b"key", b"{}", named("odd"))
        )
        await write(producer, at.output, (b"key", entities("doc-0", 0)[1], []), (None, b"", []))
        await write(producer, at.dead_letters, (b"key", b"{", [*named("doc-1"), *why(1)]), (b"k", b"", why(1)))
        await write(producer, at.dead_letters, (b"k", b"", why(9)), (b"k", b"", []))
    outcomes = (await collect(at, [])).outcomes
    assert [structs.replace(outcome, at=0.0) for outcome in outcomes] == [
        Outcome("doc-0", "annotated", b"key", at.output, 0, 0, 0.0, ("doc-0",), (0, 0)),
        Outcome("gone", "deleted", b"key", at.output, 0, 1, 0.0),
        Outcome("odd", "garbled", b"key", at.output, 0, 2, 0.0),
        Outcome("doc-0", "annotated", b"key", at.output, 0, 3, 0.0, ("doc-0",), (0, 0)),
        Outcome(f"{at.output}-0-4", "garbled", None, at.output, 0, 4, 0.0),
        Outcome("doc-1", "rejected", b"key", at.dead_letters, 0, 0, 0.0, (), (0, 1), "wrong-type"),
        Outcome("doc-1", "rejected", b"k", at.dead_letters, 0, 1, 0.0, (), (0, 1), "wrong-type"),
        Outcome(f"{at.dead_letters}-0-2", "rejected", b"k", at.dead_letters, 0, 2, 0.0, (), (0, 9), "wrong-type"),
        Outcome(f"{at.dead_letters}-0-3", "rejected", b"k", at.dead_letters, 0, 3, 0.0),
    ]


@pytest.mark.asyncio
async def test_positions_are_those_of_the_group(kafka: Broker, new_topic: NewTopic) -> None:
    """Of each partition the group has committed a position of, the position; of no other group, of no other topic."""
    at = await scene(kafka, new_topic)
    assert (await collect(at, [])).positions == {}
    await commit(at, 1, 7)
    await commit(structs.replace(at, input=at.output), 0, 5)
    await commit(structs.replace(at, group=at.output), 0, 6)
    assert (await collect(at, [])).positions == {1: 7}


async def verdict(at: Scene, books: Path, *more: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it says."""
    options = {
        "--bootstrap": at.bootstrap,
        "--input": at.input,
        "--output": at.output,
        "--dead-letters": at.dead_letters,
        "--group": at.group,
        "--books": str(books),
    }
    given = [word for option in options.items() for word in option]
    command = [sys.executable, "-m", "tests.judge.checker", *given, *more]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=STDOUT)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.asyncio
async def test_the_command_judges(kafka: Broker, new_topic: NewTopic, tmp_path: Path) -> None:
    """The command tells a lost document by exit code 1 and its journey, and a run without fault by exit code 0."""
    at = await scene(kafka, new_topic)
    now, names = time.time(), ["doc-0", "doc-1"]
    books, shocks = tmp_path / "books.jsonl", tmp_path / "shocks.jsonl"
    books.write_bytes(write_event(Submit(now, "worker-1", 202, "job", names, names, ends=now + 1, fate="succeeded")))
    shocks.write_bytes(msgspec.json.encode({"at": now + 1, "what": "SIGKILL worker-1", "who": "worker-1"}) + b"\n")
    async with writing(kafka) as producer:
        await write(producer, at.input, document("doc-0"), document("doc-1"))
        await write(producer, at.output, entities("doc-0", 0))
        await commit(at, 0, 2)
        code, said = await verdict(at, books, "--shocks", str(shocks))
        assert code == 1, said
        assert "lost: doc-1 (partition 0, offset 1, key key)" in said
        assert "SIGKILL worker-1" in said
        code, said = await verdict(at, books, "--json", "--mode", "exactly_once")
        assert (code, msgspec.json.decode(said)) == (
            1,
            {"mode": "exactly_once", "faults": {"lost": ["doc-1"]}, "tolerated": {}},
        )
        await write(producer, at.output, entities("doc-1", 1))
        code, said = await verdict(at, books)
    assert code == 0, said
    assert said.startswith("No fault (at_least_once).")


@pytest.mark.asyncio
async def test_nothing_is_no_clean_verdict(kafka: Broker, new_topic: NewTopic, tmp_path: Path) -> None:
    """Where there is nothing to judge, or nothing to judge by, the command says so in one line and exits with 2."""
    at, books = await scene(kafka, new_topic), tmp_path / "books.jsonl"
    code, said = await verdict(at, books)
    assert (code, said.count("\n")) == (2, 1), said
    books.write_bytes(b"")
    code, said = await verdict(at, books)
    assert (code, said) == (2, f"no verdict: the input topic {at.input} is empty\n")
    async with writing(kafka) as producer:
        await write(producer, at.input, document("doc-0"))
    code, said = await verdict(at, books)
    assert (code, said) == (2, f"no verdict: the books {books} are empty\n")
    code, said = await verdict(structs.replace(at, output="there-is-no-such-topic"), books)
    assert (code, said.count("\n")) == (2, 1), said
    assert "there-is-no-such-topic" in said
