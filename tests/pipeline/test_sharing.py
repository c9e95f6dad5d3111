"""Two lines of one group at one endpoint: they divide its quota, and a quota that is used up parks them."""

import asyncio
import json
import random
from bisect import bisect_left

import pytest

from entity_stream.core.backlog import Look, Part
from entity_stream.core.batching import Limits
from entity_stream.core.model import Batch, Job, Partition, Place, Record, Target
from entity_stream.core.ordering import Order
from entity_stream.core.quota import Rate
from entity_stream.core.share import LAG, LOOK_EVERY
from entity_stream.core.verdict import Freeze, PollVerdict, SubmitVerdict
from entity_stream.pipeline import Line
from entity_stream.plan import Health, Plan
from entity_stream.ports import Lease
from tests.pipeline.worlds import TOPIC, CheckingLedger, Endpoint, Faults, Log, LogSource, now

pytestmark = pytest.mark.asyncio

MUCH = 1_500
"""Records of a partition: more than the quota is good for in the time of a test."""
PLAN = Plan(limits=Limits(linger=0.05), window=8, quota=(Rate(60, 60.0),), order=Order.UNORDERED, park_for=60.0)
DAYS = 15 * 86_400.0


class Counting(Endpoint):
    """An endpoint that notes when it is called, and whose quota may be used up."""

    def __init__(self) -> None:
        super().__init__(random.Random(1), Faults(), lambda: 2.0)
        self.calls: list[float] = []
        self.used_up = False

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        self.calls.append(now())
        return Freeze("HTTP 403", DAYS) if self.used_up else await super().submit(batch, lease)

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        self.calls.append(now())
        return await super().poll(job, batch)

    def most(self, seconds: float) -> int:
        return max(bisect_left(self.calls, begin + seconds) - n for n, begin in enumerate(self.calls))


def log_of(*indexes: int, records: int = MUCH) -> Log:
    value = json.dumps({"text": "well"}).encode()
    return Log([Record(Partition(TOPIC, index), n, None, value) for index in indexes for n in range(records)])


def line_at(endpoint: Endpoint, log: Log, stop: asyncio.Event) -> Line:
    dice = random.Random(2)
    ledger = CheckingLedger(log, dice, Faults(), PLAN.order)
    return Line(LogSource(log, dice, (50, 50)), {Target(): endpoint}, ledger, PLAN, stop)


def a_look(left: dict[Place, int]) -> Look:
    """Show how many records of each partition are left."""
    parts = {place: Part(start=0, end=records, committed=0) for place, records in left.items()}
    return Look(now(), parts, ahead=1.7e9)


def here(line: Line) -> Health:
    """Tell how the only resource is."""
    return line.vitals().resources["default"]


async def looking(lines: list[Line], logs: list[Log], late: float) -> None:
    """Show the lines the whole group every now and then, one later than the other."""
    while True:
        for line in lines:
            left = {(TOPIC, i): log.end()[i] - log.committed[i] for log in logs for i in log.end()}
            line.see(a_look(left))
            await asyncio.sleep(late)
        await asyncio.sleep(LOOK_EVERY - len(lines) * late)


async def test_two_lines_divide_a_quota() -> None:
    """Together they never make more than one call above it in a minute, and use it all; a share shows how it stands."""
    endpoint, stop = Counting(), asyncio.Event()
    logs = [log_of(0, 1, 2), log_of(3)]
    lines = [line_at(endpoint, log, stop) for log in logs]
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(looking(lines, logs, 0.7))
        for line in lines:
            group.create_task(line.run())
        await asyncio.sleep(300)
        shares = [here(line).share for line in lines]
        loads = [here(line).load for line in lines]
        finished = [sum(log.committed.values()) for log in logs]
        stop.set()
        watching.cancel()
    assert endpoint.most(60.0) <= 61
    assert sum(60 <= call < 300 for call in endpoint.calls) >= 0.95 * 240
    assert shares == [0.75, 0.25]
    assert loads == [1.0, 1.0]
    assert finished[0] == pytest.approx(3 * finished[1], rel=0.25)


