"""What the ledger does when the group goes on without us; brokers in memory, in virtual time.

The rest of it is tested with a real broker, in tests/integration.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Coroutine, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition, errors
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest

from entity_stream.core.messages import Topics
from entity_stream.core.model import Deleted, Outcome, Partition, Record
from entity_stream.edges.kafka_ledger import PACE, KafkaLedger
from entity_stream.edges.kafka_membership import Membership, Standing, freshness, heartbeat, term
from entity_stream.edges.telemetry import Metrics
from entity_stream.moments import now
from entity_stream.ports import StartAgain
from tests import virtual_time

FIRST, SECOND = Partition("in", 1, 1), Partition("in", 2, 1)
SESSION = 45.0


class Group:
    """The coordinator as a client sees it: it answers for the members it knows, and for no generation but its own."""

    def __init__(self) -> None:
        self.group_id, self.generation, self.member_id = "group", 7, "we"
        self.known = Standing(7, "we")
        self.takes = 0.005
        self.troubles: list[type[errors.KafkaError]] = []
        self.said: list[Standing] = []
        self.commits: list[dict[int, int]] = []
        self.rejoins = 0

    async def _send_req(self, said: HeartbeatRequest | OffsetCommitRequest) -> SimpleNamespace:
        standing, topics = _contents(said)
        self.said.append(standing)
        await asyncio.sleep(self.takes)
        code = self._answer(standing)
        if topics and not code:
            self.commits.append({index: offset for _, some in topics for index, offset, _ in some})
        answers = [(topic, [(index, code) for index, *_ in some]) for topic, some in topics]
        return SimpleNamespace(error_code=code, topics=answers)

    def _answer(self, standing: Standing) -> int:
        if standing != self.known:
            return int(errors.UnknownMemberIdError.errno)
        if self.troubles:
            trouble = self.troubles.pop(0)
            if issubclass(trouble, errors.KafkaConnectionError):
                raise trouble
            return int(trouble.errno)
        return 0

    def give_up(self) -> None:
        """Forget us: from now on others have what was ours."""
        self.known = Standing(8, "somebody else")

    def reset_generation(self) -> None:
        self.generation, self.member_id = -1, ""

    def request_rejoin(self) -> None:
        self.rejoins += 1

    def coordinator_dead(self) -> None:
        """Be looked up again, by whom does not matter here."""


def _contents(said: HeartbeatRequest | OffsetCommitRequest) -> tuple[Standing, list[Any]]:
    if isinstance(said, HeartbeatRequest):
        return Standing(said._generation_id, said._member_id), []
    return Standing(said._consumer_group_generation_id, said._consumer_id), said._topics


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
        self.client = SimpleNamespace(cluster=only, add_topic=lambda _: None, _wait_on_metadata=self._wait_on_metadata)
        self.create_batch = Batch
        self._batches: defaultdict[TopicPartition, deque[Any]] = defaultdict(deque)
        self._message_accumulator = SimpleNamespace(_batches=self._batches)

    async def _wait_on_metadata(self, topic: str) -> None:
        return

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> "asyncio.Future[None]":
        sent = asyncio.get_running_loop().create_future()
        queue = self._batches[TopicPartition(topic, partition)]
        queue.append(SimpleNamespace(future=sent))

        def acknowledge() -> None:
            self.published += batch.keys
            queue.clear()
            if not sent.done():
                sent.set_result(None)

        asyncio.get_running_loop().call_later(self.takes, acknowledge)
        return sent


class World:
    """A ledger that holds two partitions, and what it depends on; its clock passes while we are stopped."""

    def __init__(self) -> None:
        self.now = 0.0
        self.group, self.producer = Group(), Producer()
        consumer: Any = SimpleNamespace(_coordinator=self.group)
        self.membership = Membership(consumer, SESSION, lambda: self.now)
        self.membership.hold([FIRST, SECOND], Standing(7, "we"))
        producer: Any = self.producer
        self.ledger = KafkaLedger(self.membership, producer, Topics("out", "dead"), Metrics())

    def settle(self, partition: Partition, offset: int, position: int) -> "asyncio.Task[bool]":
        """Begin to settle one outcome, or none where the offset is negative."""
        outcomes = [tombstone(partition, offset)] if offset >= 0 else []
        return asyncio.create_task(self.ledger.settle(partition, outcomes, position, b""))


def tombstone(partition: Partition, offset: int) -> Outcome:
    return Deleted(Record(partition, offset, b"%d:%d" % (partition.index, offset), None))


async def settled(settling: Sequence["asyncio.Task[bool]"]) -> list[bool]:
    return list(await asyncio.gather(*settling))


def test_who_was_given_up_claims_nothing_that_he_did_not_publish() -> None:
    """Once a settle was left to the next owner, no later one of what we held is published or committed."""

    async def main() -> None:
        world = World()
        assert await world.settle(SECOND, 0, 1)
        world.now += 60  # stopped for longer than the session
        world.group.give_up()
        assert await settled([world.settle(FIRST, 0, 1), world.settle(SECOND, 1, 2)]) == [False, False]
        asked = len(world.group.said)
        assert await settled([world.settle(FIRST, 1, 2), world.settle(FIRST, -1, 2)]) == [False, False]
        assert len(world.group.said) == asked, "for what is lost nobody is asked again"
        assert world.producer.published == [b"2:0"]
        assert world.group.commits == [{2: 1}]
        assert world.membership.positions == {SECOND: 1}

    virtual_time.run(main())


def test_whoever_was_carried_learns_that_the_commit_was_refused() -> None:
    """A commit that carries several partitions is refused for each of them, not only for whoever sent it."""

    async def main() -> None:
        world = World()
        world.group.takes = 1.0
        first = world.settle(FIRST, -1, 1)
        await asyncio.sleep(0.5)
        carrier, carried = world.settle(SECOND, -1, 5), world.settle(FIRST, -1, 2)
        await asyncio.sleep(1.0)  # the second commit is under way
        world.group.give_up()
        assert await settled([first, carrier, carried]) == [True, False, False]
        assert len(world.group.said) == 2
        assert world.membership.positions == {FIRST: 1}

    virtual_time.run(main())


def test_one_commit_carries_all_who_wait() -> None:
    """While one commit is under way the others gather, and go as one; each learns that it is settled."""

    async def main() -> None:
        world = World()
        first = world.settle(FIRST, -1, 1)
        await asyncio.sleep(0.001)
        assert await settled([first, world.settle(SECOND, -1, 5), world.settle(FIRST, -1, 2)]) == [True, True, True]
        assert world.group.commits == [{1: 1}, {2: 5, 1: 2}]

    virtual_time.run(main())


def test_commits_keep_a_pace() -> None:
    """The first after a lull goes at once; who comes soon after it waits for the pace, and all go as one."""

    async def main() -> None:
        world = World()
        start = now()
        assert await world.settle(FIRST, -1, 1)
        assert now() - start == pytest.approx(world.group.takes, abs=1e-3)
        second = world.settle(SECOND, -1, 5)
        await asyncio.sleep(PACE / 2)
        assert await settled([second, world.settle(FIRST, -1, 2)]) == [True, True]
        assert now() - start == pytest.approx(PACE + world.group.takes, abs=1e-3)
        await asyncio.sleep(PACE)
        start = now()
        assert await world.settle(FIRST, -1, 3)
        assert now() - start == pytest.approx(world.group.takes, abs=1e-3)
        assert world.group.commits == [{1: 1}, {2: 5, 1: 2}, {1: 3}]

    virtual_time.run(main())


async def all_in_one_turn(waiting: Sequence[Coroutine[Any, Any, bool]]) -> bool:
    """Tell whether all but the first, who asks for them, hear the answer in the same turn of the event loop."""
    heard: list[bool] = []
    in_that_turn: list[int] = []

    async def hear(answer: Coroutine[Any, Any, bool]) -> None:
        heard.append(await answer)
        if len(heard) == 2:
            asyncio.get_running_loop().call_soon(lambda: in_that_turn.append(len(heard)))

    await asyncio.gather(*map(hear, waiting))
    return all(heard) and in_that_turn == [len(waiting)]


def test_who_waits_for_a_proof_goes_on_with_all_others() -> None:
    """One asks for all. Were they let through one by one, whoever comes meanwhile would stand behind them."""

    async def main() -> None:
        world = World()
        assert await all_in_one_turn([world.membership.prove() for _ in range(50)])
        assert len(world.group.said) == 1

    virtual_time.run(main())


def test_who_is_carried_by_a_commit_goes_on_with_all_others() -> None:
    """What they settle next can share batches and a commit again."""

    async def main() -> None:
        world = World()
        places = [Partition("in", index, 1) for index in range(20)]
        world.membership.hold(places, Standing(7, "we"))
        first = world.settle(places[0], -1, 1)
        await asyncio.sleep(0)
        assert await all_in_one_turn([world.ledger.settle(place, [], 2, b"") for place in places[1:]])
        assert await first
        assert len(world.group.commits) == 2

    virtual_time.run(main())


def test_a_proof_that_comes_too_late_is_none() -> None:
    """Who was stopped, or cut off, until the answer was older than a session asks again."""

    async def main() -> None:
        world = World()
        asking = asyncio.create_task(world.membership.prove())
        await asyncio.sleep(world.group.takes / 2)
        world.now += SESSION
        assert await asking
        assert len(world.group.said) == 2

    virtual_time.run(main())


def test_another_asks_where_whoever_asked_is_cancelled() -> None:
    """A question that is taken back leaves nobody without an answer."""

    async def main() -> None:
        world = World()
        asking, waiting = (asyncio.create_task(world.membership.prove()) for _ in range(2))
        await asyncio.sleep(world.group.takes / 2)
        asking.cancel()
        assert await waiting
        assert len(world.group.said) == 2

    virtual_time.run(main())


def test_another_commits_where_whoever_did_is_cancelled() -> None:
    """What was carried is sent again, without the position of who is gone."""

    async def main() -> None:
        world = World()
        assert await world.settle(FIRST, -1, 1)
        leaving, staying = world.settle(FIRST, -1, 2), world.settle(SECOND, -1, 5)
        await asyncio.sleep(PACE / 2)
        leaving.cancel()
        assert await staying
        assert world.group.commits == [{1: 1}, {2: 5}]

    virtual_time.run(main())


@pytest.mark.parametrize("trouble", [errors.GroupLoadInProgressError, errors.KafkaConnectionError])
def test_a_commit_is_never_repeated_under_another_generation(trouble: type[errors.KafkaError]) -> None:
    """Begun before a rebalance and not acknowledged, it is given up after it: the new owner's is not overwritten."""

    async def main() -> None:
        world = World()
        world.group.troubles = [trouble]
        settling = world.settle(FIRST, -1, 50)
        await asyncio.sleep(0.01)  # refused for now; it is to be sent again
        world.group.known = Standing(8, "we")
        world.group.generation = 8
        assert await settling is False
        assert world.group.said == [Standing(7, "we")]
        assert world.group.generation == 8, "the new standing is left alone"

    virtual_time.run(main())


