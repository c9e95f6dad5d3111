"""At-least-once: every outcome is acknowledged by the brokers, then the position is committed, never the other way.

One idempotent producer. Outcomes are produced in batches of our own making, so that one refused
record spoils no settle but its own, and is found by sending the records of its batch alone.
"""

import asyncio
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.cluster import ClusterMetadata
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core import messages
from entity_stream.core.messages import Message, Topics
from entity_stream.core.model import Outcome, Partition, Reason
from entity_stream.edges.kafka_connection import client_options
from entity_stream.edges.telemetry import Metrics
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain

log = structlog.get_logger("entity_stream.kafka")

BATCH = 1_000_000
"""Bytes of one produce batch; the broker's own limit (message.max.bytes) is 1 MiB by default."""

LARGEST = 100_000_000
"""Bytes of one record; the broker decides, not the client."""

REFUSALS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidMessageError,
    errors.UnknownError,
)
"""What a broker says of a record that it will never take. UnknownError: aiokafka does not know INVALID_RECORD."""

Letter = tuple[Message, Outcome]
"""What is published, and what it is the outcome of."""

HEARTBEAT_PAUSE = 0.5
"""Seconds between two heartbeats of ours while the group's coordinator is away."""

LOOK_AGAIN = 5.0
"""Seconds between two tries while a topic is missing or not allowed."""

FRESH = 0.5
"""Part of the session timeout for which a proof that we are a member of the group is good."""

PATIENCE = 5.0
"""Seconds that brokers may take to acknowledge before we say that we wait for them."""


class Outcast(Exception):
    """The group goes on without us: what we would publish, the new owner of the partition publishes too."""


def new_producer(connection: KafkaConnection) -> AIOKafkaProducer:
    """Make the producer of a ledger: what it took it sends for as long as it takes."""
    producer = AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH,
        max_request_size=LARGEST,
        **client_options(connection),
    )
    producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 (a partition without leader would fail a batch in 40 s)
    return producer


