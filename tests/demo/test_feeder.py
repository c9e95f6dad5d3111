"""The feeder holds back: what the demo's broker has no room for, it would forget."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from entity_stream.demo.broker import AHEAD
from entity_stream.demo.documents import Fed
from entity_stream.demo.feeder import AHEAD_IN_ALL, DOCUMENTS_AHEAD, Place, Tally
from tests import virtual_time


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, AHEAD)), max_size=60))
def test_no_more_is_ahead_than_the_broker_keeps(sizes: list[tuple[int, int]]) -> None:
    """Whatever the sizes, what is fed and not out stays within the bounds, and all of it is fed in the end."""

    async def main() -> None:
        tally, waiting = Tally(), asyncio.Queue[tuple[Place, int]]()
        ahead = dict.fromkeys(range(4), 0)

        async def feed() -> None:
            for offset, (partition, size) in enumerate(sizes):
                await tally.room(partition, size)
                tally.sent(Place(partition, offset), Fed(b"", b"x" * size))
                ahead[partition] += size
                assert max(ahead.values()) <= AHEAD
                assert sum(ahead.values()) <= AHEAD_IN_ALL
                waiting.put_nowait((Place(partition, offset), size))

        async def come_out() -> None:
            for _ in sizes:
                place, size = await waiting.get()
                await asyncio.sleep(1)
                ahead[place.partition] -= size
                assert tally.settled(place, rejected=False)

        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            group.create_task(come_out())
        assert (tally.fed, tally.out, tally.pending) == (len(sizes), len(sizes), 0)

    virtual_time.run(main())


def test_small_documents_are_held_back_by_their_number() -> None:
    """Outcomes take room however short their texts: only so many documents are ahead."""

    async def main() -> None:
        tally = Tally()
        for offset in range(DOCUMENTS_AHEAD):
            await tally.room(0, 1)
            tally.sent(Place(0, offset), Fed(b"", b"x"))
        feeding = asyncio.create_task(tally.room(0, 1))
        await asyncio.sleep(100)
        assert not feeding.done()
        tally.settled(Place(0, 0), rejected=False)
        await feeding

    virtual_time.run(main())


def test_an_outcome_counts_once() -> None:
    """A dead letter is counted as one; an outcome that was seen before is not counted again."""
    tally = Tally()
    tally.sent(Place(1, 5), Fed(b"k", b"v"))
    assert tally.settled(Place(1, 5), rejected=True)
    assert tally.settled(Place(1, 5), rejected=True) is None
    assert tally.settled(Place(2, 5), rejected=False) is None
    assert (tally.out, tally.rejected) == (1, 1)
