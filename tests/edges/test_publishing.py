"""What the brokers take of what is published, and under which numbers; aiokafka's own queue, brokers in memory."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition, errors
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.producer.transaction_manager import TransactionManager

from entity_stream.core.messages import Topics
from entity_stream.core.model import Deleted, Partition, Record
from entity_stream.edges.producing import InvalidRecordError
from entity_stream.edges.publishing import Press, compose
from entity_stream.edges.telemetry import Metrics
from entity_stream.edges.troubles import Troubles
from entity_stream.ports import StartAgain
from tests import virtual_time

TOPICS = Topics("out", "dead")
TURN = 0.1
"""Seconds until what waits in the client leaves it."""

End = tuple[str, errors.KafkaError]
"""Who refuses a batch, and how."""


class Producer:
    """Sends one batch after another; some the client does not even take, some the broker refuses."""

    def __init__(self, *ends: End) -> None:
        self._ends = list(ends)
        self._txn_manager = TransactionManager(None, 60_000)
        self._txn_manager.set_pid_and_epoch(1, 0)
        self._message_accumulator = MessageAccumulator(None, 1_000_000, 0, math.inf, txn_manager=self._txn_manager)
        self._sender = SimpleNamespace(sender_task=asyncio.create_task(self._send_all()))
        self.create_batch = self._message_accumulator.create_builder
        self._first: dict[object, int] = {}
        self.taken: dict[str, list[int]] = {"out": [], "dead": []}  # the number of each record that the brokers took
        self.led = True
        self.topics: set[str] = set()
        cluster = SimpleNamespace(partitions_for_topic=lambda _: {0}, available_partitions_for_topic=lambda _: {0})
        self.client = SimpleNamespace(
            cluster=cluster, add_topic=self.topics.add, _wait_on_metadata=self._wait_on_metadata
        )

    async def _wait_on_metadata(self, topic: str) -> None:
        return

    async def send_batch(self, batch: BatchBuilder, topic: str, partition: int) -> Awaitable[Any]:
        if self._ends and self._ends[0][0] == "client":
            raise self._ends.pop(0)[1]
        found: Awaitable[Any] = await self._message_accumulator.add_batch(batch, TopicPartition(topic, partition), 40)
        return found

    async def _send_all(self) -> None:
        while True:
            await asyncio.sleep(TURN)
            for place in list(self._message_accumulator._batches) if self.led else ():
                await self._send(place)

    async def _send(self, place: TopicPartition) -> None:
        number = self._txn_manager.sequence_number(place)
        batch = self._message_accumulator._pop_batch(place)
        first = self._first.setdefault(batch, number)
        await asyncio.sleep(TURN)
        error = self._ends.pop(0)[1] if self._ends else None
        if error is None:
            self.taken[place.topic] += range(first, first + batch.record_count)
            batch.done(0)
        elif error.retriable:
            self._message_accumulator.reenqueue(batch)
        else:
            batch.failure(error)


class Publishing:
    """A press, and records to publish one after another."""

    def __init__(self, *ends: End) -> None:
        self.client = Producer(*ends)
        self._position = 0
        producer: Any = self.client
        troubles = Troubles()
        self._press = Press(producer, TOPICS, Metrics(), troubles, troubles.sit_out)

    async def publish(self, count: int = 3) -> None:
        first, self._position = self._position, self._position + count
        outcomes = [Deleted(Record(Partition("in", 0, 1), first + n, b"k", None)) for n in range(count)]
        await self._press.publish(compose(outcomes, TOPICS), permitted)


async def permitted() -> bool:
    return True


def play(main: Callable[[], Awaitable[None]]) -> None:
    """Run it in virtual time, and end what it leaves."""

    async def whole() -> None:
        others = asyncio.all_tasks()
        await main()
        for task in asyncio.all_tasks() - others:
            task.cancel()

    virtual_time.run(whole())


DENIED, LARGE = errors.TopicAuthorizationFailedError("out"), errors.MessageSizeTooLargeError()
INVALID, MOVED = InvalidRecordError(), errors.NotLeaderForPartitionError()


@pytest.mark.parametrize(
    "ends",
    [
        [("client", DENIED)],
        [("broker", DENIED)],
        [("broker", MOVED), ("broker", MOVED)],
        [("client", DENIED), ("broker", DENIED), ("broker", LARGE), ("client", DENIED)],
        [("broker", INVALID), ("broker", INVALID), ("client", DENIED), ("broker", DENIED)],
    ],
)
def test_no_number_is_left_out_or_given_twice(ends: Sequence[End]) -> None:
    """Whoever refuses a batch, the broker sees records of each topic numbered 0, 1, 2: a number twice would be lost."""

    async def main() -> None:
        publishing = Publishing(*ends)
        for _ in range(3):
            await publishing.publish()
        taken = publishing.client.taken
        assert all(numbers == list(range(len(numbers))) for numbers in taken.values())
        assert sum(map(len, taken.values())) == 9

    play(main)


@pytest.mark.parametrize(
    "ends",
    [
        [("broker", MOVED), ("broker", LARGE)],
        [("broker", errors.UnknownError())],
        [("client", AssertionError("no such partition"))],
    ],
)
def test_where_nobody_knows_what_the_broker_has_the_run_ends(ends: Sequence[End]) -> None:
    """Refused when it was sent again, an error of the broker's own, a partition that is gone: no number is guessed."""

    async def main() -> None:
        with pytest.raises(StartAgain, match="publish to out-0"):
            await Publishing(*ends).publish()

    play(main)


def test_what_is_given_up_before_it_left_never_leaves() -> None:
    """Cancelled while its partition has no leader, a batch is not sent once it has one, and nothing waits behind it."""

    async def main() -> None:
        publishing = Publishing()
        publishing.client.led = False
        await given_up(publishing.publish(), after=3 * TURN)
        publishing.client.led = True
        await publishing.publish(1)
        assert publishing.client.taken["out"] == [0]

    play(main)


def test_what_is_given_up_between_two_tries_never_leaves_again() -> None:
    """Refused for want of a leader once, and cancelled while it waits for one, a batch is not sent a second time."""

    async def main() -> None:
        publishing = Publishing(("broker", MOVED))
        giving_up = asyncio.create_task(given_up(publishing.publish(), after=10 * TURN))
        await asyncio.sleep(1.5 * TURN)
        publishing.client.led = False
        await giving_up
        publishing.client.led = True
        await asyncio.sleep(10 * TURN)
        assert publishing.client.taken["out"] == []

    play(main)


def test_what_is_given_up_under_way_is_the_last_that_its_producer_sends() -> None:
    """Nobody can call it back, but nothing sends it again, and whoever publishes next hears that the run is over."""

    async def main() -> None:
        publishing = Publishing(("broker", MOVED))
        await given_up(publishing.publish(), after=1.5 * TURN)
        with pytest.raises(StartAgain, match="ProducerClosed"):
            await publishing.publish()
        await asyncio.sleep(10 * TURN)
        assert publishing.client.taken["out"] == []

    play(main)


def test_both_topics_are_asked_for_once_they_are_written() -> None:
    """An answer of the brokers that lacks one of them does not make the client forget the other."""

    async def main() -> None:
        publishing = Publishing(("broker", LARGE), ("broker", LARGE))
        await publishing.publish()
        assert publishing.client.topics == {"out", "dead"}

    play(main)


async def given_up(publishing: Awaitable[None], after: float) -> None:
    """Cancel it after a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(after):
            await publishing
        raise AssertionError("it was published")