def _boot_time() -> float:
    """Seconds that also pass while the machine sleeps: the brokers' clock does not stop."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class KafkaLedger:
    """Publishes with a producer, commits with the consumer that reads."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        topics: Topics,
        metrics: Metrics,
        session: float,
        clock: Callable[[], float] = _boot_time,
    ) -> None:
        """Write to `topics`. `session`: seconds of silence after which the group goes on without us."""
        self._consumer, self._producer, self._topics, self._metrics = consumer, producer, topics, metrics
        self._clock = clock
        self._fresh = session * FRESH
        self._proven = -math.inf  # when we sent what last proved that we are a member of the group
        self._forgone: set[Partition] = set()
        self._entrances: dict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._committing = asyncio.Lock()
        self._proving = asyncio.Lock()
        self._to_commit: dict[TopicPartition, OffsetAndMetadata] = {}
        self.positions: dict[Partition, int] = {}
        """What is committed."""
        self._troubles: dict[object, str] = {}

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published or committed, if that is so."""
        return next(iter(self._troubles.values()), None)

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> None:
        """Publish, have every outcome acknowledged, commit."""
        with self._metrics.stage("publish"):
            if partition in self._forgone or not await self._publish(outcomes):
                self._forgo(partition, outcomes)
                return
        with self._metrics.stage("commit"):
            await self._commit(partition, position, journal)

    def _forgo(self, partition: Partition, outcomes: Sequence[Outcome]) -> None:
        """Leave outcomes to the next owner of a partition, and with them every later commit of this epoch.

        That commit would claim them: whoever settles takes what it hands over for finished.
        """
        self._forgone.add(partition)
        self._refused("publish.forgone", outcomes=len(outcomes))

    async def prove(self) -> bool:
        """Tell whether we are a member: who was stopped, or cut off, may have been given up by the group.

        A commit is a proof, and there are many; after a lull we ask. No proof while the coordinator is away: wait.
        """
        while self._stale():
            async with self._proving:
                if self._stale() and not await self._heartbeat():
                    return False
        return True

    def _stale(self) -> bool:
        return self._clock() - self._proven > self._fresh

    async def _heartbeat(self) -> bool:
        """Ask the group's coordinator; False when it does not know us."""
        coordinator, sent = self._consumer._coordinator, self._clock()  # noqa: SLF001 (the client does not tell when it heard from it)
        if coordinator.generation < 0:
            return False  # it has told already
        try:
            answered = await coordinator._do_heartbeat()  # noqa: SLF001
        except errors.KafkaError as error:
            raise StartAgain(f"heartbeat: {error!r}") from error
        known: bool = coordinator.generation >= 0
        if answered:
            self._proven = sent
        elif known:
            await asyncio.sleep(HEARTBEAT_PAUSE)  # it is away
        return known

    # publish

    async def _publish(self, outcomes: Sequence[Outcome]) -> bool:
        """Publish all; False when it is no longer ours to publish them."""
        now = time.time()
        letters = [(messages.encode(outcome, self._topics, now), outcome) for outcome in outcomes]
        doors = {}
        for topic in {message.topic for message, _ in letters}:
            await self._wait_for(topic)
            doors[topic] = _Door(topic, self._producer.client.cluster)
        places: dict[TopicPartition, list[Letter]] = defaultdict(list)
        for message, outcome in letters:
            places[doors[message.topic].place(message)].append((message, outcome))
        ours = True
        try:
            async with asyncio.TaskGroup() as group:
                for place, some in places.items():
                    group.create_task(self._publish_to(place, some))
        except* Outcast:
            ours = False
        return ours

    async def _wait_for(self, topic: str) -> None:
        """Wait until a topic is there and allowed: that it is not is no fault of the documents."""
        while True:
            try:
                await self._producer.client._wait_on_metadata(topic)  # noqa: SLF001 (what `send` does first)
            except errors.KafkaError as error:
                await self._sit_out(topic, error)
            else:
                return

    async def _sit_out(self, topic: str, error: Exception) -> None:
        """Wait a little for an operator, and say what for."""
        with self._telling(f"topic '{topic}' cannot be written: {error!r}"):
            await asyncio.sleep(LOOK_AGAIN)

    @contextmanager
    def _telling(self, trouble: str, after: float = 0.0) -> Iterator[None]:
        """Tell of a trouble as long as the block lasts, once it has lasted a while."""
        this = object()
        telling = asyncio.get_running_loop().call_later(after, self._tell, this, trouble)
        try:
            yield
        finally:
            telling.cancel()
            self._troubles.pop(this, None)

    def _tell(self, this: object, trouble: str) -> None:
        self._troubles[this] = trouble
        log.warning("publish.blocked", reason=trouble)

    async def _publish_to(self, place: TopicPartition, letters: Sequence[Letter]) -> None:
        """Publish to one partition in order: a batch is acknowledged before the next is sent."""
        start = 0
        while start < len(letters):
            batch, end = self._fill([message for message, _ in letters[start:]])
            try:
                await self._send(place, batch)
            except errors.TopicAuthorizationFailedError as error:
                await self._sit_out(place.topic, error)
                continue
            except REFUSALS as refusal:
                if not await self._publish_alone(place, letters[start : start + end], refusal):
                    continue
            start += end

    def _fill(self, waiting: Sequence[Message]) -> tuple[BatchBuilder, int]:
        """Put as many messages into a batch as it takes, one at least; return it and their number."""
        batch = self._producer.create_batch()
        for count, message in enumerate(waiting):
            if not batch.append(timestamp=None, key=message.key, value=message.value, headers=list(message.headers)):
                return batch, count
        return batch, len(waiting)

    async def _send(self, place: TopicPartition, batch: BatchBuilder) -> None:
        """Send a batch and await its acknowledgement, one batch at a time for each partition (as the client does).

        A refused batch leaves a hole in the sequence that the broker expects of an idempotent producer: the client
        has counted its records, the broker has not. Nobody else sends to the partition meanwhile, so we count back.
        """
        async with self._entrances[place]:
            if not await self.prove():
                raise Outcast
            try:
                sent = await self._producer.send_batch(batch, place.topic, partition=place.partition)
            except errors.KafkaError as error:
                raise StartAgain(f"publish to {place.topic}-{place.partition}: {error!r}") from error
            try:
                with self._telling(f"waiting for {place.topic}-{place.partition} to acknowledge", PATIENCE):
                    await sent
            except (*REFUSALS, errors.TopicAuthorizationFailedError):
                self._producer._txn_manager.increment_sequence_number(place, -batch.record_count())  # noqa: SLF001
                raise
            except errors.KafkaError as error:
                raise StartAgain(f"publish to {place.topic}-{place.partition}: {error!r}") from error

    async def _publish_alone(self, place: TopicPartition, letters: Sequence[Letter], refusal: Exception) -> bool:
        """Send the messages of a refused batch one by one; the refused one becomes a dead letter. False: try again."""
        if len(letters) > 1:
            for one in letters:
                await self._publish_to(place, [one])
            return True
        message, outcome = letters[0]
        log.warning("publish.refused", topic=message.topic, offset=outcome.record.offset, error=repr(refusal))
        letter = self._dead_letter(message, outcome, refusal)
        if letter == message:  # there is no smaller one: it is the topic that is wrong
            await self._sit_out(letter.topic, refusal)
            return False
        await self._wait_for(letter.topic)
        place = _Door(letter.topic, self._producer.client.cluster).place(letter)
        await self._publish_to(place, [(letter, outcome)])
        return True

    def _dead_letter(self, refused: Message, outcome: Outcome, refusal: Exception) -> Message:
        """Write what is published instead of a message that the broker will never take."""
        if refused.topic == self._topics.output:
            self._metrics.count("refused_by_broker")
            reason = Reason("refused-by-broker", f"refused by the broker: {refusal!r}")
            return messages.dead_letter(outcome.record, reason, self._topics)
        if not refused.value:
            return messages.coordinates(refused)
        self._metrics.count("values_dropped")
        return messages.without_value(refused)

    # commit

    async def _commit(self, partition: Partition, position: int, journal: bytes) -> None:
        """Commit together with whoever else waits: one request carries the positions of all."""
        name = TopicPartition(partition.topic, partition.index)
        mine = self._to_commit[name] = OffsetAndMetadata(position, journal.decode())
        try:
            async with self._committing:
                if name in self._to_commit:
                    carried, self._to_commit = self._to_commit, {}
                    await self._commit_all(carried)
        finally:
            if self._to_commit.get(name) is mine:  # cancelled while we waited: nobody may carry it later
                del self._to_commit[name]
        self._note(partition, position)

    def _note(self, partition: Partition, position: int) -> None:
        if partition not in self.positions:  # of older epochs of the same partition nobody asks any more
            for older in [p for p in self.positions if (p.topic, p.index) == (partition.topic, partition.index)]:
                del self.positions[older]
        self.positions[partition] = position

    async def _commit_all(self, positions: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        sent = self._clock()
        try:
            with self._telling("waiting for the group's coordinator to take a commit", PATIENCE):
                await self._consumer.commit(positions)
            if self._consumer._coordinator.generation >= 0:  # noqa: SLF001 (an empty group takes commits from anybody)
                self._proven = sent
        except (errors.CommitFailedError, errors.IllegalStateError) as error:
            # The group has rebalanced: whoever owns the partitions now publishes these records again.
            self._refused("commit.refused", partitions=len(positions), error=type(error).__name__)
        except errors.KafkaError as error:
            raise StartAgain(f"commit: {error!r}") from error

    def _refused(self, event: str, **facts: object) -> None:
        self._metrics.count("commits_refused")
        log.warning(event, **facts)


class _Door:
    """Which partition of a topic a message goes to: by the key's murmur2, as every Kafka producer does.

    Records without a key stay together: any partition will do, one batch is better.
    """

    def __init__(self, topic: str, cluster: ClusterMetadata) -> None:
        indexes = sorted(cluster.partitions_for_topic(topic))
        led = list(cluster.available_partitions_for_topic(topic))
        self._places = [TopicPartition(topic, index) for index in indexes]
        self._by_key = partial(DefaultPartitioner(), all_partitions=self._places, available=())
        self._keyless = TopicPartition(topic, random.choice(led or indexes))  # noqa: S311 (any will do)

    def place(self, message: Message) -> TopicPartition:
        """Choose for one message."""
        place: TopicPartition = self._keyless if message.key is None else self._by_key(message.key)
        return place
