"""Jobs outlive the process that submitted them: handed over, resumed, never paid twice. In virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

import msgspec
import pytest

from entity_stream.core import journal
from entity_stream.core.batching import Limits
from entity_stream.core.model import Annotated, Batch, Job, Partition, Reason, Record, Rejected
from entity_stream.core.ordering import Order
from entity_stream.core.quota import Rate
from entity_stream.core.verdict import Again, Done, Judged, PollVerdict, SubmitVerdict
from entity_stream.plan import Resource
from entity_stream.ports import Fetched, Lease, unlimited
from entity_stream.tenure import DARK
from entity_stream.tenures import Grant
from tests.pipeline.lives import CALM, PLAN, World, calm_world, plain
from tests.pipeline.worlds import MODEL, TOPIC, Endpoint, Log, now

pytestmark = pytest.mark.asyncio

WELL = b'{"text":"all is well"}'


def slowed(world: World, seconds: float) -> None:
    """Have the answer to a submit take its time on the way back."""
    submit = world.endpoint.submit

    async def late(batch: Batch, lease: Lease) -> SubmitVerdict:
        verdict = await submit(batch, lease)
        await asyncio.sleep(seconds)
        return verdict

    world.endpoint.submit = late  # type: ignore[method-assign]


def stuck_first(world: World, usual: float) -> None:
    """Have the job of the very first record of the last partition take ten minutes."""

    def duration() -> float:
        first = world.endpoint.submits[-1][1][0].record
        return 600.0 if (first.partition.index, first.offset) == (max(world.log.records), 0) else usual

    world.endpoint = Endpoint(world.rng, CALM, duration)
    world.begin(chunks=(40, 40))


async def meanwhile(
    world: World, happens: Callable[[], Awaitable[None]], until: Callable[[], bool] | None = None
) -> None:
    """Live until all is finished while something happens."""
    async with asyncio.TaskGroup() as group:
        happening = group.create_task(_coroutine(happens))
        await world.run_until(until or (lambda: world.log.finished() and happening.done()), limit=20_000)


async def _coroutine(happens: Callable[[], Awaitable[None]]) -> None:
    await happens()


def billed(world: World) -> Counter[int]:
    return Counter(document.record.offset for _, batch in world.endpoint.submits for document in batch)


async def test_a_submit_under_way_at_a_revoke_is_waited_for_and_handed_over() -> None:
    """Its answer names a job that the new owner asks for: nothing is submitted twice."""
    world = calm_world(Log(plain(200)), duration=5.0)
    slowed(world, 2.0)

    async def revoke() -> None:
        await asyncio.sleep(1.0)
        assert not any(world.log.journals.values())
        await world.source.rebalance([0])
        assert len(world.log.named(0)) == 200

    await meanwhile(world, revoke)
    assert set(billed(world).values()) == {1}
    world.assert_whole()


async def test_a_submit_under_way_at_the_stop_is_waited_for_and_handed_over() -> None:
    """Even where jobs in flight are given no time to end."""
    world = calm_world(Log(plain(200)), plan=msgspec.structs.replace(PLAN, drain_for=0.0), duration=50.0)
    slowed(world, 2.0)
    await world.run_until(lambda: now() > 1)
    assert len(world.log.named(0)) == 200
    world.begin()
    slowed(world, 0.0)
    await world.run_until(world.log.finished)
    assert set(billed(world).values()) == {1}
    world.assert_whole()


async def test_an_answer_that_comes_too_late_keeps_nobody() -> None:
    """A revoke ends within its time, and what nobody could know of is submitted again."""
    world = calm_world(Log(plain(25)), duration=5.0)
    slowed(world, 60.0)

    async def revoke() -> None:
        await asyncio.sleep(1.0)
        began = now()
        await world.source.rebalance([0])
        assert now() - began <= PLAN.release_for
        world.endpoint.good.clear()

    await meanwhile(world, revoke)
    assert set(billed(world).values()) == {2}
    world.assert_whole()


async def test_a_batch_that_waits_for_quota_goes_to_the_new_owner() -> None:
    """At ten calls a minute most wait; what is taken from us meanwhile is never submitted by us."""
    world = calm_world(Log(plain(300)), plan=msgspec.structs.replace(PLAN, quota=(Rate(10, 60.0),)), duration=5.0)

    async def revoke() -> None:
        for _ in range(5):
            await asyncio.sleep(20)
            await world.source.rebalance([0])

    await meanwhile(world, revoke)
    assert set(billed(world).values()) == {1}
    world.assert_whole()


async def test_while_the_broker_is_away_nothing_more_is_submitted() -> None:
    """What is accepted and cannot be committed might be paid again by whoever comes after us."""
    world = calm_world(Log(plain(15_000)), plan=msgspec.structs.replace(PLAN, window=50), duration=1.0)
    prove = world.ledger.prove

    async def outage() -> None:
        await asyncio.sleep(5)
        world.ledger.away, world.ledger.prove = True, always  # type: ignore[method-assign]
        gone = now()
        await asyncio.sleep(60)
        assert max(at for at, _ in world.endpoint.submits) <= gone + DARK + 0.2
        world.ledger.away, world.ledger.prove = False, prove  # type: ignore[method-assign]

    async def always() -> Lease | None:
        return unlimited

    await meanwhile(world, outage)
    world.assert_whole()


async def test_a_crash_pays_again_only_for_what_no_commit_named() -> None:
    """A moment after the last submit all jobs are named; the next life asks for each of them, and pays for none."""
    world = calm_world(Log(plain(150)), duration=30.0)
    crashing = asyncio.create_task(world.line.run())
    await asyncio.sleep(2)
    crashing.cancel()
    await asyncio.gather(crashing, return_exceptions=True)
    world.begin()
    await world.run_until(world.log.finished)
    assert len(world.endpoint.submits) == 6
    assert now() < 40
    world.assert_whole()


async def test_jobs_of_a_resource_by_another_name_are_submitted_again() -> None:
    """Nobody knows whom to ask for them."""
    world = calm_world(Log(plain(25)), duration=30.0)
    await world.run_until(lambda: now() > 2)
    world.plan = msgspec.structs.replace(PLAN, resources=(Resource("another"),), drain_for=0.0)
    world.endpoint.name = "another"
    world.begin()
    world.endpoint.good.clear()
    await world.run_until(world.log.finished)


async def test_a_resumed_job_does_not_starve_what_is_not_submitted() -> None:
    """With a window of one, a job of an earlier life that runs for long leaves room for those that do not."""
    plan = msgspec.structs.replace(PLAN, window=1, drain_for=0.0)
    world = calm_world(Log(plain(75)), plan=plan)
    durations = iter([1_000.0, *[1.0] * 10])
    world.endpoint = Endpoint(world.rng, CALM, lambda: next(durations))
    world.begin()
    await world.run_until(lambda: now() > 2)
    assert len(world.endpoint.submits) == 1
    world.begin()
    await world.run_until(lambda: now() > 60)
    assert {offset for _, offset in world.log.published} == set(range(25, 75))


async def test_a_resumed_job_counts_against_the_window() -> None:
    """A new life has one more in flight than the window at the most: the place that is left to what is new."""
    world = calm_world(Log(plain(2_000)), plan=msgspec.structs.replace(PLAN, drain_for=0.0), duration=30.0)
    await world.run_until(lambda: now() > 5)
    world.begin()
    await world.run_until(world.log.finished)
    assert world.endpoint.peak <= PLAN.window + 1
    world.assert_whole()


async def test_what_the_log_has_lost_meanwhile_is_let_go() -> None:
    """Compaction took records of a job in flight: the others are asked for, and the position passes over the gap."""
    world = calm_world(Log(plain(50)), plan=msgspec.structs.replace(PLAN, drain_for=0.0), duration=30.0)
    await world.run_until(lambda: now() > 2)
    world.log.records[0] = [record for record in world.log.records[0] if record.offset not in {0, 7, 8, 24, 30}]
    world.begin()
    await world.run_until(world.log.finished, limit=200)
    assert world.line.vitals().superseded == 5
    assert len(world.endpoint.submits) == 2
    world.assert_whole()


async def test_a_full_memory_does_not_keep_a_job_from_being_resumed() -> None:
    """A life with less memory than the last reads part of a job's records, and asks for that part."""
    world = calm_world(Log(plain(25, text=b"x" * 1_000)), plan=msgspec.structs.replace(PLAN, drain_for=0.0))
    await world.run_until(lambda: now() > 2)
    world.plan = msgspec.structs.replace(world.plan, memory=10_000)
    world.begin(chunks=(2, 2))
    await world.run_until(world.log.finished, limit=200)
    assert len(world.endpoint.submits) == 1


