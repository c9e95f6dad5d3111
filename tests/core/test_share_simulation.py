"""Replicas that see each other now and then never exceed a quota together, and leave none of it unused.

A world of its own in virtual time: replicas with clocks that differ, partitions that move, backlogs that come and go.
It counts the calls of all replicas on one clock that is nobody's.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count

import pytest

from entity_stream.core.model import Place
from entity_stream.core.quota import Operation, Quota, Rate
from entity_stream.core.share import FRESH, HANDOVER, LAG, LOOK_EVERY, Seen

SKEW = 0.003
"""Seconds by which the clocks of two replicas may differ either way."""

RECORDS = 12.5
"""Records that a call is good for: 25 in a job, which is one submit and one poll."""

Backlog = dict[Place, float]
"""Records that wait, by partition."""


class Replica:
    """One member of the group: what it owns, and what it believes."""

    def __init__(self, rates: Sequence[Rate], dice: random.Random) -> None:
        self.quota = Quota(rates)
        self.began = dice.uniform(-1e5, 1e5)  # its own clock is another one than the world's
        self.skew = dice.uniform(-SKEW, SKEW)
        self.mine: set[Place] = set()
        self.ended = 0  # jobs that are to be polled
        self.tickets: dict[Operation, int] = {}
        self.alarms = dict.fromkeys(Operation, 0)  # what it waits for last; earlier alarms are void
        self.blind = False

    def now(self, time: float) -> float:
        return time + self.began


class World:
    """A group of replicas at one endpoint."""

    def __init__(
        self, replicas: int, places: Sequence[Place], rate: Rate, seed: int = 1, others: Sequence[Rate] = ()
    ) -> None:
        self.dice = random.Random(seed)
        self.rate, self.rates, self.places = rate, [rate, *others], list(places)
        self.backlog: Backlog = dict.fromkeys(places, 0.0)
        self.ends = dict.fromkeys(places, 0)
        self.replicas = [Replica(self.rates, self.dice) for _ in range(replicas)]
        self.calls: list[float] = []  # submits
        self.polls: list[float] = []
        self.polled = bool(others)  # whether each submit is followed by a poll
        self.slow = 0.2  # seconds that a look may take
        self.time = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.assign(replicas, late=0.0)
        for replica in self.replicas:
            self._look(replica)

    # what happens

    def at(self, time: float, what: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._order), what))

    def run(self, until: float) -> "World":
        while self._events and self._events[0][0] <= until:
            self.time, _, what = heappop(self._events)
            what()
        self.time = until
        return self

    def fill(self, places: Sequence[Place], records: float) -> None:
        for place in places:
            self.backlog[place] += records
            self.ends[place] += round(records)
        for replica in self.replicas:
            if replica.mine & set(places):
                self._want(replica)

    def assign(self, members: int, late: float) -> None:
        """Divide the partitions among the first so many: some let go up to `late` seconds after others have begun."""
        size = -(-len(self.places) // members)
        for number, replica in enumerate(self.replicas):
            mine = set(self.places[number * size : (number + 1) * size]) if number < members else set()
            self.at(self.time + self.dice.uniform(0, late), partial(self._own, replica, set.intersection, mine))
            self.at(self.time + self.dice.uniform(0, 0.2), partial(self._own, replica, set.union, mine))

    def _own(self, replica: Replica, change: Callable[..., set[Place]], mine: set[Place]) -> None:
        replica.mine = change(replica.mine, mine)
        self._see(replica, None)
        self._want(replica)

    def _look(self, replica: Replica) -> None:
        """Look at the group, as the brokers have it now, and learn it a moment later."""
        records = None if replica.blind else {place: round(records) for place, records in self.backlog.items()}
        took = self.dice.uniform(self.slow / 2, self.slow)
        self.at(self.time + took, partial(self._hear, replica, records, self.ends.copy(), took))
        self.at(self.time + LOOK_EVERY + self.dice.uniform(0, 1.0), lambda: self._look(replica))

    def _hear(self, replica: Replica, records: dict[Place, int] | None, ends: dict[Place, int], age: float) -> None:
        if records is None:
            self._see(replica, None)
        else:
            self._see(replica, Seen(records, age, ends))
        self._want(replica)

    def _see(self, replica: Replica, look: Seen | None) -> None:
        own = {place: round(self.backlog[place]) for place in replica.mine}
        ahead = 1.7e9 + replica.skew - replica.began
        replica.quota.share.see(replica.now(self.time), own, self.places, look, ahead)

    def _want(self, replica: Replica) -> None:
        """Have a replica with work ask for its turn."""
        for operation in self._work(replica):
            if operation not in replica.tickets:
                replica.tickets[operation] = replica.quota.enter()
            self._ask(replica, operation)

    def _work(self, replica: Replica) -> list[Operation]:
        waiting = any(self.backlog[place] >= 1 for place in replica.mine)
        return [Operation.SUBMIT] * waiting + [Operation.POLL] * (replica.ended > 0)

    def _wake(self, replica: Replica, operation: Operation, alarm: int) -> None:
        if alarm == replica.alarms[operation]:
            self._ask(replica, operation)

    def _ask(self, replica: Replica, operation: Operation) -> None:
        if operation not in replica.tickets or operation not in self._work(replica):
            return
        now = replica.now(self.time)
        replica.alarms[operation] += 1
        if wait := replica.quota.wait(operation, replica.tickets[operation], now):
            late = self.dice.uniform(0, 0.002)
            self.at(self.time + wait + late, partial(self._wake, replica, operation, replica.alarms[operation]))
            return
        replica.quota.take(operation, replica.tickets.pop(operation), now)
        self._call(replica, operation)
        self._want(replica)

    def _call(self, replica: Replica, operation: Operation) -> None:
        if operation is Operation.POLL:
            self.polls.append(self.time)
            replica.ended -= 1
            return
        self.calls.append(self.time)
        place = self.dice.choice(sorted(place for place in replica.mine if self.backlog[place] >= 1))
        self.backlog[place] = max(0.0, self.backlog[place] - RECORDS)
        if self.polled:
            self.at(self.time + 1.0, partial(self._end, replica))

    def _end(self, replica: Replica) -> None:
        """Have a job end."""
        replica.ended += 1
        self._want(replica)

    # what is judged

    def most(self, rate: Rate) -> int:
        """Count the calls of the window that has the most."""
        counted = {Operation.SUBMIT: self.calls, Operation.POLL: self.polls}
        calls = sorted(call for operation in rate.operations for call in counted[operation])
        ends = (bisect_left(calls, begin + rate.seconds) for begin in calls)
        return max((end - first for first, end in enumerate(ends)), default=0)

    def used(self, begin: float, end: float) -> float:
        """Tell which part of the quota for submits was used between two moments."""
        return (
            len([call for call in self.calls if begin <= call < end])
            / ((end - begin) * self.rate.calls)
            * self.rate.seconds
        )

    def keeps(self) -> bool:
        for rate in self.rates:
            assert self.most(rate) <= rate.calls + max(1, rate.calls * 0.01), (rate, self.most(rate))
        return True


TINY, USUAL, QUICK = Rate(20, 60.0), Rate(1_000, 60.0), Rate(10, 1.0)
WARM = 25.0
"""Seconds until all agree on who lends."""
MUCH = 1e6
"""Records that nobody will have finished."""


def topic(name: str, partitions: int) -> list[Place]:
    return [(name, index) for index in range(partitions)]


@pytest.mark.parametrize("rate", [TINY, USUAL, QUICK], ids=["20/min", "1000/min", "10/s"])
@pytest.mark.parametrize("replicas", [1, 2, 7, 50])
def test_however_many_replicas_share_a_quota_they_keep_to_it_and_use_it(rate: Rate, replicas: int) -> None:
    """With work for all, no window sees more than one call above the quota, or one in a hundred, and 95 % are used."""
    world = World(replicas, topic("in", 50), rate)
    world.fill(world.places, MUCH)
    world.run(5 * rate.seconds if rate is TINY else 90)
    assert world.keeps()
    assert world.used(LAG, world.time) >= 0.95


@pytest.mark.parametrize("rate", [TINY, USUAL, QUICK], ids=["20/min", "1000/min", "10/s"])
@pytest.mark.parametrize("replicas", [3, 10, 50])
def test_the_backlog_of_one_partition_gets_the_whole_quota(rate: Rate, replicas: int) -> None:
    """Those without work lend all they have to the only one with work, and to nobody else."""
    world = World(replicas, topic("in", 50), rate)
    world.fill([("in", 17)], MUCH)
    world.run(WARM + (600 if rate is TINY else 60))
    assert world.keeps()
    assert world.used(WARM, world.time) >= 0.95


SUBMITS = (Operation.SUBMIT,)
MIXED = {
    "submit 10/s, 1200/min": (Rate(10, 1.0, SUBMITS), Rate(1_200, 60.0)),
    "submit 600/min, 25/s, poll 50/s": (Rate(600, 60.0, SUBMITS), Rate(25, 1.0), Rate(50, 1.0, (Operation.POLL,))),
    "submit 300/min, 1000/min": (Rate(300, 60.0, SUBMITS), USUAL),
    "submit 20/min, 10/s": (Rate(20, 60.0, SUBMITS), QUICK),
}


@pytest.mark.parametrize("rates", MIXED.values(), ids=MIXED.keys())
@pytest.mark.parametrize("replicas", [1, 2, 7, 50])
def test_a_quota_of_submits_and_one_of_all_calls_are_used_together(rates: Sequence[Rate], replicas: int) -> None:
    """A submit has to pass both, and has its slot of both at once, however many share them; polls find theirs, too."""
    world = World(replicas, topic("in", 50), rates[0], others=rates[1:])
    world.fill(world.places, MUCH)
    world.run(90.0 if rates[0].calls > 20 else 300.0)
    assert world.keeps()
    assert world.used(2 * LAG, world.time) >= 0.95
    assert len(world.polls) >= 0.75 * len(
        [call for call in world.calls if call < world.time - 10.0]
    )  # then others wait


@pytest.mark.parametrize("partitions", [2, 3, 5, 6])
@pytest.mark.parametrize(
    "rates",
    [
        (Rate(20, 60.0, SUBMITS), QUICK),
        (Rate(60, 60.0, SUBMITS), Rate(600, 60.0)),
        (Rate(300, 60.0, SUBMITS), USUAL),
        (Rate(5_000, 86_400.0, SUBMITS), QUICK),
    ],
    ids=["20/min of 10/s", "60/min of 600/min", "300/min of 1000/min", "5000/day of 10/s"],
)
def test_each_partition_gets_its_part_of_a_quota_of_submits(rates: Sequence[Rate], partitions: int) -> None:
    """However few partitions there are, and however windows and turns come out: nobody is left without a slot."""
    world = World(partitions, topic("in", partitions), rates[0], others=rates[1:])
    world.fill(world.places, MUCH)
    world.run(max(600.0, 100 * partitions * rates[0].seconds / rates[0].calls))
    assert world.keeps()
    assert world.used(2 * LAG, world.time) >= 0.95
    done = [MUCH - world.backlog[place] for place in world.places]
    assert max(done) <= 1.6 * min(done)


@pytest.mark.parametrize("rates", [(Rate(5, 1.0), Rate(10_000, 3_600.0)), (Rate(10, 1.0), Rate(500_000, 86_400.0))])
@pytest.mark.parametrize("replicas", [2, 7, 50])
def test_what_was_not_used_for_long_is_not_made_up_for_within_a_short_window(
    rates: Sequence[Rate], replicas: int
) -> None:
    """After a pause the slots of a long window have piled up with nobody: the short one is kept."""
    world = World(replicas, topic("in", 50), rates[1], others=rates[:1])
    world.at(10.0, lambda: world.fill(world.places, 1))
    world.at(100.0, lambda: world.fill(world.places, MUCH))
    world.run(160.0)
    assert world.keeps()
    assert world.used(130.0, 160.0) >= 0.4  # the other half is for polls


@pytest.mark.parametrize("replicas", [2, 5, 20])
@pytest.mark.parametrize("seed", range(4))
def test_work_that_comes_to_all_at_once_waits_for_few(replicas: int, seed: int) -> None:
    """After a long silence few slots are left unused for fear that somebody else has begun to borrow them."""
    world = World(replicas, topic("in", 20), USUAL, seed)
    world.at(60.0, lambda: world.fill(world.places, MUCH))
    world.run(120.0)
    assert world.keeps()
    assert world.used(60.1, 60.0 + 2 * LAG) >= 0.8
    assert world.used(60.0 + 2 * LAG, 120.0) >= 0.95


@pytest.mark.parametrize("replicas", [2, 5, 20])
@pytest.mark.parametrize("seed", range(4))
def test_lenders_that_return_get_theirs_back(replicas: int, seed: int) -> None:
    """A partition that has work again is not crowded out by who has borrowed from it, and the quota is kept."""
    world = World(replicas, topic("in", 20), USUAL, seed)
    busy, idle = world.places[:5], world.places[5:]
    world.fill(busy, MUCH)
    world.at(60.0, lambda: world.fill(idle, 300))
    world.run(150.0)
    assert world.keeps()
    assert not any(round(world.backlog[place]) for place in idle)
    assert world.used(WARM, 60.0) >= 0.95
    assert world.used(60.0 + 2 * LAG, 80.0) >= 0.95


@pytest.mark.parametrize("rate", [TINY, USUAL, QUICK], ids=["20/min", "1000/min", "10/s"])
@pytest.mark.parametrize("seed", range(3))
def test_partitions_that_move_take_their_slots_with_them(rate: Rate, seed: int) -> None:
    """Replicas come and go, and whoever is told late goes on for some seconds: the quota is kept all the same."""
    world = World(20, topic("in", 24), rate, seed)
    world.fill(world.places, MUCH)
    for number, members in enumerate([2, 12, 1, 20, 5, 1, 3]):
        world.at(30.0 + 30 * number, partial(world.assign, members, late=HANDOVER - 0.1))
    world.run(300.0)
    assert world.keeps()
    assert world.used(230.0, 300.0) >= 0.95


def test_two_input_topics_are_one_group() -> None:
    """Partitions of two topics share one quota, also when only one of these has work."""
    world = World(6, topic("orders", 12) + topic("returns", 5), USUAL)
    world.fill(topic("returns", 5), MUCH)
    world.at(90.0, lambda: world.fill(topic("orders", 12), MUCH))
    world.run(150.0)
    assert world.keeps()
    assert world.used(WARM, 90.0) >= 0.95
    assert world.used(90.0 + 2 * LAG, 150.0) >= 0.95


@pytest.mark.parametrize("seed", range(4))
def test_who_cannot_look_keeps_to_what_is_surely_his(seed: int) -> None:
    """A replica that learns nothing of the others for a minute takes nothing that they may have, and still gets on."""
    world = World(4, topic("in", 12), USUAL, seed)
    world.fill(world.places[:9], MUCH)
    blind = world.replicas[seed]
    world.at(40.0, lambda: setattr(blind, "blind", True))
    world.at(60.0, lambda: world.fill(world.places, 1_000))
    before = world.run(70.0).backlog.copy()
    world.run(90.0)
    assert all(world.backlog[place] < before[place] for place in blind.mine)
    world.at(100.0, lambda: setattr(blind, "blind", False))
    assert world.run(150.0).keeps()


@pytest.mark.parametrize("seed", range(4))
def test_a_look_that_took_long_is_none(seed: int) -> None:
    """Where brokers answer after some seconds, nobody borrows by what was true before lenders had work again."""
    world = World(2, topic("in", 12), QUICK, seed)
    world.fill(world.places[:1], MUCH)
    world.at(50.0, lambda: setattr(world, "slow", 6 * FRESH))
    world.at(60.0, lambda: world.fill(world.places[1:], 1_000))
    assert world.run(40.0).used(WARM, 40.0) >= 0.95
    assert world.run(150.0).keeps()


@pytest.mark.parametrize("seed", [*range(20), 119, 128, 180, 233])
def test_in_any_world_the_quota_is_kept(seed: int) -> None:
    """Whatever comes together, no window sees more than one call above the quota, or one in a hundred."""
    dice = random.Random(seed)
    world = World(dice.randint(2, 12), topic("in", dice.randint(2, 30)), dice.choice([TINY, USUAL, QUICK]), seed)
    for _ in range(20):
        some, much = dice.sample(world.places, dice.randint(1, len(world.places))), dice.choice([3, 30, 1_000])
        world.at(dice.uniform(0, 200), partial(world.fill, some, much))
    for moment in dice.sample(range(20, 200, 12), 3):
        members = dice.randint(1, len(world.replicas))
        world.at(moment, partial(world.assign, members, late=HANDOVER - 0.1))
    unlucky = dice.choice(world.replicas)
    world.at(dice.uniform(0, 100), lambda: setattr(unlucky, "blind", True))
    assert world.run(250.0).keeps()


def test_a_light_load_waits_for_nobody() -> None:
    """While nobody has much to do, a record that comes after a long silence has its slot within a round and one."""
    world = World(5, topic("in", 10), USUAL)
    for number in range(20):
        world.at(30.0 + 11 * number, partial(world.fill, [world.places[number * 3 % 10]], 1))
    world.run(260.0)
    came = [30.0 + 11 * number for number in range(20)]
    assert len(world.calls) == len(came)
    assert max(call - at for call, at in zip(world.calls, came, strict=True)) <= 11 * 0.0601
