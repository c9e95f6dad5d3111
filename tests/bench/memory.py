"""What the service holds in memory while more waits in Kafka than any memory takes, and the endpoint refuses.

The rule that keeps it honest: a wait counts only when the endpoint was asked and nothing got through, and the process
is looked at from outside, second by second.
"""

import asyncio

from tests.bench import contenders, documents, watching
from tests.bench.arena import Arena
from tests.bench.figures import Held
from tests.bench.plan import Contender, Waiting
from tests.judge.conditions import Conditions

CHARACTERS = 300


async def hold(arena: Arena, waiting: Waiting) -> Held:
    """Have the service wait; return what it held. The endpoint first says 503 to all, then nothing to anybody."""
    with arena.console.status(f"memory: writing {waiting.title}"):
        topic = await _written(arena, waiting)
    await arena.endpoint.set(Conditions(down="status"))
    async with arena.task(topic) as task, watching.progress(task) as progress:
        command = contenders.service(task, Contender.AT_LEAST_ONCE)
        with (
            contenders.at_work(command, arena.log("service")) as process,
            arena.console.status(f"memory: {waiting.title}"),
        ):
            resident = await _watched(arena, waiting, process.pid)
            asked, out = (await arena.endpoint.tally()).submits, sum((await progress.ends()).values())
        if not asked or out:
            raise watching.Unsound(f"{asked} submits were refused and {out} messages came out: that is no wait")
    held = Held(waiting.name, waiting.title, resident, waiting.settling)
    arena.tell(f"memory: {waiting.title}: {held.first_half / 1e6:.0f}, then {held.second_half / 1e6:.0f} MB")
    return held


async def _written(arena: Arena, waiting: Waiting) -> str:
    if waiting.giants:
        return await arena.input(waiting.name, documents.giants(waiting.records))
    return await arena.reports(waiting.records, CHARACTERS)


async def _watched(arena: Arena, waiting: Waiting, pid: int) -> tuple[int, ...]:
    """Look each second; with the half of what counts the kind of outage changes."""
    change = (waiting.settling + waiting.seconds) // 2
    resident = []
    for second in range(waiting.seconds):
        if second == change:
            await arena.endpoint.set(Conditions(down="hang"))
        await asyncio.sleep(1)
        resident.append(watching.resident(pid))
    return tuple(resident)
