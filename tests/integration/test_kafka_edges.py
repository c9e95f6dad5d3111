"""Source and ledger against a real broker: nothing lost, nothing committed that is not published."""

import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import TopicAlreadyExistsError
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.messages import Topics
from entity_stream.core.mistake import Mistake, leaves
from entity_stream.edges import admin as asking
from entity_stream.edges.kafka_connection import connected
from entity_stream.edges.kafka_ledger import new_producer
from entity_stream.pipeline import Line
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain
from tests.integration.brokers import Broker, SecureBroker
from tests.integration.conftest import NewTopic
from tests.integration.stage import PLAN, Member, Sent, eventually, everything, position, send
from tests.integration.topics import DENY, GROUP, TOPIC, Right, admin, create_topic, grant
from tests.pipeline.worlds import Endpoint, Faults

pytestmark = pytest.mark.asyncio


def document(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


async def topics_for(
    new_topic: NewTopic, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> tuple[str, Topics]:
    plain, output, letters = await new_topic(partitions), await new_topic(partitions, configs), await new_topic(1)
    return plain, Topics(output, letters)


async def test_outcomes_are_published_then_committed(kafka: Broker, new_topic: NewTopic) -> None:
    """Entities, tombstones and dead letters come out with key and headers, in order per key, and are committed."""
    topic, topics = await topics_for(new_topic)
    headers = [("trace", b"\x00\xff")]
    sent = [(b"key-%d" % (n % 3), document(f"report {n}"), headers) for n in range(60)]
    await send(
        kafka.bootstrap, topic, [*sent, (b"key-0", None, headers), (None, b"\xff\xfe", headers), (None, None, [])]
    )
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [63])
    out, letters = (
        await everything(kafka.bootstrap, topics.output),
        await everything(kafka.bootstrap, topics.dead_letter),
    )
    assert [(r.key, r.value is None) for r in out if r.key == b"key-0"] == [(b"key-0", False)] * 20 + [(b"key-0", True)]
    offsets = [json.loads(r.value)["source"]["offset"] for r in out if r.value and r.key == b"key-1"]
    assert offsets == list(range(1, 60, 3))
    assert {r.headers for r in out} == {(("trace", b"\x00\xff"),)}
    assert [(r.key, r.value, r.headers[0]) for r in letters if r.value] == [(None, b"\xff\xfe", ("trace", b"\x00\xff"))]
    assert {dict(r.headers)["entity-stream-reason"] for r in letters} == {b"invalid-utf8", b"no-value"}
    assert await position(kafka.bootstrap, topic, topic) == 63


async def test_an_outcome_the_broker_refuses_becomes_a_dead_letter(kafka: Broker, new_topic: NewTopic) -> None:
    """One outcome that is too large spoils none beside it, and stops nothing."""
    topic, topics = await topics_for(new_topic, configs={"max.message.bytes": "2000"})
    large = (b"large", document("a"), [("note", b"x" * 5_000)])
    await send(
        kafka.bootstrap,
        topic,
        [*((b"k%d" % n, document("a"), []) for n in range(4)), large, (b"k4", document("a"), [])],
    )
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [6])
        assert member.counted("refused_by_broker") == 1
    assert {r.key for r in await everything(kafka.bootstrap, topics.output)} == {b"k%d" % n for n in range(5)}
    [letter] = await everything(kafka.bootstrap, topics.dead_letter)
    assert (letter.key, letter.value) == large[:2]
    assert dict(letter.headers)["entity-stream-reason"] == b"refused-by-broker"


async def test_a_dead_letter_that_is_too_large_goes_without_its_value(kafka: Broker, new_topic: NewTopic) -> None:
    """Its headers still say why and from where; the position moves on."""
    topic, output = await new_topic(1, {"max.message.bytes": "5000000"}), await new_topic()
    letters = await new_topic(1, {"max.message.bytes": "3000"})
    await send(kafka.bootstrap, topic, [(b"bad", b"{" * 2_000_000, [("trace", b"1")]), (b"good", document("a"), [])])
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [2])
        assert member.counted("values_dropped") == 1
    [letter] = await everything(kafka.bootstrap, letters)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["trace"]) == (b"bad", b"", b"1")
    assert headers["entity-stream-value-dropped"] == b"2000000"
    assert headers["entity-stream-offset"] == b"0"


