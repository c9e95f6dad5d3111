"""Several resources under one line: work goes where it can be taken, jobs stay where they are. In virtual time."""

import asyncio
import random
from collections.abc import Collection, Sequence
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from entity_stream.core.batching import Limits
from entity_stream.core.model import Annotated, Batch, Job, Partition, Reason, Record, Rejected, Route, Target
from entity_stream.core.quota import Operation, Rate
from entity_stream.core.routing import Routing
from entity_stream.core.verdict import Again, Done, Freeze, Judged, PollVerdict, SubmitVerdict, Wait
from entity_stream.plan import Plan, Resource
from entity_stream.ports import Lease
from tests import virtual_time
from tests.pipeline.lives import CALM, PLAN, World, plain
from tests.pipeline.worlds import TOPIC, Endpoint, Faults, Log, now

HOUR = 3_600.0
WEST, EAST, NORTH = (Resource(name) for name in ("west", "east", "north"))
WORLDS = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
SMALL = Limits(documents=2, linger=0.2)
"""Few documents make many jobs."""
AWAY = Faults(outage=(10.0, HOUR))
REFUSED = Faults(parked=(0.0, HOUR))


def several(
    log: Log | None,
    faults: Sequence[Faults],
    resources: Sequence[Resource] = (WEST, EAST),
    plan: Plan = PLAN,
    seed: int = 1,
) -> World:
    """Make a world with these resources, each with its own faults; jobs take two seconds."""
    world = World(seed, 200 if log is None else 0)
    world.log, world.plan = log or world.log, replace(plan, resources=tuple(resources))
    first, *others = (
        Endpoint(random.Random(seed), each, lambda: 2.0, resource.name)
        for each, resource in zip(faults, resources, strict=True)
    )
    world.endpoint = first
    world.others = {Target(each.name): each.beside(first) for each in others}
    world.begin(chunks=(40, 40))
    return world


def at(world: World, name: str) -> Endpoint:
    return next(each for each in (world.endpoint, *world.others.values()) if each.name == name)


def documents(endpoint: Endpoint) -> int:
    return sum(len(batch) for _, batch in endpoint.submits)


@pytest.mark.asyncio
async def test_an_outage_of_one_holds_up_only_what_it_has_in_hand() -> None:
    """Its jobs wait for it, all else is done by the other; when it is back it takes work again. None was paid twice."""
    world = several(Log(plain(2_000)), [AWAY, CALM])

    async def look() -> None:
        await asyncio.sleep(HOUR - 10)
        west = world.line.vitals().resources["west"]
        assert west.in_flight <= PLAN.window
        assert west.shut[Operation.POLL] == "outage"
        assert world.line.vitals().parked is None
        unfinished = sum(world.line.vitals().unfinished.values())
        assert 0 < unfinished <= 25 * west.in_flight
        world.log.records[0] += plain(4_000)[2_000:]

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await world.run_until(lambda: now() > HOUR and world.log.finished())
    assert any(when > HOUR for when, _ in at(world, "west").submits)
    assert now() < HOUR + 400
    world.assert_whole()


@pytest.mark.asyncio
async def test_a_resource_that_refuses_its_key_is_left_alone() -> None:
    """Nothing waits for it: it is asked once in each pause, and the other does the work."""
    world = several(Log(plain(2_000)), [REFUSED, CALM])
    asked: list[float] = []
    submit = at(world, "west").submit

    async def count(batch: Batch, lease: Lease) -> SubmitVerdict:
        asked.append(now())
        return await submit(batch, lease)

    at(world, "west").submit = count  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    assert documents(at(world, "east")) == 2_000
    assert now() < 60
    assert len(asked) <= now() / PLAN.park_for + PLAN.window
    assert world.line.vitals().parked is None
    assert str(world.line.vitals().resources["west"].parked).startswith("401")
    world.assert_whole()


@pytest.mark.asyncio
async def test_when_all_refuse_that_is_told_with_their_names() -> None:
    """A line that nobody works for is parked; one of them is enough for it to go on."""
    world = several(Log(plain(200)), [REFUSED, Faults(parked=(0.0, 100.0))])

    async def look() -> None:
        await asyncio.sleep(50)
        assert world.line.vitals().parked == "west: 401: the key is refused; east: 401: the key is refused"

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        await world.run_until(world.log.finished)
    assert 100 < now() < 100 + 2 * PLAN.park_for
    first, *others = [when for when, _ in at(world, "east").submits]
    assert max(others) < first + 2, "they hear of it at once, wherever they wait"
    world.assert_whole()


