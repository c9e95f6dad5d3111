"""Whose turn it is to be published: lanes by key, by partition or none; tombstones are barriers.

A lane is a queue of turns. Outcomes of one turn may be published in any order; a turn begins when
the one before it has ended. In order, every record is a turn of its own; unordered, only a tombstone is.
"""

from collections import deque
from enum import StrEnum

from entity_stream.core.model import Outcome, Record


class Order(StrEnum):
    """What keeps its order within an input partition. A record without a key has no order but `partition`'s."""

    KEY = "key"
    PARTITION = "partition"
    UNORDERED = "unordered"


class _Turn:
    __slots__ = ("alone", "held", "waiting")

    def __init__(self, alone: bool) -> None:  # noqa: FBT001 (two kinds of turn, told apart where they are made)
        self.alone = alone
        self.waiting = 0  # records of this turn without an outcome
        self.held: list[Outcome] = []  # outcomes that came before the turn did


class Lanes:
    """The lanes of one partition."""

    __slots__ = ("_lanes", "_order", "_turns")

    def __init__(self, order: Order) -> None:
        self._order = order
        self._lanes: dict[bytes, deque[_Turn]] = {}
        self._turns: dict[int, _Turn] = {}  # by offset, for records that have a lane and no outcome yet

    def enter(self, record: Record) -> None:
        """Queue a record up, in the order of offsets."""
        name = self._lane(record)
        if name is None:
            return
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = deque()
        alone = self._order is not Order.UNORDERED or record.value is None
        if alone or not lane or lane[-1].alone:
            lane.append(_Turn(alone))
        lane[-1].waiting += 1
        self._turns[record.offset] = lane[-1]

    def release(self, outcome: Outcome) -> list[Outcome]:
        """Take the outcome of a record; return the outcomes that may be published now, in order."""
        turn = self._turns.pop(outcome.record.offset, None)
        name = self._lane(outcome.record)
        if turn is None or name is None:
            return [outcome]
        lane = self._lanes[name]
        turn.waiting -= 1
        turn.held.append(outcome)
        released: list[Outcome] = []
        while lane:
            released += lane[0].held
            lane[0].held = []
            if lane[0].waiting:
                return released
            lane.popleft()
        del self._lanes[name]
        return released

    def _lane(self, record: Record) -> bytes | None:
        return b"" if self._order is Order.PARTITION else record.key

    def __repr__(self) -> str:
        return f"Lanes({self._order}, lanes={len(self._lanes)}, waiting={len(self._turns)})"