@pytest.mark.parametrize("configs", [{"max.message.bytes": "3000"}, {"cleanup.policy": "compact"}])
async def test_a_dead_letter_that_no_topic_takes_leaves_its_coordinates(
    kafka: Broker, new_topic: NewTopic, configs: dict[str, str]
) -> None:
    """Headers too large for any letter, or no key on a compacted topic: why and from where is published, and on."""
    topic, output, letters = await new_topic(), await new_topic(), await new_topic(1, configs)
    await send(kafka.bootstrap, topic, [(None, b"{", [("note", b"x" * 5_000)]), (b"good", document("a"), [])])
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [2])
    [letter] = await everything(kafka.bootstrap, letters)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, "note" in headers) == (f"{topic}-0-0".encode(), b"", False)
    assert (headers["entity-stream-reason"], headers["entity-stream-offset"]) == (b"invalid-json", b"0")


async def test_a_dead_letter_topic_that_takes_nothing_at_all_is_waited_for(kafka: Broker, new_topic: NewTopic) -> None:
    """It is named as the cause, and the run goes on waiting: no record is to blame, and none is lost."""
    topic, output, letters = await new_topic(), await new_topic(), await new_topic(1, {"max.message.bytes": "100"})
    await send(kafka.bootstrap, topic, [(b"bad", b"{", [])])
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: f"'{letters}' cannot be written" in (member.ledger.trouble or ""))
        assert member.ledger.positions == {}


async def test_what_another_tool_has_committed_beside_the_position_stops_nothing(
    kafka: Broker, new_topic: NewTopic
) -> None:
    """A group's metadata in any letters means nothing: reading begins at the position, and that is counted."""
    topic, topics = await topics_for(new_topic)
    await send(kafka.bootstrap, topic, [(b"k", document("a"), [])] * 5)
    place = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=topic, enable_auto_commit=False) as other:
        other.assign([place])
        await other.commit({place: OffsetAndMetadata(2, "café 🚨")})
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [5])
        assert member.counted("journals_ignored", topic=topic, partition="0") == 1
    assert len(await everything(kafka.bootstrap, topics.output)) == 3


async def test_what_is_finished_behind_the_position_is_not_published_again(kafka: Broker, new_topic: NewTopic) -> None:
    """The commit says which records behind an unfinished one are finished: the next reader leaves them alone."""
    topic, topics = await topics_for(new_topic)
    connection = KafkaConnection(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, [(None, document(f"report {n}"), []) for n in range(500)])
    first = Member(connection, topic, topics)
    takes = iter([600.0, 0.02, 0.02, 600.0])
    first.endpoint = Endpoint(random.Random(1), Faults(), lambda: next(takes, 0.02))
    first.line = Line(first.source, first.endpoint, first.ledger, PLAN, first.stop)
    async with first.at_work():
        await eventually(lambda: len(first.endpoint.submits) == 20 and first.line.vitals().in_flight == 2)
    assert await position(kafka.bootstrap, topic, topic) == 0
    async with Member(connection, topic, topics).at_work() as second:
        await eventually(lambda: list(second.ledger.positions.values()) == [500])
    published = [json.loads(r.value)["source"]["offset"] for r in await everything(kafka.bootstrap, topics.output)]
    assert sorted(published) == list(range(500))
    assert len(second.endpoint.submits) == 2


async def test_a_client_that_has_ceased_to_fetch_ends_the_run(kafka: Broker, new_topic: NewTopic) -> None:
    """Nothing would ever arrive again, and nobody else would say so."""
    topic, topics = await topics_for(new_topic)
    member = Member(KafkaConnection(kafka.bootstrap, topic), topic, topics)

    async def break_it() -> None:
        member.consumer._fetcher._fetch_task.cancel()

    assert ["ceased to fetch" in str(error) for error in await ends(member, break_it)] == [True]


async def test_a_compacted_output_topic_takes_what_has_a_key(kafka: Broker, new_topic: NewTopic) -> None:
    """A record without a key, which such a topic refuses, becomes a dead letter; the others come out."""
    topic, topics = await topics_for(new_topic, configs={"cleanup.policy": "compact"})
    await send(kafka.bootstrap, topic, [(None, document("a"), []), (b"k", document("a"), []), (b"k", None, [])])
    async with Member(KafkaConnection(kafka.bootstrap, topic), topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [3])
    assert [(r.key, r.value is None) for r in await everything(kafka.bootstrap, topics.output)] == [
        (b"k", False),
        (b"k", True),
    ]
    assert len(await everything(kafka.bootstrap, topics.dead_letter)) == 1


async def test_what_retention_deleted_is_counted_and_reading_goes_on(kafka: Broker, new_topic: NewTopic) -> None:
    """Below the log's start there is nothing to read: the loss is counted, the rest is annotated."""
    topic, topics = await topics_for(new_topic)
    connection = KafkaConnection(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(10)])
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [10])
    await send(kafka.bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(10)])
    async with admin(kafka.bootstrap) as client:
        await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=16)})
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [20])
        assert member.counted("lost_to_retention", topic=topic, partition="0") == 6


async def test_a_log_that_was_replaced_is_read_anew(kafka: Broker, new_topic: NewTopic) -> None:
    """A position beyond the end speaks of another log: it is forgotten, and nothing of the new one is skipped."""
    topic, topics = await topics_for(new_topic)
    connection = KafkaConnection(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(30)])
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [30])
    async with admin(kafka.bootstrap) as client:
        await client.delete_topics([topic])
    await _create_again(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, [(b"k", document(f"new {n}"), []) for n in range(5)])
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: list(member.ledger.positions.values()) == [5])
        assert member.counted("logs_replaced", topic=topic, partition="0") <= 1
    assert len(await everything(kafka.bootstrap, topics.output)) == 35


async def _create_again(bootstrap: str, topic: str) -> None:
    """Create a topic that was just deleted, as soon as the broker has let it go."""
    while True:
        try:
            await create_topic(bootstrap, topic)
        except TopicAlreadyExistsError:
            continue
        return


async def test_partitions_move_between_members_and_nothing_is_lost(kafka: Broker, new_topic: NewTopic) -> None:
    """With members coming and going while documents flow, every record comes out and every position reaches the end."""
    topic, topics = await topics_for(new_topic, partitions=4)
    connection = KafkaConnection(kafka.bootstrap, topic)
    records: list[Sent] = [(b"key-%d" % n, document(f"report {n}"), []) for n in range(3_000)]
    await send(kafka.bootstrap, topic, records[:1_500])
    async with Member(connection, topic, topics, jobs_take=0.2).at_work() as first:
        await eventually(lambda: sum(first.ledger.positions.values()) > 100)
        async with Member(connection, topic, topics, jobs_take=0.2).at_work() as second:
            await eventually(lambda: len(second.line.vitals().unfinished) == 2)
            await send(kafka.bootstrap, topic, records[1_500:])
            await eventually(lambda: sum(second.ledger.positions.values()) > 100)
        await eventually(lambda: len(first.line.vitals().unfinished) == 4)
        await eventually(lambda: _lags(first) == [0, 0, 0, 0])
    published = {r.key for r in await everything(kafka.bootstrap, topics.output)}
    assert published == {key for key, _, _ in records}


def _lags(member: Member) -> list[int]:
    return list(member.source.lags(member.ledger.positions).values())


async def test_check_finds_nothing_wrong_and_writes_nothing(kafka: Broker, new_topic: NewTopic) -> None:
    """Asking a broker that allows everything gives only good findings, and leaves every topic empty."""
    topic, topics = await topics_for(new_topic)
    findings = await asking.ask_kafka(
        KafkaConnection(kafka.bootstrap, topic), topic, [topics.output, topics.dead_letter]
    )
    assert [finding.mistake for finding in findings] == [None] * 4
    assert await everything(kafka.bootstrap, topics.output) == []


async def test_check_names_a_missing_topic(kafka: Broker, new_topic: NewTopic) -> None:
    """A topic that is not there is told by its name."""
    topic, topics = await topics_for(new_topic)
    findings = await asking.ask_kafka(KafkaConnection(kafka.bootstrap, topic), topic, [topics.output, "nowhere"])
    assert [finding.good for finding in findings] == [True, True, True, False]
    assert findings[-1].mistake
    assert "'nowhere' does not exist" in findings[-1].mistake.what


def secured(door: SecureBroker, password: str, **changes: str) -> KafkaConnection:
    login = {"security_protocol": "SASL_SSL", "sasl_mechanism": door.mechanism, "username": door.user}
    return KafkaConnection(door.bootstrap, "group", password=password, ca_file=str(door.ca_file), **(login | changes))  # type: ignore[arg-type]


