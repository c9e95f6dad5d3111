"""A takeover that the group calls off; in virtual time, without a broker. The rest is in tests/integration."""

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import TopicPartition

from entity_stream.edges.kafka_membership import Standing
from entity_stream.edges.kafka_source import KafkaSource
from entity_stream.edges.telemetry import Metrics
from entity_stream.ports import Fetched
from tests import virtual_time

PLACE = TopicPartition("in", 0)


class Membership:
    """The group knows us."""

    standing = Standing(7, "we")

    def hold(self, partitions: Collection[object], under: Standing) -> None:
        """Hold what we are given."""

    async def confirm(self, standing: Standing) -> bool:
        await self.meanwhile()
        return standing == self.standing

    async def meanwhile(self) -> None:
        """Do what else happens while we ask."""


class Fence:
    """Takes a minute, and a moment to stop in the middle."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def __call__(self, places: Collection[TopicPartition]) -> None:
        self.said.append("begun")
        try:
            await asyncio.sleep(60)
            self.said.append("fenced")
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            self.said.append("cut off")
            raise


def made(fence: Fence, group: Membership | None = None) -> KafkaSource:
    nobody: Any = None
    membership: Any = group or Membership()
    return KafkaSource(nobody, "in", membership, fence, Metrics())


async def fencing(fence: Fence) -> tuple[KafkaSource, "asyncio.Task[Fetched]"]:
    """Be given a partition, and begin to take it over."""
    source = made(fence)
    source.assigned([PLACE])
    reading = asyncio.create_task(source.read(1.0))
    await asyncio.sleep(1)
    return source, reading


def test_partitions_go_only_once_a_fence_under_way_is_cut_off() -> None:
    """Who is given them next would be fenced by us; whoever reads claims nothing then, and is not cancelled."""

    async def main() -> None:
        fence = Fence()
        source, reading = await fencing(fence)
        await source.revoked()
        assert fence.said == ["begun", "cut off"]
        fetched = await reading
        assert (list(fetched.claims), list(fetched.records)) == ([], [])

    virtual_time.run(main())


def test_what_was_taken_while_the_group_was_asked_is_not_fenced() -> None:
    """While it rebalances the group still knows us: that we are a member does not say that they are ours."""

    async def main() -> None:
        fence, group = Fence(), Membership()
        source = made(fence, group)
        group.meanwhile = source.revoked  # type: ignore[method-assign]
        source.assigned([PLACE])
        fetched = await source.read(1.0)
        assert (list(fetched.claims), fence.said) == ([], [])

    virtual_time.run(main())


def test_who_stops_reading_in_the_middle_of_a_fence_cuts_it_off() -> None:
    """No fence goes on that nobody waits for."""

    async def main() -> None:
        fence = Fence()
        _, reading = await fencing(fence)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert (reading.cancelled(), fence.said) == (True, ["begun", "cut off"])

    virtual_time.run(main())
