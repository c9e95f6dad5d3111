"""Exactly-once at a real broker: a settle is seen as a whole or not at all, and nothing of an old owner lands later."""

import asyncio
import gc
import warnings
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.messages import Topics
from entity_stream.core.mistake import Mistake
from entity_stream.demo.broker import embedded_broker
from entity_stream.edges import admin as asking
from entity_stream.edges.kafka_transactions import TransactionalLedger, require_transactions, transactional_id
from entity_stream.edges.telemetry import Metrics
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain
from tests.integration.brokers import Broker, SecureBroker
from tests.integration.conftest import NewTopic
from tests.integration.stage import Owner, committed, eventually, everything, joining, owning, send
from tests.integration.topics import TRANSACTIONAL_ID, Right, create_topic, grant

pytestmark = pytest.mark.asyncio

SHORT = 6.0
"""Seconds of a session, the least that brokers allow by default."""


async def made(kafka: Broker, new_topic: NewTopic, partitions: int = 1) -> tuple[KafkaConnection, str, Topics]:
    topic, output, letters = await new_topic(partitions), await new_topic(), await new_topic()
    connection = KafkaConnection(kafka.bootstrap, topic, session_timeout=SHORT, transactional_id_prefix="tests")
    return connection, topic, Topics(output, letters)


async def keys(kafka: Broker, topic: str) -> list[bytes | None]:
    return [record.key for record in await everything(kafka.bootstrap, topic)]