@pytest.mark.asyncio
async def test_a_throttled_one_is_not_waited_for() -> None:
    """Whoever says to come back later is asked then, more slowly, and shows that; meanwhile all goes elsewhere."""
    world = several(Log(plain(4_000)), [CALM, CALM])
    asked: list[float] = []

    async def later(batch: Batch, lease: Lease) -> SubmitVerdict:
        asked.append(now())
        return Freeze("HTTP 429", 20.0)

    at(world, "west").submit = later  # type: ignore[method-assign]
    await world.run_until(world.log.finished)
    assert documents(at(world, "east")) == 4_000
    assert now() < 4_000 / 25 / PLAN.window * 2.5 + 10
    assert len(asked) <= (now() / 20 + 1) * PLAN.window
    slowed = {name: health.slowed for name, health in world.line.vitals().resources.items()}
    assert slowed["west"] == {Operation.SUBMIT: True, Operation.POLL: False}
    assert not any(slowed["east"].values())
    world.assert_whole()


@pytest.mark.asyncio
async def test_a_draining_one_brings_its_jobs_home_and_takes_no_more() -> None:
    """What it has in flight is asked for there, also by the next life; new work goes to the other."""
    world = several(Log(plain(1_000)), [CALM, CALM], plan=replace(PLAN, drain_for=0.0))
    await world.run_until(lambda: len(world.endpoint.submits) > 3)
    before = len(at(world, "west").submits)
    world.plan = replace(world.plan, resources=(Resource("west", draining=True), EAST))
    world.begin()
    await world.run_until(world.log.finished)
    assert len(at(world, "west").submits) == before
    assert documents(at(world, "west")) + documents(at(world, "east")) == 1_000
    world.assert_whole()


@pytest.mark.asyncio
@pytest.mark.parametrize("window", [8, 64])
async def test_under_equal_quota_work_is_shared_by_weight(window: int) -> None:
    """Three to one, while both have quota to spare."""
    resources = (Resource("west", weight=3.0), Resource("east", weight=1.0))
    plan = replace(PLAN, window=window, limits=SMALL, quota=(Rate(60_000, 60.0),))
    world = several(Log(plain(1_600)), [CALM, CALM], resources, plan)
    await world.run_until(world.log.finished)
    assert 0.675 < documents(at(world, "west")) / 1_600 < 0.825


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(6))
async def test_throttles_move_batches_and_drop_none(seed: int) -> None:
    """However often one of two is frozen, and whoever is sooner then, every batch is submitted by somebody."""
    plan = replace(PLAN, limits=SMALL, window=16, quota=(Rate(60, 60.0),))
    world = several(Log(plain(200)), [CALM, CALM], plan=plan, seed=seed)
    west, pause, asked = at(world, "west"), random.Random(seed).uniform(2, 6), count(1)
    submit = west.submit

    async def throttled(batch: Batch, lease: Lease) -> SubmitVerdict:
        return Freeze("429", pause) if next(asked) % 7 == 0 else await submit(batch, lease)

    west.submit = throttled  # type: ignore[method-assign]
    await world.run_until(world.log.finished, limit=5_000)
    world.assert_whole()


def silent_polls(endpoint: Endpoint, verdict: Wait | Freeze, begin: float, end: float) -> None:
    """Have polls bring nothing for a time, while submits are taken."""
    poll = endpoint.poll

    async def trouble(job: Job, batch: Batch) -> PollVerdict:
        if not begin < now() < end:
            return await poll(job, batch)
        await asyncio.sleep(0.05)
        return verdict

    endpoint.poll = trouble  # type: ignore[method-assign]


def submits(endpoint: Endpoint, begin: float, end: float) -> int:
    return sum(begin <= when < end for when, _ in endpoint.submits)


@pytest.mark.asyncio
@pytest.mark.parametrize("verdict", [Wait("HTTP 500"), Freeze("HTTP 429", 240.0)], ids=["500", "429"])
async def test_a_resource_that_cannot_be_asked_for_its_jobs_gets_no_more(verdict: Wait | Freeze) -> None:
    """However willingly it takes them: it keeps to its part of the window, and the other goes on at its quota."""
    plan = replace(PLAN, window=16, limits=SMALL, quota=(Rate(120, 60.0),))
    world = several(Log(plain(60_000)), [CALM, CALM], plan=plan)
    silent_polls(at(world, "west"), verdict, 30.0, 200.0)
    await world.run_until(lambda: now() > 200)
    assert submits(at(world, "west"), 32.0, 200.0) <= 16
    assert submits(at(world, "east"), 60.0, 180.0) >= 0.9 * 120


