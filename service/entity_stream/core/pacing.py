"""When the next call may go, by the windows of a quota: evenly spaced, and never more in any window than it holds.

Slots are spaced; a log of the calls holds the windows exactly, whatever came late. So no limiter is overrun, be it a
token bucket, a fixed or a sliding window. Who is late may catch up, at twice the pace at the most. Time is an argument.
"""

import math
from collections import deque
from collections.abc import Sequence

from entity_stream.core.share import Share

MARGIN, MOST_MARGIN = 0.005, 0.05
"""By how much a window is taken for longer than it is, as a part and in seconds at the most: ways differ."""

MOST_LATE = 0.015
"""The part of a window by which one call is taken to arrive late, at the most: the endpoint may just be slow."""

CONNECTING = 0.1
"""The part of a window that the very first calls may take longer than those behind them: they have to connect first."""

FORGET = 0.01
"""How far the quickest answer that is known moves towards each that is not so quick: ways change."""

LATE, LATE_PART = 0.1, 0.01
"""For how long a slot may be used late, in seconds and as a part of a window: whichever is more."""

MARKS = 1_000
"""Calls of a window whose moments are remembered, at the most: of a larger one every second call's, or third's."""

FINEST = 0.01
"""Seconds between two slots that are divided, at the least; in a larger quota each is good for several calls."""

RECENT, RECENT_SLOTS = 1.0, 10
"""Seconds, or slots if these last longer, after which a call counts for a third in what was used of late."""

ROUNDING = 1e-5
"""Seconds by which a moment on the wall may be off in a float."""

SOON = 1.0
"""Seconds after which whoever waits for a slot of ours is to ask again: what is ours may be more by then."""