async def test_a_key_that_is_stuck_holds_back_its_partition_only_when_the_journal_is_full() -> None:
    """Other keys go on until then; then the partition waits, and is named, while others go on."""
    keys = [b"stuck" if offset % 25 == 0 else None for offset in range(10_000)]
    slow = [Record(Partition(TOPIC, 1), n, key, WELL) for n, key in enumerate(keys)]
    quick = [Record(Partition(TOPIC, 0), n, None, WELL) for n in range(5_000)]
    world = calm_world(Log([*slow, *quick]), plan=msgspec.structs.replace(PLAN, limits=Limits(linger=0.2), window=16))
    stuck_first(world, 1.0)

    async def look() -> None:
        await asyncio.sleep(400)
        assert world.log.committed == {0: 5_000, 1: 0}
        assert {partition.index for partition in world.line.vitals().full} == {1}
        published = sum(index == 1 for index, _ in world.log.published)
        assert 2_000 < published < 4_000

    await meanwhile(world, look)
    world.assert_whole()


async def test_tombstones_wait_for_room_rather_than_be_forgotten() -> None:
    """Settled without a job, they take room in the journal that nobody has reserved."""
    rows = [Record(Partition(TOPIC, 0), 0, b"first", WELL)]
    for n in range(1, 3_000, 2):
        rows.append(Record(Partition(TOPIC, 0), n, b"gone-%d" % n, None))
        rows.append(Record(Partition(TOPIC, 0), n + 1, b"kept", WELL))
    world = calm_world(Log(rows), plan=msgspec.structs.replace(PLAN, limits=Limits(documents=1), window=4))
    stuck_first(world, 0.2)
    await world.run_until(world.log.finished, limit=20_000)
    world.assert_whole()


async def test_a_settle_that_came_to_nothing_ends_the_tenure() -> None:
    """Once the group goes on without us nothing of the partition is settled or submitted, until it is claimed anew."""
    world = calm_world(Log(plain(2_000)), duration=1.0)
    settle, refused = world.ledger.settle, list[float]()

    async def refuse(*act: object) -> bool:
        if 4 < now() < 20:  # when the last commit names all jobs in flight
            refused.append(now())
            return False
        return await settle(*act)  # type: ignore[arg-type]

    async def rejoin() -> None:
        await asyncio.sleep(15)
        late = [at for at, _ in world.endpoint.submits if at > refused[0] + 0.1]
        assert (len(refused), late) == (1, [])
        await asyncio.sleep(10)
        await world.source.rebalance([0])
        for partition in list(world.source.held):
            del world.source.held[partition]

    world.ledger.settle = refuse  # type: ignore[method-assign, assignment]
    await meanwhile(world, rejoin)
    world.assert_whole()


async def test_a_journal_of_the_version_before_is_read() -> None:
    """It knows what is finished; what it does not know is submitted."""
    world = calm_world(Log(plain(40)), duration=1.0)
    for offset in {*range(40)} - {12, 13, 20}:
        world.log.published[0, offset].append(Annotated(world.log.records[0][offset], "x", (), MODEL))
    world.log.committed[0], world.log.journals[0] = 10, b"AQoeAgIGAQ=="  # 10 to 39, but 12, 13 and 20
    assert journal.read(world.log.journals[0], 10).unfinished == ((12, 14), (20, 21))
    world.begin()
    await world.run_until(world.log.finished)
    assert sorted(billed(world)) == [12, 13, 20]