async def test_a_line_that_is_alone_calls_at_once() -> None:
    """It is given all partitions after its first look, and knows that nobody else had them."""
    endpoint, stop, log = Counting(), asyncio.Event(), log_of(0, 1, 2, 3)
    line = line_at(endpoint, log, stop)
    line.see(a_look({(TOPIC, index): MUCH for index in range(4)}))
    async with asyncio.TaskGroup() as group:
        group.create_task(line.run())
        await asyncio.sleep(3)
        stop.set()
    assert endpoint.calls[0] < 1.0


async def missing(line: Line) -> None:
    """Tell a line of looks that fail, of a group with four partitions."""
    while True:
        line.miss([(TOPIC, index) for index in range(4)], 1.7e9)
        await asyncio.sleep(LOOK_EVERY)


async def test_a_line_that_has_never_looked_keeps_to_its_own() -> None:
    """It knows the partitions of the group all the same, and takes no slot of theirs."""
    endpoint, stop = Counting(), asyncio.Event()
    line = line_at(endpoint, log_of(0, 1, 2), stop)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(missing(line))
        group.create_task(line.run())
        await asyncio.sleep(130)
        share = here(line).share
        stop.set()
        watching.cancel()
    assert share == 0.75
    assert sum(10 <= call < 130 for call in endpoint.calls) == pytest.approx(0.75 * 120, abs=3)


async def test_a_line_that_cannot_look_any_more_learns_of_its_own_work() -> None:
    """What was idle at the last look has its own slots again some seconds after records have come."""
    endpoint, stop, log = Counting(), asyncio.Event(), log_of(0, 1, 2)
    line = line_at(endpoint, log, stop)
    line.see(a_look({(TOPIC, index): MUCH if index == 3 else 0 for index in range(4)}))
    await asyncio.sleep(3 * LAG)
    began = now()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(missing(line))
        group.create_task(line.run())
        await asyncio.sleep(120)
        stop.set()
        watching.cancel()
    assert sum(20 <= call - began < 120 for call in endpoint.calls) == pytest.approx(0.75 * 100, abs=3)


async def test_what_is_taken_from_a_line_is_not_its_share_any_more() -> None:
    """It loses the slots of a partition with it, and does not wait for the next look."""
    endpoint, stop, log = Counting(), asyncio.Event(), log_of(0, 1, 2)
    line = line_at(endpoint, log, stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(line.run())
        await asyncio.sleep(10)
        left = {(TOPIC, index): MUCH for index in range(4)}
        line.see(a_look(left))
        await asyncio.sleep(LAG + 1)
        before = here(line).share
        await line._release([Partition(TOPIC, 1, 0)])
        await asyncio.sleep(1.1)
        after = here(line).share
        stop.set()
    assert (before, after) == (0.75, 0.5)


async def test_who_has_no_work_lends_what_is_his() -> None:
    """Once one line has nothing left, the other has the whole quota."""
    endpoint, stop = Counting(), asyncio.Event()
    logs = [log_of(0, 1, 2, records=25), log_of(3)]
    lines = [line_at(endpoint, log, stop) for log in logs]
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(looking(lines, logs, 0.7))
        for line in lines:
            group.create_task(line.run())
        await asyncio.sleep(100)
        shares = [here(line).share for line in lines]
        stop.set()
        watching.cancel()
    assert logs[0].finished()
    assert shares == [0.0, 1.0]
    assert sum(40 <= call < 100 for call in endpoint.calls) >= 57


async def test_a_line_that_is_shown_nothing_has_the_whole_quota() -> None:
    """Where nobody tells of a group there is none."""
    endpoint, stop = Counting(), asyncio.Event()
    line = line_at(endpoint, log_of(0), stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(line.run())
        await asyncio.sleep(120)
        assert here(line).share == 1.0
        stop.set()
    assert endpoint.most(60.0) == 60


async def test_a_quota_that_is_used_up_for_days_parks_the_line() -> None:
    """It is named as the cause, tried once in a while, and work goes on at once when there is quota again."""
    endpoint, stop, log = Counting(), asyncio.Event(), log_of(0, records=25)
    endpoint.used_up = True
    line = line_at(endpoint, log, stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(line.run())
        await asyncio.sleep(600)
        parked, tries = line.vitals().parked, len(endpoint.calls)
        endpoint.used_up = False
        await asyncio.sleep(PLAN.park_for + 5)
        again = line.vitals().parked
        stop.set()
    assert parked == "HTTP 403: the quota is used up for 15.0 days"
    assert 9 <= tries <= 11
    assert again is None
    assert log.finished()