async def test_a_refused_login_is_told_as_one(secure_kafka: SecureBroker) -> None:
    """A wrong password, a wrong protocol and an untrusted certificate are each told as what they are."""
    for connection, words in (
        (secured(secure_kafka, "wrong"), "refused the login of user 'svc'"),
        (secured(secure_kafka, secure_kafka.password, sasl_mechanism="SCRAM-SHA-256"), "SASL mechanism"),
        (
            secured(secure_kafka, secure_kafka.password, security_protocol="SASL_PLAINTEXT"),
            "no Kafka broker can be reached",
        ),
        (KafkaConnection(secure_kafka.bootstrap, "g", security_protocol="SSL"), "not trusted"),
    ):
        producer = new_producer(connection)
        with pytest.raises(Mistake, match=words):
            await connected(producer.start(), connection)
        await producer.stop()


async def test_a_missing_acl_is_told_by_its_name(secure_kafka: SecureBroker) -> None:
    """Logged in but allowed nothing, each topic is told with the right that it takes."""
    await create_topic(secure_kafka.superuser.bootstrap, "closed-topic")
    findings = await asking.ask_kafka(secured(secure_kafka, secure_kafka.password), "closed-topic", ["closed-topic"])
    assert [finding.good for finding in findings] == [True, False, False]
    assert all("user 'svc' may not use topic 'closed-topic'" in str(f.mistake) for f in findings[1:])


async def allowed(door: SecureBroker, rights: Mapping[str, Sequence[Right]]) -> KafkaConnection:
    """Create topics and grant rights on them; give a connection whose group, named as the first topic, may be used."""
    for name, some in rights.items():
        await create_topic(door.superuser.bootstrap, name)
        for right in some:
            await grant(door.superuser.bootstrap, door.user, right, name)
    group = next(iter(rights))
    await grant(door.superuser.bootstrap, door.user, Right.READ, group, GROUP)
    return msgspec.structs.replace(secured(door, door.password), group=group)


async def ends(member: Member, break_it: Callable[[], Awaitable[None]]) -> list[BaseException]:
    """Break something while a member is at work; give what its run ends with."""
    try:
        async with member.at_work():
            await eventually(lambda: member.source.joined)
            await break_it()
            await eventually(lambda: False)
    except ExceptionGroup as group:
        return list(leaves(group))
    raise AssertionError("it went on")


async def test_a_right_to_write_that_is_missing_is_waited_for(secure_kafka: SecureBroker) -> None:
    """Seen but not to be written, the output topic is named as the cause; nothing is lost, and it heals by itself."""
    topic, output, letters = "unwritten-in", "unwritten-out", "unwritten-letters"
    connection = await allowed(
        secure_kafka, {topic: [Right.READ], output: [Right.DESCRIBE], letters: [Right.WRITE, Right.DESCRIBE]}
    )
    bootstrap = secure_kafka.superuser.bootstrap
    await send(bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(20)])
    async with Member(connection, topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: f"'{output}' cannot be written: TopicAuthorization" in (member.ledger.trouble or ""))
        assert member.ledger.positions == {}
        await grant(bootstrap, secure_kafka.user, Right.WRITE, output)
        await eventually(lambda: list(member.ledger.positions.values()) == [20])
        assert member.ledger.trouble is None
    assert len(await everything(bootstrap, output)) == 20


@pytest.mark.parametrize("kind", [GROUP, TOPIC])
async def test_a_right_to_read_that_is_taken_away_ends_the_run_by_its_name(
    secure_kafka: SecureBroker, kind: int
) -> None:
    """The run ends to be started again, which then tells what is missing; it is no bug."""
    topic, output, letters = (f"denied-{kind}-{role}" for role in ("in", "out", "letters"))
    connection = await allowed(secure_kafka, {topic: [Right.READ], output: [Right.WRITE], letters: [Right.WRITE]})

    async def deny() -> None:
        await grant(secure_kafka.superuser.bootstrap, secure_kafka.user, Right.READ, topic, kind, DENY)

    [error] = await ends(Member(connection, topic, Topics(output, letters)), deny)
    assert isinstance(error, StartAgain)
    assert "AuthorizationFailed" in str(error)