@pytest.mark.parametrize("order", [Order.PARTITION, Order.KEY])
async def test_trials_on_a_full_journal_end(order: Order) -> None:
    """However many batches are tried part by part at once, what holds the position never waits for room."""
    poison = b'{"text":"poison"}'
    dice = random.Random(1)
    rows = [
        Record(Partition(TOPIC, 0), n, b"%d" % dice.randrange(8), poison if dice.random() < 0.01 else WELL)
        for n in range(3_000)
    ]
    plan = msgspec.structs.replace(
        PLAN, order=order, window=64, quota=(Rate(60_000, 60.0),), limits=Limits(linger=0.05)
    )
    world = calm_world(Log(rows), plan=plan)
    world.begin(chunks=(500, 500))
    await world.run_until(world.log.finished, limit=300)
    world.assert_whole()


@pytest.mark.parametrize("seed", range(4))
async def test_a_run_of_tombstones_outgrows_no_journal(seed: int) -> None:
    """Those of a stuck key between those of others are settled one by one out of a run, and each then stands alone."""
    stuck = Record(Partition(TOPIC, 0), 0, b"stuck", WELL)
    gone = [Record(Partition(TOPIC, 0), n, b"stuck" if n % 2 else b"key-%d" % n, None) for n in range(1, 3_600)]
    world = calm_world(Log([stuck, *gone]), duration=60.0)
    world.rng.seed(seed)
    world.begin(chunks=(1, 1) if seed % 2 else (0, 500))

    async def hurry() -> None:
        await asyncio.sleep(1.0)
        world.source.chunks = (100 + 100 * seed, 500)

    await meanwhile(world, hurry)
    world.assert_whole()


async def test_what_a_broken_model_left_behind_is_not_believed_by_the_next_life() -> None:
    """Mended while nobody ran: the results that still lie there reject good documents, and cost none of them."""
    world = calm_world(Log(plain(1_000)), duration=2.0)
    poll = world.endpoint.poll

    async def stored(job: Job, batch: Batch) -> PollVerdict:
        verdict = await poll(job, batch)
        if isinstance(verdict, Done) and world.endpoint.ends[job.id] < 100:
            return Done(Judged(tuple(Rejected(each.record, Reason("InvalidModel", "broken")) for each in batch), ()))
        return verdict

    world.endpoint.poll = stored  # type: ignore[method-assign]
    crashing = asyncio.create_task(world.line.run())
    await asyncio.sleep(60)
    assert world.line.vitals().parked
    crashing.cancel()
    await asyncio.gather(crashing, return_exceptions=True)
    world.endpoint.good.clear()
    await asyncio.sleep(60)
    world.begin()
    await world.run_until(world.log.finished)
    world.assert_whole()


async def test_an_inherited_job_that_rejects_is_believed_where_another_of_its_time_was_annotated() -> None:
    """Nothing is paid again for a document that is at fault, because its job was handed over."""
    rows = [*plain(25), *(Record(Partition(TOPIC, 0), n, None, b'{"text":"refused"}') for n in range(25, 50))]
    world = calm_world(Log(rows), plan=msgspec.structs.replace(PLAN, drain_for=0.0), duration=5.0)
    poll = world.endpoint.poll

    async def dated(job: Job, batch: Batch) -> PollVerdict:
        verdict = await poll(job, batch)
        if isinstance(verdict, Done):
            ended = world.endpoint.ends[job.id]
            return Done(msgspec.structs.replace(verdict.value, created=ended - 5.0, ended=ended))
        return verdict

    world.endpoint.poll = dated  # type: ignore[method-assign]
    await world.run_until(lambda: now() > 2)
    world.begin()
    await world.run_until(world.log.finished)
    assert set(billed(world).values()) == {1}
    world.assert_whole()


