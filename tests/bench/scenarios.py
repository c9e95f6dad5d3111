"""Service, in both of its modes, beside plain loop, round by round: who goes first changes with every round.

The rule that keeps it honest: what one of them meets in a round (a busy neighbour, a warm cache) the others meet too,
as nearly as a shared machine allows; and no run counts whose documents did not all come out.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from msgspec import Struct

from tests.bench import contenders, watching
from tests.bench.arena import Arena
from tests.bench.figures import Outcome, Run
from tests.bench.plan import ONE_WINDOW, Contender, Plan, Scenario, half, unseen
from tests.bench.task import Task
from tests.bench.watching import Look, Message
from tests.integration.stage import everything
from tests.judge.books import Tally
from tests.judge.conditions import Conditions, Duration

SLOWEST = 100.0
"""Documents a second below which a contender with a whole window stands still."""
START = 60.0
"""Seconds that a contender may take to start."""

BARE_JOB = 0.05
"""Seconds that jobs of the bare client take, as in B."""

Found = TypeVar("Found")

Looks: TypeAlias = tuple[Look, Look, Look]


async def play(arena: Arena, plan: Plan, scenario: Scenario, bare: list[float]) -> Outcome[Run]:
    """Play all rounds of a scenario; in B the bare client has its turn in each, and its figures go to `bare`."""
    rounds = []
    for number in range(plan.rounds):
        await arena.endpoint.set(scenario.conditions)
        this = Round(scenario.name, number, plan.rounds)
        rounds.append(await one_round(arena, this, tuple(scenario.documents), partial(run, arena, scenario), told))
        if scenario.name == "B":
            bare.append(await run_bare(arena, plan.bare_documents))
    return Outcome(scenario.name, scenario.title, tuple(rounds))


class Round(Struct, frozen=True):
    """One of the rounds of something."""

    name: str
    number: int
    """From 0."""
    of: int


async def one_round(
    arena: Arena,
    this: Round,
    contenders: Sequence[Contender],
    measure: Callable[[Contender], Awaitable[Found]],
    told: Callable[[Found], str],
) -> Mapping[Contender, Found]:
    """Have each contender run in its turn, and tell what was found."""
    found = {}
    for contender in in_turn(contenders, this.number):
        with arena.console.status(f"{this.name}, round {this.number + 1} of {this.of}: {contender}"):
            found[contender] = one = await measure(contender)
        arena.tell(f"{this.name} {this.number + 1}/{this.of} {contender:13} {told(one)}")
    return found


def in_turn(everybody: Sequence[Contender], number: int) -> Sequence[Contender]:
    """Say in which order contenders run in a round: each has every place once in as many rounds as they are."""
    first = number % len(everybody)
    return [*everybody[first:], *everybody[:first]]


def told(run: Run) -> str:
    """Tell a run in a line."""
    return (
        f"{run.rate:7,.0f} documents/s, {run.cpu:.3f} CPU s for 1,000, {run.gets:.2f} polls a job, "
        f"{run.throttled} times 429, {run.peak / 1e6:.0f} MB"
    )


async def run(arena: Arena, scenario: Scenario, contender: Contender, *wrapped: str) -> Run:
    """Run a contender on a scenario's documents; `wrapped` as for `contenders.command`."""
    count, head = scenario.documents[contender], unseen(contender)
    topic = await arena.reports(count, scenario.characters)
    async with arena.task(topic, scenario.poll_every) as task:
        command = contenders.command(contender, task, *wrapped)
        looks = await _watched(
            arena, task, command, (head, half(count, head), count), out=contender is Contender.ARROYO
        )
        messages = await everything(task.bootstrap, task.output)
        watching.check_work(messages, count)
        watching.check_delivery(messages, contender)
        return summed_up(looks, messages, await arena.endpoint.tally(), head)


async def run_bare(arena: Arena, count: int) -> float:
    """Run the bare client; return documents a second."""
    await arena.endpoint.set(Conditions(duration=Duration(fixed=BARE_JOB)))
    await arena.endpoint.clear()
    process = await asyncio.create_subprocess_exec(
        *contenders.bare(arena.endpoint.url, count, BARE_JOB), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise watching.Unsound("the bare client failed; what it said is above")
    rate = float(json.loads(said)["documents_per_second"])
    arena.tell(f"bare client {rate:,.0f} documents/s")
    return rate


async def _watched(arena: Arena, task: Task, command: list[str], counts: tuple[int, int, int], *, out: bool) -> Looks:
    """Run a contender until all is done; look at it after the first window, after one half, and at the end.

    Arroyo commits once a second, as it comes: between the looks at it is what is `out`.
    """
    head, _, count = counts
    patience = START + count / SLOWEST * (ONE_WINDOW / head)
    async with watching.progress(task) as progress:
        with contenders.at_work(command, arena.log("contender")) as process:
            first, middle, last = [await progress.look(process.pid, count, patience, out=out) for count in counts]
            return first, middle, last


def summed_up(looks: Looks, messages: Sequence[Message], tally: Tally, head: int) -> Run:
    """Make a run of what was seen of a contender, of its output, and of the endpoint's books."""
    first, middle, last = looks
    count, stamps = len(messages), [message.timestamp for message in messages]
    return Run(
        documents=count,
        rate=watching.rate(stamps, head),
        cpu=watching.cpu_for_a_thousand(first, last, messages),
        peak=last.peak,
        gets=tally.polls / tally.accepted,
        throttled=sum(tally.throttled.values()),
        late_rate=watching.rate(stamps, half(count, head)),
        late_cpu=watching.cpu_for_a_thousand(middle, last, messages),
    )