class CutOff(Metrics):
    """Cancels whoever has published and is about to commit."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if name == "commit":
            raise asyncio.CancelledError
        with super().stage(name):
            yield


async def test_outcomes_position_and_journal_come_at_once(kafka: Broker, new_topic: NewTopic) -> None:
    """One settle commits all of it, and the next owner begins with exactly that."""
    connection, topic, topics = await made(kafka, new_topic)
    async with owning(connection, topic, topics) as owner:
        assert await owner.settle(2, b"a", b"b", journal=b"what is in flight")
        assert await owner.settle(2, journal=b"what is in flight now")
        assert await keys(kafka, topics.output) == [b"a", b"b"]
        assert await committed(kafka.bootstrap, connection.group, topic) == (2, "what is in flight now")
        assert owner.membership.positions == {owner.claims[0].partition: 2}


async def test_what_is_cut_off_before_its_commit_never_was(kafka: Broker, new_topic: NewTopic) -> None:
    """It is not seen, moves no position, is ended by the next owner at once, and its producer begins nothing more."""
    connection, topic, topics = await made(kafka, new_topic)
    async with owning(connection, topic, topics, CutOff()) as first:
        with pytest.raises(asyncio.CancelledError):
            await first.settle(1, b"cut off")
        assert await first.settle(1, b"cut off") is False
    assert await keys(kafka, topics.output) == []
    async with owning(connection, topic, topics) as second, asyncio.timeout(20):
        assert second.claims[0].position == 0
        assert await second.settle(1, b"again")
        await eventually(lambda: second.membership.positions != {})
        assert await keys(kafka, topics.output) == [b"again"]


async def test_an_older_owners_transaction_ends_with_the_fence(kafka: Broker, new_topic: NewTopic) -> None:
    """Once the new owner has claimed, what the old one had published cannot be committed any more."""
    connection, topic, topics = await made(kafka, new_topic)
    async with owning(connection, topic, topics, CutOff()) as first:
        with pytest.raises(asyncio.CancelledError):
            await first.settle(1, b"late")
        await _fenced(first, connection, topic, topics)
        assert isinstance(first.ledger, TransactionalLedger)
        [writer] = first.ledger._writers.values()
        with pytest.raises(ProducerFenced):
            await writer._producer.commit_transaction()
    assert await keys(kafka, topics.output) == []


async def test_a_fence_that_is_cut_off_leaves_no_connection_open(kafka: Broker, new_topic: NewTopic) -> None:
    """Whenever it comes, in the middle of a login or after it: what has begun to connect is closed."""
    connection, topic, topics = await made(kafka, new_topic)
    async with owning(connection, topic, topics) as owner:
        with warnings.catch_warnings(record=True, action="always") as told:
            for milliseconds in range(20):
                ledger = TransactionalLedger(owner.membership, connection, topics, Metrics())
                with suppress(TimeoutError):
                    async with asyncio.timeout(milliseconds / 1_000):
                        await ledger.fence([TopicPartition(topic, index) for index in range(3)])
                await ledger.close()
            await asyncio.sleep(0)
            gc.collect()
    assert [str(warning.message) for warning in told] == []


async def test_a_fenced_producer_ends_the_run_without_another_commit(kafka: Broker, new_topic: NewTopic) -> None:
    """One partition that is lost to another owner is enough: those that are not fenced settle nothing more either."""
    connection, topic, topics = await made(kafka, new_topic, partitions=2)
    async with owning(connection, topic, topics) as owner:
        assert await owner.settle(1, b"before", index=1)
        await _fenced(owner, connection, topic, topics)
        for index in (0, 1):
            with pytest.raises(StartAgain, match="ProducerFenced"):
                await owner.settle(2, b"after", index=index)
    assert await keys(kafka, topics.output) == [b"before"]
    assert await committed(kafka.bootstrap, connection.group, topic, 0) is None
    assert await committed(kafka.bootstrap, connection.group, topic, 1) == (1, "")


async def _fenced(owner: Owner, connection: KafkaConnection, topic: str, topics: Topics) -> None:
    """Fence one partition, as its next owner does."""
    other = TransactionalLedger(owner.membership, connection, topics, Metrics())
    await other.fence([TopicPartition(topic, 0)])
    await other.close()


async def test_positions_are_read_behind_the_fence(kafka: Broker, new_topic: NewTopic) -> None:
    """What an older owner settles in the last moment before it is fenced is what the new one begins at."""
    connection, topic, topics = await made(kafka, new_topic)
    place = TopicPartition(topic, 0)
    await send(kafka.bootstrap, topic, [(b"k", b"%d" % n, []) for n in range(5)])
    async with joining(connection, topic, topics) as owner:
        fence = owner.ledger.fence

        async def late_settle_then_fence(places: Collection[TopicPartition]) -> None:
            async with AIOKafkaProducer(
                bootstrap_servers=kafka.bootstrap, transactional_id=transactional_id(connection, topic, 0)
            ) as older:
                async with older.transaction():
                    await older.send_offsets_to_transaction({place: OffsetAndMetadata(3, "")}, connection.group)
                await fence(places)

        owner.source._fence = late_settle_then_fence
        await owner.claim()
        assert owner.claims[0].position == 3


@pytest.mark.parametrize("prefix", [None, "tests"])
async def test_who_was_stopped_settles_nothing_over_the_new_owner(
    kafka: Broker, new_topic: NewTopic, prefix: str | None
) -> None:
    """The group has given its partition to another; what it settles when it wakes comes to nothing."""
    _, topic, topics = await made(kafka, new_topic)
    connection = KafkaConnection(kafka.bootstrap, topic, session_timeout=SHORT, transactional_id_prefix=prefix)
    async with owning(connection, topic, topics) as first:
        await first.freeze()
        async with owning(connection, topic, topics) as second:
            assert await second.settle(70, b"new")
            assert await _settles(first, 50, b"old") is False
            assert await second.settle(71, b"newer")
        assert await committed(kafka.bootstrap, topic, topic) == (71, "")
    assert [key for key in await keys(kafka, topics.output) if key != b"old"] == [b"new", b"newer"]


async def _settles(owner: Owner, position: int, key: bytes) -> bool:
    try:
        return await owner.settle(position, key)
    except StartAgain:
        return False


async def test_who_was_stopped_before_its_fence_fences_nobody(kafka: Broker, new_topic: NewTopic) -> None:
    """Assigned, stopped past its session and awake again, it asks the group before it takes anything over."""
    connection, topic, topics = await made(kafka, new_topic)
    async with joining(connection, topic, topics) as first:
        await eventually(lambda: first.source._assigned is not None)
        await first.freeze()
        async with owning(connection, topic, topics) as second:
            assert not (await first.source.read(0.1)).claims
            assert await second.settle(1, b"mine")
    assert await keys(kafka, topics.output) == [b"mine"]


async def test_who_was_stopped_behind_its_fence_claims_nothing(kafka: Broker, new_topic: NewTopic) -> None:
    """The group is asked once more, after positions were read: what another has taken over meanwhile stays there."""
    connection, topic, topics = await made(kafka, new_topic)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(joining(connection, topic, topics))
        fence, others = first.ledger.fence, list[Owner]()

        async def fence_then_stop(places: Collection[TopicPartition]) -> None:
            await fence(places)
            await first.freeze()
            others.append(await stack.enter_async_context(owning(connection, topic, topics)))

        first.source._fence = fence_then_stop
        await eventually(lambda: first.source._assigned is not None)
        assert not (await first.source.read(0.1)).claims
        assert await others[0].settle(1, b"mine")
    assert await keys(kafka, topics.output) == [b"mine"]


async def test_a_broker_without_transactions_is_told_at_the_start() -> None:
    """The demo's broker forgets positions that are set in a transaction: the setting is named, and what to make it."""
    with embedded_broker() as bootstrap:
        connection = KafkaConnection(bootstrap, "group", transactional_id_prefix="tests")
        with pytest.raises(Mistake, match="no transactions that hold positions: OffsetFetch 7") as told:
            await require_transactions(connection)
        assert told.value.where == "ENTITY_STREAM_DELIVERY=exactly_once"
        assert "ENTITY_STREAM_DELIVERY=at_least_once" in told.value.fix


async def test_a_missing_right_to_transactions_is_told_at_the_start(secure_kafka: SecureBroker) -> None:
    """The ids are named and the right that they take; once it is granted, check finds nothing wrong with them."""
    connection = KafkaConnection(
        secure_kafka.bootstrap,
        "team",
        security_protocol="SASL_SSL",
        sasl_mechanism=secure_kafka.mechanism,
        username=secure_kafka.user,
        password=secure_kafka.password,
        ca_file=str(secure_kafka.ca_file),
        transactional_id_prefix="tests",
    )
    await create_topic(secure_kafka.superuser.bootstrap, "for-transactions")
    with pytest.raises(Mistake, match="user 'svc' may not use transactional ids that begin with 'tests:team:'"):
        await require_transactions(connection)
    for right in (Right.WRITE, Right.DESCRIBE):
        superuser = secure_kafka.superuser.bootstrap
        await grant(superuser, secure_kafka.user, right, transactional_id(connection, "start"), TRANSACTIONAL_ID)
    findings = await asking.ask_kafka(connection, "for-transactions", [])
    assert [(finding.asked, finding.good) for finding in findings[-1:]] == [("Kafka: transactions", True)]
