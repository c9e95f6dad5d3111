"""The broker that other tests trust: keeps what it is given, refuses whom it should, ends with them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetMetadataTooLargeError, TopicAuthorizationFailedError
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.mistake import Mistake
from entity_stream.edges.producing import InvalidRecordError
from tests.integration.brokers import Broker, SecureBroker, broker, required, secure_broker
from tests.integration.conftest import NewTopic
from tests.integration.node import NoBroker, leashed
from tests.integration.topics import admin, create_topic

ROOT = Path(__file__).parents[2]
ASKS = {
    "CI": "true",
    "ENTITY_STREAM_REQUIRE_KAFKA": "1",
    "KAFKA_TEST_ROAD": "docker",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
}
"""What the environment may ask of the search for a broker."""

MOST_METADATA = 4_096
"""Bytes a commit may carry, unless a broker is told otherwise: offset.metadata.max.bytes."""


@asynccontextmanager
async def producing(bootstrap: str, **login: object) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **login)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()
        await until_all_hung_up()


async def until_all_hung_up() -> None:
    """Wait for the goodbyes that aiokafka does not: TLS closes when the other end does."""
    sockets = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
    async with asyncio.timeout(30):
        while len(sockets) > 1:  # the loop has one of its own
            await asyncio.sleep(0.01)


@asynccontextmanager
async def consuming(
    bootstrap: str, partition: TopicPartition, group: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    consumer.assign([partition])
    try:
        await consumer.start()
        await consumer.seek_to_beginning(partition)
        yield consumer
    finally:
        await consumer.stop()


def login(door: SecureBroker, password: str) -> dict[str, object]:
    return {
        "security_protocol": "SASL_SSL",
        "ssl_context": create_ssl_context(cafile=str(door.ca_file)),
        "sasl_mechanism": door.mechanism,
        "sasl_plain_username": door.user,
        "sasl_plain_password": password,
    }


@pytest.mark.asyncio
async def test_records_come_back_as_they_were_sent(kafka: Broker, new_topic: NewTopic) -> None:
    """Keys, values, headers, their absence and their order come back as they were sent."""
    topic = await new_topic()
    sent: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = [
        (b"a", b"text", [("trace", b"\x00\xff"), ("trace", b"again")]),
        (b"a", None, []),
        (None, b"no key", []),
    ]
    async with producing(kafka.bootstrap) as producer:
        for key, value, headers in sent:
            await producer.send_and_wait(topic, value, key, headers=headers)
    async with consuming(kafka.bootstrap, TopicPartition(topic, 0)) as consumer:
        got = [await consumer.getone() for _ in sent]
    assert [(record.key, record.value, list(record.headers)) for record in got] == sent
    assert [record.offset for record in got] == [0, 1, 2]


@pytest.mark.asyncio
async def test_a_commit_carries_4096_bytes_and_no_more(kafka: Broker, new_topic: NewTopic) -> None:
    """A group's commit keeps 4,096 bytes beside the position; one byte more is refused."""
    topic = await new_topic()
    partition, largest = TopicPartition(topic, 0), "x" * MOST_METADATA
    async with consuming(kafka.bootstrap, partition, group=topic) as consumer:
        await consumer.commit({partition: OffsetAndMetadata(7, largest)})
        with pytest.raises(OffsetMetadataTooLargeError):
            await consumer.commit({partition: OffsetAndMetadata(8, largest + "x")})
    async with admin(kafka.bootstrap) as client:
        assert await client.list_consumer_group_offsets(topic) == {partition: OffsetAndMetadata(7, largest)}


@pytest.mark.asyncio
async def test_a_new_topic_is_as_asked_for(kafka: Broker, new_topic: NewTopic) -> None:
    """A new topic has its partitions and configuration at once, and a name of its own."""
    plain, compacted = await new_topic(), await new_topic(3, {"cleanup.policy": "compact"})
    assert plain != compacted
    async with admin(kafka.bootstrap) as client:
        assert [len(topic["partitions"]) for topic in await client.describe_topics([compacted])] == [3]
    async with producing(kafka.bootstrap) as producer:
        await producer.send_and_wait(plain, b"no key")
        with pytest.raises(InvalidRecordError):
            await producer.send_and_wait(compacted, b"no key")


def test_what_uses_the_broker_is_marked(request: pytest.FixtureRequest, kafka: Broker) -> None:
    """A test that takes the broker is marked `kafka`, so that it can be left out."""
    assert request.node.get_closest_marker("kafka") is not None, kafka


