"""An event loop whose clock jumps to the next timer when every task waits: an hour passes in milliseconds.

The rule that keeps it honest: no time passes but by a timer, save for one tick a turn, so that whatever spins grows
older too. What no timer can end is an error at once: tasks that wait for each other, a socket, a thread.

    async def test_an_outage_of_an_hour() -> None: ...     below tests/pipeline, every async test runs in virtual time
    virtual_time.run(story())                              from anywhere else, hypothesis tests among them
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

TICK = 1e-6
"""Seconds that a turn of the loop takes when something is ready to run."""

DESCRIPTORS = 1
"""What the selector of a loop without sockets watches: the pipe that wakes the loop for a signal."""


class Deadlock(RuntimeError):
    """Every task waits and no timer is set: nothing can ever happen again."""


class NotInVirtualTime(RuntimeError):
    """Sockets and threads take real time, which a clock that jumps would run past."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at zero seconds. The same program takes the same time in every run."""

    def __init__(self) -> None:
        self._clock = _JumpingClock(self._waiting)
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._clock.now

    def run_in_executor(self, *_: object) -> NoReturn:
        """Refuse: a thread ends at a moment that no timer knows."""
        raise NotInVirtualTime("a thread was asked for: virtual time cannot wait for one")

    def _waiting(self) -> list[str]:
        return sorted(_whereabouts(task) for task in asyncio.all_tasks(self))


class _JumpingClock(selectors.SelectSelector):
    """Where a loop waits for the outside; here it is the clock that moves instead."""

    def __init__(self, waiting: Callable[[], list[str]]) -> None:
        super().__init__()
        self.now = 0.0
        self._waiting = waiting

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if len(self.get_map()) > DESCRIPTORS:
            raise NotInVirtualTime("a socket is open: virtual time cannot wait for one")
        arrived = super().select(0)
        if timeout is None and not arrived:
            raise Deadlock(
                "\n  ".join([f"at {self.now:.6f} s everything waits, no timer is set:", *self._waiting()])
            )
        self.now += max(timeout or 0.0, TICK)
        return arrived


def _whereabouts(task: asyncio.Task[Any]) -> str:
    """Name a waiting task and the innermost line of its own that it waits in."""
    frames = task.get_stack()
    if not frames:
        return f"{task.get_name()}: not started"
    code = frames[-1].f_code
    return f"{task.get_name()}: {code.co_filename}:{frames[-1].f_lineno} in {code.co_qualname}"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from the first second of a clock of its own, and return what it returns."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
