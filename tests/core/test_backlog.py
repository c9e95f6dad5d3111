"""A look at the group: what is left is what nobody has settled, and who has nothing to call for is idle."""

from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core import journal
from entity_stream.core.backlog import Look, Part, part, parts
from entity_stream.core.inspection import Commit, Log
from entity_stream.core.journal import Journal, Trace, mark
from entity_stream.core.progress import Progress
from tests.core.test_inspection import FOREIGN, commit, lives

JOB = Trace("j-1", mark("anybody's"), 1, ((2, 7), (8, 9)), over=0b10)


@given(lives(), st.integers(0, 1000))
def test_what_is_left_is_what_is_not_settled(life: tuple[Progress, set[int], dict[str, set[int]]], more: int) -> None:
    """To the offset: all from the position on, but for what the journal knows to be finished; and each job counts."""
    progress, unfinished, jobs = life
    said = progress.journal()
    seen = part(commit(said), Log(0, said.end + more))
    begun = sum(offset < said.end for offset in unfinished)
    assert seen.left == begun + more
    assert seen.open_jobs == sum(map(bool, jobs.values()))
    assert seen.busy == bool(begun + more)


@given(lives(), st.integers(0, 200))
def test_what_retention_deleted_is_not_left(life: tuple[Progress, set[int], dict[str, set[int]]], deleted: int) -> None:
    """Nobody will read what lies before the start of the log: it is neither left nor finished, nor in a job."""
    progress, unfinished, jobs = life
    said = progress.journal()
    log = Log(said.position + deleted, said.position + deleted + 500)
    seen = part(commit(said), log)
    there = {offset for offset in unfinished if log.first <= offset < said.end}
    assert seen.left == 500 - max(0, said.end - log.first) + len(there) if said.end <= log.end else seen.left >= 0
    assert seen.open_jobs == sum(any(offset >= log.first for offset in some) for some in jobs.values())


@given(FOREIGN, st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**40))
def test_whatever_is_committed_no_more_is_left_than_the_log_holds(
    metadata: bytes, position: int, first: int, length: int
) -> None:
    """A journal that is foreign hides nothing: all from where reading would begin is left."""
    seen = part(Commit(position, metadata), Log(first, first + length))
    assert seen.left == seen.end - seen.position <= length
    assert seen.busy == (seen.left > 0)


def test_a_group_that_has_committed_nothing_has_all_before_it() -> None:
    """Reading would begin at the start of the log, wherever that is."""
    seen = part(None, Log(40, 100))
    assert (seen.position, seen.left, seen.busy) == (40, 60, True)
    assert not part(None, Log(40, 40)).busy


def test_a_partition_without_records_to_read_is_busy_while_a_job_is_in_flight() -> None:
    """Its polls are calls too, whoever makes them."""
    said = Journal(2, 9, (), (JOB,))
    seen = part(Commit(2, journal.write(said)), Log(0, 9))
    assert (seen.open_jobs, seen.left, seen.finished) == (1, 5, 2)
    assert Part(start=0, end=9, committed=9, open_jobs=1).busy


def test_a_look_tells_the_group_as_a_whole() -> None:
    """What is left adds up, and the busy partitions are named; one without a log (no leader) is not among them."""
    commits = {("in", 0): Commit(5), ("in", 1): Commit(7), ("gone", 0): Commit(1)}
    seen = Look(3.0, parts(commits, {("in", 0): Log(0, 9), ("in", 1): Log(0, 7), ("more", 0): Log(2, 4)}), members=2)
    assert (seen.taken_at, seen.left, seen.members) == (3.0, 4 + 0 + 2, 2)
    assert seen.busy == {("in", 0), ("more", 0)}
    assert seen.parts.keys() == {("in", 0), ("in", 1), ("more", 0)}
    assert Look(0.0, {}).left == 0
