"""Work that a quota bounds: who uses it, and who is turned away; also where it moves while they work.

The rule that keeps it honest: the quota is the endpoint's, the same for all. The service is told how much it is, as a
user tells it, and nobody is told when it changes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from tests.bench import contenders, watching
from tests.bench.arena import Arena
from tests.bench.figures import Outcome, Spent
from tests.bench.plan import Contender, Throttle
from tests.bench.scenarios import START, Round, one_round
from tests.bench.spending import spent
from tests.integration.stage import everything

SLOWEST = 50.0
"""Documents a second below which a contender stands still."""


async def throttle(arena: Arena, laid: Throttle, rounds: int) -> Outcome[Spent]:
    """Play all rounds."""
    played = [
        await one_round(
            arena, Round(laid.name, number, rounds), tuple(laid.documents), partial(_run, arena, laid), told
        )
        for number in range(rounds)
    ]
    return Outcome(laid.name, laid.title, tuple(played))


def told(one: Spent) -> str:
    """Tell a run in a line."""
    back = "".join(f", back after {'never' if each is None else f'{each:.1f} s'}" for each in one.back)
    return (
        f"{one.rate:7,.0f} documents/s, {one.used:.1%} of the quota, {one.throttled:.2%} of calls answered 429, "
        f"{one.gets:.2f} polls a job{back}"
    )


async def _run(arena: Arena, laid: Throttle, contender: Contender) -> Spent:
    count = laid.documents[contender]
    topic = await arena.reports(count, laid.characters)
    await arena.endpoint.set(laid.conditions(laid.quotas[0]))
    async with arena.task(topic, laid.poll_every, laid.told) as task, watching.progress(task) as progress:
        with contenders.at_work(contenders.command(contender, task), arena.log("contender")) as process:
            async with _moving(arena, laid):
                await progress.look(process.pid, count, START + count / SLOWEST)
        messages = await everything(task.bootstrap, task.output)
        watching.check_work(messages, count)
        watching.check_delivery(messages, contender)
        return spent(await arena.endpoint.events())


@asynccontextmanager
async def _moving(arena: Arena, laid: Throttle) -> AsyncIterator[None]:
    """Change the quota again and again until the block ends."""
    moving = asyncio.create_task(_move(arena, laid))
    try:
        yield
    finally:
        moving.cancel()
        [found] = await asyncio.gather(moving, return_exceptions=True)
        if isinstance(found, Exception):
            raise found


async def _move(arena: Arena, laid: Throttle) -> None:
    """Count the seconds from the first submit that is accepted."""
    while laid.quotas[1:] and not (await arena.endpoint.tally()).accepted:
        await asyncio.sleep(watching.BETWEEN_LOOKS)
    for quota in laid.quotas[1:]:
        await asyncio.sleep(laid.each)
        await arena.endpoint.set(laid.conditions(quota))
