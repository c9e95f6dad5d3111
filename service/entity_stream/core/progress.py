"""How far one partition has got: what is begun and unfinished, and the position.

Offsets are tracked as seen and unfinished, never as a range of expected ones: holes left by
compaction and transaction markers need no special case, and a finished record costs nothing.
"""

from msgspec import Struct


class Progress:
    """One partition's records: finished in any order, committed up to the first unfinished one."""

    __slots__ = ("_next", "_unfinished")

    def __init__(self, position: int) -> None:
        """Start at `position`: all below it is finished."""
        self._next = position
        self._unfinished: dict[int, None] = {}  # in order of offsets, which is the order of begin

    @property
    def position(self) -> int:
        """The first unfinished offset: where whoever comes after us has to read on."""
        return next(iter(self._unfinished), self._next)

    def begin(self, offset: int) -> None:
        """See a record. Offsets only grow."""
        if offset < self._next:
            raise ValueError(f"offset {offset} was passed already, the next one is {self._next} or later")
        self._unfinished[offset] = None
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """Count a record as finished: its outcome is about to be published together with the new position."""
        del self._unfinished[offset]

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