@pytest.mark.asyncio
async def test_a_wrong_password_is_refused(secure_kafka: SecureBroker, caplog: pytest.LogCaptureFixture) -> None:
    """The secure door opens for the right password and for no other."""
    async with producing(secure_kafka.bootstrap, **login(secure_kafka, secure_kafka.password)):
        pass
    caplog.clear()
    with pytest.raises(KafkaConnectionError):
        async with producing(secure_kafka.bootstrap, **login(secure_kafka, "guessed")):
            pass
    assert "Authentication failed" in caplog.text


@pytest.mark.asyncio
async def test_a_missing_acl_is_refused(secure_kafka: SecureBroker) -> None:
    """Who is logged in may not write to a topic without an ACL; the super user may."""
    await create_topic(secure_kafka.superuser.bootstrap, "guarded")
    async with producing(secure_kafka.superuser.bootstrap) as producer:
        await producer.send_and_wait("guarded", b"")
    async with producing(secure_kafka.bootstrap, **login(secure_kafka, secure_kafka.password)) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("guarded", b"")


def run_one_test_without_programs(empty: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a test that needs a broker in a process that finds no program on its path."""
    test = f"{__file__}::{test_a_new_topic_is_as_asked_for.__name__}"
    bare = {name: value for name, value in os.environ.items() if name not in ASKS}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        env=bare | {"PATH": str(empty)} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_broker_tests_skip_and_say_why(tmp_path: Path) -> None:
    """Where there is no Kafka, tests skip with one line: what each road lacks, and what would open one."""
    run = run_one_test_without_programs(tmp_path)
    assert run.returncode == pytest.ExitCode.OK
    assert "1 skipped" in run.stdout
    [line] = [line for line in run.stdout.splitlines() if line.startswith("broker: ")]
    for words in (
        "KAFKA_BOOTSTRAP_SERVERS is not set",
        "no docker",
        "no java",
        "docker pull",
        "apt-get install",
    ):
        assert words in line


def test_in_ci_no_broker_is_a_failure(tmp_path: Path) -> None:
    """In CI a missing Kafka fails the run and says why: the tests that need it are never skipped unseen."""
    run = run_one_test_without_programs(tmp_path, CI="true")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "no java" in run.stdout
    assert "skipped" not in run.stdout


@pytest.mark.parametrize("asked", [{}, *({name: value} for name, value in ASKS.items())], ids=str)
def test_who_asks_for_a_broker_requires_one(monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]) -> None:
    """A broker is required in CI, on demand, and where its road is named; else not."""
    for name in ASKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert required() == (bool(asked) and "KAFKA_BOOTSTRAP_SERVERS" not in asked)


def test_a_road_that_does_not_exist_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelt KAFKA_TEST_ROAD is named, and no other road is taken instead."""
    monkeypatch.setenv("KAFKA_TEST_ROAD", "scenic")
    with pytest.raises(Mistake, match="KAFKA_TEST_ROAD=scenic"), broker(tmp_path):
        pass


def test_an_engine_out_of_reach_closes_the_road(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where Docker's own client finds an engine and ours does not, the road is closed, and nothing is left open."""
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\n", encoding="utf-8")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody-listens")
    monkeypatch.setenv("KAFKA_TEST_ROAD", "docker")
    with pytest.raises(NoBroker, match=r"docker: .* did not start"), broker(tmp_path):
        pass


def test_logins_without_java_are_no_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a node with logins cannot be started, the reason and the remedy are one line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBroker, match=r"no openssl.*apt-get install"), secure_broker(tmp_path):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked to do it")
@pytest.mark.timeout(20)
def test_a_broker_dies_with_the_tests() -> None:
    """Who is killed without a chance to clean up takes what it started along."""
    script = """
import signal
from pathlib import Path
from tests.integration.node import leashed
with leashed(["sh", "-c", "echo up; exec sleep 60"], Path("/dev/stdout")):
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as tests:
        assert tests.stdout
        assert tests.stdout.readline() == b"up\n"
        tests.kill()
        assert tests.stdout.read() == b""  # returns when the last who could write is gone


def test_a_broker_ends_with_its_block(tmp_path: Path) -> None:
    """What was started has ended when its block has, even where the block fails."""
    with pytest.raises(ZeroDivisionError), leashed(["sleep", "60"], tmp_path / "log") as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL
