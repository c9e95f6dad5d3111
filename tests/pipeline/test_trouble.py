"""Poison, a broken deployment or an outage? The line in virtual time, with an endpoint that tells them not apart."""

import asyncio
from collections.abc import Callable

import pytest

from entity_stream.core import journal
from entity_stream.core.batching import Limits
from entity_stream.core.gate import TRIPS
from entity_stream.core.model import Annotated, Batch, Job, Outcome, Reason, Rejected
from entity_stream.core.probe import PROBE
from entity_stream.core.quota import Rate
from entity_stream.core.trial import ALONE
from entity_stream.core.verdict import Again, Done, Halve, Judged, PollVerdict, SubmitVerdict, Wait
from entity_stream.plan import Plan
from entity_stream.ports import Lease
from tests.pipeline.lives import World, calm_world, plain
from tests.pipeline.worlds import MODEL, Log, now

pytestmark = pytest.mark.asyncio

HOUR = 3_600.0
NO = Reason("InvalidRequest", "not today")
Wrong = Callable[[], bool]


def refusing(world: World, wrong: Wrong) -> None:
    """Have every submit refused while something is wrong."""
    submit = world.endpoint.submit

    async def refuse(batch: Batch, lease: Lease) -> SubmitVerdict:
        return Halve(NO) if wrong() else await submit(batch, lease)

    world.endpoint.submit = refuse  # type: ignore[method-assign]


def failing(world: World, wrong: Wrong) -> None:
    """Have every job fail that is asked for while something is wrong."""
    poll = world.endpoint.poll

    async def fail(job: Job, batch: Batch) -> PollVerdict:
        return Again("job failed InvalidModel") if wrong() else await poll(job, batch)

    world.endpoint.poll = fail  # type: ignore[method-assign]


def blaming(world: World, wrong: Wrong) -> None:
    """Have every document blamed by its job's result while something is wrong."""
    poll = world.endpoint.poll

    async def blame(job: Job, batch: Batch) -> PollVerdict:
        verdict = await poll(job, batch)
        if wrong() and isinstance(verdict, Done):
            return Done(Judged(tuple(Rejected(document.record, NO) for document in batch), ()))
        return verdict

    world.endpoint.poll = blame  # type: ignore[method-assign]


def outcomes(world: World) -> list[Outcome]:
    return [outcome for published in world.log.published.values() for outcome in published]


@pytest.mark.parametrize("breaking", [refusing, failing, blaming])
@pytest.mark.parametrize("begins", [0.0, 3.0, 6.5])
async def test_an_hour_of_a_broken_deployment_costs_no_document(
    breaking: Callable[[World, Wrong], None], begins: float
) -> None:
    """Nothing goes to the dead letters, the probe is asked each minute and nothing else, and then all flows."""
    world = calm_world(Log(plain(1_000)), duration=2.0)
    breaking(world, lambda: begins <= now() < begins + HOUR)

    async def look() -> None:
        await asyncio.sleep(begins + HOUR / 2)
        before = len(world.endpoint.submits)
        assert "rejects even a probe" in str(world.line.vitals().parked)
        await asyncio.sleep(HOUR / 4)
        assert len(world.endpoint.submits) == before

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await world.run_until(world.log.finished)
    assert len(outcomes(world)) == 1_000
    assert all(isinstance(outcome, Annotated) for outcome in outcomes(world))
    assert len(world.endpoint.probes) <= HOUR / world.plan.park_for + 10
    assert world.line.vitals().parked is None
    assert now() < begins + HOUR + 2 * world.plan.park_for + 30


async def test_poison_alone_in_the_world_is_rejected_once_the_probe_has_passed() -> None:
    """Where nothing else succeeds, one probe before the trial and one before the sentence tell."""
    world = calm_world(Log(plain(3, text=b"poison")))
    await world.run_until(world.log.finished)
    assert [type(outcome) for outcome in outcomes(world)] == [Rejected] * 3
    assert len(world.endpoint.probes) == 2


async def test_who_is_annotated_with_others_vouches_for_the_rejection_of_one() -> None:
    """A result that annotates most and blames one document needs no probe."""
    log = plain(25)
    log[3] = plain(4, text=b"refused")[3]
    world = calm_world(Log(log))
    await world.run_until(world.log.finished)
    assert sum(isinstance(outcome, Rejected) for outcome in outcomes(world)) == 1
    assert not world.endpoint.probes


