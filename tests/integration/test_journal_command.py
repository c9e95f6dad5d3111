"""`entity-stream journal` as a process at a real Kafka: what a group has committed in words, and nobody notices."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core import journal
from entity_stream.core.journal import Journal, Trace, mark
from entity_stream.core.messages import Topics
from entity_stream.plan import KafkaConnection
from tests.integration.brokers import Broker, SecureBroker
from tests.integration.conftest import NewTopic
from tests.integration.stage import committed, owning, send
from tests.integration.topics import GROUP, Right, admin, create_topic, grant
from tests.test_cli import RIGHT, assert_told, run

pytestmark = pytest.mark.asyncio

JOB = Trace(str(UUID(int=7)), mark("default"), 1, ((2, 7), (8, 9)), over=0b10)
STRANGER = Trace("j-2", mark("elsewhere"), 2, ((9, 10),))
IN_FULL_WORK = Journal(2, 12, ((7, 8),), (JOB, STRANGER))


async def ask(bootstrap: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command beside this loop."""
    settings = {f"ENTITY_STREAM_{name}": value for name, value in changes.items()}
    where = {"ENTITY_STREAM_KAFKA_BOOTSTRAP_SERVERS": bootstrap}
    return await asyncio.to_thread(run, "journal", *arguments, **(RIGHT | where | settings))


async def commit(bootstrap: str, group: str, commits: Mapping[TopicPartition, tuple[int, bytes]]) -> None:
    """Commit for a group that has no members."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as member:
        member.assign(list(commits))
        await member.commit({place: OffsetAndMetadata(at, said.decode()) for place, (at, said) in commits.items()})


async def members(bootstrap: str, group: str) -> object:
    """Describe a group: its state, and who is in it."""
    async with admin(bootstrap) as client:
        [response] = await client.describe_consumer_groups([group])
        return response.groups


async def test_each_partition_of_a_group_is_told(kafka: Broker, new_topic: NewTopic) -> None:
    """One in full work, one at its end, one whose metadata is foreign, one without a commit: to people and machines."""
    topic = await new_topic(4)
    await send(kafka.bootstrap, topic, [(None, b"v", [])] * 400)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as reader:
        places = [TopicPartition(topic, index) for index in range(4)]
        ends = [(await reader.end_offsets([place]))[place] for place in places]
    said = journal.write(IN_FULL_WORK)
    commits = zip(places, [(2, said), (ends[1], b""), (0, b"another tool's")], strict=False)
    await commit(kafka.bootstrap, topic, dict(commits))

    stranger = f"a resource not configured here (mark {STRANGER.mark:08x})"
    told = await ask(kafka.bootstrap, topic)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        f"group {topic}: 4 partitions, lag {400 - 2 - ends[1]}, 2 jobs in flight",
        f"{topic}-0: position 2, log end {ends[0]}, lag {ends[0] - 2}",
        f"  journal, {len(said)} of 4,096 bytes: 3 finished behind the position, 7 unfinished, 2 jobs in flight",
        f"    job {JOB.id} at default, submitted once, 5 records not settled: 2, 4-6, 8",
        f"    job j-2 at {stranger}, submitted 2 times, 1 record not settled: 9",
        f"{topic}-1: position {ends[1]}, log end {ends[1]}, lag 0",
        "  journal, 0 of 4,096 bytes: empty, so nothing is finished behind the position and no job is in flight",
        f"{topic}-2: position 0, log end {ends[2]}, lag {ends[2]}",
        "  journal, 14 of 4,096 bytes: ignored, not the bytes of a journal; reading would begin at the position",
        f"{topic}-3: position none, log end {ends[3]}, lag {ends[3]}",
        "  nothing is committed; reading would begin at the start of the log, 0",
    ]

    machine = await ask(kafka.bootstrap, "--json", KAFKA_GROUP=topic, LANGUAGE_RESOURCE="elsewhere")
    lines = [json.loads(line) for line in machine.stdout.splitlines()]
    assert [line["partition"] for line in lines] == [0, 1, 2, 3]
    assert [job["resource"] for job in lines[0]["jobs"]] == [None, "elsewhere"]
    assert lines[0]["jobs"][0]["offsets"] == [[2, 2], [4, 6], [8, 8]]
    assert [line["journalIgnored"] is None for line in lines] == [True, True, False, True]


async def test_who_works_is_not_disturbed(kafka: Broker, new_topic: NewTopic) -> None:
    """A member settles before and after, and neither group nor commit has changed in between."""
    topic, output = await new_topic(), await new_topic()
    await send(kafka.bootstrap, topic, [(b"k", None, [])] * 12)
    connection = KafkaConnection(kafka.bootstrap, topic)
    async with owning(connection, topic, Topics(output, output)) as owner:
        assert await owner.settle(2, b"a", b"b", journal=journal.write(IN_FULL_WORK))
        before = (await members(kafka.bootstrap, topic), await committed(kafka.bootstrap, topic, topic))
        assert JOB.id in (await ask(kafka.bootstrap, topic)).stdout
        assert (await members(kafka.bootstrap, topic), await committed(kafka.bootstrap, topic, topic)) == before
        assert await owner.settle(3, b"c")


async def test_a_group_that_has_committed_nothing_is_told(kafka: Broker) -> None:
    """A wrong name is told by that name, also one that no group can have."""
    assert_told(await ask(kafka.bootstrap, "nobody-is-here"), "the group 'nobody-is-here' has committed nothing")
    assert_told(await ask(kafka.bootstrap, ""), "''")


async def test_a_refusal_is_told_by_its_cause(secure_kafka: SecureBroker) -> None:
    """A wrong password and a missing ACL are told as such; with the right to read, a group that is there is told."""
    group = "journal-command"
    login = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": secure_kafka.mechanism,
        "KAFKA_SASL_USERNAME": secure_kafka.user,
        "KAFKA_SASL_PASSWORD": secure_kafka.password,
        "KAFKA_SSL_CA_FILE": str(secure_kafka.ca_file),
    }
    wrong = login | {"KAFKA_SASL_PASSWORD": "guessed"}
    assert_told(await ask(secure_kafka.bootstrap, group, **wrong), "refused the login of user 'svc'")
    assert_told(await ask(secure_kafka.bootstrap, group, **login), "user 'svc' may not use the consumer group", group)

    bootstrap = secure_kafka.superuser.bootstrap
    await create_topic(bootstrap, group)
    await commit(bootstrap, group, {TopicPartition(group, 0): (0, b"")})
    await grant(bootstrap, secure_kafka.user, Right.DESCRIBE, group, GROUP)
    assert_told(await ask(secure_kafka.bootstrap, group, **login), "has committed nothing", "DESCRIBE")
    await grant(bootstrap, secure_kafka.user, Right.DESCRIBE, group)
    assert f"{group}-0: position 0" in (await ask(secure_kafka.bootstrap, group, **login)).stdout
