"""Jobs as data: random histories are played against the promises of the table and of the limits."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.wire.service_job import Faulty, Found, Status
from entity_stream.core.wire.service_submit import EMPTY_TEXT, Submission, SubmittedTask
from entity_stream.core.wire.shapes import CODE_POINTS, UTF16_UNITS, InputDocument
from entity_stream.engine.jobs import (
    FAILURE,
    LIFETIME,
    LONGEST_PAUSE,
    NEXT,
    OVERHEAD,
    Full,
    Job,
    Jobs,
    Limits,
    pack_answers,
    serve,
    unpack_work,
)

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TIGHT = Limits(waiting=3, memory=5 * OVERHEAD, keep_for=timedelta(minutes=10))
MINUTE = timedelta(minutes=1)


def submission(*texts: str, units: tuple[str, ...] = (CODE_POINTS,)) -> Submission:
    documents = tuple(InputDocument(str(place), text) for place, text in enumerate(texts or ("a text",)))
    tasks = tuple(SubmittedTask("CustomEntityRecognition", f"t{n}", "P", "D", unit) for n, unit in enumerate(units))
    return Submission(documents, tasks, "a name")


def begun(jobs: Jobs, name: str = "1", asked: Submission | None = None) -> Job:
    jobs.submit(name, asked or submission(), START)
    job = jobs.begin(START)
    assert job is not None
    return job


class History:
    """Plays steps against a Jobs, and keeps its own books of what each of them may do."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.jobs = Jobs(limits)
        self.now = START
        self.names = map(str, count())
        self.known: dict[str, tuple[Status, datetime, datetime]] = {}

    def play(self, step: str, choice: int, size: int) -> None:
        name = list(self.known)[choice % len(self.known)] if self.known else "nobody"
        match step:
            case "wait":
                self.now += MINUTE * size
            case "submit":
                self.submit(size)
            case "begin":
                self.begin()
            case "succeed":
                self.moved(name, "succeeded", done=self.jobs.succeed(name, b"x" * size * 100, self.now))
            case "fail":
                self.moved(name, "failed", done=self.jobs.fail(name, self.now))
            case "cancel":
                self.moved(name, "cancelled", done=self.jobs.cancel(name, self.now))

    def submit(self, size: int) -> None:
        name, asked = next(self.names), submission("x" * size * 10)
        weight = begun(Jobs(Limits()), name, asked).weight
        self.jobs.find(name, self.now)  # whatever may be forgotten now, is
        if len(self.waiting()) < self.limits.waiting and self.jobs.memory + weight <= self.limits.memory:
            self.jobs.submit(name, asked, self.now)
            self.known[name] = ("notStarted", self.now, self.now)
        else:
            with pytest.raises(Full) as full:
                self.jobs.submit(name, asked, self.now)
            assert 1 <= full.value.retry_after <= LONGEST_PAUSE

    def begin(self) -> None:
        waiting = self.waiting()
        job = self.jobs.begin(self.now)
        assert (job.id if job else None) == (waiting[0] if waiting else None), "who waited longest is next"
        if job:
            self.moved(job.id, job.status, done=True)

    def waiting(self) -> list[str]:
        return [name for name in self.known if self.known[name][0] == "notStarted" and not self.expired(name)]

    def moved(self, name: str, status: Status, *, done: bool) -> None:
        if done:
            before, created, _ = self.known[name]
            assert status in NEXT[before], f"{before} -> {status}"
            self.known[name] = (status, created, self.now)

    def expired(self, name: str) -> bool:
        return self.now >= self.known[name][1] + LIFETIME

    def check(self) -> None:
        found = {name: self.jobs.find(name, self.now) for name in self.known}
        for name, (status, _, updated) in self.known.items():
            job = found[name]
            young = not NEXT[status] and self.now < updated + self.limits.keep_for
            if self.expired(name):
                assert job is None, "nothing lives longer than a day"
            elif NEXT[status] or young:
                assert job is not None, "forgotten too early"
            if job:
                assert (job.status, job.last_updated) == (status, updated)
                assert bool(job.work) == bool(NEXT[status]), "an ended job holds no texts"
        assert self.jobs.memory == sum(job.weight for job in found.values() if job)
        assert sum(job.status == "notStarted" for job in found.values() if job) <= self.limits.waiting
        old = [job for job in found.values() if job and not NEXT[job.status] and not self.young(job)]
        assert not old or self.jobs.memory <= self.limits.memory, "too much is kept"

    def young(self, job: Job) -> bool:
        return self.now < job.last_updated + self.limits.keep_for


steps = st.tuples(
    st.sampled_from(["submit", "submit", "begin", "begin", "succeed", "succeed", "fail", "cancel", "wait"]),
    st.integers(0, 20),
    st.integers(0, 30) | st.just(24 * 60),
)


@given(st.lists(steps, max_size=60))
def test_whatever_happens_the_table_and_the_limits_hold(history: list[tuple[str, int, int]]) -> None:
    """No history breaks the table of transitions, the order of work, the limits or the time that a job is kept."""
    world = History(TIGHT)
    for step in history:
        world.play(*step)
        world.check()


def test_the_table_leads_from_submit_to_every_end_and_nowhere_from_there() -> None:
    """From notStarted every status can be reached, and what nothing follows is one of the three ends."""
    reached: set[Status] = {"notStarted"}
    while new := {after for status in reached for after in NEXT[status]} - reached:
        reached |= new
    assert reached == set(NEXT)
    assert {status for status in NEXT if not NEXT[status]} == {"succeeded", "failed", "cancelled"}