async def test_a_batch_that_alone_gets_no_answer_is_divided() -> None:
    """While others are taken, one that always meets a 500 loses its culprit to the dead letters, and only that."""
    log = plain(500)
    log[17] = plain(18, text=b"crashes the server")[17]
    world = calm_world(Log(log), duration=2.0)
    submit, met = world.endpoint.submit, []

    async def crash(batch: Batch, lease: Lease) -> SubmitVerdict:
        if any(document.text == "crashes the server" for document in batch):
            met.append(len(batch))
            return Wait("HTTP 500")
        return await submit(batch, lease)

    async def trickle() -> None:
        while not world.log.finished():
            await asyncio.sleep(1)
            last = world.log.records[0][-1]
            if len(world.log.records[0]) < 2_000:
                world.log.records[0].append(plain(last.offset + 2)[-1])

    world.endpoint.submit = crash  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        group.create_task(trickle())
        await world.run_until(lambda: len(world.log.published) > 1_500 and world.log.finished())
    [rejected] = [outcome for outcome in outcomes(world) if isinstance(outcome, Rejected)]
    assert rejected.record.offset == 17
    assert rejected.reason == Reason("unanswered", "HTTP 500, while others were taken")
    assert met.count(1) >= ALONE


async def test_a_dead_endpoint_is_spared() -> None:
    """In an outage one caller tries now and then for all; when it is over everybody goes on."""
    world = calm_world(Log(plain(5_000)), duration=2.0)
    calls: list[float] = []
    submit, over = world.endpoint.submit, HOUR

    async def dead(batch: Batch, lease: Lease) -> SubmitVerdict:
        if now() < over:
            calls.append(now())
            return Wait("HTTP 503")
        return await submit(batch, lease)

    async def look() -> None:
        await asyncio.sleep(HOUR / 2)
        assert set(world.line.vitals().resources["default"].shut.values()) == {"HTTP 503", None}

    world.endpoint.submit = dead  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await world.run_until(lambda: len(world.endpoint.submits) >= world.plan.window)
    assert now() < over + 32
    assert len(calls) <= TRIPS + world.plan.window + HOUR / 15
    assert set(world.line.vitals().resources["default"].shut.values()) == {None}


async def test_an_outage_that_loses_all_jobs_is_over_when_the_endpoint_says_so() -> None:
    """That a job is unknown is an answer: nobody queues up behind a shut gate to hear it."""
    world = calm_world(Log(plain(5_000)), duration=20.0)
    poll, over = world.endpoint.poll, 100.0
    lost: set[str] = set()

    async def forget(job: Job, batch: Batch) -> PollVerdict:
        if now() < over:
            lost.add(job.id)
            return Wait("HTTP 503")
        return Again("HTTP 404", certain=False) if job.id in lost else await poll(job, batch)

    world.endpoint.poll = forget  # type: ignore[method-assign]
    await world.run_until(lambda: len(world.endpoint.submits) >= 2 * world.plan.window)
    assert len(lost) == world.plan.window
    assert now() < over + 70


async def test_batches_of_partitions_that_are_gone_try_no_gate() -> None:
    """After rebalances in an outage, what waited for partitions that are gone takes no turn of those that are ours."""
    world = World(8, 3_000, odd=0.0)
    submit, over = world.endpoint.submit, 60.0

    async def dead(batch: Batch, lease: Lease) -> SubmitVerdict:
        return Wait("HTTP 503") if now() < over else await submit(batch, lease)

    async def rebalance() -> None:
        for _ in range(4):
            await asyncio.sleep(10)
            await world.source.rebalance([0, 1, 2])

    world.begin(chunks=(40, 40))
    world.endpoint.submit = dead  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        group.create_task(rebalance())
        await world.run_until(lambda: len(world.endpoint.submits) >= world.plan.window)
    assert now() < over + 45


