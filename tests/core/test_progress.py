"""The position is the first unfinished offset, and all that is known fits into the journal of a commit, always."""

from base64 import b64decode
from random import Random
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from entity_stream.core import journal
from entity_stream.core.journal import RAW_ROOM, Journal
from entity_stream.core.model import Job
from entity_stream.core.progress import Begin, Entry, Progress, Room, begin


class Log(RuleBasedStateMachine):
    """A partition that is read with holes and finished in any order, beside a set that says what is unfinished."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(0)
        self.unfinished: set[int] = set()
        self.finished: set[int] = set()
        self.end = 0

    @initialize(position=st.integers(0, 2**62))
    def start(self, position: int) -> None:
        self.progress = Progress(position)
        self.end = position

    @rule(hole=st.sampled_from([0, 0, 0, 1, 2, 1_000_000]))
    def read(self, hole: int) -> None:
        self.progress.begin(self.end + hole)
        self.unfinished.add(self.end + hole)
        self.end += hole + 1

    @rule(marks=st.sampled_from([0, 1, 2, 1_000_000]))
    def reach(self, marks: int) -> None:
        moves = self.progress.reach(self.end + marks)
        assert moves is (marks > 0 and not self.unfinished), "it tells whether the position has moved"
        self.end += marks

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.unfinished)))
        self.progress.finish(offset)
        self.unfinished.remove(offset)
        self.finished.add(offset)

    @precondition(lambda self: self.unfinished | self.finished)
    @rule(data=st.data())
    def read_again(self, data: st.DataObject) -> None:
        passed = data.draw(st.sampled_from(sorted(self.unfinished | self.finished)))
        with pytest.raises(ValueError, match="passed already"):
            self.progress.begin(passed)

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def finish_again(self, data: st.DataObject) -> None:
        with pytest.raises(KeyError):
            self.progress.finish(data.draw(st.sampled_from(sorted(self.finished))))

    @invariant()
    def position_is_the_first_unfinished_offset(self) -> None:
        assert self.progress.position == min(self.unfinished, default=self.end)
        assert len(self.progress) == len(self.unfinished)


def test_the_position_is_always_the_first_unfinished_offset() -> None:
    """With all finished it is the offset behind the last one read; nothing is begun or finished twice."""
    run_state_machine_as_test(Log, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_the_position_never_goes_back_and_ends_behind_the_last(offsets: set[int], random: Random) -> None:
    """Finished in any order, offsets only move it forward."""
    progress = Progress(0)
    for offset in sorted(offsets):
        progress.begin(offset)
    positions = [progress.position]
    for offset in random.sample(sorted(offsets), len(offsets)):
        progress.finish(offset)
        positions.append(progress.position)
    assert positions == sorted(positions)
    assert positions[-1] == max(offsets) + 1


class Lives(RuleBasedStateMachine):
    """A partition through submits, results, crashes and compaction, beside sets that say what is true.

    Each submit is alone with its partition's journal here, which must have room for all of them at any time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.end = 0
        self.jobs = 0
        self.done: set[int] = set()
        self.begin_life(Progress(0, None, ["default"]))

    def begin_life(self, progress: Progress) -> None:
        self.progress = progress
        self.open: list[int] = []  # begun, in no submit
        self.submits: dict[Entry, set[int]] = {}  # what each still owes
        self.unread = [offset for offset in self.log if offset >= progress.position]

    @rule(holes=st.lists(st.sampled_from([0, 0, 0, 0, 1, 3, 500]), min_size=1, max_size=60))
    def write(self, holes: list[int]) -> None:
        for hole in holes:
            self.log.append(self.end + hole)
            self.unread.append(self.end + hole)
            self.end += hole + 1

    @precondition(lambda self: not self.unread)
    @rule(marks=st.integers(0, 3))
    def reach(self, marks: int) -> None:
        """Read on to the end of the log, behind which there are marks."""
        self.end += marks
        self.progress.reach(self.end)

    @precondition(lambda self: self.unread)
    @rule(count=st.integers(1, 60))
    def read(self, count: int) -> None:
        for offset in self.unread[:count]:
            begun = self.progress.begin(offset)
            assert begun is (offset not in self.done), "what is finished is not begun again, what is not is"
            if begun and (entry := self.progress.entry(offset)):
                assert offset in self.named[offset].pending()
                self.submits.setdefault(entry, set()).add(offset)
            elif begun:
                self.open.append(offset)
        del self.unread[:count]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), step=st.integers(1, 4), again=st.booleans())
    def submit(self, data: st.DataObject, step: int, again: bool) -> None:
        """Every so many-th of what is open, or of what an earlier submit owes."""
        owed = [sorted(some) for some in self.submits.values() if some]
        among = data.draw(st.sampled_from(owed)) if again and owed else sorted(self.open)
        some = among[::step][:25]
        holds_position = some[0] == self.progress.position
        room = Room.ALL if holds_position else Room.AGAIN if again else Room.NEW
        entry = self.progress.reserve(some, 1, room)
        if entry is None:
            return
        for owing in self.submits.values():
            owing.difference_update(some)
        self.open = [offset for offset in self.open if offset not in some]
        self.submits[entry] = set(some)

    @precondition(lambda self: self.submits)
    @rule(data=st.data(), length=st.sampled_from([0, 0, 0, 0, 12, 40]))
    def answer(self, data: st.DataObject, length: int) -> None:
        entry = data.draw(st.sampled_from(list(self.submits)))
        self.jobs += 1
        name = str(UUID(int=self.jobs)) if not length else f"{self.jobs:0{length}}"
        if entry.job is None:
            self.progress.name(entry, Job(name, "default"))

    @precondition(lambda self: any(entry.job is None for entry in self.submits))
    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from([entry for entry in self.submits if entry.job is None]))
        self.progress.give_back(entry)
        self.open = sorted([*self.open, *self.submits.pop(entry)])

    @precondition(lambda self: any(self.submits.values()))
    @rule(data=st.data(), step=st.integers(1, 4))
    def finish(self, data: st.DataObject, step: int) -> None:
        owing = data.draw(st.sampled_from([some for some in self.submits.values() if some]))
        for offset in sorted(owing)[::step]:
            assert self.progress.admits(offset), "a submit has reserved room for its end"
            self.progress.finish(offset)
            owing.discard(offset)
            self.done.add(offset)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), step=st.integers(1, 3))
    def finish_without_a_job(self, data: st.DataObject, step: int) -> None:
        for offset in self.open[::step]:
            admitted = self.progress.admits(offset)
            assert admitted or offset != self.progress.position
            if admitted:
                self.open.remove(offset)
                self.progress.finish(offset)
                self.done.add(offset)

    @rule(lost=st.sets(st.integers(0, 50)))
    def crash(self, lost: set[int]) -> None:
        """Begin again from what a commit would say now; the log may have lost some of it meanwhile."""
        said = self.progress.journal()
        metadata = journal.write(said)
        place = sum(offset < said.position for offset in self.log)
        self.log = [offset for n, offset in enumerate(self.log) if n < place or n - place not in lost]
        self.begin_life(Progress(said.position, journal.read(metadata) if metadata else None, ["default"]))

    @property
    def named(self) -> dict[int, journal.Trace]:
        return {offset: job for job in self.progress.journal().jobs for offset in job.pending()}

    @invariant()
    def it_fits(self) -> None:
        assert len(b64decode(journal.write(self.progress.journal()))) <= RAW_ROOM

    @invariant()
    def it_says_what_is_true(self) -> None:
        said = self.progress.journal()
        pending = self.named
        for entry, owing in self.submits.items():
            if entry.job:
                assert owing <= {offset for offset, job in pending.items() if job.id == entry.job.id}
        unfinished = {*journal.offsets(said.unfinished), *pending}
        for offset in self.log:
            known = offset < said.position or (offset < said.end and offset not in unfinished)
            assert known is (offset in self.done)