@pytest.mark.asyncio
async def test_where_one_is_silent_and_the_other_refuses_the_window_stays_one() -> None:
    """Nobody takes more of what it cannot be asked for, only because there is nobody else."""
    plan = replace(PLAN, window=16, limits=SMALL, quota=(Rate(600, 60.0),))
    world = several(Log(plain(60_000)), [CALM, Faults(parked=(20.0, HOUR))], plan=plan)
    silent_polls(at(world, "west"), Wait("HTTP 500"), 30.0, 300.0)
    await world.run_until(lambda: now() > 290)
    assert submits(at(world, "west"), 40.0, 290.0) <= 16
    assert at(world, "west").under_way <= 16


@pytest.mark.asyncio
async def test_a_window_stays_one_where_another_route_of_the_only_resource_has_no_jobs() -> None:
    """That a route is silent whose gate nobody has tried does not let others take more than the window."""
    plan = replace(PLAN, window=8, limits=SMALL, routing=ROUTING)
    world = several(Log(plain(4_000)), [CALM], [WEST], plan)
    world.others = spread(world, world.endpoint)
    silent_polls(world.endpoint, Wait("HTTP 500"), 5.0, 100.0)
    world.begin()
    await world.run_until(lambda: now() > 90)
    assert world.endpoint.peak == 8


@pytest.mark.asyncio
async def test_after_a_blip_the_window_does_not_stand_in_line_at_the_smaller_resource() -> None:
    """What moved there while the large one was away comes back once that would be sooner."""
    west, east = Resource("west", quota=(Rate(1_000, 60.0),)), Resource("east", quota=(Rate(20, 60.0),))
    plan = replace(PLAN, window=64, limits=SMALL)
    world = several(Log(plain(60_000)), [Faults(outage=(30.0, 38.0)), CALM], (west, east), plan)
    await world.run_until(lambda: now() > 60)
    assert submits(at(world, "west"), 45.0, 60.0) >= 0.8 * submits(at(world, "west"), 15.0, 30.0)


@pytest.mark.asyncio
async def test_a_slow_resource_does_not_fill_the_window() -> None:
    """Where its jobs take ten times as long it gets the fewer; the quick one is kept busy."""
    world = several(Log(plain(1_600)), [CALM, CALM], plan=replace(PLAN, limits=SMALL))
    at(world, "west")._duration = lambda: 20.0
    await world.run_until(world.log.finished)
    quick = 1_600 / 2 / (PLAN.window / 2) * 2.0  # seconds, if the quick one had half of the window and did all
    assert now() < 1.3 * quick
    assert documents(at(world, "east")) > 1_280


@pytest.mark.asyncio
async def test_work_goes_where_quota_is_free() -> None:
    """Quotas of ten to one bring work of ten to one, whatever the weights, and both are used."""
    resources = (Resource("west", quota=(Rate(600, 60.0),)), Resource("east", weight=9.0, quota=(Rate(60, 60.0),)))
    world = several(Log(plain(1_500)), [CALM, CALM], resources, replace(PLAN, window=64, limits=SMALL))
    calls: list[int] = []

    async def look() -> None:
        await asyncio.sleep(120)
        calls.extend(len(each.submits) + sum(each.polls.values()) for each in (at(world, "west"), at(world, "east")))

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        await world.run_until(looking.done)
    west, east = calls
    assert 0.9 * 1_200 < west <= 1_210
    assert 0.85 * 120 < east <= 125


@pytest.mark.asyncio
async def test_jobs_of_two_resources_are_resumed_where_they_are() -> None:
    """After a crash each owner is asked for its own, though jobs are named alike; nothing is submitted again."""
    world = several(Log(plain(400)), [CALM, CALM], plan=replace(PLAN, drain_for=0.0))
    world.endpoint._duration = at(world, "east")._duration = lambda: 30.0
    await world.run_until(lambda: now() > 5)
    before = [len(each.submits) for each in (at(world, "west"), at(world, "east"))]
    assert all(before)
    assert len({name.split()[0] for name in world.log.named(0).values()}) == 2
    world.begin()
    await world.run_until(world.log.finished)
    assert documents(at(world, "west")) + documents(at(world, "east")) == 400
    world.assert_whole()