def test_a_result_that_comes_after_the_cancellation_is_dropped() -> None:
    """Of a cancelled job neither status nor result changes when its worker ends."""
    jobs = Jobs(Limits())
    job = begun(jobs)
    assert jobs.cancel(job.id, START)
    assert not jobs.succeed(job.id, b"late", START + MINUTE)
    assert not jobs.cancel(job.id, START + MINUTE)
    found = jobs.find(job.id, START + MINUTE)
    assert found is not None
    assert (found.status, found.result, found.last_updated) == ("cancelled", b"", START)


def test_a_cancelled_job_is_not_begun() -> None:
    """A job that is cancelled while it waits leaves its place in the queue to the next."""
    jobs = Jobs(Limits())
    for name in ("1", "2"):
        jobs.submit(name, submission(), START)
    jobs.cancel("1", START)
    job = jobs.begin(START)
    assert job is not None
    assert job.id == "2"
    assert jobs.begin(START) is None


def test_the_queue_is_bounded() -> None:
    """One job more than may wait is refused with a second's pause, until one of them is begun."""
    jobs = Jobs(TIGHT)
    for name in ("1", "2", "3"):
        jobs.submit(name, submission(), START)
    with pytest.raises(Full) as full:
        jobs.submit("4", submission(), START)
    assert full.value.retry_after == 1
    jobs.begin(START)
    jobs.submit("4", submission(), START)


def test_young_results_are_kept_and_new_work_is_refused_when_memory_is_full() -> None:
    """With too many bytes in young results a submit is refused, until the oldest may be forgotten."""
    jobs = Jobs(TIGHT)
    job = begun(jobs)
    jobs.succeed(job.id, b"x" * TIGHT.memory, START)
    ripe = START + TIGHT.keep_for
    for now, pause in ((START, LONGEST_PAUSE), (ripe - timedelta(seconds=7), 7)):
        with pytest.raises(Full) as full:
            jobs.submit("2", submission(), now)
        assert full.value.retry_after == pause
        assert jobs.find(job.id, now)
    jobs.submit("2", submission(), ripe)
    assert jobs.find(job.id, ripe) is None


def test_of_old_results_the_oldest_go_first_and_only_as_many_as_must() -> None:
    """Above the limit as few results as possible are forgotten, in the order in which they ended."""
    jobs = Jobs(Limits(memory=5 * OVERHEAD, keep_for=MINUTE))
    for name in ("1", "2", "3"):
        begun(jobs, name)
    for place, name in enumerate(("2", "3", "1")):
        jobs.succeed(name, b"x" * OVERHEAD, START + timedelta(seconds=place))
    later = START + 2 * MINUTE
    assert [name for name in ("1", "2", "3") if jobs.find(name, later)] == ["1", "3"]


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    """When the clock goes back an hour jobs are still found, ended and forgotten in the end."""
    jobs = Jobs(TIGHT)
    begun(jobs, "1")
    jobs.submit("2", submission(), START - timedelta(hours=1))
    assert jobs.succeed("1", b"x", START - timedelta(hours=1))
    assert jobs.find("1", START - timedelta(hours=1))
    assert jobs.find("2", START - timedelta(hours=1) + LIFETIME) is None
    assert jobs.find("1", START + LIFETIME) is None
    assert jobs.memory == 0


def test_a_job_is_forgotten_24_hours_after_its_submit_to_the_second() -> None:
    """A job is found until a second before its expiration, whatever became of it, and not at it."""
    jobs = Jobs(Limits())
    job = begun(jobs)
    jobs.succeed(job.id, b"x", START + timedelta(hours=23))
    assert jobs.find(job.id, START + timedelta(hours=24, seconds=-1))
    assert jobs.find(job.id, START + timedelta(hours=24)) is None


def test_work_is_one_reading_whatever_number_of_tasks_asks_for_it() -> None:
    """The work of a job names each unit once, and its texts once."""
    job = begun(Jobs(Limits()), asked=submission("one", "two", units=(CODE_POINTS, UTF16_UNITS, CODE_POINTS)))
    work = unpack_work(job.work)
    assert [each.text for each in work.documents] == ["one", "two"]
    assert work.string_indexes == (CODE_POINTS, UTF16_UNITS)


def test_each_task_is_served_the_answers_in_its_own_unit() -> None:
    """A job that succeeded tells every task by its name with the answers in the unit it asked for."""
    jobs = Jobs(Limits())
    job = begun(jobs, asked=submission("one", "", units=(CODE_POINTS, UTF16_UNITS)))
    answers: dict[str, tuple[Found | Faulty, ...]] = {
        CODE_POINTS: (Found("0", (), 3), Faulty("1", EMPTY_TEXT)),
        UTF16_UNITS: (Found("0", (), 4), Faulty("1", EMPTY_TEXT)),
    }
    jobs.succeed(job.id, pack_answers(answers), START + MINUTE)
    found = jobs.find(job.id, START + MINUTE)
    assert found is not None
    told = serve(found)
    assert [(task.name, task.answers) for task in told.tasks] == [
        ("t0", answers[CODE_POINTS]),
        ("t1", answers[UTF16_UNITS]),
    ]
    assert (told.expires, told.display_name, told.errors) == (START + LIFETIME, "a name", ())


def test_a_failed_job_blames_each_of_its_tasks() -> None:
    """A job that failed names every task by a pointer, in the words of the service."""
    jobs = Jobs(Limits())
    job = begun(jobs, asked=submission(units=(CODE_POINTS, UTF16_UNITS)))
    jobs.fail(job.id, START)
    found = jobs.find(job.id, START)
    assert found is not None
    assert [(fault.code, fault.message, fault.target) for fault in serve(found).errors] == [
        ("InternalServerError", FAILURE, "#/tasks/items/0"),
        ("InternalServerError", FAILURE, "#/tasks/items/1"),
    ]
