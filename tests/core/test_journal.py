"""What a commit carries beside the position: written and read, cut to its room, foreign or broken."""

from base64 import b64encode
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.journal import ROOM, Journal, Unreadable, read, runs, write
from entity_stream.core.progress import Progress

SMALL = st.integers(0, 300)


@st.composite
def journals(draw: st.DrawFn, most: int = 40) -> Journal:
    """Make a journal whose runs lie apart, from its position on."""
    position = at = draw(st.integers(0, 2**62))
    found: list[tuple[int, int]] = []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 5000)), max_size=most)):
        at += gap + bool(found)
        found.append((at, at + length))
        at += length
    return Journal(position, at + draw(st.integers(0, 100)), tuple(found))


def finished(journal: Journal, offset: int) -> bool:
    return journal.position <= offset < journal.end and not any(a <= offset < b for a, b in journal.unfinished)


@given(journals())
def test_what_is_written_can_be_read(journal: Journal) -> None:
    """To the offset; where nothing is finished behind the position, nothing is written."""
    metadata = write(journal)
    assert (read(metadata) == journal) if journal.end > journal.position else (metadata == b"")


@given(st.integers(0, 2**62), st.integers(1000, 4000))
def test_a_journal_keeps_to_its_room_and_knows_less_rather_than_more(position: int, count: int) -> None:
    """What does not fit is left out from the far end, and is then not taken for finished."""
    every_second = tuple((position + 1000 * n, position + 1000 * n + 500) for n in range(count))
    full = Journal(position, every_second[-1][1] + 1, every_second)
    metadata = write(full)
    assert len(metadata) <= ROOM
    kept = read(metadata, position)
    assert kept.unfinished == every_second[: len(kept.unfinished)]
    assert kept.end == full.end or kept.end == every_second[len(kept.unfinished)][0]
    assert len(kept.unfinished) > 700


@given(st.binary(max_size=60))
def test_foreign_metadata_is_unreadable_or_a_journal(metadata: bytes) -> None:
    """Whatever another tool has left there raises nothing else."""
    for said in (metadata, b64encode(metadata), b64encode(b"\x01" + metadata)):
        try:
            journal = read(said)
        except Unreadable:
            continue
        assert all(journal.position <= a < b <= journal.end for a, b in journal.unfinished)


@given(journals(), st.integers(0, 2**62))
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


def test_a_later_version_is_not_guessed_at() -> None:
    """Its number is named."""
    with pytest.raises(Unreadable, match="version 9"):
        read(b64encode(b"\x09\x01\x01"))


@given(st.sets(SMALL))
def test_runs_hold_the_offsets_and_no_others(offsets: set[int]) -> None:
    """Gathered, they are as few as can be."""
    found = list(runs(sorted(offsets)))
    assert {offset for a, b in found for offset in range(a, b)} == offsets
    assert all(a[1] < b[0] for a, b in pairwise(found))


@given(st.sets(SMALL, min_size=1), st.data())
def test_lives_after_one_another_finish_every_record_once(offsets: set[int], data: st.DataObject) -> None:
    """However far each life reads and whatever it finishes, none begins what an earlier one has finished."""
    log, done, position, metadata = sorted(offsets), set[int](), 0, b""
    for _ in range(4):
        progress = Progress(position, read(metadata, position) if metadata else None)
        ahead = [offset for offset in log if offset >= position]
        begun = [offset for offset in ahead[: data.draw(st.integers(0, len(ahead)))] if progress.begin(offset)]
        assert not done & set(begun)
        for offset in data.draw(st.permutations(begun))[: data.draw(st.integers(0, len(begun)))]:
            progress.finish(offset)
            done.add(offset)
        journal = progress.journal()
        position, metadata = journal.position, write(journal)
        known = {offset for offset in log if offset < position or finished(journal, offset)}
        assert known == done
