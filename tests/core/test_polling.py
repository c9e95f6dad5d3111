"""The first poll of most jobs is the last, soon after the answer is there, however long jobs take."""

import math
from collections.abc import Iterable
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_stream.core.model import Batch, Document, Partition, Record
from entity_stream.core.polling import (
    CHEAP,
    CROWDED,
    FACTOR,
    FIRST_GUESS,
    LATEST_FIRST,
    LONGEST,
    SHORTEST,
    STRANGER,
    Polling,
    _price,
    backoff,
    plan,
)
from entity_stream.core.skew import Sighting

SKEW = 1_234.567
ROUNDING = 1e-6
RECORD = Record(Partition("documents", 0), 0, None, None)

steady = st.floats(0.25, LATEST_FIRST * 0.9)
moments = st.floats(0, 1e5)


def batch(documents: int = 25, characters: int = 2_000) -> Batch:
    return (Document(RECORD, "", "", "x" * characters),) * documents


FULL = batch()


class Client:
    """Carries one job after another, as a caller does."""

    def __init__(self, *, stamps: bool = True) -> None:
        self.polling, self.now, self._stamps = Polling(), 0.0, stamps

    def carry(
        self, duration: float, documents: Batch = FULL, load: float = 0.0, step: float = 0.0
    ) -> tuple[int, float]:
        """Return how often a job was asked for, and how late it was found. `step`: how its clock is set meanwhile."""
        sent, ends = self.now, self.now + 0.01 + duration
        watch, ran, polls = self.polling.watch(documents, sent + 0.01), None, 1
        while (asked := self.polling.due(watch, ran, load)) < ends:
            ran, polls = asked, polls + 1
        self.now = asked + 0.01
        told: tuple[float, float] = (
            (math.floor(sent + 0.01 + SKEW), ends + SKEW + step) if self._stamps else (math.inf, -math.inf)
        )
        last = sent if ran is None else ran
        self.polling.learn(watch, Sighting(sent, sent + 0.02, last, self.now, *told, due=asked))
        return polls, asked - ends

    def many(self, duration: float, count: int, documents: Batch = FULL) -> tuple[float, float]:
        """Return polls for a job, and the latest that one was found."""
        found = [self.carry(duration, documents) for _ in range(count)]
        return sum(polls for polls, _ in found) / count, max(late for _, late in found)


@given(steady)
def test_it_settles_on_how_long_jobs_take(duration: float) -> None:
    """Steady jobs are soon asked for once; late by a hundredth of what they take, and hundredths of a second."""
    client = Client()
    client.many(duration, 60)
    polls, late = client.many(duration, 100)
    assert polls <= 1.1
    assert late <= duration / 100 + 0.06


@given(steady)
def test_without_timestamps_it_settles_by_what_it_sees(duration: float) -> None:
    """Where jobs tell nothing of their times the polls teach: fewer than two for a job, late by less than half."""
    client = Client(stamps=False)
    client.many(duration, 60)
    polls, late = client.many(duration, 100)
    assert polls < 2
    assert late <= duration / 2 + SHORTEST


@given(st.floats(0.25, 20), st.floats(0.25, 20))
def test_it_follows_when_jobs_begin_to_take_longer_or_shorter(before: float, after: float) -> None:
    """A hundred jobs later nothing is left of what was."""
    client = Client()
    client.many(before, 100)
    client.many(after, 100)
    polls, late = client.many(after, 20)
    assert polls <= 1.5
    assert late <= after / 18 + 0.06


def test_sizes_are_told_apart() -> None:
    """Small jobs are asked for early and large ones late, by their documents and by their characters."""
    client = Client()
    kinds = {0.4: batch(1), 0.9: batch(25, 300), 1.8: FULL, 7.0: batch(1, 125_000)}
    for _ in range(60):
        for duration, documents in kinds.items():
            client.carry(duration, documents)
    for duration, documents in kinds.items():
        assert client.carry(duration, documents)[1] <= duration / 20
        assert client.polling.usual(documents) == pytest.approx(duration, rel=0.05)


def test_one_asks_while_nothing_is_known_and_the_others_wait_for_it() -> None:
    """The first job is asked for at the first guess; those beside it when it has taught them, or stays away."""
    polling = Polling()
    scout, *others = [polling.watch(FULL, 0.0) for _ in range(10)]
    assert polling.usual(FULL) == FIRST_GUESS
    assert polling.due(scout, None, 0.0) == FIRST_GUESS
    assert {polling.due(each, None, 0.0) for each in others} == {STRANGER}
    polling.learn(scout, Sighting(0.0, 0.0, 0.5, 0.7))
    assert polling.knows
    assert all(0.5 < polling.due(each, None, 0.0) < 0.75 for each in others)


