"""An event loop whose clock jumps to the next timer when every task waits: an hour passes in milliseconds.

The rule that keeps it honest: time passes by timers, and by one tick a turn, so that whatever spins grows older too.
What no timer can end fails at once: tasks that wait for each other, a socket, a thread.

Below tests/pipeline every async test runs in virtual time; elsewhere, and under hypothesis, `run` a coroutine.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
TICK = 1e-6
"""Seconds that a turn of the loop takes while something is ready to run."""


class Deadlock(RuntimeError):
    """Every task waits and no timer is set: nothing can happen any more."""


class NotInVirtualTime(RuntimeError):
    """Something was asked for that ends in its own time, which a clock that jumps would run past."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Begins at zero seconds, and passes the same moments each time the same program runs."""

    def __init__(self) -> None:
        self._clock = _JumpingClock(self._standstill)
        super().__init__(self._clock)

    def time(self) -> float:
        """Tell the virtual seconds since this loop was made."""
        return self._clock.now

    def run_in_executor(self, *_: object) -> NoReturn:
        """Refuse a thread."""
        raise NotInVirtualTime("no thread can be waited for in virtual time")

    def _standstill(self) -> Deadlock:
        waiting = sorted(f"{task.get_name()}: {_place(task)}" for task in asyncio.all_tasks(self))
        return Deadlock("\n  ".join([f"after {self.time():.6f} s all wait and no timer is set:", *waiting]))


class _JumpingClock(selectors.SelectSelector):
    """Takes the place where a loop waits for the world, and moves the clock instead."""

    def __init__(self, standstill: Callable[[], Deadlock]) -> None:
        super().__init__()
        self.now = 0.0
        self._standstill = standstill

    def register(self, *descriptor: Any) -> selectors.SelectorKey:  # noqa: ANN401 - handed on as it comes
        if self.get_map():  # the first is the pipe by which signals wake the loop
            raise NotInVirtualTime("no socket can be waited for in virtual time")
        return super().register(*descriptor)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        woken = super().select(0)
        passes = 0.0 if woken else timeout
        if passes is None:
            raise self._standstill()
        self.now += max(passes, TICK)
        return woken


def _place(task: asyncio.Task[Any]) -> str:
    """Find where a task waits: the innermost line that is not asyncio's own."""
    coroutine: Any = task.get_coro()
    place = ""
    while frame := getattr(coroutine, "cr_frame", None):
        module = frame.f_globals["__name__"]
        if not place or not module.startswith("asyncio."):
            place = f"{module}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        coroutine = coroutine.cr_await
    return place


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a virtual time of its own; return what it returns."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
