"""A partition seen from outside: the figures are those of the life that wrote the journal, the words fit them."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core import journal
from entity_stream.core.inspection import Commit, InFlight, Inspection, Log, headline, inspect, words
from entity_stream.core.journal import Journal, Trace, mark
from entity_stream.core.model import Job
from entity_stream.core.progress import Progress, Room

ID = str(UUID(int=7))


def told(commit: Commit | None, log: Log | None) -> list[str]:
    """Tell of partition 3 of a topic to one whose resource is called default."""
    return list(words([inspect("in", 3, commit, log, ["default"])]))


def commit(said: Journal) -> Commit:
    return Commit(said.position, journal.write(said))


def job(*runs: tuple[int, int], id_: str = ID, resource: str = "default", attempts: int = 1, over: int = 0) -> Trace:
    return Trace(id_, mark(resource), attempts, runs, over)


def offsets_of(job: InFlight) -> set[int]:
    return {offset for first, last in job.offsets for offset in range(first, last + 1)}


@st.composite
def lives(draw: st.DrawFn) -> tuple[Progress, set[int], dict[str, set[int]]]:
    """Make a partition in full work; tell what of it is begun and not finished, and what each job is good for."""
    start = draw(st.integers(0, 2**62))
    progress, offset, unfinished = Progress(start), start, set[int]()
    jobs: dict[str, set[int]] = {}
    for size, hole in draw(st.lists(st.tuples(st.integers(1, 25), st.integers(0, 3)), max_size=10)):
        batch = range(offset + hole, offset + hole + size)
        for each in batch:
            progress.begin(each)
        offset = batch.stop
        unfinished.update(batch)
        if entry := draw(st.booleans()) and progress.reserve(batch, 1, Room.NEW):
            progress.name(entry, Job(name := str(UUID(int=batch.start)), "default"))
            jobs[name] = set(batch)
    for each in draw(st.sets(st.sampled_from(sorted(unfinished)))) if unfinished else ():
        progress.finish(each)
        unfinished.remove(each)
        jobs = {name: rest for name, those in jobs.items() if (rest := those - {each})}
    return progress, unfinished, jobs


@given(lives(), st.integers(0, 1000))
def test_the_figures_are_those_of_the_life_that_wrote_the_journal(
    life: tuple[Progress, set[int], dict[str, set[int]]], more: int
) -> None:
    """What is unfinished, what is finished behind it, and what each job is still good for, to the offset."""
    progress, unfinished, jobs = life
    said = progress.journal()
    log = Log(0, said.end + more)
    seen = inspect("in", 0, commit(said), log, ["default"])
    begun = {offset for offset in unfinished if offset < said.end}
    assert (seen.position, seen.lag, seen.trouble) == (progress.position, log.end - progress.position, None)
    assert (seen.finished, seen.unfinished) == (said.end - said.position - len(begun), len(begun))
    assert {each.id: offsets_of(each) for each in seen.jobs} == jobs
    assert [each.unsettled for each in seen.jobs] == [len(jobs[each.id]) for each in seen.jobs]


FOREIGN = st.binary(max_size=200).filter(lambda metadata: not metadata.startswith(b"A"))
"""Base64 of a version of ours begins with an A."""


@given(FOREIGN, st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**40))
def test_whatever_is_committed_there_are_words(metadata: bytes, position: int, first: int, length: int) -> None:
    """What is foreign is ignored and told why; it says nothing of what is finished or in flight."""
    seen = inspect("in", 0, Commit(position, metadata), Log(first, first + length), ["default"])
    assert (seen.finished, seen.unfinished, seen.jobs) == (0, 0, ())
    assert bool(seen.journal_ignored) == bool(metadata)
    assert list(words([seen]))


def test_jobs_are_told_one_by_one() -> None:
    """With owner, submits, and what is not settled; one of another resource by its mark."""
    said = Journal(
        1200,
        1400,
        ((1300, 1310),),
        (job((1200, 1207), (1210, 1211), over=0b1), job((1220, 1222), id_="j-2", resource="west", attempts=3)),
    )
    first, second, *jobs = told(commit(said), Log(0, 3400))
    assert first == "in-3: position 1200, log end 3400, lag 2,200"
    size = len(journal.write(said))
    assert second == (
        f"  journal, {size} of 4,096 bytes: 181 finished behind the position, 19 unfinished, 2 jobs in flight"
    )
    stranger = f"a resource not configured here (mark {mark('west'):08x})"
    assert jobs == [
        f"    job {ID} at default, submitted once, 7 records not settled: 1201-1206, 1210",
        f"    job j-2 at {stranger}, submitted 3 times, 2 records not settled: 1220-1221",
    ]


def test_of_many_ranges_the_first_are_told() -> None:
    """A line stays a line, and says how many ranges it leaves out."""
    said = Journal(0, 40, (), (job(*((at, at + 1) for at in range(0, 20, 2))),))
    assert told(commit(said), Log(0, 40))[-1].endswith(
        "10 records not settled: 0, 2, 4, 6, 8, 10, 12, 14 and 2 ranges more"
    )


FULL = commit(Journal(10, 20, ((10, 11),)))


@pytest.mark.parametrize(
    ("committed", "log", "says"),
    [
        (Commit(10), Log(0, 10), ["position 10, log end 10, lag 0", "0 of 4,096 bytes: empty, so nothing is finished"]),
        (None, Log(5, 30), ["position none, log end 30, lag 25", "nothing is committed; reading would begin at"]),
        (Commit(10, b"?!"), Log(0, 30), ["lag 20", "ignored, not the bytes of a journal; reading would begin at the"]),
        (
            Commit(9, FULL.metadata),
            Log(0, 30),
            ["lag 21", "ignored, it speaks of position 10, the commit of 9;"],
        ),
        (
            FULL,
            Log(0, 15),
            ["lag 5", "ignored, it speaks of offset 19, the log ends at 15; reading"],
        ),
        (FULL, Log(0, 9), ["lag 0", "was replaced; reading would begin at its start, 0", "of a log that is gone"]),
        (FULL, Log(12, 30), ["lag 20", "2 offsets lost to retention; reading would begin at 12", "9 finished behind"]),
        (FULL, None, ["position 10, log end unknown", "no such partition any more, or no broker", "9 finished behind"]),
    ],
)
def test_what_a_start_would_do_is_told(committed: Commit | None, log: Log | None, says: list[str]) -> None:
    """Each trouble has its line, and where reading would begin is told once."""
    lines = told(committed, log)
    assert len(lines) == len(says)
    assert all(words in line for words, line in zip(says, lines, strict=True)), lines
    assert "\n".join(lines).count("reading would begin") <= 1


def test_a_job_that_touches_two_partitions_is_one_job() -> None:
    """The headline counts what the API was given, and all that is known to wait."""

    def seen(index: int, *jobs: Trace) -> Inspection:
        return inspect("in", index, commit(Journal(0, 5, (), jobs)), Log(0, 600), ["default"])

    both = [seen(0, job((0, 2))), seen(1, job((1, 3)), job((3, 4), id_="j-2"))]
    assert headline("g", both) == "group g: 2 partitions, lag 1,200, 2 jobs in flight"
    assert headline("g", [seen(0)]) == "group g: 1 partition, lag 600, 0 jobs in flight"
    unled = inspect("in", 1, Commit(4), None, ["default"])
    assert headline("g", [seen(0), unled]) == "group g: 2 partitions, lag at least 600, 0 jobs in flight"
