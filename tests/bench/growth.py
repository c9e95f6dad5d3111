"""What a document costs the service when more of them wait, or more partitions: CPU, once it is warm.

The rule that keeps it honest: whatever waits is written while the service is stopped, and what the process uses
without any work, measured in the same life, is left out. All that is compared differs in one number only, and is
measured in turns, as machines have fast minutes and slow ones.
"""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import islice
from statistics import fmean

from tests.bench import contenders, documents, watching
from tests.bench.arena import Arena
from tests.bench.figures import Grown
from tests.bench.plan import WARM, Contender, Size
from tests.bench.scenarios import SLOWEST, START
from tests.bench.task import Task
from tests.bench.watching import Progress
from tests.judge.conditions import Conditions, Duration

CHARACTERS = 300
JOB_TAKES = 0.05
"""Seconds, as in B."""

IDLE = 5.0
"""Seconds that the service is watched without work."""

MOST = 10_000_000
"""Documents that one life is given, at the most."""


async def grow(arena: Arena, sizes: Sequence[Size], rounds: int) -> tuple[Grown, ...]:
    """Play all rounds; in each every size has its turn, or more than one."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for number in range(rounds) if sizes else ():
        await arena.endpoint.set(Conditions(duration=Duration(fixed=JOB_TAKES)))
        async for size, cpu in _round(arena, sizes, f"growth {number + 1}/{rounds}"):
            found[size.partitions, size.documents].append(cpu)
    return tuple(Grown(count, partitions, tuple(cpu)) for (partitions, count), cpu in sorted(found.items()))


async def _round(arena: Arena, sizes: Sequence[Size], name: str) -> AsyncIterator[tuple[Size, float]]:
    """Give every size its turns; the services for all numbers of partitions live through all of them."""
    async with AsyncExitStack() as stack:
        numbers = sorted({size.partitions for size in sizes})
        lives = {number: await stack.enter_async_context(_life(arena, number)) for number in numbers}
        for size in sizes:
            named = f"{name} {size.documents:,} documents, {size.partitions} partitions"
            with arena.console.status(named):
                cpu = await lives[size.partitions].work(size)
            arena.tell(f"{named}: {cpu:.4f} CPU s for 1,000")
            yield size, cpu


@asynccontextmanager
async def _life(arena: Arena, partitions: int) -> "AsyncIterator[_Life]":
    """Have a warm service until the block ends; then see that all came out."""
    topic = await arena.topic("documents-growing", partitions)
    async with arena.task(topic, partitions=partitions) as task, watching.progress(task) as progress:
        with contenders.at_work(contenders.service(task, Contender.AT_LEAST_ONCE), arena.log("service")) as process:
            life = _Life(task, progress, process.pid)
            await life.warm_up()
            yield life
        await watching.check_all(task, life.written)


class _Life:
    """One service with topics of its own: idle, but for what is made to wait for it."""

    def __init__(self, task: Task, progress: Progress, pid: int) -> None:
        self._task, self._progress, self._pid = task, progress, pid
        self._records = documents.reports(MOST, CHARACTERS)
        self._idle = 0.0  # CPU seconds a second
        self.written = 0

    async def warm_up(self) -> None:
        """Start, do some work, and see what doing nothing costs."""
        await self._clear(WARM)
        await asyncio.sleep(IDLE)  # connections that were opened for the work are closed
        before = watching.cpu_seconds(self._pid)
        await asyncio.sleep(IDLE)
        self._idle = (watching.cpu_seconds(self._pid) - before) / IDLE

    async def work(self, size: Size) -> float:
        """Have one backlog after another cleared; return the CPU seconds for 1,000 documents."""
        return fmean([await self._clear(size.documents) for _ in range(size.times)])

    async def _clear(self, count: int) -> float:
        """Have a backlog wait and be cleared; return the CPU seconds for 1,000 of its documents. Raises Unsound."""
        with stopped(self._pid):
            records = islice(self._records, count)
            await documents.write(self._task.bootstrap, self._task.input, records, self._task.partitions)
            first = await self._progress.look(self._pid, self.written, START)
        self.written += count
        last = await self._progress.look(self._pid, self.written, START + count / SLOWEST)
        return watching.cpu_between(first, last, self._idle)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Keep a process from running until the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
