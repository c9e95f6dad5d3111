"""How fast one operation may be called once the API has said "too fast": asleep until then, and again when it is over.

A 429 holds the operation once for everybody. After that it goes as fast as the API has taken calls since the last one,
the freeze counted in, and from there grows evenly back to what is configured. Time is an argument.
"""

import math
from collections import deque

GROW = 1.95
"""Windows from the end of a freeze to the configured rate. Found by search: a bucket of one window that gets half of
what is configured is then empty again three windows after the last time, and has given all it got meanwhile."""

LATELY = 12.0
"""Windows since the last 429 within which the calls since then tell what the API takes; later the last window does."""

STEEP = 4.0
"""How many times what was taken is tried where nothing is configured."""

LATE = 0.1
"""Seconds for which a slot may be used late."""

PARTS = 10
"""Parts in which a window moves on."""


class Tally:
    """Calls within the last window."""

    __slots__ = ("_counts", "_part")

    def __init__(self, seconds: float) -> None:
        self._part = seconds / PARTS
        self._counts: deque[tuple[float, int]] = deque(maxlen=PARTS)  # when a part began, and the calls in it

    def take(self, now: float) -> None:
        """Count a call."""
        if self._counts and now - self._counts[-1][0] < self._part:
            began, calls = self._counts.pop()
            self._counts.append((began, calls + 1))
        else:
            self._counts.append((now, 1))

    def per_second(self, now: float) -> float:
        """Tell the rate of the calls before the last, since the first of this window; never less than one a window."""
        window = self._part * PARTS
        lately = [(began, calls) for began, calls in self._counts if now - began < window]
        since = max(now - lately[0][0], self._part) if lately else window
        return max(sum(calls for _, calls in lately) - 1, 1) / since


class Throttle:
    """The calls of one operation, as long as 429s come."""

    __slots__ = ("_began", "_floor", "_lately", "_seconds", "_slot", "_taken", "awake", "until")

    def __init__(self, seconds: float) -> None:
        """Go by windows of so many seconds."""
        self.awake = False
        """Whether it holds anybody up."""
        self.until = -math.inf
        """The end of the freeze."""
        self._seconds = seconds
        self._lately = Tally(seconds)
        self._began = -math.inf  # the last 429 that began a freeze
        self._taken = 0  # calls since then that got none
        self._floor = math.inf  # calls a second at the end of the freeze
        self._slot = -math.inf  # the last slot that was used

    def refuse(self, now: float, until: float) -> None:
        """Hear of a 429 that holds everybody. Calls that were under way when it came, and get one too, say no more."""
        self._taken -= 1
        if now >= self.until:
            self._floor = self._accepted(now)
            self.awake, self._began, self._taken = True, now, 0
        self.until = max(self.until, until)

    def _accepted(self, now: float) -> float:
        """Tell how many calls a second the API took, never less than one a window."""
        since = now - self._began
        if since < LATELY * self._seconds:
            return max(self._taken / max(since, self._seconds / PARTS), 1 / self._seconds)
        return self._lately.per_second(now)

    def rate(self, now: float, most: float) -> float:
        """Tell the calls a second, `most` being configured."""
        grown = max(0.0, (now - self.until) / (GROW * self._seconds))
        self.awake = self.awake and grown < 1.0
        if not self.awake:
            return most
        least, growth = self._growth(most)
        return least + growth * max(0.0, now - self.until)

    def _growth(self, most: float) -> tuple[float, float]:
        """Tell the rate at the end of the freeze, and by how much it grows in a second."""
        least = min(self._floor, most)
        return least, (min(most, STEEP * least if most == math.inf else most) - least) / (GROW * self._seconds)

    def _due(self, now: float, most: float) -> float:
        """Tell when the next slot is: as long after the last as the rate of that moment says, so growth brings it on.

        The rate is r now and grows by g a second. The last slot is `ago`, the next is in x: (ago + x)(r + gx) = 1.
        """
        if self._slot < self.until:
            return self.until
        least, growth = self._growth(most)
        rate, ago = least + growth * (now - self.until), now - self._slot
        b, c = rate + ago * growth, 1 - ago * rate
        return now + 2 * c / (b + math.sqrt(b * b + 4 * growth * c))

    def slot(self, place: int, now: float, most: float) -> float:
        """Tell when the slot of whoever has `place` others before him may come at the earliest: the rate grows."""
        self.rate(now, most)
        if not self.awake:
            return now
        return max(self._due(now, most), now - LATE) + place / most

    def take(self, now: float, most: float) -> None:
        """Count a call."""
        self._taken += 1
        self._lately.take(now)
        self.rate(now, most)
        if self.awake:
            self._slot = max(self._due(now, most), now - LATE)
