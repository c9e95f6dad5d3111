"""At-least-once: every outcome is acknowledged by the brokers, then the position is committed, never the other way.

One idempotent producer. Outcomes are produced in batches of our own making, so that one refused
record spoils no settle but its own, and is found by sending the records of its batch alone.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
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

LOOK_AGAIN = 5.0
"""Seconds between two tries while a topic is missing or not allowed."""


def new_producer(connection: KafkaConnection) -> AIOKafkaProducer:
    """Make the producer of a ledger."""
    return AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH,
        max_request_size=LARGEST,
        **client_options(connection),
    )


class KafkaLedger:
    """Publishes with a producer, commits with the consumer that reads."""

    def __init__(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, topics: Topics, metrics: Metrics
    ) -> None:
        self._consumer, self._producer, self._topics, self._metrics = consumer, producer, topics, metrics
        self._entrances: dict[TopicPartition, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._committing = asyncio.Lock()
        self._to_commit: dict[TopicPartition, OffsetAndMetadata] = {}
        self.positions: dict[Partition, int] = {}
        """What is committed."""
        self.trouble: str | None = None
        """Why nothing can be published."""

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> None:
        """Publish, have every outcome acknowledged, commit."""
        with self._metrics.stage("publish"):
            await self._publish(outcomes)
        with self._metrics.stage("commit"):
            await self._commit(partition, position, journal)

    # publish

    async def _publish(self, outcomes: Sequence[Outcome]) -> None:
        now = time.time()
        letters = [(messages.encode(outcome, self._topics, now), outcome) for outcome in outcomes]
        for topic in {message.topic for message, _ in letters}:
            await self._wait_for(topic)
        places: dict[TopicPartition, list[Letter]] = defaultdict(list)
        keyless: dict[str, TopicPartition] = {}
        for message, outcome in letters:
            place = self._place(message) if message.key is not None else keyless.get(message.topic)
            if place is None:  # records without a key stay together: any partition will do, one batch is better
                place = keyless[message.topic] = self._place(message)
            places[place].append((message, outcome))
        async with asyncio.TaskGroup() as group:
            for place, some in places.items():
                group.create_task(self._publish_to(place, some))

    async def _wait_for(self, topic: str) -> None:
        """Wait until a topic is there and allowed: that it is not is no fault of the documents."""
        while True:
            try:
                await self._producer.client._wait_on_metadata(topic)  # noqa: SLF001 (what `send` does first)
            except errors.KafkaError as error:
                self.trouble = f"topic '{topic}' cannot be written: {error!r}"
                log.warning("publish.blocked", topic=topic, error=repr(error))
                await asyncio.sleep(LOOK_AGAIN)
            else:
                self.trouble = None
                return

    def _place(self, message: Message) -> TopicPartition:
        """Choose the partition as every Kafka producer does: by the key's murmur2, or any."""
        index = self._producer._partition(message.topic, None, None, None, message.key, None)  # noqa: SLF001
        return TopicPartition(message.topic, index)

    async def _publish_to(self, place: TopicPartition, letters: Sequence[Letter]) -> None:
        """Publish to one partition in order: a batch is acknowledged before the next is sent."""
        start = 0
        while start < len(letters):
            batch, end = self._fill([message for message, _ in letters[start:]])
            try:
                await self._send(place, batch)
            except REFUSALS as refusal:
                await self._publish_alone(place, letters[start : start + end], refusal)
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
            try:
                await (await self._producer.send_batch(batch, place.topic, partition=place.partition))
            except REFUSALS:
                self._producer._txn_manager.increment_sequence_number(place, -batch.record_count())  # noqa: SLF001
                raise
            except errors.KafkaError as error:
                raise StartAgain(f"publish to {place.topic}-{place.partition}: {error!r}") from error

    async def _publish_alone(self, place: TopicPartition, letters: Sequence[Letter], refusal: Exception) -> None:
        """Send the messages of a refused batch one by one; the refused one becomes a dead letter."""
        if len(letters) > 1:
            for one in letters:
                await self._publish_to(place, [one])
            return
        message, outcome = letters[0]
        log.warning("publish.refused", topic=message.topic, offset=outcome.record.offset, error=repr(refusal))
        letter = self._dead_letter(message, outcome, refusal)
        await self._wait_for(letter.topic)
        await self._publish_to(self._place(letter), [(letter, outcome)])

    def _dead_letter(self, refused: Message, outcome: Outcome, refusal: Exception) -> Message:
        """Write what is published instead of a message that the broker will never take."""
        if refused.topic == self._topics.output:
            self._metrics.count("refused_by_broker")
            reason = Reason("refused-by-broker", f"refused by the broker: {refusal!r}")
            return messages.dead_letter(outcome.record, reason, self._topics)
        if not refused.value:
            raise StartAgain(f"not even a dead letter without its value is taken: {refusal!r}") from refusal
        self._metrics.count("values_dropped")
        return messages.without_value(refused)

    # commit

    async def _commit(self, partition: Partition, position: int, journal: bytes) -> None:
        """Commit together with whoever else waits: one request carries the positions of all."""
        name = TopicPartition(partition.topic, partition.index)
        self._to_commit[name] = OffsetAndMetadata(position, journal.decode("ascii"))
        async with self._committing:
            if name in self._to_commit:
                carried, self._to_commit = self._to_commit, {}
                await self._commit_all(carried)
        self._note(partition, position)

    def _note(self, partition: Partition, position: int) -> None:
        if partition not in self.positions:  # of older epochs of the same partition nobody asks any more
            for older in [p for p in self.positions if (p.topic, p.index) == (partition.topic, partition.index)]:
                del self.positions[older]
        self.positions[partition] = position

    async def _commit_all(self, positions: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        try:
            await self._consumer.commit(positions)
        except (errors.CommitFailedError, errors.IllegalStateError) as error:
            # The group has rebalanced: whoever owns the partitions now publishes these records again.
            self._metrics.count("commits_refused")
            log.warning("commit.refused", partitions=len(positions), error=type(error).__name__)
        except errors.KafkaError as error:
            raise StartAgain(f"commit: {error!r}") from error
