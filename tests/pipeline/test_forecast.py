"""What the line foresees from looks at its group, in virtual time: it comes true, and asks for help that helps."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from entity_stream.core.backlog import Look, parts
from entity_stream.core.forecast import Forecast
from entity_stream.core.inspection import Commit
from entity_stream.core.inspection import Log as Ends
from entity_stream.core.quota import Rate
from tests.pipeline.lives import PLAN, World, calm_world, plain
from tests.pipeline.worlds import TOPIC, Endpoint, Faults, Log, now

pytestmark = pytest.mark.asyncio

EVERY = 3.0


def seen(log: Log, members: int) -> Look:
    """Look at a log and its commits as the brokers would tell them."""
    commits = {(TOPIC, index): Commit(at, log.journals[index]) for index, at in log.committed.items()}
    ends = {(TOPIC, index): Ends(0, end) for index, end in log.end().items()}
    return Look(now(), parts(commits, ends), members)


async def watched(world: World, members: int) -> list[tuple[float, Forecast]]:
    """Live until all is settled; return what was foreseen, and when."""
    foreseen = []

    async def watch() -> None:
        while not world.stop.is_set():
            world.line.see(seen(world.log, members))
            if found := world.line.forecast():
                foreseen.append((now(), found))
            await asyncio.sleep(EVERY)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        await world.run_until(world.log.finished)
    return foreseen


def at(foreseen: list[tuple[float, Forecast]], holds: Callable[[float], bool]) -> Forecast:
    return next(found for moment, found in foreseen if holds(moment))


async def test_the_time_to_clear_comes_true() -> None:
    """Half-way through a backlog it is foreseen when the last record will be settled, to a tenth of that time."""
    world = calm_world(Log(plain(8_000)))
    foreseen = await watched(world, members=1)
    end = now()
    middle = at(foreseen, lambda moment: moment > end / 2)
    assert middle.time_to_clear == pytest.approx(end / 2, rel=0.1)
    assert foreseen[-1][1].backlog <= 200


async def test_a_full_window_asks_for_replicas() -> None:
    """Where jobs take long, three times the replicas settle three times as much, but no more than one a partition."""
    foreseen = await watched(calm_world(Log(plain(6_000))), members=3)
    found = at(foreseen, lambda moment: moment > 60.0)
    assert found.strain.window == pytest.approx(1.0, abs=0.1)
    assert found.strain.quota < 0.5
    assert found.desired_replicas(10.0) == 1  # there is one partition: nobody else could read
    assert (msgspec.structs.replace(found, partitions=60).desired_replicas(10.0) or 0) > 3 * 3


async def test_a_spent_quota_asks_for_none() -> None:
    """It stays the same however many share it."""
    spent = msgspec.structs.replace(PLAN, quota=(Rate(60, 60.0),))
    foreseen = await watched(calm_world(Log(plain(3_000)), spent), members=3)
    found = msgspec.structs.replace(at(foreseen, lambda moment: moment > 90.0), partitions=60)
    assert found.desired_replicas(60.0) == 3
    assert found.time_to_clear > 60.0


async def test_an_outage_is_no_reason_for_more_replicas() -> None:
    """While nothing answers, the backlog will never be gone as things are; more replicas would wait beside us."""
    world = calm_world(Log(plain(2_000)))
    world.endpoint = Endpoint(world.rng, Faults(outage=(20.0, 400.0)), lambda: 5.0)
    world.begin(chunks=(40, 40))
    foreseen = await watched(world, members=2)
    found = msgspec.structs.replace(at(foreseen, lambda moment: moment > 300.0), partitions=60)
    assert (found.settled, found.time_to_clear, found.desired_replicas(60.0)) == (0.0, float("inf"), 2)
    assert found.strain.quota == pytest.approx(1.0, abs=0.1)


async def test_the_oldest_record_is_the_first_that_is_not_settled() -> None:
    """Its timestamp is told while it waits, and none once all is settled."""
    records = [msgspec.structs.replace(record, timestamp=1_000 + record.offset) for record in plain(60)]
    world = calm_world(Log(records))
    told: list[int] = []

    async def watch() -> None:
        while not world.stop.is_set():
            told.extend(world.line.vitals().oldest.values())
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        await world.run_until(lambda: world.log.finished() and not world.line.vitals().oldest)
    assert set(told) >= {1_000}
    assert told == sorted(told)
