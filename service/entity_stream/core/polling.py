"""When to ask: learns how long jobs take, so that the first poll of most jobs is the last.

An answer that was there at the first poll pulls the wait before it down a little; one that was not
sets it to when the next poll was due: not to when it was had, which a busy moment delays. Jobs that were
submitted before the wait last changed teach nothing more: a window full of jobs in step would else move it by as
many steps at once. Until the first poll that came too early, the wait is halved: a first guess is soon found wanting.
"""

FIRST_GUESS = 0.5
"""Seconds until the first poll of the first job: early rather than late, as recorded jobs took 0.7 to 2.3 s."""

SHORTEST, LONGEST = 0.01, 15.0
"""Seconds between two polls of one job, at the least and at the most."""

LATEST_FIRST = 60.0
"""Seconds until the first poll at the most, however long jobs take."""

DOWN, HALF = 0.98, 0.5
"""What an answer that was there makes of the wait: once an answer was not, and before."""

COLD, PATIENCE = 1.0, 8.0
"""A job that still runs is asked for again after this part of its age: asked late by an eighth at the most, and by
no more than itself while nothing is known, when every job of the first window asks at once."""


class Polling:
    """The learned wait before the first poll, and the waits after it."""

    __slots__ = ("_changed", "_down", "_first", "_patience")

    def __init__(self, first: float = FIRST_GUESS) -> None:
        """Start with a guess, in seconds."""
        self._first = first
        self._changed = 0.0
        self._down = HALF
        self._patience = COLD

    def first(self) -> float:
        """Seconds from submit to the first poll."""
        return self._first

    def again(self, age: float) -> float:
        """Seconds until the next poll of a job that still runs `age` seconds after its submit."""
        return min(LONGEST, max(SHORTEST, age / self._patience))

    def learn(self, submitted: float, ended: float, ran: float | None) -> None:
        """See a job that was submitted, was found ended, and before that was last found running, or never was."""
        if submitted < self._changed:
            return
        self._patience = PATIENCE
        if ran is None:
            wait = self._first * self._down
        else:
            self._down = DOWN
            wait = ran - submitted + self.again(ran - submitted)
        self._first = min(LATEST_FIRST, max(SHORTEST, wait))
        self._changed = ended

    def __repr__(self) -> str:
        return f"Polling(first={self._first:.3f})"


def backoff(attempt: int, dice: float, base: float = 0.25, cap: float = 30.0) -> float:
    """Seconds to wait after the `attempt`-th trouble in a row, from 0: half to all of a ceiling that doubles.

    `dice` is a number in [0, 1), so that those who failed together do not come back together.
    """
    return min(cap, base * 2.0 ** min(attempt, 16)) * (0.5 + dice / 2)
