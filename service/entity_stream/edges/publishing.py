"""Outcomes to their topics, each acknowledged by the brokers before the next of its partition is sent.

Outcomes are produced in batches of our own making, so that a refused record is found by sending the records of its
batch alone, first those of each settle, and spoils none but its own. What no topic takes becomes its dead letter.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition, errors
from aiokafka.cluster import ClusterMetadata
from aiokafka.partitioner import DefaultPartitioner
from msgspec import Struct

from entity_stream.core import messages
from entity_stream.core.messages import Message, Topics
from entity_stream.core.model import Outcome, Reason
from entity_stream.edges.chute import Chute, Outcast, Permitted
from entity_stream.edges.producing import Outlet
from entity_stream.edges.telemetry import Metrics
from entity_stream.edges.troubles import Troubles

log = structlog.get_logger("entity_stream.kafka")

Letter = tuple[Message, Outcome]
"""What is published, and what it is the outcome of."""

Closed = Callable[[str, errors.KafkaError], Awaitable[None]]
"""What to do while a topic takes nothing: waits for an operator and returns, or raises."""


def compose(outcomes: Sequence[Outcome], topics: Topics) -> list[Letter]:
    """Write the messages that outcomes are published as."""
    now = time.time()
    return [(messages.encode(outcome, topics, now), outcome) for outcome in outcomes]


class Press:
    """Publishes through one producer."""

    def __init__(
        self, producer: AIOKafkaProducer, topics: Topics, metrics: Metrics, troubles: Troubles, closed: Closed
    ) -> None:
        self._producer, self._topics, self._metrics, self._closed = producer, topics, metrics, closed
        self._outlet = Outlet(producer, troubles)
        self._chutes: dict[TopicPartition, Chute] = {}

    async def publish(self, letters: Sequence[Letter], permitted: Permitted) -> dict[int, Message]:
        """Publish all; return, by the offset of its record, what was published instead of a message that was refused.

        Raises Outcast when it is no longer ours to publish them. Nothing of it is under way then, or after any failure.
        """
        doors = {}
        for topic in {message.topic for message, _ in letters}:
            doors[topic] = await self._door(topic)
        places: dict[TopicPartition, list[Letter]] = defaultdict(list)
        for message, outcome in letters:
            places[doors[message.topic].place(message)].append((message, outcome))
        this = _Publication(permitted, {})
        publishing = [self._publish_to(place, some, this) for place, some in places.items()]
        ended = await asyncio.gather(*publishing, return_exceptions=True)
        for error in sorted(filter(None, ended), key=lambda error: isinstance(error, Outcast)):
            raise error
        return this.instead

    async def _door(self, topic: str) -> "_Door":
        """Wait until a topic is there and may be seen: that it is not is no fault of the documents."""
        while True:
            self._producer.client.add_topic(topic)  # `_wait_on_metadata` does not where it has heard of all topics
            try:
                await self._producer.client._wait_on_metadata(topic)  # noqa: SLF001 (what `send` does first)
            except errors.KafkaError as error:
                await self._closed(topic, error)
            else:
                return _Door(topic, self._producer.client.cluster)

    async def _publish_to(self, place: TopicPartition, letters: Sequence[Letter], this: "_Publication") -> None:
        """Publish to one partition in order: a batch is acknowledged before the next is sent."""
        start = 0
        while start < len(letters):
            messages = [message for message, _ in letters[start:]]
            try:
                count, refusal = await self._chute(place).put(messages, this.permitted)
            except errors.TopicAuthorizationFailedError as error:
                await self._closed(place.topic, error)
                continue
            sent = letters[start : start + count]
            if refusal is None or await self._publish_alone(place, sent, this, refusal):
                start += count

    def _chute(self, place: TopicPartition) -> Chute:
        if place not in self._chutes:
            self._chutes[place] = Chute(self._producer.create_batch, partial(self._outlet.send, place))
        return self._chutes[place]

    async def _publish_alone(
        self, place: TopicPartition, letters: Sequence[Letter], this: "_Publication", refusal: errors.KafkaError
    ) -> bool:
        """Send the messages of a refused batch one by one; the refused one becomes a dead letter. False: try again."""
        if len(letters) > 1:
            for one in letters:
                await self._publish_to(place, [one], this)
            return True
        message, outcome = letters[0]
        log.warning("publish.refused", topic=message.topic, offset=outcome.record.offset, error=repr(refusal))
        letter = self._dead_letter(message, outcome, refusal)
        if letter == message:  # there is no smaller one: it is the topic that is wrong
            await self._closed(letter.topic, refusal)
            return False
        this.instead[outcome.record.offset] = letter
        await self._publish_to((await self._door(letter.topic)).place(letter), [(letter, outcome)], this)
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


class _Publication(Struct, frozen=True):
    """What the parts of one publish share."""

    permitted: Permitted
    instead: dict[int, Message]


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
