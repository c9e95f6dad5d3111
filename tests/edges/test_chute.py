"""The way into a partition: who waits shares the next batch, who is refused in company goes alone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.messages import Message
from entity_stream.edges.chute import Chute, Outcast
from tests import virtual_time

ROOM = 1_000
"""Bytes of a batch."""


class Filling:
    """A batch as the client makes them: the first message fits, and once one does not, none does."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._full = False

    def append(self, *, value: bytes, **_: object) -> bool:
        self._full = self._full or (bool(self.values) and sum(map(len, self.values)) + len(value) > ROOM)
        self.values += [] if self._full else [value]
        return not self._full


class Topic:
    """One partition: takes a batch in a tenth of a second, and refuses those with a zero in them."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.under_way = 0
        self.ours, self.proof = True, 0.0
        self.failure: Exception | None = None
        self.chute = Chute(Filling, self._send)

    async def _send(self, batch: Filling) -> KafkaError | None:
        assert not self.under_way, "two batches at once"
        self.under_way += 1
        try:
            await asyncio.sleep(0.1)
        finally:
            self.under_way -= 1
        if self.failure:
            raise self.failure
        if b"0" in batch.values:
            return MessageSizeTooLargeError()
        self.batches.append(batch.values)
        return None

    async def permitted(self) -> bool:
        await asyncio.sleep(self.proof)
        return self.ours

    async def put(self, *values: bytes) -> tuple[int, KafkaError | None]:
        messages = [Message("t", None, value, ()) for value in values]
        return await self.chute.put(messages, self.permitted)


def run(play: Callable[[Topic], Awaitable[object]]) -> Topic:
    async def main() -> Topic:
        topic = Topic()
        await play(topic)
        return topic

    return virtual_time.run(main())


def test_who_waits_goes_in_together() -> None:
    """Senders that come at once share a batch, those that come while it is under way the next one."""

    async def play(topic: Topic) -> None:
        first = [asyncio.create_task(topic.put(b"1")), asyncio.create_task(topic.put(b"2", b"3"))]
        await asyncio.sleep(0.05)
        assert await asyncio.gather(topic.put(b"4"), topic.put(b"5"), *first) == [
            (1, None),
            (1, None),
            (1, None),
            (2, None),
        ]

    assert run(play).batches == [[b"1", b"2", b"3"], [b"4", b"5"]]


def test_who_is_refused_in_company_goes_alone() -> None:
    """A refusal is told only to whose messages it is of; all others come in."""

    async def play(topic: Topic) -> None:
        *good, bad = await asyncio.gather(topic.put(b"1"), topic.put(b"2"), topic.put(b"0", b"3"))
        assert good == [(1, None), (1, None)]
        assert bad[0] == 2
        assert isinstance(bad[1], MessageSizeTooLargeError)

    assert run(play).batches == [[b"1"], [b"2"]]


@given(st.lists(st.lists(st.integers(1, 600), min_size=1, max_size=9), min_size=1, max_size=9), st.data())
def test_everything_comes_in_once_and_in_order(senders: list[list[int]], data: st.DataObject) -> None:
    """However much each has, and whoever leaves: what of a sender came in is the first of it, in order, and once."""
    leaving = data.draw(st.lists(st.booleans(), min_size=len(senders), max_size=len(senders)))
    loads = [[b"%d %d " % (n, m) + b"x" * size for m, size in enumerate(sizes)] for n, sizes in enumerate(senders)]

    async def send(topic: Topic, values: list[bytes]) -> None:
        while values:
            count, refusal = await topic.put(*values)
            assert refusal is None
            assert count
            values = values[count:]

    async def play(topic: Topic) -> None:
        topic.proof = data.draw(st.sampled_from([0.0, 0.05]))
        tasks = [asyncio.create_task(send(topic, load)) for load in loads]
        await asyncio.sleep(data.draw(st.floats(0, 0.5)))
        for task in [task for task, leaves in zip(tasks, leaving, strict=True) if leaves]:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(1)

    came = [value for batch in run(play).batches for value in batch]
    for number, load in enumerate(loads):
        own = [value for value in came if value.startswith(b"%d " % number)]
        assert own == load[: len(own)]
        assert leaving[number] or own == load


@pytest.mark.parametrize("failure", [RuntimeError("bug"), Outcast()])
def test_what_ends_a_batch_is_told_to_all_whose_it_was(failure: Exception) -> None:
    """Neither a failure nor a right that is lost is one sender's alone; who came later finds out himself."""

    async def play(topic: Topic) -> None:
        topic.failure, topic.ours = failure, not isinstance(failure, Outcast)
        ended = await asyncio.gather(topic.put(b"1"), topic.put(b"2"), return_exceptions=True)
        assert [type(each) for each in ended] == [type(failure)] * 2
        topic.failure, topic.ours = None, True
        assert await topic.put(b"3") == (1, None)

    assert run(play).batches == [[b"3"]]


