"""What is seen of a run while it runs: a line for each thing that happens, and how far it has got.

On a terminal the progress stands below and moves; elsewhere it is a plain line now and then. Results go to stdout
only at the end, so `--json` can be piped.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

SELDOM = 10.0
"""Seconds between two lines of progress where there is no terminal."""


class Teller:
    """Says what happens, each line with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console, self._began, self._last = console, time.monotonic(), 0.0
        self._status: Status | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Show the progress below the lines until the block ends, where there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("") as self._status:
            yield
        self._status = None

    def say(self, words: str, style: str = "") -> None:
        """Tell something that happened."""
        self._console.print(
            f"{self._seconds():7.1f} s  {words}", style=style, highlight=False, markup=False, soft_wrap=True
        )

    def progress(self, words: str) -> None:
        """Tell how far it has got."""
        if self._status is not None:
            self._status.update(words)
        elif self._seconds() - self._last >= SELDOM:
            self._last = self._seconds()
            self.say(words, "dim")

    def _seconds(self) -> float:
        return time.monotonic() - self._began
