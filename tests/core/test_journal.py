"""What a commit carries beside the position: written and read, foreign, broken, of an older version."""

from base64 import b64decode, b64encode
from contextlib import suppress
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.journal import (
    HEAD,
    ROOM,
    Journal,
    Run,
    Trace,
    Unreadable,
    id_size,
    job_size,
    mark,
    offsets,
    read,
    runs,
    runs_size,
    unsettled,
    without_strangers,
    write,
)

SMALL = st.integers(0, 300)
POSITIONS = st.integers(0, 2**62)
JOB_IDS = st.uuids().map(str) | st.from_regex(r"[A-Za-z0-9_.-]{1,128}", fullmatch=True)


@st.composite
def all_runs(draw: st.DrawFn, start: int, least: int = 0, most: int = 40) -> tuple[Run, ...]:
    """Make runs that lie apart, from `start` on."""
    found: list[Run] = []
    for gap, length in draw(
        st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 50)), min_size=least, max_size=most)
    ):
        start += gap + bool(found)
        found.append((start, start + length))
        start += length
    return tuple(found)


@st.composite
def traces(draw: st.DrawFn, position: int) -> Trace:
    """Make a job whose last offset is not behind the position."""
    found = draw(all_runs(max(0, position + draw(st.integers(-100, 3000))), least=1, most=5))
    if found[-1][1] <= position:
        found = (*found, (position, position + 1))
    resource = draw(st.sampled_from(["default", "west", "east"]))
    over = draw(st.integers(0, 2 ** sum(stop - start for start, stop in found) - 1))
    return Trace(draw(JOB_IDS), mark(resource), draw(st.integers(1, 100)), found, over)


@st.composite
def journals(draw: st.DrawFn) -> Journal:
    """Make a journal that some life may have written."""
    position = draw(POSITIONS)
    unfinished = draw(all_runs(position))
    jobs = tuple(draw(st.lists(traces(position), max_size=4)))
    ends = [position, *(stop for _, stop in unfinished), *(job.runs[-1][1] for job in jobs)]
    return Journal(position, max(ends) + draw(st.integers(0, 100)), unfinished, jobs)


@given(journals())
def test_what_is_written_can_be_read(journal: Journal) -> None:
    """To the offset, the job and the bit; where nothing is finished or in flight, nothing is written."""
    metadata = write(journal)
    assert (read(metadata) == journal) if journal.end > journal.position else (metadata == b"")


@given(journals(), st.integers(0, 10**6))
def test_what_a_journal_takes_is_known_before(journal: Journal, later: int) -> None:
    """The sizes that room is reserved by are never too small, also when the position has moved on since."""
    foretold = HEAD + sum(job_size(job.runs, journal.position, id_size(job.id)) for job in journal.jobs)
    foretold += runs_size(journal.unfinished, journal.position)
    last = min(
        [journal.end, *(stop - 1 for _, stop in journal.unfinished), *(job.runs[-1][1] - 1 for job in journal.jobs)]
    )
    position = min(journal.position + later, last)
    moved = tuple((max(start, position), stop) for start, stop in journal.unfinished if stop > position)
    assert len(b64decode(write(Journal(position, journal.end, moved, journal.jobs)))) <= foretold


@given(POSITIONS, st.integers(1_000, 4_000), st.integers(0, 200))
def test_a_journal_that_grew_in_other_hands_keeps_to_its_room(position: int, count: int, jobs: int) -> None:
    """What does not fit is left out from the far end, and is then not taken for finished: it knows less, never more."""
    every_second = tuple((position + 1000 * n, position + 1000 * n + 500) for n in range(count))
    traces = tuple(Trace(f"{n:0100}", mark("default"), 1, ((position + n, position + n + 1),)) for n in range(jobs))
    full = Journal(position, every_second[-1][1] + 1, every_second, traces)
    metadata = write(full)
    assert len(metadata) <= ROOM
    kept = read(metadata, position)
    assert kept.jobs == traces[: len(kept.jobs)]
    assert kept.unfinished == every_second[: len(kept.unfinished)]
    assert kept.end == full.end or kept.end == every_second[len(kept.unfinished)][0]


