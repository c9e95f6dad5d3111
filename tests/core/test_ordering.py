"""Outcomes leave in the order that was asked for, and none is held when its turn has come."""

from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entity_stream.core.model import Deleted, Outcome, Partition, Reason, Record, Rejected
from entity_stream.core.ordering import Lanes, Order

HERE = Partition("incidents", 0)
KEYS = (None, b"", b"a", b"b")

kinds = st.tuples(st.sampled_from(KEYS), st.booleans())
"""A record's key, and whether it is a tombstone."""


def outcome(offset: int, key: bytes | None = None, tombstone: bool = False) -> Outcome:
    record = Record(HERE, offset, key, None if tombstone else b"x")
    return Deleted(record) if tombstone else Rejected(record, Reason("code", "sentence"))


def must_wait(later: Outcome, earlier: Outcome, order: Order) -> bool:
    """Say what the orders mean, of two records of one partition."""
    one, two = later.record, earlier.record
    if order is Order.PARTITION:
        return True
    if one.key is None or one.key != two.key:
        return False
    return order is Order.KEY or one.value is None or two.value is None


class Reference:
    """The same promise, kept by looking at every pair."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.entered: list[Outcome] = []
        self.ready: set[int] = set()
        self.published: list[int] = []

    def release(self, given_outcome: Outcome) -> set[int]:
        """Return the offsets that may be published now."""
        self.ready.add(given_outcome.record.offset)
        now: set[int] = set()
        for each in self.entered:
            offset = each.record.offset
            if offset in self.ready and offset not in self.published and not self.blocked(each):
                self.published.append(offset)
                now.add(offset)
        return now

    def blocked(self, later: Outcome) -> bool:
        """Tell whether an earlier record that it must wait for is not published."""
        return any(
            must_wait(later, earlier, self.order)
            for earlier in self.entered
            if earlier.record.offset < later.record.offset and earlier.record.offset not in self.published
        )


def in_order(leaving: Iterable[Outcome], order: Order) -> bool:
    """Tell whether nothing leaves behind what should have waited for it."""
    gone: list[Outcome] = []
    for each in leaving:
        if any(before.record.offset > each.record.offset and must_wait(before, each, order) for before in gone):
            return False
        gone.append(each)
    return True


orders = pytest.mark.parametrize("order", Order)


@orders
@settings(max_examples=150, deadline=None)
@given(st.lists(kinds, max_size=20), st.data())
def test_outcomes_leave_when_their_turn_has_come_and_not_before(
    order: Order, given_kinds: list[tuple[bytes | None, bool]], data: st.DataObject
) -> None:
    """Records enter and outcomes come in any interleaving: what leaves at each is what the reference lets go."""
    lanes, reference, left = Lanes(order), Reference(order), list[Outcome]()
    coming = [outcome(10 * offset, *kind) for offset, kind in enumerate(given_kinds)]
    inside: list[Outcome] = []
    while coming or inside:
        if coming and (not inside or data.draw(st.booleans(), "enter")):
            inside.append(coming.pop(0))
            reference.entered.append(inside[-1])
            lanes.enter(inside[-1].record)
        else:
            done = inside.pop(data.draw(st.integers(0, len(inside) - 1), "done"))
            leaving = lanes.release(done)
            assert {each.record.offset for each in leaving} == reference.release(done)
            left += leaving
    assert sorted(each.record.offset for each in left) == sorted(each.record.offset for each in reference.entered)
    assert in_order(left, order)
    assert repr(lanes) == repr(Lanes(order)), "empty lanes are let go"


@orders
@given(st.permutations(range(8)))
@example(list(range(8)))
@example(list(reversed(range(8))))
def test_one_key_leaves_in_its_order(order: Order, ends: list[int]) -> None:
    """By key and by partition, the outcomes of one key leave as its records came; unordered, as they end."""
    lanes = Lanes(order)
    for offset in range(8):
        lanes.enter(outcome(offset, b"a").record)
    left = [each.record.offset for end in ends for each in lanes.release(outcome(end, b"a"))]
    assert left == (ends if order is Order.UNORDERED else list(range(8)))


@orders
def test_a_tombstone_is_a_barrier_for_its_key(order: Order) -> None:
    """Also unordered it waits for the earlier records of its key, and the later ones wait for it."""
    lanes = Lanes(order)
    before, stone, after = outcome(0, b"a"), outcome(1, b"a", tombstone=True), outcome(2, b"a")
    for each in (before, stone, after):
        lanes.enter(each.record)
    assert lanes.release(after) == lanes.release(stone) == []
    assert lanes.release(before) == [before, stone, after]


@pytest.mark.parametrize(("order", "waits"), [(Order.KEY, False), (Order.PARTITION, True), (Order.UNORDERED, False)])
@pytest.mark.parametrize("key", [None, b"b"])
def test_only_by_partition_does_a_record_wait_for_other_keys(order: Order, waits: bool, key: bytes | None) -> None:
    """A stuck key holds back itself alone, and a record without a key waits for nobody."""
    lanes = Lanes(order)
    stuck, other = outcome(0, b"a"), outcome(1, key)
    lanes.enter(stuck.record)
    lanes.enter(other.record)
    assert lanes.release(other) == ([] if waits else [other])
    assert lanes.release(stuck) == ([stuck, other] if waits else [stuck])
