"""Looks that fail: whoever divides the quota by them hears of each; in virtual time."""

import asyncio
from contextlib import suppress
from typing import cast

import pytest
from aiokafka import AIOKafkaConsumer, errors
from structlog.testing import capture_logs

from entity_stream.core.backlog import Look
from entity_stream.core.model import Place
from entity_stream.core.share import FRESH, LOOK_EVERY
from entity_stream.edges.kafka_backlog import KafkaBacklog
from tests import virtual_time


class Away:
    """A consumer that knows its topics, and whose brokers refuse, or do not answer."""

    def __init__(self, topics: dict[str, set[int]], *, mute: bool = False) -> None:
        self._client = self
        self._topics, self._mute = topics, mute

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._topics.get(topic)

    async def coordinator_lookup(self, *_: object) -> int:
        if self._mute:
            await asyncio.Event().wait()
        raise errors.GroupCoordinatorNotAvailableError

    async def send(self, *_: object) -> object:
        raise errors.NodeNotReadyError


def missed(consumer: Away, seconds: float) -> tuple[list[tuple[float, list[Place]]], list[str]]:
    """Watch two topics for a while; return when it was told of which partitions, and the levels of the log."""
    told: list[tuple[float, list[Place]]] = []
    looks: list[Look] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        began, backlog = clock(), KafkaBacklog(cast("AIOKafkaConsumer", consumer), "g", ["in", "more"])
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await backlog.watch(looks.append, miss=lambda group, _: told.append((clock() - began, list(group))))

    with capture_logs() as logs:
        virtual_time.run(main())
    assert not looks
    return told, [entry["log_level"] for entry in logs if entry["event"] == "backlog.not_seen"]


@pytest.mark.parametrize("mute", [False, True])
def test_each_look_that_fails_is_told_and_the_first_is_logged(mute: bool) -> None:
    """Whoever hears is given the partitions as the client knows them, every three seconds; the log has one warning."""
    told, levels = missed(Away({"in": {1, 0}, "more": {0}}, mute=mute), 60.0)
    first = FRESH if mute else 0.0
    assert [at for at, _ in told] == pytest.approx([first + LOOK_EVERY * n for n in range(20)], abs=0.01)
    assert {tuple(group) for _, group in told} == {(("in", 0), ("in", 1), ("more", 0))}
    assert levels == ["warning"] + ["debug"] * (len(told) - 1)


def test_a_topic_that_is_not_known_makes_no_group() -> None:
    """The partitions of the others alone would pass for all there are."""
    told, _ = missed(Away({"in": {0}}), 1.0)
    assert told == [(0.0, [])]
