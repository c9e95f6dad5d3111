"""Whose turn it is to be published: lanes by key, by partition or none; tombstones are barriers.

A lane is a queue of turns. Outcomes of one turn may be published in any order; a turn begins when
the one before it has ended. In order, every record is a turn of its own; unordered, only a tombstone is.
"""

from enum import StrEnum

from entity_stream.core.model import Outcome, Record


class Order(StrEnum):
    """What keeps its order within an input partition. A record without a key has no order but `partition`'s."""

    KEY = "key"
    PARTITION = "partition"
    UNORDERED = "unordered"


class _Turn:
    __slots__ = ("alone", "begun", "held", "next", "waiting")

    def __init__(self, *, alone: bool, begun: bool) -> None:
        self.alone = alone
        self.begun = begun
        self.waiting = 0  # records of this turn without an outcome
        self.held: list[Outcome] | None = None  # outcomes that came before the turn did
        self.next: _Turn | None = None


class Lanes:
    """The lanes of one partition."""

    __slots__ = ("_last", "_order", "_turns")

    def __init__(self, order: Order) -> None:
        self._order = order
        self._last: dict[bytes, _Turn] = {}  # the last turn of each lane that is not empty
        self._turns: dict[int, _Turn] = {}  # by offset, for records that have a lane and no outcome yet

    def enter(self, record: Record) -> None:
        """Queue a record up, in the order of offsets."""
        name = self._lane(record)
        if name is None:
            return
        turn = self._last.get(name)
        alone = self._order is not Order.UNORDERED or record.value is None
        if turn is None or alone or turn.alone:
            turn = self._queue_up(name, turn, alone=alone)
        turn.waiting += 1
        self._turns[record.offset] = turn

    def _queue_up(self, name: bytes, behind: _Turn | None, *, alone: bool) -> _Turn:
        turn = self._last[name] = _Turn(alone=alone, begun=behind is None)
        if behind is not None:
            behind.next = turn
        return turn

    def release(self, outcome: Outcome) -> list[Outcome]:
        """Take the outcome of a record; return the outcomes that may be published now, in order."""
        turn = self._turns.pop(outcome.record.offset, None)
        if turn is None:
            return [outcome]
        turn.waiting -= 1
        if turn.begun:
            return [outcome] if turn.waiting else [outcome, *self._follow(turn, outcome.record)]
        if turn.held is None:
            turn.held = []
        turn.held.append(outcome)
        return []

    def _follow(self, ended: _Turn, record: Record) -> list[Outcome]:
        """Begin the turns behind one that has ended, up to the first that has to wait; return what they held."""
        released: list[Outcome] = []
        turn: _Turn | None = ended
        while turn is not None and not turn.waiting:
            if (following := turn.next) is None:
                del self._last[self._lane(record) or b""]
                break
            following.begun = True
            released += following.held or ()
            following.held = None
            turn = following
        return released

    def _lane(self, record: Record) -> bytes | None:
        return b"" if self._order is Order.PARTITION else record.key

    def __repr__(self) -> str:
        return f"Lanes({self._order}, lanes={len(self._last)}, waiting={len(self._turns)})"