class Window:
    """So many calls in so many seconds, wherever these begin."""

    __slots__ = ("_calls", "_each", "_last", "_made", "_marks", "_span")

    def __init__(self, calls: int, span: float) -> None:
        self._calls, self._span = calls, span
        self._each = math.ceil(calls / MARKS)
        self._made, self._last = 0, -math.inf
        self._marks: deque[float] = deque(maxlen=calls // self._each + 2)  # when the last of each so many calls was

    def room(self, place: int) -> float:
        """Tell the moment from which there is room for a call that has `place` others before it."""
        leaves = self._made + min(place, self._calls - 1) - self._calls  # the call in whose place it comes
        if leaves < 0:
            return -math.inf
        back = self._made // self._each - leaves // self._each
        return (self._marks[-back] if back else self._last) + self._span

    def take(self, now: float) -> None:
        """Count a call."""
        self._made += 1
        self._last = now
        if self._made % self._each == 0:
            self._marks.append(now)

    def delay(self, sent: float, late: float) -> None:
        """Hear that a call arrived later than it was sent, by so many seconds at the most."""
        if self._each > 1:
            return
        for place in range(len(self._marks) - 1, -1, -1):
            if self._marks[place] <= sent:
                self._marks[place] += min(late, MOST_LATE * self._span)
                return

    def delay_all(self, late: float) -> None:
        """Hear that the first calls all arrived later than was known then: some behind them were quicker."""
        if self._each == 1 and self._made <= self._calls:
            moved = min(late, CONNECTING * self._span)
            self._marks = deque((mark + moved for mark in self._marks), self._marks.maxlen)


class Spacing:
    """Slots that are all ours, and so lie wherever we like: one at once, the others after it."""

    __slots__ = ("_interval", "_late", "_next", "_previous")

    def __init__(self, interval: float, seconds: float) -> None:
        self._interval = interval
        self._late = max(LATE, LATE_PART * seconds)
        self._next = self._previous = -math.inf

    def slot(self, place: int, now: float) -> float:
        """Tell the moment of the slot of whoever has `place` others before him."""
        even = max(self._next, now - self._late) + place * self._interval
        return max(even, self._previous + (place + 1) * self._interval / 2)

    def take(self, now: float) -> None:
        """Use a slot."""
        self._next = max(self._next, now - self._late) + self._interval
        self._previous = now

    def skip(self, now: float) -> None:
        """Begin anew, one slot from now: the last one may just have been somebody else's."""
        self._next = now + self._interval


class Slots:
    """Slots that are divided among replicas: they lie at the same moments of the clock on the wall for all."""

    __slots__ = ("_calls", "_grid", "_late", "_owed", "_ready", "_seen", "_share")

    def __init__(self, interval: float, seconds: float, share: Share, grid: float) -> None:
        """Have a call in every interval, at moments that lie on a grid of so many seconds."""
        self._share = share
        self._grid = grid * math.ceil(FINEST / grid)
        self._calls = self._grid / interval  # that a slot is good for, on average
        # so much is above the quota, should all be late at once
        self._late = max(0.9 * max(FINEST, interval), LATE_PART * seconds / 2)
        self._seen = 0
        self._owed = 0  # calls that were made before their slot had come
        self._ready: deque[float] = deque()  # slots of ours that have come and are not used, one for each call

    def slot(self, place: int, now: float) -> float:
        """Tell the moment of the slot of whoever has `place` others before him, or when to ask again."""
        self._look(now)
        missing, number = place - len(self._ready), self._seen
        if missing < 0:
            return now
        while missing >= 0 and self._moment(number) < now + SOON:
            number += 1
            missing -= self._good_for(number) if self._share.ours(number, now) else 0
        return self._moment(number) + ROUNDING

    def take(self, _: float) -> None:
        """Use a slot that has come, or the next that will."""
        if self._ready:
            self._ready.popleft()
        else:
            self._owed += 1

    def skip(self, now: float) -> None:
        """Begin anew: what has come so far was not divided."""
        self._ready.clear()
        self._seen, self._owed = self._number(now), 0

    def _look(self, now: float) -> None:
        """Keep the slots of ours that have come since the last look, and let go those that are too old."""
        last = self._number(now)
        first = max(self._seen + 1, self._number(now - self._late)) if self._seen <= last else last + 1
        for number in range(first, last + 1):
            if self._share.ours(number, now):
                self._ready.extend([self._moment(number)] * self._good_for(number))
        self._seen = last
        while self._ready and (self._owed or self._ready[0] < now - self._late):
            self._owed = max(0, self._owed - 1)
            self._ready.popleft()

    def _good_for(self, number: int) -> int:
        """Count the calls of a slot: one more in some, where they do not come out even."""
        return math.floor((number + 1) * self._calls) - math.floor(number * self._calls)

    def _number(self, now: float) -> int:
        return math.floor((now + self._share.ahead) / self._grid)

    def _moment(self, number: int) -> float:
        return number * self._grid - self._share.ahead


class Pace:
    """The calls that pass all of some windows."""

    __slots__ = (
        "_at",
        "_level",
        "_quickest",
        "_recent",
        "_share",
        "_shortest",
        "_slots",
        "_spacing",
        "_ways",
        "_windows",
        "fewest",
        "interval",
    )

    def __init__(self, windows: Sequence[tuple[int, float]], share: Share) -> None:
        """Take the calls and the seconds of each window."""
        spans = [(calls, seconds + min(MARGIN * seconds, MOST_MARGIN)) for calls, seconds in windows]
        self._windows = [Window(calls, span) for calls, span in spans]
        calls, span = max(spans, key=lambda window: window[1] / window[0])  # the one that binds
        self._share = share
        self._shortest = min(seconds for _, seconds in spans)
        self.fewest = min(calls for calls, _ in spans)
        """Calls of the window that has the fewest."""
        self.interval = span / calls
        """Seconds from one slot to the next, those of others too."""
        self._slots = Slots(self.interval, self._shortest, share, self.interval)
        self._spacing = Spacing(self.interval, span)
        self._ways: Spacing | Slots = self._spacing  # in use
        self._recent = max(RECENT, RECENT_SLOTS * self.interval)
        self._level, self._at = 0.0, -math.inf
        self._quickest = 0.0  # seconds from a call to its answer; 0 until there is one

    def lie_on(self, grid: float) -> None:
        """Have the slots that are divided come at moments of this grid, of so many seconds."""
        self._slots = Slots(self.interval, self._shortest, self._share, grid)

    def wait(self, place: int, now: float) -> float:
        """Seconds until whoever has `place` others before him may go, or is to ask again; 0: he may go."""
        ways: Spacing | Slots = self._spacing if self._share.alone(now) else self._slots
        if ways is not self._ways:
            ways.skip(now)
            self._ways = ways
        slot = ways.slot(place, now)
        return max(0.0, slot - now, *(window.room(place) - now for window in self._windows))

    def take(self, now: float) -> None:
        """Count the call of who may go."""
        self._ways.take(now)
        for window in self._windows:
            window.take(now)
        self._level, self._at = self.load(now) + self.interval / self._recent, now

    def hear(self, sent: float, now: float) -> None:
        """Hear that a call is answered: what it took longer than the quickest may have been its way there."""
        took, before = now - sent, self._quickest
        self._quickest = min(took, before + FORGET * (took - before)) if before else took
        for window in self._windows:
            window.delay_all(max(0.0, before - took))
            window.delay(sent, took - self._quickest)

    def load(self, now: float) -> float:
        """Tell which part of all slots was used of late, those of long ago counting less: about 0 to 1."""
        return self._level * math.exp((self._at - now) / self._recent)