def test_a_batch_that_nobody_waits_for_is_waited_for_no_longer() -> None:
    """Only when all whose it is have left; else the others still hear how it ended."""

    async def play(topic: Topic) -> None:
        one, other = asyncio.create_task(topic.put(b"1")), asyncio.create_task(topic.put(b"2"))
        await asyncio.sleep(0.05)
        one.cancel()
        assert await other == (1, None)
        last = asyncio.create_task(topic.put(b"3"))
        await asyncio.sleep(0.05)
        last.cancel()
        await asyncio.sleep(0.01)
        assert not topic.under_way
        assert await topic.put(b"4") == (1, None)

    assert run(play).batches == [[b"1", b"2"], [b"4"]]


def test_a_refusal_is_of_all_that_were_in_a_batch() -> None:
    """Also where the one whose fault it was has left: the others send theirs again, and are not blamed."""

    async def play(topic: Topic) -> None:
        good, bad = asyncio.create_task(topic.put(b"1")), asyncio.create_task(topic.put(b"0"))
        await asyncio.sleep(0.05)
        bad.cancel()
        assert await good == (1, None)

    assert run(play).batches == [[b"1"]]


def test_who_leaves_as_the_batch_before_ends_is_not_in_the_next() -> None:
    """He has left from the moment when he is cancelled, whoever runs first."""

    async def play(topic: Topic) -> None:
        first = asyncio.create_task(topic.put(b"1"))
        await asyncio.sleep(0)
        second = asyncio.create_task(topic.put(b"2"))
        first.add_done_callback(lambda _: second.cancel())
        await asyncio.wait([first, second])
        await asyncio.sleep(1)

    assert run(play).batches == [[b"1"]]


def test_a_message_that_cannot_be_put_in_is_told_to_its_sender() -> None:
    """It is a bug, and ends the run: nobody waits for ever."""

    async def play(topic: Topic) -> None:
        with pytest.raises(TypeError):
            async with asyncio.timeout(10):
                await topic.put(b"1", 2)  # type: ignore[arg-type]

    assert run(play).batches == []


def test_who_leaves_before_a_batch_is_sent_takes_his_messages_along() -> None:
    """What is ours has to be proved first; a partition may be let go meanwhile, and its new owner publishes then."""

    async def play(topic: Topic) -> None:
        topic.proof = 1.0
        first, other, last = (asyncio.create_task(topic.put(value)) for value in (b"1", b"2", b"3"))
        await asyncio.sleep(0.5)
        first.cancel()
        last.cancel()
        assert await other == (1, None)

    assert run(play).batches == [[b"2"]]


def test_that_a_batch_may_be_sent_is_seen_once_it_is_filled() -> None:
    """Whoever is stopped while he fills it, and woken when it is another's, does not send it."""

    class Stopped(Filling):
        def append(self, *, value: bytes, **rest: object) -> bool:
            topic.ours = False
            return super().append(value=value, **rest)

    topic = Topic()

    async def main() -> None:
        topic.chute = Chute(Stopped, topic._send)
        with pytest.raises(Outcast):
            await topic.put(b"1")

    virtual_time.run(main())
    assert topic.batches == []


def test_a_proof_that_fails_is_told_to_all() -> None:
    """It is a failure like any other, and nobody waits for ever."""

    async def play(topic: Topic) -> None:
        async def fail() -> bool:
            raise RuntimeError

        puts = [topic.chute.put([Message("t", None, b"1", ())], fail) for _ in range(2)]
        ended = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(each) for each in ended] == [RuntimeError] * 2

    assert run(play).batches == []
