"""When to ask: learns how long jobs of each size take, so that the first poll of most jobs is the last.

What is usual is learned for each size, and by how much jobs depart from it for all sizes together. The rule that keeps
it honest: what a job says of its own times counts within what was seen of it, and each poll is weighed against waiting.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct

from entity_stream.core.model import Batch
from entity_stream.core.skew import Sighting, Skew, over

FIRST_GUESS = 0.5
"""Seconds until the first poll of the first job: early rather than late, as recorded jobs took 0.7 to 2.3 s."""

STRANGER = 5.0
"""Seconds that the jobs beside it wait for what it teaches, at the most."""

SHORTEST, LONGEST = 0.01, 15.0
"""Seconds between two polls of one job, at the least and at the most."""

LATEST_FIRST = 60.0
"""Seconds until the first poll at the most, however long jobs take."""

CHEAP, DEAR = 1 / 16, 4.0
"""What a poll costs, in waiting, as a part of what is usual: with quota to spare, and while others wait for a call."""

EAGER = 1 / 32
"""The same with quota to spare, where the window is full: each moment that a job is over unnoticed holds up another."""

LEVELS = 4
"""Steps between cheap and dear."""

CROWDED = -1
"""The step below them, where it is eager."""

KEPT = 64
"""The last departures from the usual: so many are remembered."""

STEADY, PACE = 8, 32
"""What is usual for a size is an average over so many jobs of it; the pace of all sizes, over so many of any."""

FACTOR = 4.0
"""The first job of a size counts up to so many times what was expected of it, or down to such a part."""

RUNGS = 4
"""Sizes are told apart so often between one and its double."""

SCOUTS = 16
"""One job in so many is asked for earlier while the clocks leave open when jobs end."""

DARING = 1 / 16
"""Where nobody can tell when a job ended, it is taken to have ended earlier by this part of what is open."""

GOLDEN = 0.618
"""Its multiples lie evenly between whole numbers: so scouts divide among them what is open."""


class Watch(Struct, frozen=True):
    """A job that is waited for."""

    born: float
    """When it was created, as near as we know."""
    rung: int
    """Its size, on a ladder of sizes."""
    scouts: float | None = None
    """A scout's own part, from 0 to 1, of what is open."""


class Usual(Struct):
    """What jobs of one size usually take."""

    seconds: float
    """At a pace of 1."""
    jobs: int
    """That have taught it; none yet, where the first counted in part only: the next may replace it."""