def test_a_commit_is_repeated_while_we_stay_who_we_are() -> None:
    """What passes is waited out: a coordinator that moves, loads, or is away, and a group that rebalances."""

    async def main() -> None:
        world = World()
        world.group.troubles = [
            errors.NotCoordinatorForGroupError,
            errors.GroupLoadInProgressError,
            errors.KafkaConnectionError,
            errors.RebalanceInProgressError,
        ]
        assert await world.settle(FIRST, 0, 1)
        assert world.group.commits == [{1: 1}]

    virtual_time.run(main())


def test_a_refusal_that_waiting_does_not_mend_ends_the_run() -> None:
    """A right that is taken away, or a journal that is too large, is nothing to repeat."""

    async def main() -> None:
        for error in (errors.GroupAuthorizationFailedError, errors.OffsetMetadataTooLargeError):
            world = World()
            world.group.troubles = [error]
            with pytest.raises(StartAgain, match=error.__name__):
                await world.settle(FIRST, -1, 1)

    virtual_time.run(main())


def test_a_proof_is_asked_for_after_a_lull_only() -> None:
    """Commits prove that we are a member; once the last one is stale the coordinator is asked."""

    async def main() -> None:
        world = World()
        assert await world.settle(FIRST, -1, 1)
        world.group.give_up()
        world.now += freshness(SESSION)
        assert await world.ledger.prove()
        world.now += 1
        assert not await world.ledger.prove()

    virtual_time.run(main())


