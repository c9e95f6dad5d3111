"""The pipeline in random worlds and virtual time. The ledger asserts at every commit; see worlds.py."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entity_stream.calling import SECOND_OPINION
from entity_stream.core.model import Annotated, Batch, Job, Partition, Record
from entity_stream.core.ordering import Order
from entity_stream.core.verdict import Again, Park, PollVerdict, SubmitVerdict, Wait
from entity_stream.plan import Plan
from entity_stream.ports import Lease
from tests import virtual_time
from tests.pipeline.lives import CALM, PLAN, PLAN_FIELDS, World, calm_world, plain
from tests.pipeline.worlds import TOPIC, Endpoint, Faults, Log, now

WORLDS = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))

faults = st.builds(
    Faults,
    trouble=st.sampled_from([0.0, 0.1, 0.4]),
    job=st.sampled_from([0.0, 0.1]),
    missing=st.sampled_from([0.0, 0.1]),
    silence=st.sampled_from([0.0, 0.1]),
    acknowledgement=st.sampled_from([0.0, 0.3]),
    lost=st.sampled_from([0.0, 0.01]),
    outage=st.sampled_from([(0.0, 0.0), (10.0, 400.0)]),
    parked=st.sampled_from([(0.0, 0.0), (15.0, 3_600.0)]),
)


@WORLDS
@given(st.integers(), st.integers(0, 300), faults, st.sampled_from(Order), st.booleans())
def test_every_record_gets_its_outcome_and_is_committed(
    seed: int, count: int, faults: Faults, order: Order, exactly_once: bool
) -> None:
    """Through throttling, outages, failed jobs, lost acknowledgements and poison, nothing is lost or doubled."""

    async def main() -> None:
        plan = Plan(**{**PLAN_FIELDS, "order": order})
        world = World(seed, count, faults, plan, exactly_once=exactly_once)
        await world.run_until(world.log.finished)
        world.assert_whole()

    virtual_time.run(main())


@WORLDS
@given(st.integers(), st.lists(st.floats(0, 60), min_size=1, max_size=4), faults, st.sampled_from([0.0, 1.0, 30.0]))
def test_a_stop_at_any_moment_loses_nothing(seed: int, lives: list[float], faults: Faults, drain_for: float) -> None:
    """Stopped at random moments and started again, the line ends within its limits and brings every record home."""

    async def main() -> None:
        world = World(seed, 200, faults, Plan(**{**PLAN_FIELDS, "drain_for": drain_for}))
        for life in lives:
            stop_at = now() + life
            await world.run_until(lambda at=stop_at: now() >= at)  # type: ignore[misc]
            assert now() <= stop_at + 1 + drain_for + world.plan.release_for
            world.begin()
        await world.run_until(world.log.finished)
        world.assert_whole()

    virtual_time.run(main())


@WORLDS
@given(
    st.integers(),
    st.lists(st.floats(0, 60), min_size=1, max_size=4),
    faults,
    st.sampled_from(Order),
    st.booleans(),
)
def test_a_crash_at_any_moment_loses_nothing(
    seed: int, moments: list[float], faults: Faults, order: Order, exactly_once: bool
) -> None:
    """Cancelled with no chance to settle anything, the next life brings every record home and pays none again."""

    async def main() -> None:
        world = World(seed, 200, faults, Plan(**{**PLAN_FIELDS, "order": order}), exactly_once=exactly_once)
        for when in moments:
            crashing = asyncio.create_task(world.line.run())
            await asyncio.wait([crashing], timeout=when)  # it may be lost before
            crashing.cancel()
            await asyncio.gather(crashing, return_exceptions=True)
            assert len(asyncio.all_tasks()) == 1, "a task outlived its group"
            world.excuse()
            world.begin()
        await world.run_until(world.log.finished)
        world.assert_whole()

    virtual_time.run(main())


@WORLDS
@given(
    st.integers(),
    st.lists(st.tuples(st.floats(0, 20), st.sets(st.integers(0, 2))), max_size=5),
    faults,
    st.sampled_from(Order),
    st.booleans(),
)
def test_a_revoked_partition_is_settled_by_its_next_owner_only(
    seed: int, revocations: list[tuple[float, set[int]]], faults: Faults, order: Order, exactly_once: bool
) -> None:
    """Partitions taken away at any moment are read again from what was committed; the old epoch commits nothing."""

    async def main() -> None:
        world = World(seed, 300, faults, Plan(**{**PLAN_FIELDS, "order": order}), exactly_once=exactly_once)

        async def rebalance() -> None:
            for pause, indexes in revocations:
                await asyncio.sleep(pause)
                if not world.stop.is_set():
                    await world.source.rebalance(indexes)

        async with asyncio.TaskGroup() as group:
            rebalancing = group.create_task(rebalance())
            await world.run_until(lambda: world.log.finished() and rebalancing.done())
        world.assert_whole()

    virtual_time.run(main())


@pytest.mark.asyncio
async def test_the_window_is_filled_and_never_exceeded() -> None:
    """With work waiting, exactly `window` jobs are in flight."""
    world = calm_world(Log(plain(2_000)))
    await world.run_until(world.log.finished)
    assert world.endpoint.peak == PLAN.window


@pytest.mark.asyncio
async def test_a_log_that_ends_in_marks_of_transactions_is_done() -> None:
    """No record will ever come of these offsets: the position passes them, also where all before them is done."""
    world = calm_world(Log(plain(100), marks=1))
    await world.run_until(world.log.finished)
    world.log.marks += 2
    world.begin()
    await world.run_until(world.log.finished)
    assert world.log.committed == {0: 103}
    assert world.ledger.settles == 1


@pytest.mark.asyncio
async def test_full_batches_are_submitted_full() -> None:
    """A backlog in one partition goes out as batches of 25."""
    world = calm_world(Log(plain(1_000)))
    await world.run_until(world.log.finished)
    assert {len(batch) for _, batch in world.endpoint.submits[:-1]} == {25}


@pytest.mark.asyncio
async def test_an_outage_stops_reading() -> None:
    """While nothing answers, no more is read than the window holds, and everything flows afterwards."""
    world = World(1, 5_000, Faults(outage=(0, 3_600)), odd=0.0)
    read = []

    async def look() -> None:
        await asyncio.sleep(3_000)
        read.append(world.source.reads)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await world.run_until(world.log.finished)
    assert read[0] <= PLAN.window * 25 + 3 * 40 + 3 * 25


@pytest.mark.asyncio
async def test_memory_is_bounded_while_the_broker_is_away() -> None:
    """Outcomes that cannot be settled stop the reading at the limit, and nothing is lost when the broker is back."""
    plan = Plan(**{**PLAN_FIELDS, "memory": 500_000})
    world = calm_world(Log(plain(5_000, text=b"x" * 1_000)), plan, duration=0.1)
    world.ledger.away = True
    held = []

    async def come_back() -> None:
        for _ in range(300):
            await asyncio.sleep(1)
            held.append(world.line.vitals().bytes_held)
        world.ledger.away = False

    async with asyncio.TaskGroup() as group:
        group.create_task(come_back())
        await world.run_until(world.log.finished)
    assert 500_000 <= max(held) <= 500_000 + 40 * 3_100


@pytest.mark.asyncio
async def test_a_refused_key_rejects_nothing() -> None:
    """An hour of 401 parks the line, says why, costs few calls and no document."""
    world = World(3, 300, Faults(parked=(0, 3_600)), odd=0.0)
    seen = set()

    async def look() -> None:
        for _ in range(35):
            await asyncio.sleep(100)
            seen.add(world.line.vitals().parked)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await world.run_until(world.log.finished)
    assert seen == {"401: the key is refused"}
    assert all(isinstance(o, Annotated) for outcomes in world.log.published.values() for o in outcomes)
    assert world.line.vitals().parked is None


@pytest.mark.asyncio
async def test_while_submits_are_parked_jobs_in_flight_come_home() -> None:
    """A deployment that goes away stops submits, says so until it is back, and takes no result that is there."""
    world = calm_world(Log(plain(400)), duration=5.0)
    submit, gone = world.endpoint.submit, (2.0, 1_000.0)

    async def parking(batch: Batch, lease: Lease) -> SubmitVerdict:
        return Park("404") if gone[0] <= now() < gone[1] else await submit(batch, lease)

    world.endpoint.submit = parking  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(world.run_until(world.log.finished))
        await asyncio.sleep(500)
        assert world.log.committed[0] == PLAN.window * 25
        assert world.line.vitals().parked == "404"
        await running
    assert world.line.vitals().parked is None


@pytest.mark.asyncio
async def test_halving_finds_one_poisoned_document_in_ten_further_calls() -> None:
    """One poisoned document among 25 costs at most ten further submits, and no good one is rejected or billed twice."""
    log = plain(25)
    log[17] = Record(log[17].partition, 17, None, b'{"text":"poison"}')
    world = calm_world(Log(log))
    calls = []
    submit = world.endpoint.submit

    async def counting(batch: Batch, lease: Lease) -> SubmitVerdict:
        calls.append(batch)
        return await submit(batch, lease)

    world.endpoint.submit = counting  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    world.assert_whole()
    assert len(calls) <= 11
    billed = [document.record.offset for _, batch in world.endpoint.submits for document in batch]
    assert sorted(billed) == [offset for offset in range(25) if offset != 17]


@pytest.mark.asyncio
async def test_a_stuck_key_holds_back_only_itself() -> None:
    """While one job runs for long, records of other keys are published and the position waits."""
    slow, quick = (
        plain(25, b"slow"),
        [Record(Partition(TOPIC, 0), 25 + n, b"quick", b'{"text":"a"}') for n in range(50)],
    )
    world = calm_world(Log([*slow, *quick]))
    durations = iter([1_000.0, 1.0, 1.0])
    world.endpoint = Endpoint(world.rng, CALM, lambda: next(durations))
    world.begin()
    await world.run_until(lambda: now() > 100)
    assert {offset for _, offset in world.log.published} == set(range(25, 75))
    assert world.log.committed[0] == 0


@pytest.mark.asyncio
async def test_after_the_stop_nothing_is_submitted() -> None:
    """What waits for a slot, a retry or a permit when the stop comes is left to the next reader."""
    world = World(3, 3_000, Faults(trouble=0.3))
    await world.run_until(lambda: now() >= 20)
    assert world.endpoint.submits
    assert max(at for at, _ in world.endpoint.submits) <= 20.6


@pytest.mark.asyncio
async def test_a_bug_ends_the_run() -> None:
    """An unexpected exception leaves the line, whatever task it came from."""
    world = calm_world(Log(plain(10)))

    async def broken(job: Job, batch: Batch) -> PollVerdict:
        raise ZeroDivisionError

    world.endpoint.poll = broken  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as raised:
        await world.line.run()
    assert raised.group_contains(ZeroDivisionError)


@pytest.mark.asyncio
async def test_a_failing_ledger_ends_the_run_without_another_commit() -> None:
    """When a settle fails, nothing is committed by anybody after it."""
    world = calm_world(Log(plain(100)), duration=1.0)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    world.ledger.settle = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(ExceptionGroup) as raised:
        await world.line.run()
    assert raised.group_contains(ZeroDivisionError)
    assert world.log.committed[0] == 0
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.asyncio
async def test_an_overdue_job_is_submitted_again() -> None:
    """A job that never ends is given up after `overdue` seconds, and its documents are submitted again."""
    world = calm_world(Log(plain(3)))
    durations = iter([1e9, 1.0])
    world.endpoint = Endpoint(world.rng, CALM, lambda: next(durations))
    world.begin()
    await world.run_until(world.log.finished)
    assert len(world.endpoint.submits) == 2
    assert world.endpoint.submits[1][0] >= PLAN.overdue


@pytest.mark.asyncio
async def test_a_job_that_is_unknown_once_is_asked_for_again() -> None:
    """The first 404 for a job is doubted; the answer some seconds later is believed, and nothing is paid twice."""
    world = calm_world(Log(plain(3)), duration=1.0)
    poll = world.endpoint.poll
    doubted: list[float] = []

    async def forgetful(job: Job, batch: Batch) -> PollVerdict:
        if not doubted:
            doubted.append(now())
            return Again("HTTP 404", certain=False)
        assert now() >= doubted[0] + SECOND_OPINION
        return await poll(job, batch)

    world.endpoint.poll = forgetful  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    assert len(world.endpoint.submits) == 1


@pytest.mark.asyncio
async def test_a_job_that_is_unknown_twice_is_submitted_again() -> None:
    """The second 404 is believed: its documents go out in another job."""
    world = calm_world(Log(plain(3)), duration=1.0)
    poll = world.endpoint.poll

    async def gone(job: Job, batch: Batch) -> PollVerdict:
        return Again("HTTP 404", certain=False) if job.id == "job-0" else await poll(job, batch)

    world.endpoint.poll = gone  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    assert len(world.endpoint.submits) == 2


@pytest.mark.asyncio
async def test_a_job_that_alone_cannot_be_asked_for_is_submitted_again() -> None:
    """While others are answered, a job whose every poll fails is given up once overdue: it does not stay for ever."""
    world = calm_world(Log(plain(200)), duration=1.0)
    poll = world.endpoint.poll

    async def broken(job: Job, batch: Batch) -> PollVerdict:
        return Wait("HTTP 500") if job.id == "job-0" else await poll(job, batch)

    async def trickle() -> None:
        while not world.stop.is_set():
            await asyncio.sleep(60)
            last = world.log.records[0][-1]
            world.log.records[0].append(Record(last.partition, last.offset + 1, None, last.value))

    world.endpoint.poll = broken  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        trickling = group.create_task(trickle())
        await world.run_until(lambda: world.log.committed[0] > 200, limit=PLAN.overdue * 3)
        trickling.cancel()
    assert now() > PLAN.overdue


@pytest.mark.asyncio
async def test_an_outage_longer_than_a_job_may_last_pays_for_nothing_twice() -> None:
    """When nobody is answered no job is given up: once the endpoint is back each is asked for, not submitted again."""
    world = World(5, 200, Faults(outage=(3.0, 3.0 + 3 * PLAN.overdue)), odd=0.0)
    world.endpoint = Endpoint(world.rng, world.faults, lambda: 10.0)
    world.begin(chunks=(40, 40))
    await world.run_until(world.log.finished)
    billed = [document.wire_id for _, batch in world.endpoint.submits for document in batch]
    assert len(billed) == len(set(billed)) == 200


@pytest.mark.asyncio
async def test_the_first_poll_learns_when_to_ask() -> None:
    """With jobs of a steady length, nearly every job is asked for once, soon after it has ended."""
    world = calm_world(Log(plain(20_000)), duration=3.0)
    await world.run_until(world.log.finished)
    polls = [world.endpoint.polls[f"job-{n}"] for n in range(400, 800)]
    assert sum(polls) / len(polls) < 1.3
