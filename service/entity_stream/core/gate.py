"""Whether an operation may be called: by everybody, or, while calling it is of no use, by one at a time who tries.

A circuit breaker: failures in a row shut it, and so does an answer that no caller can mend. While it is
shut one caller is let through now and then; what that one hears opens the gate, or keeps it shut. Time is an argument.
"""

import math

from entity_stream.core.polling import backoff

TRIPS = 8
"""Calls in a row, whoever made them, that brought no answer of use: the endpoint is spared from then on."""

TRY = 10.0
"""Seconds after which another caller may try, if the one who was let through is not heard of."""

FIRST_PAUSE = 1.0
"""Seconds until the first try, at the most; after each that fails it is twice as long, up to half a minute."""


class Gate:
    """The gate before one operation. It begins open."""

    __slots__ = ("_failures", "_next", "_tries", "_trying", "cause")

    def __init__(self) -> None:
        self.open()
        self._next = -math.inf

    def open(self) -> None:
        """Hear of an answer of use: let everybody through."""
        self.cause: str | None = None
        """Why it is shut."""
        self._failures = self._tries = 0
        self._trying = False

    def wait(self, now: float) -> float:
        """Seconds until it is worth while to come again; 0 while it is open, or when it is time to try."""
        return 0.0 if self.cause is None else max(0.0, self._next - now)

    def enter(self, now: float) -> bool:
        """Tell whether the caller may go. Whoever is let through a shut gate tries for all."""
        if self.wait(now):
            return False
        self._trying = self.cause is not None
        self._next = now + TRY
        return True

    def fail(self, cause: str, now: float, dice: float) -> None:
        """Hear of a call that brought no answer of use. `dice` in [0, 1) spreads the tries of many replicas.

        Calls that were under way when it shut say nothing new: only a try that fails makes the next one later.
        """
        self._failures += 1
        if self.cause is None and self._failures >= TRIPS:
            self.shut(cause, now + backoff(0, dice, base=FIRST_PAUSE))
        elif self._trying:
            self._tries += 1
            self.shut(cause, now + backoff(self._tries, dice, base=FIRST_PAUSE))

    def shut(self, cause: str, until: float) -> None:
        """Let nobody through before `until`, and one at a time after that."""
        self.cause, self._next, self._trying = cause, until, False

    def __repr__(self) -> str:
        return f"Gate({'open' if self.cause is None else f'shut: {self.cause}'}, failures={self._failures})"