@pytest.mark.parametrize(("session", "holds_for"), [(1.0, 0.8), (6.0, 4.8), (10.0, 8.0), (45.0, 43.0), (600.0, 598.0)])
def test_a_lease_ends_before_anything_can_go_wrong(session: float, holds_for: float) -> None:
    """It leaves time for two heartbeats, and half of it is left when anything begins."""
    assert term(session) == pytest.approx(holds_for) == session - 2 * heartbeat(session)
    assert freshness(session) == pytest.approx(holds_for / 2)


def test_a_lease_ends_with_its_time_or_with_the_standing() -> None:
    """Who was stopped for longer than its term, or is known as another by now, may not act upon it."""

    async def main() -> None:
        world = World()
        lease = await world.ledger.prove()
        assert lease
        assert lease()
        world.now += term(SESSION)
        assert lease()
        world.now += 0.1
        assert not lease()
        renewed = await world.ledger.prove()
        assert renewed
        assert renewed()
        assert not lease()
        world.group.generation = 8
        assert not renewed()

    virtual_time.run(main())


def test_a_proof_under_another_generation_proves_nothing() -> None:
    """Whoever has joined anew and holds the partitions of before is told that they are not his."""

    async def main() -> None:
        world = World()
        assert await world.ledger.prove()
        world.group.generation = 8
        world.group.known = Standing(8, "we")
        assert not await world.ledger.prove()
        world.membership.hold([Partition("in", 1, 2)], Standing(8, "we"))
        assert await world.ledger.prove()
        assert world.group.said == [Standing(7, "we"), Standing(8, "we")]

    virtual_time.run(main())