@pytest.mark.asyncio
async def test_jobs_of_a_resource_that_is_gone_are_submitted_to_the_others() -> None:
    """Nobody knows whom to ask for them; those of the other stay where they are."""
    world = several(Log(plain(200)), [CALM, CALM], plan=replace(PLAN, drain_for=0.0))
    world.endpoint._duration = at(world, "east")._duration = lambda: 30.0
    await world.run_until(lambda: now() > 5)
    gone = documents(world.endpoint)
    east = world.others.popitem()[1]
    world.endpoint, world.plan = east, replace(world.plan, resources=(EAST,))
    world.begin()
    await world.run_until(world.log.finished)
    assert gone
    assert documents(east) == 200
    assert len(east.billed_twice) == gone


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["west", "east"])
async def test_a_broken_model_at_one_resource_rejects_nobody_and_stops_nothing(name: str) -> None:
    """What it rejects is submitted to the other; it gets the probe each minute and nothing else until that passes."""
    world = several(Log(plain(2_000)), [CALM, CALM])
    broken = at(world, name)
    poll = broken.poll

    async def fail(job: Job, batch: Batch) -> PollVerdict:
        if now() >= HOUR:
            return await poll(job, batch)
        broken._fail(batch)
        return Done(Judged(tuple(Rejected(each.record, Reason("InvalidModel", "no")) for each in batch), ()))

    broken.poll = fail  # type: ignore[method-assign]

    async def look() -> None:
        await asyncio.sleep(HOUR / 2)
        assert world.log.finished()
        assert "rejects even a probe" in str(world.line.vitals().resources[name].parked)
        assert world.line.vitals().parked is None
        await asyncio.sleep(HOUR)
        assert world.line.vitals().resources[name].parked is None

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        await world.run_until(looking.done)
    assert 50 <= len(broken.probes) <= 62
    assert documents(broken) <= PLAN.attempts * 25 * PLAN.window
    world.assert_whole()


@pytest.mark.asyncio
async def test_jobs_that_are_stranded_leave_the_window_to_others() -> None:
    """All that one had in hand when it went away waits; the other, back since, has the whole window."""
    world = several(Log(plain(4_000)), [Faults(outage=(15.0, HOUR)), Faults(parked=(0.0, 20.0))])
    at(world, "west")._duration = lambda: 20.0
    await world.run_until(lambda: now() > 500)
    assert len(at(world, "west").submits) >= PLAN.window - 1
    assert documents(at(world, "west")) + documents(at(world, "east")) == 4_000
    assert sum(world.line.vitals().unfinished.values()) == 0


ROUTES = (Route("incidents", "canary"), Route("chat", "production"))
SECRET = Route("secret", "production")
ROUTING = Routing(frozenset(ROUTES), Route("incidents", "production"))


def routed(seed: int, count: int) -> list[Record]:
    """Make records of some keys that ask for all kinds of routes, also for what is none."""
    rng, made = random.Random(seed), []
    for offset in range(count):
        asked = rng.choice([*ROUTES, *ROUTES, None, SECRET])
        names = (asked.project.encode(), asked.deployment.encode()) if asked else ()
        headers = tuple(zip(("entity-stream-project", "entity-stream-deployment"), names, strict=False))
        place, key = Partition(TOPIC, rng.randrange(2)), rng.choice([None, b"a", b"b"])
        made.append(Record(place, offset, key, b'{"text":"all is well"}', headers))
    return made


def spread(world: World, endpoint: Endpoint) -> dict[Target, Endpoint]:
    """Have an endpoint serve each route, by languages of its own that share its books."""
    languages = {}
    for route in ROUTES:
        each = Endpoint(world.rng, endpoint._faults, lambda: world.rng.uniform(0.5, 5.0), endpoint.name).beside(
            endpoint
        )
        each.route, each.ends = route, endpoint.ends
        languages[Target(endpoint.name, route)] = each
    return languages


