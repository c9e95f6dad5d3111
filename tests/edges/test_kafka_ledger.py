"""What the ledger does when the group goes on without us; brokers in memory, in virtual time.

The rest of it is tested with a real broker, in tests/integration.
"""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.messages import Topics
from entity_stream.core.model import Deleted, Outcome, Partition, Record
from entity_stream.core.ordering import Order
from entity_stream.edges.kafka_ledger import KafkaLedger
from entity_stream.edges.telemetry import Metrics
from entity_stream.ports import Claim
from entity_stream.tenure import Tenures
from tests import virtual_time

FIRST, SECOND = Partition("in", 1, 1), Partition("in", 2, 1)


class Group:
    """The coordinator as a consumer sees it: once it has given us up, its first answer says so."""

    def __init__(self) -> None:
        self.generation = 7
        self.given_up = False

    async def _do_heartbeat(self) -> bool:
        await asyncio.sleep(0.005)
        if self.given_up:
            self.generation = -1
        return not self.given_up


class Consumer:
    """Commits; a group that has become empty takes a commit from anybody who claims no generation."""

    def __init__(self) -> None:
        self._coordinator = Group()
        self.commits: list[dict[int, int]] = []
        self.takes = 0.005

    async def commit(self, positions: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        await asyncio.sleep(self.takes)
        if self._coordinator.given_up and self._coordinator.generation >= 0:
            raise CommitFailedError
        self.commits.append({place.partition: commit.offset for place, commit in positions.items()})


class Batch:
    """What a producer sends at once."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes | None, headers: list[Any]) -> bool:
        self.keys.append(key)
        return True


class Producer:
    """Publishes to a topic of one partition, acknowledged after a while."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.takes = 0.02
        only = SimpleNamespace(partitions_for_topic=lambda _: {0}, available_partitions_for_topic=lambda _: {0})
        self.client = SimpleNamespace(cluster=only, _wait_on_metadata=self._wait_on_metadata)
        self.create_batch = Batch

    async def _wait_on_metadata(self, topic: str) -> None:
        return

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> "asyncio.Future[None]":
        sent = asyncio.get_running_loop().create_future()

        def acknowledge() -> None:
            self.published += batch.keys
            if not sent.done():
                sent.set_result(None)

        asyncio.get_running_loop().call_later(self.takes, acknowledge)
        return sent


class Clock:
    """The brokers' time, which passes while we are stopped."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tombstone(partition: Partition, offset: int) -> Outcome:
    return Deleted(Record(partition, offset, b"%d:%d" % (partition.index, offset), None))


def test_who_was_given_up_claims_nothing_that_he_did_not_publish() -> None:
    """Once a settle was left to the next owner, no later one of that partition is committed."""

    async def main() -> None:
        consumer, producer, clock = Consumer(), Producer(), Clock()
        ledger = KafkaLedger(consumer, producer, Topics("out", "dead"), Metrics(), 45.0, clock)
        tenures = Tenures(ledger, Order.KEY)
        async with asyncio.TaskGroup() as settlers:
            for partition in (FIRST, SECOND):
                tenures.claim(Claim(partition, 0, b""), settlers)
                for offset in range(3):
                    tenures.begin(tombstone(partition, offset).record)
            tenures.finish([tombstone(SECOND, 0)])
            await asyncio.sleep(0.01)
            clock.now += 60  # stopped, in the middle of a publish; alone in the group, which is empty now
            consumer._coordinator.given_up = True
            tenures.finish([tombstone(FIRST, 0)])
            await asyncio.sleep(0.03)
            tenures.finish([tombstone(FIRST, 1)])
            await tenures.release([FIRST, SECOND], 5.0)
        assert b"1:0" not in producer.published
        assert all(commit.get(1, 0) == 0 for commit in consumer.commits)

    virtual_time.run(main())


def test_a_proof_is_asked_for_after_a_lull_only() -> None:
    """Commits prove that we are a member; without one for half a session the coordinator is asked."""

    async def main() -> None:
        consumer, clock = Consumer(), Clock()
        ledger = KafkaLedger(consumer, Producer(), Topics("out", "dead"), Metrics(), 45.0, clock)
        await ledger.settle(FIRST, [tombstone(FIRST, 0)], 1, b"")
        consumer._coordinator.given_up = True
        clock.now += 20
        assert await ledger.prove()
        clock.now += 5
        assert not await ledger.prove()

    virtual_time.run(main())


def test_a_cancelled_settle_leaves_no_position_for_others_to_commit() -> None:
    """What waited for its commit when the partition was taken from us is not carried by a later commit of another."""

    async def main() -> None:
        consumer = Consumer()
        ledger = KafkaLedger(consumer, Producer(), Topics("out", "dead"), Metrics(), 45.0, Clock())
        consumer.takes = 60.0
        settling = []
        for partition in (FIRST, SECOND):
            settling.append(asyncio.create_task(ledger.settle(partition, [tombstone(partition, 0)], 1, b"")))
            await asyncio.sleep(0.1)
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
        consumer.takes = 0.005
        again = Partition("in", 1, 2)
        await ledger.settle(again, [tombstone(again, 1)], 2, b"")
        assert consumer.commits == [{1: 2}]

    virtual_time.run(main())
