"""How far one partition has got: what is begun, in a job and unfinished, the position, and what is finished behind it.

Offsets are tracked as seen and unfinished, never as a range of expected ones: holes left by compaction and transaction
markers need no special case, and a finished record costs nothing.

All of it fits into the journal of a commit, because room for a job is reserved before its submit, as much as it will
ever need: a job stays in the journal whole, with a bit for each document that is over, until the last of them is.
Only then does it become finished offsets, which never take more room than it did.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import takewhile

from msgspec import Struct

from entity_stream.core import journal
from entity_stream.core.journal import HEAD, RAW_ROOM, Journal, Run, Trace, mark, offsets, runs, without_strangers
from entity_stream.core.model import Job

SURPRISE = 48
"""Bytes reserved for the id of a job while we have seen none."""

ONE_MORE = 8
"""Bytes that one more finished offset between unfinished ones may take."""


class Room(IntEnum):
    """Bytes of the journal that may be taken, by whom."""

    NEW = RAW_ROOM // 4 * 3
    """Who is submitted for the first time."""
    AGAIN = RAW_ROOM // 8 * 7
    """Who is submitted again, or settled without a job."""
    ALL = RAW_ROOM
    """Who holds the position."""


class Entry:
    """One submit in the journal of one partition: reserved before it, named by its answer, gone when all is over."""

    __slots__ = ("attempts", "job", "left", "offsets", "over", "runs", "size", "unread")

    def __init__(self, offsets: Sequence[int], attempts: int) -> None:
        self.offsets = offsets
        self.runs = tuple(runs(offsets))
        self.attempts = attempts
        self.job: Job | None = None
        self.over = 0
        self.left = len(offsets)  # not over
        self.unread = 0  # named by an earlier life and not read since
        self.size = 0

    def end(self, offset: int) -> None:
        """Expect nothing more of this submit for an offset."""
        bit = 1 << bisect_left(self.offsets, offset)
        self.left -= not self.over & bit
        self.over |= bit


class Progress:
    """One partition's records: finished in any order, committed up to the first unfinished one."""

    __slots__ = (
        "_ahead",
        "_end",
        "_entries",
        "_estimate",
        "_expected",
        "_id_size",
        "_known",
        "_last_open",
        "_next",
        "_open",
        "_reserved",
        "_unfinished",
        "passed",
    )

    def __init__(self, position: int, said: Journal | None = None, resources: Iterable[str] = ()) -> None:
        """Start at `position`: all below it is finished, and what the journal of an earlier life says.

        Jobs of other resources than these are lost to us: their documents are submitted again.
        """
        names = {mark(name): name for name in resources}
        said = without_strangers(said or Journal(position, position), names)
        self._next = position
        self._unfinished: dict[int, Entry | None] = {}  # in order of offsets, which is the order of begin
        self._open: dict[int, bool] = {}  # what of it is in no submit, ascending; True: to be settled without a job
        self._ahead: deque[Run] = deque(said.unfinished)  # not read yet, as the journal says
        self._known = self._end = max(position, said.end)
        self._entries: dict[Entry, None] = {}
        self._reserved = 0  # bytes of all entries
        self._id_size = SURPRISE  # until we have seen one
        self._estimate: int = Room.ALL  # bytes at the most, until somebody counts
        self._last_open = -1  # no record beyond is in no submit
        self._expected = deque(sorted(self._inherit(said.jobs, names).items()))
        self.passed = 0
        """Offsets in jobs of an earlier life that the log does not have any more, from its start on."""
        self._pass(position)
        self.passed = 0

    def _inherit(self, jobs: Iterable[Trace], names: Mapping[int, str]) -> dict[int, Entry]:
        """Take over what an earlier life has in flight; return the offsets that are still to be read."""
        expected: dict[int, Entry] = {}
        for job in jobs:
            entry = Entry(tuple(offsets(job.runs)), job.attempts)
            self._enter(entry, 0)
            self._name(entry, Job(job.id, names[job.mark]))
            pending = set(job.pending())
            for offset in entry.offsets:
                if offset not in pending:
                    self._over(entry, offset)
            for offset in pending:
                if earlier := expected.get(offset):
                    self._over(earlier, offset)
                expected[offset] = entry
        for entry in self._entries:
            entry.unread = entry.left
        return expected

    @property
    def position(self) -> int:
        """The first unfinished offset: where whoever comes after us has to read on."""
        return next(iter(self._unfinished), self._next)

    # reading

    def begin(self, offset: int) -> bool:
        """See a record; offsets only grow. False: it is finished already, in an earlier life."""
        if offset < self._next:
            raise ValueError(f"offset {offset} was passed already, the next one is {self._next} or later")
        self._pass(offset)
        self._next = offset + 1
        if self._expected and self._expected[0][0] == offset:
            _, entry = self._expected.popleft()
            entry.unread -= 1
            self._unfinished[offset] = entry
            return True
        if offset < self._known and self._is_finished(offset):
            return False
        self._unfinished[offset] = None
        self._open[offset] = False
        self._last_open = offset
        return True

    def reach(self, offset: int) -> bool:
        """Hear that all below an offset is read: the log ends in no record there, but in the mark of a transaction.

        Tell whether that moves the position.
        """
        if offset <= self._next:
            return False
        self._pass(offset)
        self._next = offset
        return not self._unfinished

    def _pass(self, offset: int) -> None:
        """Let go what a journal named and the log does not have: compaction or retention has taken it."""
        while self._expected and self._expected[0][0] < offset:
            gone, entry = self._expected.popleft()
            entry.unread -= 1
            self.passed += 1
            self._over(entry, gone)

    def _is_finished(self, offset: int) -> bool:
        while self._ahead and self._ahead[0][1] <= offset:
            self._ahead.popleft()
        return not self._ahead or offset < self._ahead[0][0]

    def entry(self, offset: int) -> Entry | None:
        """Return the submit that an unfinished record is part of."""
        return self._unfinished[offset]

    # room

    def reserve(self, offsets: Sequence[int], attempts: int, room: Room) -> Entry | None:
        """Reserve all the room that a submit of these offsets will ever need; None where there is not so much.

        What is submitted again leaves the entry of its last submit, whose room is free once nothing is left in it.
        """
        entry = Entry(offsets, attempts)
        before = [self._unfinished[offset] for offset in offsets]
        leaving = Counter(each for each in before if each)
        freed = sum(each.size for each, count in leaving.items() if each.left == count)
        size = journal.job_size(entry.runs, self.position, self._id_size)
        end = max(self._end, offsets[-1] + 1)
        taken = HEAD + self._reserved - freed + size
        if taken > room or (taken := taken + self._open_size(end, offsets)) > room:
            return None
        for offset, earlier in zip(offsets, before, strict=True):
            self._unfinished[offset] = entry
            self._open.pop(offset, None)
            if earlier:
                self._over(earlier, offset)
        self._end = end
        self._enter(entry, size)
        self._estimate = taken
        return entry

    def admits(self, offset: int) -> bool:
        """Tell whether a record may be settled: with a job it always may, without one there must be room to say so."""
        if self._unfinished[offset] or self._open[offset]:
            return True
        self._open[offset] = True
        end = max(self._end, offset + 1)
        self._estimate += ONE_MORE
        if self._estimate > Room.AGAIN or self._last_open >= self._end:
            self._estimate = HEAD + self._reserved + self._open_size(end)
        if self._estimate > Room.AGAIN and offset != self.position:
            self._open[offset] = False
            return False
        self._end = end
        return True

    def name(self, entry: Entry, job: Job) -> None:
        """Say which job came of a submit; an id so much longer than any before that there is no room stays unsaid."""
        more = journal.job_size(entry.runs, self.position, journal.id_size(job.id)) - entry.size
        if more <= 0 or HEAD + self._reserved + more + self._open_size(self._end) <= Room.ALL:
            self._name(entry, job)
            self._estimate += max(0, more)

    def _name(self, entry: Entry, job: Job) -> None:
        id_size = journal.id_size(job.id)
        self._id_size = id_size if self._id_size == SURPRISE else max(id_size, self._id_size)
        size = journal.job_size(entry.runs, self.position, id_size)
        self._reserved += size - entry.size
        entry.job, entry.size = job, size

    def give_back(self, entry: Entry) -> None:
        """Give back what was reserved for a submit that was not made, or was refused."""
        for offset in entry.offsets:
            if self._unfinished.get(offset) is entry:
                self._unfinished[offset] = None
                self._open[offset] = False
                self._last_open = max(self._last_open, offset)
        self._open = dict(sorted(self._open.items()))
        self._leave(entry)

    def _enter(self, entry: Entry, size: int) -> None:
        self._entries[entry] = None
        entry.size = size
        self._reserved += size

    def _over(self, entry: Entry, offset: int) -> None:
        entry.end(offset)
        if not entry.left:
            self._leave(entry)

    def _leave(self, entry: Entry) -> None:
        if entry in self._entries:
            del self._entries[entry]
            self._reserved -= entry.size

    def _open_size(self, end: int, but: Collection[int] = ()) -> int:
        """Count the bytes that unfinished runs take at the most, in whatever order what is admitted is settled."""
        leaving = set(but)
        open_ = [offset for offset in takewhile(end.__gt__, self._open) if offset not in leaving]
        together = runs(offset for offset in open_ if not self._open[offset])
        alone = ((offset, offset + 1) for offset in open_ if self._open[offset])
        return journal.runs_size(sorted([*together, *alone, *self._runs_ahead()]), self.position)

    # settling

    def finish(self, offset: int) -> None:
        """Count a record as finished: its outcome is about to be published together with the new position."""
        entry = self._unfinished.pop(offset)
        self._open.pop(offset, None)
        self._end = max(self._end, offset + 1)
        if entry:
            self._over(entry, offset)

    def journal(self) -> Journal:
        """Say what is finished behind the position and what is in flight, also of an earlier life and not read yet."""
        end = max(self.position, self._end)
        open_ = runs(
            offset
            for offset, entry in takewhile(lambda item: item[0] < end, self._unfinished.items())
            if entry is None or entry.job is None
        )
        jobs = tuple(
            Trace(job.id, mark(job.resource), entry.attempts, entry.runs, entry.over)
            for entry in self._entries
            if (job := entry.job)
        )
        return Journal(self.position, end, (*open_, *self._runs_ahead()), jobs)

    def _runs_ahead(self) -> Iterator[Run]:
        return ((max(start, self._next), stop) for start, stop in self._ahead if stop > self._next)

    def __len__(self) -> int:
        """Count the records that are begun and not finished."""
        return len(self._unfinished)

    def __repr__(self) -> str:
        return (
            f"Progress(position={self.position}, next={self._next}, unfinished={len(self)}, jobs={len(self._entries)})"
        )


class Begin(Struct, frozen=True):
    """Where the reading of a partition begins, and what that says about its past."""

    position: int
    lost: int = 0
    """Offsets that the broker deleted before they were read."""
    replaced: bool = False
    """The log is not the one that was committed."""

    @property
    def trusted(self) -> bool:
        """Tell whether the journal that was committed beside the position still speaks of this log."""
        return not self.replaced


def begin(committed: int | None, first: int, end: int) -> Begin:
    """Decide where to begin: `first` is the first offset of the log, `end` the one behind its last."""
    if committed is None:
        return Begin(first)
    if committed > end:
        return Begin(first, replaced=True)
    return Begin(max(committed, first), lost=max(0, first - committed))