class Polling:
    """What the jobs of one resource have taught so far."""

    __slots__ = ("_departures", "_news", "_pace", "_plans", "_skew", "_usual", "_watched")

    def __init__(self) -> None:
        self._skew = Skew()
        self._usual: dict[int, Usual] = {}
        self._pace = 1.0
        self._departures: deque[float] = deque([1.0], KEPT)
        self._plans: dict[int, Sequence[float]] = {}
        self._news = self._watched = 0

    @property
    def knows(self) -> bool:
        """Tell whether any job has taught how long it took: all that wait for the first one should look again."""
        return bool(self._usual)

    def usual(self, batch: Batch) -> float:
        """Seconds that such a batch usually takes, as far as is known."""
        return self._expected(_rung(batch)) if self._usual else FIRST_GUESS

    def watch(self, batch: Batch, born: float) -> Watch:
        """Begin to wait for a job. The first of all is a scout: somebody has to be."""
        number, behind = divmod(self._watched, SCOUTS)
        self._watched += 1
        return Watch(born, _rung(batch), None if behind else number * GOLDEN % 1)

    def due(self, watch: Watch, ran: float | None, load: float, *, crowded: bool = False) -> float:
        """Say when the answer is worth a poll. `ran`: when the job was last asked for, and still ran.

        `load` says how scarce calls are: as many seconds as one would have to wait for its slot, at most 1. `crowded`:
        no other job can be submitted before one of these is known to have ended.
        """
        level = round(load * LEVELS) or (CROWDED if crowded else 0)
        if ran is None:
            return watch.born + min(LATEST_FIRST, max(SHORTEST, self._first(watch, level)))
        return ran + min(LONGEST, max(SHORTEST, self._again(watch, ran - watch.born, level)))

    def _first(self, watch: Watch, level: int) -> float:
        if not self._usual:
            return STRANGER if watch.scouts is None else FIRST_GUESS * (1 + watch.scouts / 2)
        usual = self._expected(watch.rung)
        likely = usual * self._plan(level)[0] + _margin(usual)
        open_ = min(self._skew.width, usual / 4)
        return likely if watch.scouts is None or open_ < _margin(usual) else likely - watch.scouts * open_

    def _again(self, watch: Watch, age: float, level: int) -> float:
        """Seconds to leave a job alone that still ran at this age.

        Who has outlived the usual by so much will likely do so by as much again: the pause that costs least grows with
        the root of that. It may be twice as long where the plan has a moment in sight, but not beyond that.
        """
        usual = self._expected(watch.rung) if watch.rung in self._usual else 0.0
        price, over = _price(level) * age, max(age - usual, SHORTEST)
        pause = math.sqrt(2 * price * over)
        planned = (usual * each + _margin(usual) - age for each in self._plan(level))
        ahead = next((wait for wait in planned if wait > price / 2), None)
        if ahead is None:
            return pause
        return min(ahead, max(0.0, usual - age) + 2 * pause)

    def learn(self, watch: Watch, seen: Sighting) -> None:
        """See a job that has ended. One that was sent nobody knows when teaches only what nobody else has taught."""
        self._skew.hear(seen)
        usual, inherited = self._usual.get(watch.rung), not math.isfinite(seen.sent)
        took = over(seen.ended) - seen.created if inherited else self._took(seen)
        if usual is None and math.isfinite(took):
            self._usual[watch.rung] = self._begin(watch.rung, took, inherited=inherited)
        elif usual is not None and not inherited:
            self._depart(usual, max(SHORTEST, took) / (usual.seconds * self._pace))

    def _begin(self, rung: int, took: float, *, inherited: bool) -> Usual:
        """Believe the first job of a size within a factor of what the nearest size that our jobs taught lets expect."""
        least, most = SHORTEST, LATEST_FIRST if inherited else math.inf
        if own := [known for known, usual in self._usual.items() if usual.jobs]:
            expected = self._expected(_nearest(rung, own))
            least, most = max(least, expected / FACTOR), min(most, expected * FACTOR)
        believed = min(most, max(least, took))
        return Usual(believed / self._pace, int(not inherited and believed == took))

    def _took(self, seen: Sighting) -> float:
        """Seconds that a job took, or a little less where that is open: else nobody would ever ask earlier."""
        first, last = max(seen.ran, seen.born), seen.found
        earliest, latest = self._skew.span(seen.ended)
        if math.isinf(latest) or latest < first or earliest > last:  # it told nothing, or what cannot be
            earliest, latest = first, max(first, min(last, seen.due))
        earliest, latest = max(earliest, first), min(latest, last)
        return latest - (latest - earliest) * DARING - seen.born

    def _depart(self, usual: Usual, departure: float) -> None:
        """Learn from a job that took so many times the usual. The plans are made anew for each quarter that is new."""
        usual.jobs += 1
        usual.seconds *= min(2.0, max(0.5, departure)) ** (1 / min(STEADY, usual.jobs))
        self._pace *= min(1.1, max(0.9, departure)) ** (1 / PACE)
        self._departures.append(departure)
        self._news += 1
        if self._news * 4 >= len(self._departures):
            self._plans.clear()
            self._news = 0

    def _expected(self, rung: int) -> float:
        """Seconds that jobs of the nearest known size usually take."""
        if rung not in self._usual:
            rung = _nearest(rung, self._usual)
        return self._usual[rung].seconds * self._pace

    def _plan(self, level: int) -> Sequence[float]:
        """Return when to ask, in parts of what is usual."""
        if level not in self._plans:
            self._plans[level] = plan(sorted(self._departures), _price(level))
        return self._plans[level]


def plan(durations: Sequence[float], price: float) -> Sequence[float]:
    """Choose at which of these durations, in ascending order, to ask: so that waiting and polls cost least together.

    From the end: whatever was asked for until now, the rest of the best plan is the best plan for the rest.
    """
    jobs = len(durations)
    costs, asked = [0.0] * (jobs + 1), [jobs] * (jobs + 1)
    for ended in range(jobs - 1, -1, -1):
        best, total = math.inf, 0.0
        for last in range(ended, jobs):
            total += durations[last]
            waiting = (last - ended + 1) * durations[last] - total
            if waiting >= best:
                break
            if waiting + costs[last + 1] < best:
                best, asked[ended] = waiting + costs[last + 1], last
        costs[ended] = best + price * (jobs - ended)
    moments, ended = [], 0
    while ended < jobs:
        moments.append(durations[asked[ended]])
        ended = asked[ended] + 1
    return moments


def _price(level: int) -> float:
    return EAGER if level == CROWDED else CHEAP + (DEAR - CHEAP) * (level / LEVELS) ** 2


def _rung(batch: Batch) -> int:
    """Place a batch on the ladder, by its documents and the thousands of their characters."""
    size = len(batch) + sum(len(document.text) for document in batch) / 1000
    return round(RUNGS * math.log2(size))


def _nearest(rung: int, known: Iterable[int]) -> int:
    return min(known, key=lambda each: abs(each - rung))


def _margin(usual: float) -> float:
    """Seconds to add so that it is over: a timer that fires right on time comes too soon for every second job."""
    return 0.001 + usual / 256


def backoff(attempt: int, dice: float, base: float = 0.25, cap: float = 30.0) -> float:
    """Seconds to wait after the `attempt`-th trouble in a row, from 0: half to all of a ceiling that doubles.

    `dice` is a number in [0, 1), so that those who failed together do not come back together.
    """
    return min(cap, base * 2.0 ** min(attempt, 16)) * (0.5 + dice / 2)
