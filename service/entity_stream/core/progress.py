"""How far one partition has got: what is begun and unfinished, the position, and what is finished behind it.

Offsets are tracked as seen and unfinished, never as a range of expected ones: holes left by
compaction and transaction markers need no special case, and a finished record costs nothing.
"""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from entity_stream.core.journal import Journal, Run, runs


class Progress:
    """One partition's records: finished in any order, committed up to the first unfinished one."""

    __slots__ = ("_ahead", "_end", "_known", "_next", "_unfinished")

    def __init__(self, position: int, journal: Journal | None = None) -> None:
        """Start at `position`: all below it is finished, and what the journal of an earlier life says."""
        self._next = position
        self._unfinished: dict[int, None] = {}  # in order of offsets, which is the order of begin
        self._ahead: deque[Run] = deque(journal.unfinished if journal else ())  # not read yet, as the journal says
        self._known = self._end = max(position, journal.end if journal else 0)

    @property
    def position(self) -> int:
        """The first unfinished offset: where whoever comes after us has to read on."""
        return next(iter(self._unfinished), self._next)

    def begin(self, offset: int) -> bool:
        """See a record; offsets only grow. False: it is finished already, in an earlier life."""
        if offset < self._next:
            raise ValueError(f"offset {offset} was passed already, the next one is {self._next} or later")
        self._next = offset + 1
        if offset < self._known and self._is_finished(offset):
            return False
        self._unfinished[offset] = None
        return True

    def _is_finished(self, offset: int) -> bool:
        while self._ahead and self._ahead[0][1] <= offset:
            self._ahead.popleft()
        return not self._ahead or offset < self._ahead[0][0]

    def finish(self, offset: int) -> None:
        """Count a record as finished: its outcome is about to be published together with the new position."""
        del self._unfinished[offset]
        self._end = max(self._end, offset + 1)

    def journal(self) -> Journal:
        """Say what is finished behind the position, also what an earlier life finished and we have not read yet."""
        return Journal(self.position, max(self.position, self._end), tuple(runs(self._unfinished_below_end())))

    def _unfinished_below_end(self) -> Iterator[int]:
        for offset in self._unfinished:
            if offset >= self._end:
                return
            yield offset
        for start, stop in self._ahead:
            yield from range(max(start, self._next), stop)

    def __len__(self) -> int:
        """Count the records that are begun and not finished."""
        return len(self._unfinished)

    def __repr__(self) -> str:
        return f"Progress(position={self.position}, next={self._next}, unfinished={len(self)})"


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