async def test_what_a_shared_job_rejects_is_believed_where_it_annotated_what_another_owns_now() -> None:
    """Nothing is paid again for a document that is at fault, because the good ones of its job were others' by then."""
    good = [Record(Partition(TOPIC, 0), offset, None, b'{"text":"all is well"}') for offset in range(12)]
    bad = [Record(Partition(TOPIC, 1), offset, None, b'{"text":"refused"}') for offset in range(12)]
    world = calm_world(Log([*good, *bad]), duration=5.0)

    async def share() -> None:
        await asyncio.sleep(3.0)
        assert len(world.endpoint.submits) == 1
        await world.source.rebalance([1])

    await meanwhile(world, share)
    assert len(world.endpoint.submits) == 1
    world.assert_whole()


async def test_a_revoke_during_a_stop_waits_for_what_the_stop_lets_go() -> None:
    """A rolling update does both at once: the group goes on only when the last settle has ended."""
    world = calm_world(Log(plain(200)), plan=msgspec.structs.replace(PLAN, drain_for=0.0), duration=50.0)
    slowed(world, 2.0)
    running = asyncio.create_task(world.line.run())
    await asyncio.sleep(1.0)
    world.stop.set()
    await asyncio.sleep(0.2)
    await world.source.rebalance([0])
    assert len(world.log.named(0)) == 200
    await running


async def test_a_stop_while_partitions_are_let_go_ends_the_run() -> None:
    """The source lets go of its own account in the middle of a read, which the stop cancels."""
    world = calm_world(Log(plain(100)), plan=msgspec.structs.replace(PLAN, drain_for=1.0), duration=5.0)
    slowed(world, 3.0)
    read = world.source.read

    async def out_of_range(wait: float, without: Collection[Partition] = ()) -> Fetched:
        if now() > 1 and world.source.held:
            await world.source.rebalance([0])
        return await read(wait, without)

    world.source.read = out_of_range  # type: ignore[method-assign]
    running = asyncio.create_task(world.line.run())
    await asyncio.sleep(1.5)
    world.stop.set()
    async with asyncio.timeout(30):
        await running


@pytest.mark.parametrize("seed", range(3))
async def test_a_full_partition_holds_up_no_other(seed: int) -> None:
    """Also when batches are topped up from several: what has room is submitted, what has none waits."""
    keys = [b"stuck" if offset % 25 == 0 else None for offset in range(6_000)]
    slow = [Record(Partition(TOPIC, 1), n, key, WELL) for n, key in enumerate(keys)]
    quick = [Record(Partition(TOPIC, 0), n, None, WELL) for n in range(6_000)]
    plan = msgspec.structs.replace(PLAN, window=16, limits=Limits(linger=0.05), quota=(Rate(60_000, 60.0),))
    world = calm_world(Log([*slow, *quick]), plan=plan)
    stuck_first(world, 1.0)
    world.rng.seed(seed)
    world.source.chunks = (1, 40)
    await world.run_until(lambda: now() > 500)
    assert world.log.committed == {0: 6_000, 1: 0}


async def test_what_there_is_no_room_for_at_first_is_submitted_after_the_rest() -> None:
    """A batch that is granted in parts is carried to its end, part by part."""
    world = calm_world(Log(plain(25)), duration=1.0)
    poll, grant = world.endpoint.poll, world.line._tenures.grant

    async def fail_once(job: Job, batch: Batch) -> PollVerdict:
        return Again("job failed") if job.id == "job-0" else await poll(job, batch)

    def in_parts(batch: Batch, attempts: int, whole: Batch | None = None) -> Grant | None:
        return grant(batch[:10] if attempts > 1 else batch, attempts, whole)

    world.endpoint.poll = fail_once  # type: ignore[method-assign]
    world.line._tenures.grant = in_parts  # type: ignore[method-assign]
    world.endpoint.good.clear()
    await world.run_until(world.log.finished, limit=100)
    assert [len(batch) for _, batch in world.endpoint.submits] == [25, 10, 10, 5]