@pytest.mark.parametrize("waiting", [1, 2, 3, 25])
def test_five_hundred_jobs_on_six_partitions_fit(waiting: int) -> None:
    """Also when of the 25 documents of each only every second, third or last one still waits for its order."""
    over = sum(1 << place for place in range(25) if (place + 1) % waiting)
    start = 10**9
    jobs = tuple(
        Trace(str(UUID(int=2**127 + n)), mark("default"), 1, ((start + 25 * n, start + 25 * n + 25),), over)
        for n in range(500 // 6 + 1)
    )
    metadata = write(Journal(start, start + 25 * len(jobs), (), jobs))
    assert len(metadata) <= ROOM * 3 // 4
    assert [len(list(job.pending())) for job in read(metadata).jobs] == [25 // waiting] * len(jobs)


@given(st.binary(max_size=60))
def test_foreign_metadata_is_unreadable_or_a_journal(metadata: bytes) -> None:
    """Whatever another tool has left there raises nothing else."""
    for said in (metadata, b64encode(metadata), b64encode(b"\x01" + metadata), b64encode(b"\x02" + metadata)):
        try:
            journal = read(said)
        except Unreadable:
            continue
        assert all(journal.position <= a < b <= journal.end for a, b in journal.unfinished)


@given(journals(), st.data())
def test_a_journal_with_a_wrong_byte_is_not_believed(journal: Journal, data: st.DataObject) -> None:
    """A letter that was changed, left out or added is noticed, wherever it is."""
    metadata = bytearray(write(journal) or write(Journal(journal.position, journal.position + 1)))
    place = data.draw(st.integers(0, len(metadata) - 1))
    how = data.draw(st.sampled_from(["changed", "gone", "cut"]))
    if how == "changed":
        metadata[place] = data.draw(
            st.sampled_from([letter for letter in b"ABXYZabxyz0189+/" if letter != metadata[place]])
        )
    elif how == "gone":
        del metadata[place]
    else:
        del metadata[place:]
    with suppress(Unreadable):
        assert read(bytes(metadata)) == journal  # the last letter has bits that say nothing


@given(journals(), POSITIONS)
def test_a_journal_of_another_position_is_not_believed(journal: Journal, committed: int) -> None:
    """A position that was translated by a tool, with metadata that was not."""
    metadata = write(journal) or write(Journal(journal.position, journal.position + 1))
    if committed == journal.position:
        assert read(metadata, committed)
    else:
        with pytest.raises(Unreadable, match="speaks of position"):
            read(metadata, committed)


@given(journals(), st.integers(1, 1000))
def test_a_journal_of_what_the_log_has_lost_is_not_believed(journal: Journal, lost: int) -> None:
    """New records will have the offsets that it calls finished."""
    metadata = write(journal) or write(Journal(journal.position, journal.position + 1))
    end = read(metadata).end
    assert read(metadata, journal.position, end)
    with pytest.raises(Unreadable, match="the log ends at"):
        read(metadata, journal.position, end - lost)


def test_the_version_before_is_read() -> None:
    """Version 1 knew no jobs and no checksum; what it says of offsets holds."""
    metadata = b64encode(bytes([1, 10, 30, 2, 2, 6, 1]))
    assert read(metadata, 10) == Journal(10, 40, ((12, 14), (20, 21)))


def test_a_later_version_is_not_guessed_at() -> None:
    """Its number is named."""
    with pytest.raises(Unreadable, match="version 9"):
        read(b64encode(b"\x09\x01\x01"))


@given(journals(), st.sets(st.sampled_from(["default", "west", "east"])))
def test_jobs_of_resources_that_are_gone_are_owed_again(journal: Journal, ours: set[str]) -> None:
    """Their documents are unfinished, those of ours stay in their jobs, and nothing finished is forgotten."""
    marks = {mark(name) for name in ours}
    kept = without_strangers(journal, marks)
    assert kept.jobs == tuple(job for job in journal.jobs if job.mark in marks)
    owed = {offset for job in journal.jobs if job.mark not in marks for offset in job.pending()}
    assert set(offsets(kept.unfinished)) == owed | set(offsets(journal.unfinished))


@given(journals(), st.integers(0, 4000))
def test_what_retention_took_is_lost_only_where_it_was_not_settled(journal: Journal, further: int) -> None:
    """Offsets that the journal calls finished count as no loss, all others do, also those it does not know of."""
    stop = journal.position + further
    owed = {*offsets(journal.unfinished), *(offset for job in journal.jobs for offset in job.pending())}
    lost = [n for n in range(journal.position, stop) if n in owed or n >= journal.end]
    below = sum(offset < journal.position for offset in owed)  # no journal of ours has such
    assert unsettled(journal, stop) == len(lost) + below


@given(st.sets(SMALL))
def test_runs_hold_the_offsets_and_no_others(some: set[int]) -> None:
    """Gathered, they are as few as can be."""
    found = list(runs(sorted(some)))
    assert set(offsets(found)) == some
    assert all(a[1] < b[0] for a, b in pairwise(found))
