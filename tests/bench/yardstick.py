"""A piece of Python that is always the same, done now and then beside a run: how fast the cores are that hour.

Cores that are let to several parties take more or fewer seconds for the same work, up to twice as many for a while,
and no process can see why. The rule that keeps it honest: whatever is compared has had the same yardstick beside it.

    python -m tests.bench.yardstick     prints the seconds of CPU of each piece behind the moment when it was done
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sys import executable
from typing import TypeAlias

from tests.bench.watching import Look, Unsound
from tests.integration.node import leashed

EVERY = 0.04
"""Seconds between two pieces: a twentieth of two cores at the most."""

WORDS = [f"word {number}" for number in range(64)]

Measured: TypeAlias = tuple[float, float]
"""CPU seconds, and those that the yardstick's pieces took meanwhile, in the mean."""


def main() -> None:
    """Do a piece, tell what it took, and again, until somebody ends it."""
    while True:
        time.sleep(EVERY)
        began = time.process_time()
        _piece()
        print(time.monotonic(), time.process_time() - began, flush=True)


def _piece() -> None:
    seen: Counter[str] = Counter()
    for number in range(60):
        told = json.loads(json.dumps({"id": str(number), "words": WORDS}))
        seen.update(word for word in told["words"] if word)


class Yardstick:
    """What was measured so far."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def between(self, first: Look, last: Look) -> float:
        """CPU seconds of a piece between two looks, in the mean. Raises Unsound where none was done."""
        lines = (line.split() for line in self._log.read_text(encoding="utf-8").splitlines(keepends=True)[:-1])
        pieces = [float(took) for at, took in lines if first.at <= float(at) <= last.at]
        if not pieces:
            raise Unsound("nothing was measured with the yardstick; give it more documents")
        return sum(pieces) / len(pieces)


@contextmanager
def laid_beside(log: Path) -> Iterator[Yardstick]:
    """Measure with it until the block ends."""
    with leashed([executable, "-m", "tests.bench.yardstick"], log):
        yield Yardstick(log)


def evened(found: Sequence[Sequence[Measured]]) -> Sequence[tuple[float, ...]]:
    """CPU seconds as they would have been, had the cores been as fast as they were in the mean of all."""
    pieces = [piece for some in found for _, piece in some]
    return [tuple(cpu / piece * sum(pieces) / len(pieces) for cpu, piece in some) for some in found]


if __name__ == "__main__":
    main()
