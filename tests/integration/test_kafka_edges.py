"""Source and ledger against a real broker: nothing lost, nothing committed that is not published."""

import asyncio
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
from entity_stream.core.model import Partition, Record
from entity_stream.edges import admin as asking
from entity_stream.edges.kafka_connection import connected
from entity_stream.edges.kafka_transactions import transactional_id
from entity_stream.edges.producing import new_producer
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain
from tests.integration.brokers import Broker, SecureBroker
from tests.integration.conftest import NewTopic
from tests.integration.stage import Member, Owner, Sent, eventually, everything, owning, position, send
from tests.integration.topics import DENY, GROUP, TOPIC, TRANSACTIONAL_ID, Right, admin, create_topic, grant
from tests.pipeline.worlds import Endpoint, Faults

pytestmark = pytest.mark.asyncio

IN_BOTH_MODES = pytest.mark.parametrize("prefix", [None, "tests"], ids=["at_least_once", "exactly_once"])


def document(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


def connect(kafka: Broker, group: str, prefix: str | None) -> KafkaConnection:
    return KafkaConnection(kafka.bootstrap, group, transactional_id_prefix=prefix)


async def topics_for(
    new_topic: NewTopic, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> tuple[str, Topics]:
    plain, output, letters = await new_topic(partitions), await new_topic(partitions, configs), await new_topic(1)
    return plain, Topics(output, letters)


@IN_BOTH_MODES
async def test_outcomes_are_published_then_committed(kafka: Broker, new_topic: NewTopic, prefix: str | None) -> None:
    """Entities, tombstones and dead letters come out with key and headers, in order per key, and are committed."""
    topic, topics = await topics_for(new_topic)
    headers = [("trace", b"\x00\xff")]
    sent = [(b"key-%d" % (n % 3), document(f"report {n}"), headers) for n in range(60)]
    await send(
        kafka.bootstrap, topic, [*sent, (b"key-0", None, headers), (None, b"\xff\xfe", headers), (None, None, [])]
    )
    async with Member(connect(kafka, topic, prefix), topic, topics).at_work() as member:
        await eventually(lambda: member.positions == [63])
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


@IN_BOTH_MODES
async def test_an_outcome_the_broker_refuses_becomes_a_dead_letter(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """One outcome that is too large spoils none beside it, and stops nothing."""
    topic, topics = await topics_for(new_topic, configs={"max.message.bytes": "2000"})
    large = (b"large", document("a"), [("note", b"x" * 5_000)])
    await send(
        kafka.bootstrap,
        topic,
        [*((b"k%d" % n, document("a"), []) for n in range(4)), large, (b"k4", document("a"), [])],
    )
    async with Member(connect(kafka, topic, prefix), topic, topics).at_work() as member:
        await eventually(lambda: member.positions == [6])
        assert member.counted("refused_by_broker") == 1
    assert {r.key for r in await everything(kafka.bootstrap, topics.output)} == {b"k%d" % n for n in range(5)}
    [letter] = await everything(kafka.bootstrap, topics.dead_letter)
    assert (letter.key, letter.value) == large[:2]
    assert dict(letter.headers)["entity-stream-reason"] == b"refused-by-broker"


@IN_BOTH_MODES
async def test_settles_that_share_a_batch_are_not_blamed_for_each_other(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """Four partitions that write to one: only what is too large becomes a dead letter, all else goes once, in order."""
    topic, output = await new_topic(4), await new_topic(1, {"max.message.bytes": "4000"})
    topics, large = Topics(output, await new_topic(1)), [("note", b"x" * 6_000)]
    sent = [(b"key-%d" % (n % 16), document(f"report {n}"), large if n % 40 == 7 else []) for n in range(320)]
    await send(kafka.bootstrap, topic, sent)
    async with Member(connect(kafka, topic, prefix), topic, topics).at_work() as member:
        await eventually(lambda: sum(member.positions) == len(sent))
        assert member.counted("refused_by_broker") == 8
    taken = [record for record in await everything(kafka.bootstrap, output) if record.value]
    texts = [(r.key, json.loads(r.value)["source"]["offset"]) for r in taken]
    assert len(set(texts)) == len(texts) == 312
    for key in {key for key, _ in texts}:
        offsets = [offset for each, offset in texts if each == key]
        assert offsets == sorted(offsets)
    letters = await everything(kafka.bootstrap, topics.dead_letter)
    assert sorted(r.value for r in letters) == sorted(value for _, value, note in sent if note)


@IN_BOTH_MODES
async def test_a_dead_letter_that_is_too_large_goes_without_its_value(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """Its headers still say why and from where; the position moves on."""
    topic, output = await new_topic(1, {"max.message.bytes": "5000000"}), await new_topic()
    letters = await new_topic(1, {"max.message.bytes": "3000"})
    await send(kafka.bootstrap, topic, [(b"bad", b"{" * 2_000_000, [("trace", b"1")]), (b"good", document("a"), [])])
    async with Member(connect(kafka, topic, prefix), topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: member.positions == [2])
        assert member.counted("values_dropped") == 1
    [letter] = await everything(kafka.bootstrap, letters)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["trace"]) == (b"bad", b"", b"1")
    assert headers["entity-stream-value-dropped"] == b"2000000"
    assert headers["entity-stream-offset"] == b"0"


@IN_BOTH_MODES
@pytest.mark.parametrize("configs", [{"max.message.bytes": "3000"}, {"cleanup.policy": "compact"}])
async def test_a_dead_letter_that_no_topic_takes_leaves_its_coordinates(
    kafka: Broker, new_topic: NewTopic, prefix: str | None, configs: dict[str, str]
) -> None:
    """Headers too large for any letter, or no key on a compacted topic: why and from where is published, and on."""
    topic, output, letters = await new_topic(), await new_topic(), await new_topic(1, configs)
    await send(kafka.bootstrap, topic, [(None, b"{", [("note", b"x" * 5_000)]), (b"good", document("a"), [])])
    async with Member(connect(kafka, topic, prefix), topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: member.positions == [2])
    [letter] = await everything(kafka.bootstrap, letters)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, "note" in headers) == (f"{topic}-0-0".encode(), b"", False)
    assert (headers["entity-stream-reason"], headers["entity-stream-offset"]) == (b"invalid-json", b"0")


@IN_BOTH_MODES
async def test_a_dead_letter_topic_that_takes_nothing_at_all_is_waited_for(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """It is named as the cause, and the run goes on waiting: no record is to blame, and none is lost."""
    topic, output, letters = await new_topic(), await new_topic(), await new_topic(1, {"max.message.bytes": "100"})
    await send(kafka.bootstrap, topic, [(b"bad", b"{", [])])
    async with Member(connect(kafka, topic, prefix), topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: f"'{letters}' cannot be written" in (member.ledger.trouble or ""))
        assert sum(member.positions) == 0


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
        await eventually(lambda: member.positions == [5])
        assert member.counted("journals_ignored", topic=topic, partition="0") == 1
    assert len(await everything(kafka.bootstrap, topics.output)) == 3


@IN_BOTH_MODES
async def test_what_is_finished_behind_the_position_is_not_published_again(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """The commit says what is finished behind an unfinished record, and in which job that is: nothing is paid again."""
    topic, topics = await topics_for(new_topic)
    connection = connect(kafka, topic, prefix)
    await send(kafka.bootstrap, topic, [(None, document(f"report {n}"), []) for n in range(500)])
    takes = iter([600.0, 0.02, 0.02, 600.0])
    endpoint = Endpoint(random.Random(1), Faults(), lambda: next(takes, 0.02))
    async with Member(connection, topic, topics, endpoint=endpoint).at_work() as first:
        await eventually(lambda: len(endpoint.submits) == 20 and first.line.vitals().in_flight == 2)
    assert await position(kafka.bootstrap, topic, topic) == 0
    endpoint.ends = dict.fromkeys(endpoint.ends, 0.0)
    async with Member(connection, topic, topics, endpoint=endpoint).at_work() as second:
        await eventually(lambda: second.positions == [500])
    published = [json.loads(r.value)["source"]["offset"] for r in await everything(kafka.bootstrap, topics.output)]
    assert sorted(published) == list(range(500))
    assert len(endpoint.submits) == 20


async def test_a_client_that_has_ceased_to_fetch_ends_the_run(kafka: Broker, new_topic: NewTopic) -> None:
    """Nothing would ever arrive again, and nobody else would say so."""
    topic, topics = await topics_for(new_topic)
    member = Member(KafkaConnection(kafka.bootstrap, topic), topic, topics)

    async def break_it() -> None:
        member.consumer._fetcher._fetch_task.cancel()

    assert ["ceased to fetch" in str(error) for error in await ends(member, break_it)] == [True]


@IN_BOTH_MODES
async def test_a_compacted_output_topic_takes_what_has_a_key(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """A record without a key, which such a topic refuses, becomes a dead letter; the others come out."""
    topic, topics = await topics_for(new_topic, configs={"cleanup.policy": "compact"})
    await send(kafka.bootstrap, topic, [(None, document("a"), []), (b"k", document("a"), []), (b"k", None, [])])
    async with Member(connect(kafka, topic, prefix), topic, topics).at_work() as member:
        await eventually(lambda: member.positions == [3])
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
        await eventually(lambda: member.positions == [10])
    await send(kafka.bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(10)])
    async with admin(kafka.bootstrap) as client:
        await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=16)})
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: member.positions == [20])
        assert member.counted("lost_to_retention", topic=topic, partition="0") == 6


async def test_a_log_that_was_replaced_is_read_anew(kafka: Broker, new_topic: NewTopic) -> None:
    """A position beyond the end speaks of another log: it is forgotten, and nothing of the new one is skipped."""
    topic, topics = await topics_for(new_topic)
    connection = KafkaConnection(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(30)])
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: member.positions == [30])
    async with admin(kafka.bootstrap) as client:
        await client.delete_topics([topic])
    await _create_again(kafka.bootstrap, topic)
    await send(kafka.bootstrap, topic, [(b"k", document(f"new {n}"), []) for n in range(5)])
    async with Member(connection, topic, topics).at_work() as member:
        await eventually(lambda: member.positions == [5])
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


