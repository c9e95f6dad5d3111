"""Looks at all that the group still has to do, also where others do it: positions, journals and logs of its topics.

It asks by the consumer's own connections, between its other requests: nobody joins, nothing is moved, and a broker that
does not answer costs a look and nothing else.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DescribeGroupsRequest

from entity_stream.core.backlog import Look, parts
from entity_stream.core.inspection import Log
from entity_stream.edges.journals import committed, leader

log = structlog.get_logger("entity_stream.kafka")

LOOK_EVERY = 3.0
"""Seconds between two looks."""

PATIENCE = 10.0
"""Seconds that one look may take: one that is older tells nothing."""

Hear = Callable[[Look], None]
"""Is given each look, at once."""


class KafkaBacklog:
    """What is left of some topics, for the group that a consumer is a member of."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str, topics: Collection[str]) -> None:
        self._consumer, self._group, self._topics = consumer, group, topics

    async def watch(self, *hearers: Hear) -> None:
        """Look every now and then, for ever; what the brokers do not tell now is asked for the next time."""
        while True:
            if seen := await self._glance():
                for hear in hearers:
                    hear(seen)
            await asyncio.sleep(LOOK_EVERY)

    async def _glance(self) -> Look | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.look()
        except (errors.KafkaError, TimeoutError) as error:
            log.debug("backlog.not_seen", reason=repr(error))
        return None

    async def look(self) -> Look:
        """Look once. Positions are asked for first: so nobody who has something to do is taken for idle."""
        client: AIOKafkaClient = self._consumer._client  # noqa: SLF001 (its connections are all we need)
        began = asyncio.get_running_loop().time()
        places = [TopicPartition(topic, index) for topic in self._topics for index in self._indexes(topic)]
        commits = await committed(client, self._group, places)
        members = await _told(self._members(client))
        starts = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        found = parts(commits, {place: Log(starts[place], ends[place]) for place in places})
        return Look(began, found, members, ahead=time.time() - asyncio.get_running_loop().time())

    def _indexes(self, topic: str) -> Collection[int]:
        if not (found := self._consumer.partitions_for_topic(topic)):
            raise errors.UnknownTopicOrPartitionError(topic)  # and a look without it would call the group idle
        return sorted(found)

    async def _members(self, client: AIOKafkaClient) -> int:
        """Count the members of the group, as its coordinator knows them."""
        answer = await client.send(await leader(client, self._group), DescribeGroupsRequest([self._group]))
        [(code, _, _, _, _, members, *_)] = answer.groups
        if code:
            raise errors.for_code(code)(self._group)
        return len(members)


async def _told(asking: Awaitable[int]) -> int | None:
    """Await an answer that not every broker gives, and that not everybody may have."""
    try:
        return await asking
    except (errors.IncompatibleBrokerVersion, errors.GroupAuthorizationFailedError):
        return None
