"""Exactly-once: results, dead letters, tombstones, position and journal of a settle are one transaction, or nothing.

Each input partition has a transactional id of its own, so whoever claims it ends and fences whatever an older owner has
begun. Nothing is rebuilt in place: a fenced producer, or a settle whose end is unknown, ends the run without another
commit.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import structlog
from aiokafka import TopicPartition, errors
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.messages import Message, Topics
from entity_stream.core.mistake import Mistake, leaves
from entity_stream.core.model import Outcome, Partition
from entity_stream.edges.chute import Outcast, Permitted
from entity_stream.edges.kafka_connection import connected, unsupported
from entity_stream.edges.kafka_membership import Membership
from entity_stream.edges.kafka_writer import (
    Blocked,
    Positions,
    Writer,
    new_transactional_producer,
    refuse_to_wait,
    retire,
)
from entity_stream.edges.publishing import Letter, Press, compose
from entity_stream.edges.telemetry import Metrics
from entity_stream.edges.troubles import Troubles
from entity_stream.plan import KafkaConnection
from entity_stream.ports import Lease, StartAgain

log = structlog.get_logger("entity_stream.kafka")

DELIVERY = "ENTITY_STREAM_DELIVERY"

NEEDED = {
    "InitProducerId": (22, 0),
    "AddPartitionsToTxn": (24, 0),
    "AddOffsetsToTxn": (25, 0),
    "EndTxn": (26, 0),
    "TxnOffsetCommit": (28, 0),
    "OffsetFetch 7": (9, 7),
}
"""Requests, by key and version, of brokers that we begin a transaction with.

OffsetFetch 7 came with Kafka 2.5, the oldest with which exactly-once is meant to work across rebalances (KIP-447). It
is never sent; it tells a broker from librdkafka's mock cluster, which forgets positions that are set in a transaction.
"""


UNKNOWN_END = (errors.KafkaError, errors.IllegalOperation, AssertionError)
"""What aiokafka raises where a transaction cannot go on; it asserts which state one is in."""


def transactional_id(connection: KafkaConnection, *of: object) -> str:
    """Name who may begin a transaction. No prefix and no topic has a ':', so no two partitions share an id."""
    return ":".join(map(str, (connection.transactional_id_prefix, connection.group, *of)))


async def require_transactions(connection: KafkaConnection) -> None:
    """Raise the Mistake that says why these brokers let us have no transactions. None is ever begun with this id."""
    producer = new_transactional_producer(connection, transactional_id(connection, "start"))
    try:
        await connected(producer.client.bootstrap(), connection)
        if lacking := await unsupported(producer.client, NEEDED):
            raise Mistake(
                f"these brokers have no transactions that hold positions: {', '.join(lacking)} is not theirs",
                f"{DELIVERY}=exactly_once",
                f"Set {DELIVERY}=at_least_once, or use Apache Kafka 2.5 or later.",
            )
        await connected(producer.start(), connection)
    finally:
        await retire(producer)


class TransactionalLedger:
    """Settles each partition with a producer of its own."""

    def __init__(self, membership: Membership, connection: KafkaConnection, topics: Topics, metrics: Metrics) -> None:
        self._membership, self._connection, self._topics, self._metrics = membership, connection, topics, metrics
        self._troubles = Troubles()
        self._writers: dict[TopicPartition, Writer] = {}
        self._lost: str | None = None  # why nothing more is committed in this run

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published or committed, if that is so."""
        return self._troubles.first or self._membership.trouble

    async def start(self) -> None:
        """See whether these brokers let us have transactions. Raises Mistake."""
        await require_transactions(self._connection)

    async def close(self) -> None:
        """Use no producer any more; a transaction that is open is left to the next owner, whose fence aborts it."""
        writers, self._writers = self._writers.values(), {}
        await asyncio.gather(*(writer.retire() for writer in writers))

    async def fence(self, places: Collection[TopicPartition]) -> None:
        """Take partitions over: when this returns, whatever was begun for them before has ended, either way."""
        await self.close()
        self._writers = {place: self._writer(place) for place in places}
        try:
            async with asyncio.TaskGroup() as starting:
                for writer in self._writers.values():
                    starting.create_task(writer.start())
        except ExceptionGroup as refused:  # the others have been cancelled: no start goes on that nobody waits for
            raise next(leaves(refused)) from refused

    def _writer(self, place: TopicPartition) -> Writer:
        name = transactional_id(self._connection, place.topic, place.partition)
        producer = new_transactional_producer(self._connection, name)
        press = Press(producer, self._topics, self._metrics, self._troubles, refuse_to_wait)
        return Writer(producer, press, self._connection.group, self._metrics)

    async def prove(self) -> Lease | None:
        """Prove that what we hold is ours. No transaction proves it: it does not say which member it is of."""
        return await self._membership.lease()

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> bool:
        """Settle in one transaction. One in which a message was refused is aborted, and another begun without it."""
        place = TopicPartition(partition.topic, partition.index)
        end = {place: OffsetAndMetadata(position, journal.decode())}
        letters = compose(outcomes, self._topics)
        try:
            while instead := await self._attempt(place, letters, end, partial(self._permit, partition)):
                letters = [(instead.get(outcome.record.offset, message), outcome) for message, outcome in letters]
        except Outcast:
            log.warning("commit.refused", partition=partition.index, outcomes=len(outcomes))
            return False
        self._membership.positions[partition] = position
        return True

    async def _permit(self, partition: Partition) -> bool:
        """Tell whether a partition is ours, right before anything is done for it."""
        if self._lost:
            raise StartAgain(self._lost)
        return self._membership.holds(partition)

    async def _attempt(
        self, place: TopicPartition, letters: Sequence[Letter], end: Positions, permitted: Permitted
    ) -> Mapping[int, Message]:
        """Try until the transaction ends. Anything that leaves its end unknown ends the run."""
        while await permitted():
            try:
                with self._troubles.telling(f"waiting to settle {place.topic}-{place.partition}"):
                    return await self._writers[place].settle(letters, end, permitted)
            except Blocked as on:
                await self._troubles.sit_out(on.topic, on.error)
            except UNKNOWN_END as error:
                self._lost = f"settle {place.topic}-{place.partition}: {error!r}"
                raise StartAgain(self._lost) from error
            except StartAgain as again:
                self._lost = str(again)
                raise
        raise Outcast