@WORLDS
@given(st.integers(0, 1_000), st.integers(1, 200), st.sampled_from([0.0, 0.02]), st.sampled_from([0.0, 0.2]))
def test_routes_are_never_mixed(seed: int, count: int, lost: float, trouble: float) -> None:
    """Through crashes, failed jobs and throttling, what asks for a route goes by it alone, or is rejected for it."""

    async def main() -> None:
        faults = Faults(lost=lost, trouble=trouble, job=trouble / 2, missing=trouble / 2)
        plan = replace(PLAN, routing=ROUTING)
        world = several(Log(routed(seed, count)), [faults, faults], plan=plan, seed=seed)
        world.faults = faults
        for endpoint in (world.endpoint, *world.others.values()):
            world.others |= spread(world, endpoint)
        world.begin()
        await world.run_until(world.log.finished)
        assert not world.endpoint.billed_twice
        for outcome in (each for outcomes in world.log.published.values() for each in outcomes):
            if b"secret" in dict(outcome.record.headers).values():
                assert isinstance(outcome, Rejected)
                assert outcome.reason.code == "route-not-allowed"
            else:
                assert isinstance(outcome, Annotated)

    virtual_time.run(main())


several_faults = st.builds(
    Faults,
    trouble=st.sampled_from([0.0, 0.3]),
    job=st.sampled_from([0.0, 0.1]),
    missing=st.sampled_from([0.0, 0.1]),
    lost=st.sampled_from([0.0, 0.01]),
    outage=st.sampled_from([(0.0, 0.0), (5.0, 200.0)]),
    parked=st.sampled_from([(0.0, 0.0), (8.0, 600.0)]),
)


@WORLDS
@given(st.integers(), st.lists(several_faults, min_size=2, max_size=3), st.booleans())
def test_through_all_trouble_at_several_nothing_is_lost_or_paid_twice(
    seed: int, faults: list[Faults], exactly_once: bool
) -> None:
    """Each with troubles of its own, and crashes of ours: order, outcomes and bills are as with one."""

    async def main() -> None:
        world = several(None, faults, (WEST, EAST, NORTH)[: len(faults)], seed=seed)
        world.faults, world.exactly_once = faults[0], exactly_once
        world.begin()
        await world.run_until(world.log.finished)
        world.assert_whole()

    virtual_time.run(main())


@pytest.mark.asyncio
async def test_a_route_that_is_broken_at_one_resource_leaves_its_others_alone() -> None:
    """A deployment that is gone parks its own route there, and nothing else."""
    world = several(Log(routed(3, 400)), [CALM, CALM], plan=replace(PLAN, routing=ROUTING))
    for endpoint in (world.endpoint, *world.others.values()):
        world.others |= spread(world, endpoint)
    broken = world.others[Target("west", ROUTES[0])]
    broken._faults = REFUSED
    world.begin()
    await world.run_until(world.log.finished)
    assert not broken.submits
    assert world.others[Target("west", ROUTES[1])].submits
    assert world.endpoint.submits
    assert str(world.line.vitals().resources["west"].parked) == "incidents/canary: 401: the key is refused"
    assert world.line.vitals().parked is None


@pytest.mark.asyncio
async def test_a_job_that_mixes_routes_by_the_rules_of_today_is_parted() -> None:
    """Submitted before there were routes, failed since: what it owes is submitted again, each by its own."""
    world = several(Log(routed(5, 50)), [CALM, CALM], plan=replace(PLAN, drain_for=0.0))
    world.endpoint._duration = at(world, "east")._duration = lambda: 30.0
    await world.run_until(lambda: now() > 5)
    before = documents(world.endpoint) + documents(at(world, "east"))
    world.plan = replace(world.plan, routing=ROUTING)
    for endpoint in (world.endpoint, *world.others.values()):
        world.others |= spread(world, endpoint)
    inherited = set(world.endpoint.ends)
    for endpoint in (world.endpoint, *world.others.values()):
        failing(endpoint, inherited)
    world.begin()
    await world.run_until(world.log.finished)
    assert before == 50
    assert sum(isinstance(outcomes[0], Annotated) for outcomes in world.log.published.values()) > 30


def failing(endpoint: Endpoint, jobs: Collection[str]) -> None:
    """Have these jobs come to nothing."""
    poll = endpoint.poll

    async def fail(job: Job, batch: Batch) -> PollVerdict:
        if job.id not in jobs:
            return await poll(job, batch)
        endpoint._fail(batch)
        return Again("job failed InternalServerError")

    endpoint.poll = fail  # type: ignore[method-assign]
