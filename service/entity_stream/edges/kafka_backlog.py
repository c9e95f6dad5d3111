"""Looks at all that the group still has to do, also where others do it: positions, journals and logs of its topics.

It asks by the consumer's own connections, between its other requests: nobody joins, nothing is moved. Where a broker
does not answer, that is told instead: who knows nothing of the others must not go on as if nothing had changed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DescribeGroupsRequest

from entity_stream.core.backlog import Look, parts
from entity_stream.core.model import Place
from entity_stream.core.share import FRESH, LOOK_EVERY
from entity_stream.edges.journals import committed, leader, logs_of, raise_for
from entity_stream.moments import now

log = structlog.get_logger("entity_stream.kafka")

Hear = Callable[[Look], None]
"""Is given each look, at once."""

Miss = Callable[[Collection[Place], float], None]
"""Is told of each look that failed: the partitions of the group, none where they are not known, and `Look.ahead`."""


def _nobody(_: Collection[Place], __: float) -> None:
    """Hear of no look that failed."""


class KafkaBacklog:
    """What is left of some topics, for the group that a consumer is a member of."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str, topics: Collection[str]) -> None:
        self._consumer, self._group, self._topics = consumer, group, topics

    async def watch(self, *hearers: Hear, miss: Miss = _nobody) -> None:
        """Look every now and then, for ever; what the brokers do not tell now is asked for the next time."""
        tell = log.warning
        while True:
            began = now()
            try:
                async with asyncio.timeout(FRESH):
                    seen = await self.look()
            except (errors.KafkaError, TimeoutError) as error:
                tell("backlog.not_seen", reason=repr(error))
                tell = log.debug  # the first in a row is enough
                miss(self._places(), _ahead())
            else:
                tell = log.warning
                for hear in hearers:
                    hear(seen)
            await asyncio.sleep(began + LOOK_EVERY - now())

    async def look(self) -> Look:
        """Look once. Positions are asked for first: so nobody who has something to do is taken for idle."""
        client: AIOKafkaClient = self._consumer._client  # noqa: SLF001 (its connections are all we need)
        began = now()
        places = self._places()
        if not places:
            raise errors.UnknownTopicOrPartitionError(*self._topics)  # a look without one would call the group idle
        commits = await committed(client, self._group, places)
        members = await _told(self._members(client))
        found = parts(commits, await logs_of(self._consumer, places))
        return Look(began, found, members, ahead=_ahead())

    def _places(self) -> list[TopicPartition]:
        """List all partitions, also those without a leader; none as long as one of the topics is not known."""
        found = [(topic, self._consumer.partitions_for_topic(topic)) for topic in self._topics]
        if not all(indexes for _, indexes in found):
            return []
        return [TopicPartition(topic, index) for topic, indexes in found for index in sorted(indexes)]

    async def _members(self, client: AIOKafkaClient) -> int:
        """Count the members of the group, as its coordinator knows them."""
        answer = await client.send(await leader(client, self._group), DescribeGroupsRequest([self._group]))
        [(code, _, _, _, _, members, *_)] = answer.groups
        raise_for(code, self._group)
        return len(members)


def _ahead() -> float:
    return time.time() - now()


async def _told(asking: Awaitable[int]) -> int | None:
    """Await an answer that not every broker gives, and that not everybody may have."""
    try:
        return await asking
    except (errors.IncompatibleBrokerVersion, errors.GroupAuthorizationFailedError):
        return None
