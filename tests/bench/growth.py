"""What a document costs the service when more of them wait, or more partitions: CPU, once it is warm.

The rule that keeps it honest: what starting costs is left out for all sizes alike, and so is what the process uses in
the same time without any work, measured in the same life. It is looked at from outside. All that is compared differs in
one number only.
"""

import asyncio
from itertools import islice

from tests.bench import contenders, documents, watching
from tests.bench.arena import Arena
from tests.bench.figures import Grown
from tests.bench.plan import Contender, Size
from tests.bench.scenarios import SLOWEST, START
from tests.judge.conditions import Conditions, Duration

IDLE = 5.0
"""Seconds that the service is watched without work."""


async def grow(arena: Arena, sizes: tuple[Size, ...], rounds: int) -> tuple[Grown, ...]:
    """Play all rounds; in each every size has its turn, or more than one."""
    found: dict[Size, list[float]] = {
        size: [] for size in sorted(set(sizes), key=lambda size: (size.partitions, size.documents))
    }
    for number in range(rounds):
        for size in sizes:
            named = f"{size.documents:,} documents, {size.partitions} partitions"
            with arena.console.status(f"growth, round {number + 1} of {rounds}: {named}"):
                found[size].append(await _run(arena, size))
            arena.tell(f"growth {number + 1}/{rounds} {named}: {found[size][-1]:.4f} CPU s for 1,000")
    return tuple(Grown(size.documents, size.partitions, tuple(cpu)) for size, cpu in found.items())


async def _run(arena: Arena, size: Size) -> float:
    """Have documents done; return the CPU seconds for 1,000 of those behind the ones that warm up."""
    count = size.warm + size.documents * size.bursts
    records = documents.reports(count, size.characters)
    waiting = islice(records, size.warm) if size.bursts > 1 else records
    with arena.console.status(f"growth: writing {count:,} documents"):
        topic = await arena.topic("documents-growing", size.partitions)
        await documents.write(arena.bootstrap, topic, waiting, size.partitions)
    await arena.endpoint.set(Conditions(duration=Duration(fixed=size.job_takes)))
    async with arena.task(topic, partitions=size.partitions) as task, watching.progress(task) as progress:
        command = contenders.service(task, Contender.AT_LEAST_ONCE)
        with contenders.at_work(command, arena.log("service")) as process:
            first = last = await progress.look(process.pid, size.warm, START + size.warm / SLOWEST)
            for done in range(size.warm + size.documents, count + 1, size.documents):
                await documents.write(arena.bootstrap, topic, islice(records, size.documents), size.partitions)
                last = await progress.look(process.pid, done, START + size.documents / SLOWEST)
            await asyncio.sleep(IDLE)
            idle = (watching.cpu_seconds(process.pid) - last.cpu) / IDLE
        await watching.check_all(task, count)
    return watching.cpu_between(first, last, idle)