@given(st.floats(0, 60), st.floats(0, 60), st.floats(0, 60), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_lie_counts_within_what_was_seen(
    accepted: float, ran: float, found: float, created: float, ended: float
) -> None:
    """Whatever a job says of its times, it ended after it was seen running, and before it was found."""
    sent = 1_000.0
    accepted, ran, found = (sent + each for each in sorted((accepted, ran, found)))
    polling = Polling()
    polling.learn(polling.watch(FULL, 0.0), Sighting(sent, accepted, ran, found, created, ended))
    born = (sent + accepted) / 2
    assert max(SHORTEST, ran - born) - ROUNDING <= polling.usual(FULL) <= max(SHORTEST, found - born) + ROUNDING


@settings(max_examples=30)
@given(st.floats(0.25, 10), st.floats(2, 1e6), st.sampled_from([-1, 1]))
def test_a_clock_that_is_set_teaches_nothing_of_how_long_jobs_take(duration: float, step: float, way: int) -> None:
    """Jobs that are created before the API's clock is set and end after it leave the usual about as it was."""
    client = Client()
    client.many(duration, 60)
    for _ in range(64):
        client.carry(duration, step=way * step)
    assert client.polling.usual(FULL) == pytest.approx(duration, rel=0.2)
    polls, late = client.many(duration, 100)
    assert polls <= 2
    assert late <= duration / 5 + 0.06


@given(st.floats(0, 60), st.floats(0, 60), st.floats(0, 60), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_lie_counts_within_what_was_seen_where_the_skew_is_known(
    accepted: float, ran: float, found: float, created: float, ended: float
) -> None:
    """Whatever a job says of its times, the usual moves towards what was seen of it, not beyond."""
    client = Client()
    client.many(1.0, 60)
    sent, before = client.now, client.polling.usual(FULL)
    accepted, ran, found = (sent + each for each in sorted((accepted, ran, found)))
    told = (sent + SKEW + created, sent + SKEW + ended)
    client.polling.learn(client.polling.watch(FULL, 0.0), Sighting(sent, accepted, ran, found, *told))
    born = (sent + accepted) / 2
    least, most = max(SHORTEST, ran - born), max(SHORTEST, found - born)
    assert min(before, least) - ROUNDING <= client.polling.usual(FULL) <= max(before, most) + ROUNDING


@given(st.floats(0.1, 10), st.floats(1, 100))
def test_a_busy_moment_teaches_nothing(due: float, late: float) -> None:
    """Where jobs tell nothing, that one was asked for long after it was due says nothing of how long it took."""
    prompt, busy = Polling(), Polling()
    prompt.learn(prompt.watch(FULL, 0.0), Sighting(0.0, 0.0, 0.0, due, due=due))
    busy.learn(busy.watch(FULL, 0.0), Sighting(0.0, 0.0, 0.0, due + late, due=due))
    assert prompt.usual(FULL) == busy.usual(FULL)


def test_a_job_of_an_earlier_life_teaches_what_nobody_knows_yet() -> None:
    """Its own timestamps are a first idea; the first job that we submitted ourselves replaces it."""
    inherited = Sighting(-math.inf, math.inf, -math.inf, 50.0, created=100.0, ended=102.5)
    polling = Polling()
    polling.learn(polling.watch(FULL, 48.0), inherited)
    assert polling.usual(FULL) == 2.5
    polling.learn(polling.watch(FULL, 60.0), Sighting(60.0, 60.0, 61.5, 61.5))
    assert polling.usual(FULL) == pytest.approx(1.5, rel=0.05)
    polling.learn(polling.watch(FULL, 70.0), inherited)
    assert polling.usual(FULL) == pytest.approx(1.5, rel=0.05)


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_an_inherited_job_is_believed_within_bounds(created: float, ended: float) -> None:
    """Whatever a job of an earlier life says, the usual is no longer than the latest first poll."""
    polling = Polling()
    polling.learn(polling.watch(FULL, 0.0), Sighting(-math.inf, math.inf, -math.inf, 5.0, created, ended))
    assert SHORTEST <= polling.usual(FULL) <= LATEST_FIRST


@given(st.floats(0.25, 10), st.floats(0.01, 500), st.booleans())
def test_the_first_job_of_a_size_is_believed_within_a_factor(usual: float, first: float, inherited: bool) -> None:
    """Of what the nearest size lets expect; the jobs after it are soon found in time, whatever the first one took."""
    client, other = Client(), batch(12)
    client.many(usual, 60)
    expected = client.polling.usual(other)
    if inherited:
        watch = client.polling.watch(other, client.now - first)
        client.polling.learn(
            watch, Sighting(-math.inf, math.inf, -math.inf, client.now, SKEW, SKEW + first, client.now)
        )
    else:
        client.carry(first, other)
    assert expected / FACTOR - ROUNDING <= client.polling.usual(other) <= expected * FACTOR + ROUNDING
    client.many(usual, 10, other)
    assert client.carry(usual, other)[1] <= usual + 0.06


seen = st.builds(
    Sighting, st.just(0.0), moments, moments, moments, st.floats(allow_nan=False), st.floats(allow_nan=False), moments
)


@given(st.lists(st.tuples(st.integers(1, 25), seen), max_size=20), st.floats(0, 1e4), st.floats(0, 1))
def test_the_pauses_keep_their_bounds(told: list[tuple[int, Sighting]], ran: float, load: float) -> None:
    """Whatever is learned, no poll is sooner or later than its bounds."""
    polling = Polling()
    for documents, each in told:
        polling.learn(polling.watch(batch(documents, 10), 0.0), each)
    watch = polling.watch(FULL, 0.0)
    assert SHORTEST <= polling.due(watch, None, load) <= LATEST_FIRST
    assert SHORTEST - ROUNDING <= polling.due(watch, ran, load) - ran <= LONGEST + ROUNDING


@given(st.floats(0.1, 10), st.floats(1.1, 50))
def test_the_longer_a_job_outlives_the_usual_the_longer_it_is_left_alone(usual: float, times: float) -> None:
    """In proportion less than it has waited, so that it is never found very late; and longer while calls are scarce."""
    client = Client()
    client.many(usual, 60)
    watch = client.polling.watch(FULL, 0.0)
    near, far = (client.polling.due(watch, ran, 0.0) - ran for ran in (usual * times, usual * times * 1.5))
    assert near <= min(LONGEST, usual * times / 2) + ROUNDING
    assert min(near * 1.2, LONGEST) <= far + ROUNDING
    assert near <= client.polling.due(watch, usual * times, 1.0) - usual * times + ROUNDING


def test_while_calls_are_scarce_the_first_poll_is_surer() -> None:
    """With quota to spare it asks before the slowest have ended; with submits waiting it asks when all have."""
    client = Client()
    for number in range(200):
        client.carry(1.0 + (number * 7 % 20) / 40)
    watch = client.polling.watch(FULL, 0.0)
    eager, patient = (client.polling.due(watch, None, load) for load in (0.0, 1.0))
    assert 1.1 < eager < 1.45 < patient < 1.6


def cost(durations: list[float], asked: Iterable[float], price: float) -> float:
    """Polls and waiting of jobs that take so long, if all are asked for at these ages until they have ended."""
    moments = sorted(asked)
    found = [next(place for place, moment in enumerate(moments) if moment >= each) for each in durations]
    return sum(price * (place + 1) + moments[place] - each for place, each in zip(found, durations, strict=True))


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=64).map(sorted))
def test_where_the_window_is_full_jobs_wait_no_longer(durations: list[float]) -> None:
    """A poll is worth less there, so the plan waits less for the ends of jobs; never more, whatever they take."""
    usual, crowded = plan(durations, _price(0)), plan(durations, _price(CROWDED))
    assert cost(durations, crowded, 0.0) <= cost(durations, usual, 0.0) + ROUNDING


