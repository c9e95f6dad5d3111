"""A slow tail: what one slow job in a hundred does to the documents that were in none of them.

The rule that keeps it honest: which documents were in a slow job the endpoint's books say; and the same load without
slow jobs comes right before, so that both meet the same machine.
"""

from functools import partial

from msgspec.structs import replace

from tests.bench.arena import Arena
from tests.bench.figures import Delay, Outcome, Tail, quantile
from tests.bench.plan import Contender, Load
from tests.bench.scenarios import Round, one_round
from tests.bench.steady import delays
from tests.bench.watching import Unsound
from tests.judge.books import Event, Submit


async def swing(arena: Arena, load: Load, rounds: int) -> Outcome[Tail]:
    """Play all rounds of a load that has a tail."""
    played = [
        await one_round(arena, Round(load.name, number, rounds), load.contenders, partial(_both, arena, load), told)
        for number in range(rounds)
    ]
    return Outcome(load.name, load.title, tuple(played))


def told(one: Tail) -> str:
    """Tell a run in a line."""
    return (
        f"99 of 100 within {one.calm.p99:.2f} s; with slow jobs {one.tailed.p99:.2f} s, {one.touched} documents in "
        f"them left out; medians {one.calm.p50:.2f} and {one.tailed.p50:.2f} s"
    )


async def _both(arena: Arena, load: Load, contender: Contender) -> Tail:
    calm = await delays(arena, replace(load, tail_rate=0.0), contender)
    tailed = await delays(arena, load, contender)
    slow = in_slow_jobs(await arena.endpoint.events(), load.tail_seconds)
    untouched = [delay for name, delay in tailed.items() if name.decode() not in slow]
    if not slow:
        raise Unsound("no job was slow; give it more seconds")
    return Tail(_summed_up(list(calm.values())), _summed_up(untouched), len(tailed) - len(untouched))


def in_slow_jobs(events: list[Event], longer: float) -> set[str]:
    """Name the documents of jobs that took so many seconds at least."""
    return {
        name
        for event in events
        if isinstance(event, Submit) and event.ends is not None and event.ends - event.at >= longer
        for name in event.documents
    }


def _summed_up(found: list[float]) -> Delay:
    return Delay(quantile(found, 0.5), quantile(found, 0.99))
