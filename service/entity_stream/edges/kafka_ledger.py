"""At-least-once: every outcome is acknowledged by the brokers, then the position is committed, never the other way.

One idempotent producer. A commit carries the positions of whoever waits, and whoever it carried learns what came of it.
"""

import asyncio
import math
from collections.abc import Collection, Sequence

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.messages import Topics
from entity_stream.core.model import Outcome, Partition
from entity_stream.edges.chute import Outcast
from entity_stream.edges.kafka_membership import Membership
from entity_stream.edges.publishing import Press, compose
from entity_stream.edges.telemetry import Metrics
from entity_stream.edges.troubles import Troubles
from entity_stream.moments import Errand, now
from entity_stream.ports import Lease

log = structlog.get_logger("entity_stream.kafka")

PACE = 0.03
"""Seconds between the beginnings of two commits: where there is little to do one would follow upon the other, each with
little in it. Under full load they come less often by themselves. The price: the name of a job waits for up to two of
these, and who is killed meanwhile has it paid again."""


class KafkaLedger:
    """Publishes with a producer, commits as the member that reads."""

    def __init__(self, membership: Membership, producer: AIOKafkaProducer, topics: Topics, metrics: Metrics) -> None:
        self._membership, self._producer, self._topics, self._metrics = membership, producer, topics, metrics
        self._troubles = Troubles()
        self._press = Press(producer, topics, metrics, self._troubles, self._troubles.sit_out)
        self._round = _Round()  # what the next commit carries
        self._last = -math.inf  # when the last commit was begun
        self._committing = Errand()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be published or committed, if that is so."""
        return self._troubles.first or self._membership.trouble

    async def start(self) -> None:
        """Connect to the brokers."""
        await self._producer.start()

    async def close(self) -> None:
        """Send what was taken, and leave the brokers."""
        await self._producer.stop()

    async def fence(self, places: Collection[TopicPartition]) -> None:
        """Do nothing: a commit says under which generation it was begun, and the group takes it under no other."""

    async def prove(self) -> Lease | None:
        """Prove that what we hold is ours."""
        return await self._membership.lease()

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> bool:
        """Publish, have every outcome acknowledged, commit; False leaves it, and all that follows, to the next owner.

        A later commit would claim what was left: whoever settles takes what it hands over for finished.
        """
        settled = self._membership.holds(partition)
        if settled and outcomes:
            with self._metrics.stage("publish"):
                settled = await self._publish(outcomes)
        if settled:
            with self._metrics.stage("commit"):
                settled = await self._commit(partition, position, journal)
        if not settled:
            log.warning("commit.refused", partition=partition.index, outcomes=len(outcomes))
        return settled

    async def _publish(self, outcomes: Sequence[Outcome]) -> bool:
        try:
            await self._press.publish(compose(outcomes, self._topics), self._membership.prove)
        except Outcast:
            return False
        return True

    async def _commit(self, partition: Partition, position: int, journal: bytes) -> bool:
        """Commit together with whoever else waits: one request carries the positions of all, who go on together."""
        place, carried = TopicPartition(partition.topic, partition.index), self._round
        mine = carried.positions[place] = OffsetAndMetadata(position, journal.decode())
        try:
            while carried.settled is None:
                if not await self._committing.seen_out():
                    await self._send(carried)
        finally:
            if carried.settled is None and carried.positions.get(place) is mine:
                del carried.positions[place]  # we are cancelled: nobody may carry it later
        if carried.settled:
            self._membership.positions[partition] = position
        return carried.settled

    async def _send(self, carried: "_Round") -> None:
        with self._committing.run():
            await asyncio.sleep(self._last + PACE - now())  # who comes meanwhile goes along
            self._last = now()
            if carried is self._round:
                self._round = _Round()
            with self._troubles.telling("waiting for the group's coordinator to take a commit"):
                carried.settled = await self._membership.commit(carried.positions)


class _Round:
    """The positions that one commit carries, and whether it settled them."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, OffsetAndMetadata] = {}
        self.settled: bool | None = None
