"""Of slots and partitions: each slot has one owner, and nobody waits for his turn longer than he must."""

import timeit
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.model import Place
from entity_stream.core.share import HANDOVER, HELD, LAG, Seen, Share

LONG = 1_000.0
"""Seconds after which whatever was seen is known to all."""

rings = st.integers(1, 40).map(lambda count: [("in", index) for index in range(count)])


def settled(mine: list[Place], ring: list[Place], records: dict[Place, int], per_second: float = 1.0) -> Share:
    """Have a replica look at the same for a long time."""
    share = Share(per_second)
    for n in range(20):
        share.see(n * LAG / 2, dict.fromkeys(mine, 0), ring, Seen(records))
    share.see(LONG, dict.fromkeys(mine, 0), ring, Seen(records))
    return share


def replicas(ring: list[Place], count: int) -> list[list[Place]]:
    size = -(-len(ring) // count)
    return [ring[number * size : (number + 1) * size] for number in range(count)]


@given(rings, st.integers(1, 10), st.data())
def test_who_sees_the_same_agrees_on_the_owner_of_every_slot(
    ring: list[Place], count: int, data: st.DataObject
) -> None:
    """Each slot is one replica's and no other's, whoever has work, much of it, or none."""
    records = {place: data.draw(st.sampled_from([0, 1, 10**6])) for place in ring}
    shares = [settled(mine, ring, records) for mine in replicas(ring, count)]
    for number in range(10**9, 10**9 + 3 * len(ring)):
        assert sum(share.ours(number, LONG) for share in shares) == 1


@given(rings, st.integers(1, 10))
def test_with_work_for_all_each_partition_has_its_turn(ring: list[Place], count: int) -> None:
    """In each round of slots a replica has as many as it has partitions."""
    for mine in replicas(ring, count):
        share = settled(mine, ring, dict.fromkeys(ring, 10**6))
        rounds = [sum(share.ours(turn * len(ring) + n, LONG) for n in range(len(ring))) for turn in range(3)]
        assert rounds == [len(mine)] * 3


def test_the_slots_of_neighbours_are_spread() -> None:
    """Who owns ten partitions in a row of forty has no more than two slots in a row, and never waits for ten."""
    ring = [("in", index) for index in range(40)]
    share = settled(ring[10:20], ring, dict.fromkeys(ring, 10**6))
    ours = [number for number in range(400) if share.ours(number, LONG)]
    gaps = [late - early for early, late in pairwise(ours)]
    assert max(gaps) <= 6
    assert len([gap for gap in gaps if gap == 1]) <= len(gaps) / 2


def test_borrowers_are_served_alike() -> None:
    """What twenty lend is divided among four who need it, about evenly."""
    ring = [("in", index) for index in range(24)]
    needy = [("in", index) for index in (0, 1, 2, 13)]
    records = {place: 10**6 if place in needy else 0 for place in ring}
    parts = [settled([place], ring, records) for place in needy]
    slots = [sum(share.ours(number, LONG) for number in range(24 * 40)) for share in parts]
    assert sum(slots) == 24 * 40
    assert min(slots) >= 0.5 * max(slots)


@pytest.mark.parametrize("needy", [0, 1, 300])
def test_the_cost_of_a_slot_does_not_grow_with_the_partitions(needy: int) -> None:
    """Whose slot it is takes about as long to tell with six hundred partitions as with sixty, whoever has work."""

    def cost(size: int) -> float:
        ring = [("in", index) for index in range(size)]
        share = settled(ring[: size // 2], ring, {place: 10**6 * (place[1] < needy * size / 600) for place in ring})
        return min(timeit.repeat(lambda: [share.ours(number, LONG) for number in range(600)], number=1))

    assert cost(600) < 4 * cost(60)


def test_who_was_told_nothing_has_every_slot() -> None:
    """Without a group there is nobody to share with."""
    share = Share()
    assert share.alone(0.0)
    assert share.part(0.0) == 1.0


def test_a_life_that_begins_with_all_partitions_waits_for_nobody() -> None:
    """Also where it learns only later that these are all."""
    ring = [("in", 0), ("in", 1)]
    for first in ([], ring):
        share = Share()
        share.see(0.0, dict.fromkeys(ring, 0), first)
        share.see(1.0, dict.fromkeys(ring, 0), ring)
        assert share.alone(1.0)


def test_a_share_shrinks_at_once_and_grows_later() -> None:
    """What is gained counts after HANDOVER; what is lost never again; what comes back soon, as if it had never gone."""
    ring = [("in", index) for index in range(4)]
    share = Share()
    share.see(0.0, {ring[0]: 0, ring[1]: 0}, ring)
    assert share.part(HANDOVER - 0.1) == 0.0
    assert share.part(HANDOVER + 1.0) == 0.5
    share.see(10.0, {ring[0]: 0, ring[2]: 0}, ring)
    assert [n for n in range(4) if share.ours(n, 10.0)] == [0]
    share.see(10.2, {ring[0]: 0, ring[1]: 0, ring[2]: 0}, ring)
    assert share.part(10.3) == 0.5
    assert share.part(10.3 + HANDOVER + 1.0) == 0.75


def test_new_partitions_stop_everybody_for_a_moment() -> None:
    """Until all know of them, no slot has one owner in all views."""
    ring = [("in", index) for index in range(4)]
    share = settled(ring[:2], ring[:3], dict.fromkeys(ring[:3], 10))
    share.see(LONG + 1, {ring[0]: 0}, ring)
    assert not any(share.ours(n, LONG + 1) for n in range(8))
    assert any(share.ours(n, LONG + 1 + LAG) for n in range(8))


def test_a_trickle_keeps_its_slots() -> None:
    """Who has had nothing to do for four seconds has its slots for the next record, also while others would borrow."""
    ring = [("in", 0), ("in", 1)]
    share = settled([ring[1]], ring, {ring[0]: 10**6, ring[1]: 5})
    for seconds, records in [(0.0, 0), (2.0, 0), (4.0, 1)]:
        share.see(LONG + seconds, {ring[1]: records}, ring, Seen({ring[0]: 10**6, ring[1]: records}))
    assert share.part(LONG + 4.0) == 0.5


@pytest.mark.parametrize(("idle", "lends"), [(HELD - 1, False), (HELD + 2 * LAG + 1, True)])
def test_a_short_silence_lends_nothing(idle: float, lends: bool) -> None:
    """Only who has had nothing to do for long lends, so that a trickle keeps its slots."""
    ring = [("in", 0), ("in", 1)]
    busy = {ring[0]: 10**6, ring[1]: 5}
    share = settled([ring[0]], ring, busy)
    moment = LONG
    while moment < LONG + idle:
        share.see(moment, {ring[0]: 10**6}, ring, Seen({ring[0]: 10**6, ring[1]: 0}))
        moment += LAG / 2
    share.see(LONG + idle, {ring[0]: 10**6}, ring, Seen({ring[0]: 10**6, ring[1]: 0}))
    assert all(share.ours(n, LONG + idle) for n in range(10)) is lends


@pytest.mark.parametrize(("burst", "part"), [(0, 2 / 3), (10**7, 1 / 2)])
def test_what_came_and_went_is_not_missed_by_a_look_that_was_too_late(burst: int, part: float) -> None:
    """A look that is not fresh counts for nothing: the next one tells that a partition had plenty meanwhile."""
    ring = [("in", 0), ("in", 1), ("in", 2)]  # we borrow, it lends, it has had little to do for long
    share = settled([ring[0]], ring, {ring[0]: 10**6, ring[1]: 0, ring[2]: 1})
    ends = dict.fromkeys(ring, 0)

    def see(moment: float, work: int, age: float) -> None:
        records = {ring[0]: 10**6, ring[1]: 0, ring[2]: work}
        share.see(LONG + moment, {ring[0]: 10**6}, ring, Seen(records, age, ends))

    for n in range(20):
        see(n * LAG / 2, 1, 0.0)
    ends |= {ring[2]: burst}
    see(50.0, 1, LAG)
    see(51.0, 1, 0.0)
    see(53.0, 10**6, 0.0)
    see(56.0, 10**6, 0.0)
    slots = range(300, 600)
    assert sum(share.ours(n, LONG + 56.0) for n in slots) / len(slots) == pytest.approx(part, abs=0.02)
