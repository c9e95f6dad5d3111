"""Runs the service in this process and samples where its CPU goes: `python -m tests.bench.sampling FILE serve`.

The rule that keeps it honest: the kernel's clock of CPU time ticks, not the wall's, so waiting costs nothing; and what
is noted is the stack as it is, judged elsewhere. Signals arrive between bytecodes: C code counts for its caller.
"""

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import msgspec

from entity_stream import cli

TICK = 0.002
"""Seconds of CPU, of all threads, between two samples."""


def main() -> int:
    """Serve until told to stop, then write how often each stack was seen."""
    target, *arguments = sys.argv[1:]
    seen: Counter[tuple[str, ...]] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        seen[stack_of(frame)] += 1

    signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
    try:
        return cli.main(arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(target).write_bytes(msgspec.json.encode(list(seen.items())))


def stack_of(frame: FrameType | None) -> tuple[str, ...]:
    """Name the functions that run, `module:function`, the innermost first."""
    names = []
    while frame:
        names.append(f"{frame.f_globals.get('__name__')}:{frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(names)


if __name__ == "__main__":
    sys.exit(main())