@IN_BOTH_MODES
async def test_partitions_move_between_members_and_nothing_is_lost(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """With members coming and going while documents flow, every record comes out and every position reaches the end."""
    topic, topics = await topics_for(new_topic, partitions=4)
    connection = connect(kafka, topic, prefix)
    records: list[Sent] = [(b"key-%d" % n, document(f"report {n}"), []) for n in range(3_000)]
    await send(kafka.bootstrap, topic, records[:1_500])
    endpoint = Endpoint(random.Random(7), Faults(), lambda: 0.2)
    async with Member(connection, topic, topics, endpoint=endpoint).at_work() as first:
        await eventually(lambda: sum(first.positions) > 100)
        async with Member(connection, topic, topics, endpoint=endpoint).at_work() as second:
            await eventually(lambda: len(second.line.vitals().unfinished) == 2)
            await send(kafka.bootstrap, topic, records[1_500:])
            await eventually(lambda: sum(second.positions) > 100)
        await eventually(lambda: len(first.line.vitals().unfinished) == 4)
        await eventually(lambda: _lags(first) == [0, 0, 0, 0])
    published = [r.key for r in await everything(kafka.bootstrap, topics.output)]
    assert set(published) == {key for key, _, _ in records}
    assert not prefix or len(published) == len(records)
    assert endpoint.billed_twice == []


def _lags(member: Member) -> list[int]:
    return list(member.source.lags().values())


async def test_a_partition_that_is_not_wanted_brings_nothing_until_it_is(kafka: Broker, new_topic: NewTopic) -> None:
    """What was fetched ahead of it is let go, what is in its log comes later, and the other partitions go on."""
    topic, topics = await topics_for(new_topic, partitions=2)
    async with owning(KafkaConnection(kafka.bootstrap, topic), topic, topics) as owner:
        first, second = (owner.claims[index].partition for index in (0, 1))
        keyed: list[Sent] = [(b"key-%d" % n, b"v", []) for n in range(1_000)]
        await send(kafka.bootstrap, topic, keyed)
        early = (await owner.source.read(5.0)).records
        unwanted = early[0].partition
        wanted = second if unwanted == first else first
        without = await _read(owner, [unwanted], lambda records: len(records) > 300)
        assert {record.partition for record in without} == {wanted}
        rest = await _read(owner, [], lambda records: len(records) + len(early) + len(without) >= 1_000)
        everyone = [(record.partition, record.offset) for record in [*early, *without, *rest]]
        assert sorted(everyone) == sorted(set(everyone))
        for partition in (first, second):
            offsets = [offset for of, offset in everyone if of == partition]
            assert offsets == list(range(len(offsets)))


async def _read(owner: Owner, without: Sequence[Partition], enough: Callable[[list[Record]], bool]) -> list[Record]:
    read: list[Record] = []
    async with asyncio.timeout(20):
        while not enough(read):
            read += (await owner.source.read(0.1, without)).records
    return read


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


async def allowed(
    door: SecureBroker, rights: Mapping[str, Sequence[Right]], prefix: str | None = None
) -> KafkaConnection:
    """Create topics and grant rights on them; give a connection whose group, named as the first topic, may be used."""
    for name, some in rights.items():
        await create_topic(door.superuser.bootstrap, name)
        for right in some:
            await grant(door.superuser.bootstrap, door.user, right, name)
    group = next(iter(rights))
    await grant(door.superuser.bootstrap, door.user, Right.READ, group, GROUP)
    connection = msgspec.structs.replace(secured(door, door.password), group=group, transactional_id_prefix=prefix)
    for name in (transactional_id(connection, "start"), transactional_id(connection, group, 0)):
        await grant(door.superuser.bootstrap, door.user, Right.WRITE, name, TRANSACTIONAL_ID)
    return connection


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


@IN_BOTH_MODES
async def test_a_right_to_write_that_is_missing_is_waited_for(secure_kafka: SecureBroker, prefix: str | None) -> None:
    """Seen but not to be written, the output topic is named as the cause; nothing is lost, and it heals by itself."""
    topic, output, letters = (f"unwritten-{prefix}-{role}" for role in ("in", "out", "letters"))
    connection = await allowed(
        secure_kafka, {topic: [Right.READ], output: [Right.DESCRIBE], letters: [Right.WRITE, Right.DESCRIBE]}, prefix
    )
    bootstrap = secure_kafka.superuser.bootstrap
    await send(bootstrap, topic, [(b"k", document(f"{n}"), []) for n in range(20)])
    async with Member(connection, topic, Topics(output, letters)).at_work() as member:
        await eventually(lambda: f"'{output}' cannot be written: TopicAuthorization" in (member.ledger.trouble or ""))
        assert sum(member.positions) == 0
        await grant(bootstrap, secure_kafka.user, Right.WRITE, output)
        await eventually(lambda: member.positions == [20])
        assert member.ledger.trouble is None
    assert len(await everything(bootstrap, output)) == 20


async def test_a_right_to_write_that_is_taken_away_ends_a_run_with_transactions(secure_kafka: SecureBroker) -> None:
    """Nobody can say what is in the transaction that it happens in; the next run waits for it with none open."""
    topic, output, letters = (f"unwritable-{role}" for role in ("in", "out", "letters"))
    connection = await allowed(secure_kafka, {topic: [Right.READ], output: [Right.WRITE], letters: [Right.WRITE]}, "id")
    bootstrap = secure_kafka.superuser.bootstrap
    member = Member(connection, topic, Topics(output, letters))
    await send(bootstrap, topic, [(b"k", document("a"), [])])

    async def deny() -> None:
        await eventually(lambda: member.positions == [1])
        await grant(bootstrap, secure_kafka.user, Right.WRITE, output, permission=DENY)
        await send(bootstrap, topic, [(b"k", document("a"), [])])

    [error] = await ends(member, deny)
    assert isinstance(error, StartAgain)
    assert "TopicAuthorizationFailed" in str(error)
    async with Member(connection, topic, Topics(output, letters), endpoint=member.endpoint).at_work() as again:
        await eventually(lambda: f"'{output}' cannot be written: TopicAuthorization" in (again.ledger.trouble or ""))
    assert len(await everything(bootstrap, output)) == 1


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