def test_a_proof_is_waited_for_while_the_coordinator_is_away() -> None:
    """No answer is neither yes nor no."""

    async def main() -> None:
        world = World()
        world.group.troubles = [errors.KafkaConnectionError] * 100
        assert await world.ledger.prove()
        world.now += SESSION
        world.group.troubles = [errors.RebalanceInProgressError]
        assert await world.ledger.prove(), "a member that is to join anew is one"
        assert world.group.rejoins == 1

    virtual_time.run(main())


def test_a_cancelled_settle_leaves_no_position_for_others_to_commit() -> None:
    """What waited for its commit when the partition was taken from us is not carried by a later commit of another."""

    async def main() -> None:
        world = World()
        world.group.takes = 60.0
        settling = []
        for partition in (FIRST, SECOND):
            settling.append(world.settle(partition, 0, 1))
            await asyncio.sleep(0.1)
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
        world.group.takes = 0.005
        again = Partition("in", 1, 2)
        world.membership.hold([again], Standing(7, "we"))
        assert await world.settle(again, 1, 2)
        assert world.group.commits == [{1: 2}]

    virtual_time.run(main())


def test_a_cancelled_carrier_does_not_take_others_with_it() -> None:
    """Whoever was carried by a commit that was cancelled has it sent again, for itself."""

    async def main() -> None:
        world = World()
        world.group.takes = 1.0
        first = world.settle(FIRST, -1, 1)
        await asyncio.sleep(0.5)
        carrier, carried = world.settle(FIRST, -1, 2), world.settle(SECOND, -1, 5)
        await asyncio.sleep(1.0)
        carrier.cancel()
        assert await settled([first, carried]) == [True, True]
        assert world.group.commits == [{1: 1}, {2: 5}]

    virtual_time.run(main())
