"""What the producer has counted of a batch that is refused is taken back, and nothing else; brokers in memory."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition, errors
from aiokafka.producer.transaction_manager import TransactionManager

from entity_stream.core.messages import Topics
from entity_stream.core.model import Deleted, Partition, Record
from entity_stream.edges.publishing import Press, compose
from entity_stream.edges.telemetry import Metrics
from entity_stream.edges.troubles import Troubles
from tests import virtual_time

TOPICS = Topics("out", "dead")


class Batch:
    """What is sent at once."""

    def __init__(self) -> None:
        self._count = 0

    def append(self, **_: object) -> bool:
        self._count += 1
        return True

    def record_count(self) -> int:
        return self._count


class Producer:
    """Numbers records as they leave, as aiokafka does; some batches it does not take, some the broker refuses."""

    def __init__(self, *ends: tuple[str, errors.KafkaError]) -> None:
        self._ends = iter(ends)
        self._txn_manager = TransactionManager(None, 60_000)
        self.taken: list[tuple[str, int]] = []  # topic and number of each record that the broker took
        cluster = SimpleNamespace(partitions_for_topic=lambda _: {0}, available_partitions_for_topic=lambda _: {0})
        self.client = SimpleNamespace(cluster=cluster, _wait_on_metadata=self._wait_on_metadata)
        self.create_batch = Batch

    async def _wait_on_metadata(self, topic: str) -> None:
        return

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> "asyncio.Future[None]":
        by, refusal = next(self._ends, ("nobody", None))
        if refusal and by == "client":
            raise refusal
        place = TopicPartition(topic, partition)
        first = self._txn_manager.sequence_number(place)
        self._txn_manager.increment_sequence_number(place, batch.record_count())
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if refusal:
            sent.set_exception(refusal)
        else:
            self.taken += [(topic, first + n) for n in range(batch.record_count())]
            sent.set_result(None)
        return sent


async def permitted() -> bool:
    return True


DENIED, LARGE = errors.TopicAuthorizationFailedError("out"), errors.MessageSizeTooLargeError()


@pytest.mark.parametrize(
    "ends",
    [
        [("client", DENIED)],
        [("broker", DENIED)],
        [("client", DENIED), ("broker", DENIED), ("broker", LARGE), ("client", DENIED)],
        [("broker", LARGE), ("broker", LARGE), ("client", DENIED), ("broker", DENIED)],
    ],
)
def test_no_number_is_left_out_or_given_twice(ends: Sequence[tuple[str, errors.KafkaError]]) -> None:
    """Whoever refuses a batch, the broker sees records of each topic numbered 0, 1, 2: a number twice would be lost."""

    async def main() -> None:
        client: Any = Producer(*ends)
        troubles = Troubles()
        press = Press(client, TOPICS, Metrics(), troubles, troubles.sit_out)
        partition = Partition("in", 0, 1)
        for first in (0, 3, 6):
            outcomes = [Deleted(Record(partition, first + n, b"k", None)) for n in range(3)]
            await press.publish(compose(outcomes, TOPICS), permitted)
        numbers = {topic: [number for at, number in client.taken if at == topic] for topic in ("out", "dead")}
        assert all(each == list(range(len(each))) for each in numbers.values())
        assert len(client.taken) == 9

    virtual_time.run(main())
