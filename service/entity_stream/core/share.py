"""Whose slot it is: the replicas of a group divide the moments of calls, so that together they never exceed a quota.

Each slot belongs to one partition of the group's topics, in turn, and whoever owns the partition may use it. One that
has been without work for a while lends its slots to those that have plenty. What replicas know of each other
differs by some seconds: whoever *may* have a slot by anybody's view must be us, or it is not ours. Time is an argument.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from entity_stream.core.model import Place

LOOK_EVERY = 3.0
"""Seconds between two looks at the whole group."""

LAG = 5.0
"""Seconds by which two replicas may differ in when they learn a thing: a look, and then some. Whoever has had no look
for that long knows nothing of the others any more."""

FRESH = LAG - LOOK_EVERY
"""Seconds that a look may take: what happens just after one has begun must be seen by the next within LAG."""

HANDOVER = 0.5
"""Seconds until the slots of a partition that we were given are ours. Whoever had it has let it go before that, or has
not been heard of for a session."""

HELD = 5.0
"""Seconds without work after which a partition may come to be thought idle by some; all do 2 * LAG later."""

PLENTY = 10.0
"""Seconds of its own slots that a partition has work for before it borrows."""

BORROW = LAG + LOOK_EVERY
"""Seconds of plenty before it does. Where all get work at once each has been seen at work by then, and lends nothing:
nobody has to leave a slot unused for fear that somebody borrows it."""

TURNS = 8
"""After so many turns all have other places, in no rhythm: what comes in some slots only, comes to each partition."""

PART_EVERY = 1.0
"""Seconds between two counts of our part."""

GOLDEN = (math.sqrt(5) - 1) / 2


class Seen(Struct, frozen=True):
    """A look at the whole group."""

    records: Mapping[Place, int]
    """That are unfinished, of each partition: 0 where nothing is in flight either."""
    age: float = 0.0
    """Seconds since it was begun."""
    ends: Mapping[Place, int] = {}
    """Of the logs, where they are known: how many records have ever come."""


class _Known:
    """What is known of one partition: whether it may be thought to lend by anybody, and to borrow.

    Others may miss what does not last: a spell of work shorter than LAG takes nothing back that is lent.
    """

    __slots__ = ("_busy", "_idle", "_lean", "_lean_since", "_plenty", "_position", "_since", "_turned", "_worked")

    def __init__(self, records: int, now: float) -> None:
        """Hear of it for the first time: who has work has likely had it for long; of the others nothing is known."""
        self._busy = bool(records)
        self._since = now - LAG if records else now  # since when it is busy, or is not
        self._idle = now - HELD  # since when it has had no spell of work that nobody can have missed
        self._worked = now - HELD  # when it was last seen at work, if but for a moment
        self._plenty = False
        self._turned = -math.inf  # when that changed
        self._position = -math.inf  # in its log, at the last look
        self._lean_since = now  # since when it can have had no plenty, not even between two looks
        self._lean = -math.inf  # when that was so last, and for so long that everybody has seen it

    def look(self, records: int, end: int | None, least: float, now: float, age: float) -> None:
        """See how many records it had `age` seconds ago at the most, and where its log ended, if that is known."""
        most = math.inf if end is None else end - self._position  # at any time since the last look
        if max(records, most) > least:
            self._lean_since = now
        elif now - age - self._lean_since >= LAG:
            self._lean = now - age
        self._position = -math.inf if end is None else end - records
        self.see(records, least, now)

    def see(self, records: int, least: float, now: float) -> None:
        """See how many records it has."""
        if self._busy is not (records > 0):
            if self._busy and now - self._since >= LAG:
                self._idle = now
            self._busy, self._since = not self._busy, now
        if self._busy:
            self._worked = now
        if self._plenty is not (records > least):
            self._plenty, self._turned = not self._plenty, now

    def may_lend(self, now: float) -> bool:
        lasts = self._busy and now - self._since >= LAG
        return not lasts and now - self._idle >= HELD

    def lends(self, now: float) -> bool:
        return not self._busy and now - self._worked >= HELD + 2 * LAG

    def needy(self, now: float) -> bool:
        return self._plenty or now - self._turned < LAG

    def may_borrow(self, now: float) -> bool:
        return self.needy(now) and not (self._plenty and now - self._lean < BORROW)

    def borrows(self, now: float) -> bool:
        return self._plenty and now - self._turned >= BORROW


class Share:
    """Our part of the slots. Who was never told of any partition has them all."""

    def __init__(self, per_second: float = math.inf) -> None:
        """Divide so many slots a second."""
        self.ahead = 0.0
        """Seconds by which the clock on the wall is ahead of the one that tells `now`."""
        self._least = PLENTY * per_second
        self._ring: tuple[Place, ...] = ()
        self._strides: tuple[int, ...] = (1,)
        self._new = True  # until we have had partitions, and have known of all
        self._changed = -math.inf  # when the ring became another
        self._gained: dict[Place, float] = {}  # ours, and from when on they count
        self._all_from = -math.inf  # from when on all are ours
        self._lost: dict[Place, tuple[float, float]] = {}  # when we lost them, and from when on they counted
        self._known: dict[Place, _Known] = {}
        self._needy: tuple[int, ...] = ()  # where in the ring those are that may borrow, before the next look too
        self._looked = -math.inf
        self._parted = -math.inf, 0.0  # when our part was counted last, and what it was

    def see(
        self,
        now: float,
        mine: Mapping[Place, int],
        all_: Collection[Place],
        look: Seen | None = None,
        ahead: float = 0.0,
    ) -> None:
        """Take in what has changed: ours with the records that we have begun, all there are, and a look at these.

        Where none could be had it is None; one that is not FRESH is none. `ahead` is what the clock on the wall shows
        less `now`.
        """
        self.ahead = ahead
        self._divide(now, all_)
        self._own(now, mine)
        self._all_from = max((self._gained.get(place, math.inf) for place in self._ring), default=-math.inf)
        if look is not None and look.age <= FRESH:
            self._looked = now - look.age
            self._look(now, mine, look)
        elif self._blind(now) and self._looked > -math.inf:
            self._forget_others(mine)
            self._learn(now, mine)
        elif self._looked > -math.inf:
            self._learn(now, {place: each for place, each in mine.items() if each})
        self._needy = tuple(rank for rank, place in enumerate(self._ring) if self._is_needy(place, now))

    def _look(self, now: float, mine: Mapping[Place, int], look: Seen) -> None:
        least = self._least / self.size
        for place, records in look.records.items():
            unfinished = max(records, mine.get(place, 0))
            self._meet(place, unfinished, now).look(unfinished, look.ends.get(place), least, now, look.age)

    def _learn(self, now: float, records: Mapping[Place, int]) -> None:
        least = self._least / self.size
        for place, unfinished in records.items():
            self._meet(place, unfinished, now).see(unfinished, least, now)

    def _meet(self, place: Place, unfinished: int, now: float) -> _Known:
        """Find what is known of a partition; of one that is new, that it has so many records."""
        if place not in self._known:
            self._known[place] = _Known(unfinished, now)
        return self._known[place]

    def _forget_others(self, mine: Collection[Place]) -> None:
        """Forget what cannot be seen any more: of a partition that becomes ours later nothing old may be believed."""
        self._known = {place: known for place, known in self._known.items() if place in mine}

    def _blind(self, now: float) -> bool:
        return now - self._looked > LAG

    def _divide(self, now: float, all_: Collection[Place]) -> None:
        ordered = sorted(all_)
        ring = tuple(ordered[rank] for rank in sorted(range(len(ordered)), key=lambda rank: rank * GOLDEN % 1))
        if ring != self._ring:
            self._changed = now if self._ring else -math.inf
            self._ring = ring
            self._strides = tuple(stride for stride in range(1, len(ring)) if math.gcd(stride, len(ring)) == 1) or (1,)

    def _own(self, now: float, mine: Collection[Place]) -> None:
        """Gain and lose: a share shrinks at once, and grows when whoever had it before has surely heard of it."""
        if self._new and self._ring and mine:  # a life that begins with all of them has nobody to wait for
            self._gained = dict.fromkeys(mine, -math.inf) if set(mine) >= set(self._ring) else self._gained
            self._new = False
        for place in self._gained.keys() - mine:
            self._lost[place] = now, self._gained.pop(place)
        self._lost = {place: (at, since) for place, (at, since) in self._lost.items() if now - at < LAG}
        for place in mine:
            if place not in self._gained:
                _, self._gained[place] = self._lost.pop(place, (now, now + HANDOVER))

    def alone(self, now: float) -> bool:
        """Tell whether every slot is ours."""
        return self._all_from <= now

    def part(self, now: float) -> float:
        """Tell which part of the slots is ours, about."""
        if self.alone(now):
            return 1.0
        if now - self._parted[0] > PART_EVERY:
            some = 4 * len(self._ring)
            self._parted = now, sum(self.ours(number, now) for number in range(some)) / some
        return self._parted[1]

    @property
    def size(self) -> int:
        """Count the slots of a turn, in which each partition has one."""
        return max(1, len(self._ring))

    def ours(self, number: int, now: float) -> bool:
        """Tell whether a slot is ours."""
        return now - self._changed >= LAG and all(self._counts(place, now) for place in self._may_have(number, now))

    def _counts(self, place: Place, now: float) -> bool:
        return self._gained.get(place, math.inf) <= now

    def _may_have(self, number: int, now: float) -> Iterator[Place]:
        """Go through the partitions to which a slot may belong by anybody's view."""
        size = len(self._ring)
        rank = (number - int(number // (TURNS * size) * GOLDEN % 1 * size)) % size
        home = self._ring[rank]
        known = self._known.get(home)
        if known is None or not known.may_lend(now):
            yield home
            return
        if self._blind(now):
            yield from self._ring
            return
        if not known.lends(now):
            yield home
        stride = self._strides[number // size % len(self._strides)]
        for place in self._around(rank, stride):
            if self._may_borrow(place, now):
                yield place
            other = self._known.get(place)
            if other is not None and other.borrows(now):
                return
        yield home

    def _may_borrow(self, place: Place, now: float) -> bool:
        known = self._known.get(place)
        return known is None or known.may_borrow(now)

    def _is_needy(self, place: Place, now: float) -> bool:
        known = self._known.get(place)
        return known is None or known.needy(now)

    def _around(self, home: int, stride: int) -> Iterable[Place]:
        """Go round the ring, from behind the home of a slot; only to the needy, where it is long between these."""
        size = len(self._ring)
        if len(self._needy) ** 2 > size:
            return (self._ring[(home + step * stride) % size] for step in range(1, size))
        steps = pow(stride, -1, size)  # from each partition to its neighbour
        away = sorted((rank - home) * steps % size for rank in self._needy)
        return (self._ring[(home + step * stride) % size] for step in away if step)
