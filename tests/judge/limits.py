"""How many calls pass: token buckets, fixed and sliding windows. No clock in here: `now` is an argument.

A call passes only if every limit has room, and is counted only if it passes.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from tests.judge.conditions import Limit, Operation


class TokenBucket:
    """Holds `burst` calls and gets `calls` more, evenly, every `seconds`."""

    def __init__(self, limit: Limit) -> None:
        self._size = float(limit.burst or limit.calls)
        self._rate = limit.calls / limit.seconds
        self._held, self._at = self._size, 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call would pass; zero: now."""
        self._held = min(self._size, self._held + max(0.0, now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1 - self._held) / self._rate)

    def take(self, now: float) -> None:
        """Count a call that passes."""
        self._held -= 1


class FixedWindow:
    """Lets `calls` pass between two multiples of `seconds`: twice as many around one of them."""

    def __init__(self, limit: Limit) -> None:
        self._calls, self._seconds = limit.calls, limit.seconds
        self._window, self._taken = 0.0, 0

    def wait(self, now: float) -> float:
        """Seconds until a call would pass; zero: now."""
        window = now // self._seconds
        if window != self._window:
            self._window, self._taken = window, 0
        return 0.0 if self._taken < self._calls else (window + 1) * self._seconds - now

    def take(self, now: float) -> None:
        """Count a call that passes."""
        self._taken += 1


class SlidingWindow:
    """Lets `calls` pass in any `seconds`, wherever they begin."""

    def __init__(self, limit: Limit) -> None:
        self._calls, self._seconds = limit.calls, limit.seconds
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until a call would pass; zero: now."""
        while self._taken and self._taken[0] + self._seconds <= now:
            self._taken.popleft()
        return 0.0 if len(self._taken) < self._calls else self._taken[0] + self._seconds - now

    def take(self, now: float) -> None:
        """Count a call that passes."""
        self._taken.append(now)


Meter = TokenBucket | FixedWindow | SlidingWindow

KINDS: Final[dict[str, Callable[[Limit], Meter]]] = {
    "tokenBucket": TokenBucket,
    "fixedWindow": FixedWindow,
    "slidingWindow": SlidingWindow,
}


class Quota:
    """All limits of one key."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._meters = [(limit.operations, KINDS[limit.kind](limit)) for limit in limits]

    def admit(self, operation: Operation, now: float) -> float:
        """Let a call pass and return zero, or return the seconds until one would."""
        meters = [meter for operations, meter in self._meters if operation in operations]
        wait = max((meter.wait(now) for meter in meters), default=0.0)
        if wait == 0.0:
            for meter in meters:
                meter.take(now)
        return wait