def test_what_is_known_fits_into_a_journal_and_survives_any_crash() -> None:
    """Whatever is submitted, refused, answered, finished or lost: nothing is forgotten, and nothing made up."""
    run_state_machine_as_test(Lives, settings=settings(max_examples=100, stateful_step_count=60, deadline=None))


def test_a_full_journal_stops_what_is_new_before_what_is_in_hand() -> None:
    """New submits stop at three quarters of the room, submits of what is in hand go on, and the position always may."""
    progress = Progress(0, None, ["default"])
    for offset in range(20_000):
        progress.begin(offset)
    entries, at = [], 100
    while entry := progress.reserve(range(at, at + 25), 1, Room.NEW):
        progress.name(entry, Job(str(UUID(int=at)), "default"))
        entries.append(entry)
        at += 25
    assert 84 <= len(entries) < 100
    halves = [progress.reserve(range(100 + 25 * n, 110 + 25 * n), 4, Room.AGAIN) for n in range(10)]
    assert all(halves)
    while progress.reserve(range(at, at + 25), 2, Room.AGAIN):
        at += 25
    assert progress.reserve([0], 1, Room.ALL)


def test_jobs_of_an_earlier_life_stay_until_their_records_are_read_or_passed() -> None:
    """What a journal names is named in the next one; what the log has lost is let go, and counted."""
    said = Journal(10, 30, ((13, 15),), (journal.Trace(str(UUID(int=7)), journal.mark("default"), 2, ((16, 20),)),))
    progress = Progress(10, said, ["default"])
    assert progress.journal().jobs == said.jobs
    assert not progress.begin(12)
    assert progress.begin(17)  # 13 to 16 are not in the log any more
    entry = progress.entry(17)
    assert entry
    assert (entry.attempts, entry.job) == (2, Job(str(UUID(int=7)), "default"))
    assert list(progress.journal().jobs[0].pending()) == [17, 18, 19]
    assert not progress.begin(25)  # nor 18 and 19
    assert progress.passed == 3
    progress.finish(17)
    assert progress.journal().jobs == ()


def test_what_the_end_of_a_log_has_lost_is_let_go_as_well() -> None:
    """Where no record is left to be read behind it, having read to the end tells as much."""
    said = Journal(10, 30, ((13, 15),), (journal.Trace(str(UUID(int=7)), journal.mark("default"), 2, ((16, 20),)),))
    progress = Progress(10, said, ["default"])
    assert progress.begin(17)
    assert not progress.reach(30)  # 17 is in hand
    assert progress.passed == 3
    progress.finish(17)
    assert progress.journal() == Journal(30, 30)


@given(st.none() | st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
@example(7, 3, 4)
@example(8, 3, 4)
@example(3, 3, 0)
def test_reading_begins_where_it_was_left_or_where_the_log_is(committed: int | None, first: int, length: int) -> None:
    """It begins within the log, at what was committed if that is there, and tells whatever it had to pass over."""
    end = first + length
    where = begin(committed, first, end)
    assert first <= where.position <= end
    if committed is None:
        assert where == Begin(first)
    elif committed > end:
        assert where == Begin(first, replaced=True)
        assert not where.trusted
    else:
        assert where.trusted
        assert where.position - where.lost == committed
        assert where.lost == max(0, first - committed)