async def test_who_is_no_longer_a_member_submits_nothing() -> None:
    """A process that was stopped for long and wakes asks the group first, and pays for nobody else."""
    world = calm_world(Log(plain(2_000)), duration=2.0)

    async def sleep_and_wake() -> None:
        await asyncio.sleep(10)
        world.ledger.outcast = True
        before = len(world.endpoint.submits)
        await asyncio.sleep(20)
        assert len(world.endpoint.submits) == before
        await world.source.rebalance([0])
        world.ledger.outcast = False

    async with asyncio.TaskGroup() as group:
        group.create_task(sleep_and_wake())
        await world.run_until(world.log.finished)
    world.assert_whole()


async def test_without_a_coordinator_nothing_is_submitted() -> None:
    """While nobody can say whether the partitions are ours, nothing is paid for; then all goes on."""
    world = calm_world(Log(plain(2_000)), duration=2.0)

    async def outage() -> None:
        await asyncio.sleep(5)
        world.ledger.away = True
        await asyncio.sleep(5)
        before = len(world.endpoint.submits)
        await asyncio.sleep(100)
        assert len(world.endpoint.submits) == before
        world.ledger.away = False

    async with asyncio.TaskGroup() as group:
        group.create_task(outage())
        await world.run_until(world.log.finished)
    world.assert_whole()


async def test_a_deployment_that_breaks_during_a_trial_convicts_no_good_document() -> None:
    """What was refused alone is believed only if something was annotated after it."""
    log = plain(25)
    log[20] = plain(21, text=b"poison")[20]
    world = calm_world(Log(log), duration=2.0)
    submit = world.endpoint.submit

    async def break_down(batch: Batch, lease: Lease) -> SubmitVerdict:
        if len(world.endpoint.submits) >= 2 and now() < 600:
            return Halve(NO)
        return await submit(batch, lease)

    world.endpoint.submit = break_down  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    world.assert_whole()


async def test_a_probe_that_an_outcast_could_not_ask_parks_nobody() -> None:
    """That the group has given us up says nothing of the API."""
    world = calm_world(Log([*plain(1, text=b"poison"), *plain(30)[1:]]), duration=2.0)
    submit = world.endpoint.submit

    async def given_up(batch: Batch, lease: Lease) -> SubmitVerdict:
        verdict = await submit(batch, lease)
        world.ledger.outcast = world.ledger.outcast or (isinstance(verdict, Halve) and now() < 1)
        return verdict

    async def rejoin() -> None:
        await asyncio.sleep(3)
        assert world.ledger.outcast
        await world.source.rebalance([0])
        world.ledger.outcast = False

    world.endpoint.submit = given_up  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        group.create_task(rejoin())
        await world.run_until(world.log.finished)
    assert now() < world.plan.park_for / 2
    world.assert_whole()


async def test_half_an_outage_rejects_no_document_that_stands_alone() -> None:
    """A 503 for every second submit, also for the same document again and again, is no fault of it."""
    limits = Limits(documents=1, linger=0.1)
    world = calm_world(Log(plain(1_000)), plan=Plan(limits=limits, window=8, quota=(Rate(60_000, 60.0),)), duration=1.0)
    submit = world.endpoint.submit

    async def stumble(batch: Batch, lease: Lease) -> SubmitVerdict:
        return Wait("HTTP 503") if world.rng.random() < 0.5 else await submit(batch, lease)

    world.endpoint.submit = stumble  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    world.assert_whole()


async def test_what_the_journal_says_is_finished_moves_the_position_when_it_is_read() -> None:
    """Also behind the last outcome: a partition that is done has no lag."""
    world = calm_world(Log(plain(400)), duration=0.1)
    for record in world.log.records[0][1:]:
        world.log.published[0, record.offset].append(Annotated(record, "x", (), MODEL))
    world.log.journals[0] = journal.write(journal.Journal(0, 400, ((0, 1),)))
    world.begin(chunks=(1, 1))
    await world.run_until(world.log.finished, limit=100)


async def test_a_stop_in_doubt_rejects_nothing() -> None:
    """Whoever waits for the probe when the stop comes leaves its documents to the next reader."""
    world = calm_world(Log(plain(100)))
    refusing(world, lambda: True)
    await world.run_until(lambda: now() >= 100)
    assert not world.log.published
    assert now() < 100 + world.plan.drain_for
    assert all(batch is not PROBE for _, batch in world.endpoint.submits)