def test_a_full_window_changes_nothing_while_calls_are_scarce() -> None:
    """Nobody could submit anything sooner."""
    client = Client()
    for number in range(200):
        client.carry(1.0 + (number * 7 % 20) / 40)
    watch = client.polling.watch(FULL, 0.0)
    assert client.polling.due(watch, None, 0.0, crowded=True) < client.polling.due(watch, None, 1.0, crowded=True)
    assert client.polling.due(watch, None, 1.0, crowded=True) == client.polling.due(watch, None, 1.0)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8).map(sorted), st.floats(0.01, 5))
def test_no_plan_costs_less(durations: list[float], price: float) -> None:
    """Of all ways to choose moments among the durations, the last of them included, the plan is as good as any."""
    others = chain.from_iterable(combinations(durations[:-1], count) for count in range(len(durations)))
    best = min(cost(durations, (*other, durations[-1]), price) for other in others)
    assert cost(durations, plan(durations, price), price) == pytest.approx(best)


def test_a_plan_for_slow_jobs_leaves_them_alone_in_between() -> None:
    """Where a few take far longer than all others, there is nothing to ask for in between."""
    assert plan([1.0] * 30 + [21.0], CHEAP) == [1.0, 21.0]


@settings(max_examples=20)
@given(st.floats(0.2, 5))
def test_jobs_in_step_are_asked_for_once(duration: float) -> None:
    """A window of jobs that are submitted at the same moment does not ask in vain for all of them at once."""
    polling, now, polls = Polling(), 0.0, 0
    for _ in range(20):
        watches = [polling.watch(FULL, now) for _ in range(64)]
        ends, found = now + duration, now
        for watch in watches:
            ran, polls = None, polls + 1
            while (asked := polling.due(watch, ran, 0.0)) < ends:
                ran, polls = asked, polls + 1
            found = max(found, asked)
            told = (math.floor(now + SKEW), ends + SKEW)
            polling.learn(watch, Sighting(now, now, now if ran is None else ran, asked, *told, asked))
        now = found
    assert polls <= 1.08 * 20 * 64


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_backoff_lies_between_half_of_its_ceiling_and_all_of_it(attempt: int, dice: float) -> None:
    """The ceiling doubles with each trouble in a row up to the cap, and the dice spread who comes back when."""
    ceiling = min(30.0, 0.25 * 2 ** min(attempt, 20))
    assert ceiling / 2 <= backoff(attempt, dice) <= ceiling
    assert backoff(attempt, dice) <= backoff(attempt + 1, dice)
    assert backoff(attempt, 0.0) < backoff(attempt, 0.5)
