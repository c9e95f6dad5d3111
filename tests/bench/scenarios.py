"""Service beside plain loop, round by round: who goes first changes with every round.

The rule that keeps it honest: what one of them meets in a round (a busy neighbour, a warm cache) the other meets too,
as nearly as a shared machine allows; and no run counts whose documents did not all come out.
"""

import asyncio
import json

from tests.bench import contenders, documents, watching
from tests.bench.arena import Arena
from tests.bench.figures import Outcome, Round, Run
from tests.bench.plan import ONE_WINDOW, Plan, Scenario, half
from tests.integration.stage import everything
from tests.judge.conditions import Conditions, Duration

SLOWEST = 100.0
"""Documents a second below which a contender stands still."""
START = 60.0
"""Seconds that a contender may take to start."""

BARE_JOB = 0.05
"""Seconds that jobs of the bare client take, as in B."""


async def play(arena: Arena, plan: Plan, scenario: Scenario, bare: list[float]) -> Outcome:
    """Play all rounds of a scenario; in B the bare client has its turn in each, and its figures go to `bare`."""
    rounds = []
    for number in range(plan.rounds):
        await arena.endpoint.set(conditions(scenario))
        rounds.append(await _round(arena, scenario, number, plan.rounds))
        if scenario.name == "B":
            bare.append(await run_bare(arena, plan.bare_documents))
    return Outcome(scenario.name, scenario.title, tuple(rounds))


def conditions(scenario: Scenario) -> Conditions:
    """Say how the endpoint behaves: quick or slow, and never in anybody's way."""
    return Conditions(duration=Duration(fixed=scenario.job_takes, per_document=scenario.per_document))


async def _round(arena: Arena, scenario: Scenario, number: int, rounds: int) -> Round:
    order = ("service", "plain") if number % 2 == 0 else ("plain", "service")
    runs = {}
    for name in order:
        with arena.console.status(f"{scenario.name}, round {number + 1} of {rounds}: {name}"):
            runs[name] = run = await (run_service if name == "service" else run_plain)(arena, scenario)
        arena.tell(f"{scenario.name} {number + 1}/{rounds} {name:7} {told(run)}")
    return Round(runs["service"], runs["plain"])


def told(run: Run) -> str:
    """Tell a run in a line."""
    return (
        f"{run.rate:7,.0f} documents/s, {run.cpu:.3f} CPU s for 1,000, {run.gets:.2f} polls a job, "
        f"{run.throttled} times 429, {run.peak / 1e6:.0f} MB"
    )


async def run_service(arena: Arena, scenario: Scenario, *wrapped: str) -> Run:
    """Run the service on a scenario's documents."""
    topic = await _input(arena, scenario, scenario.service_documents)
    async with arena.task(topic) as task:
        return await _measured(arena, task, contenders.service(task, *wrapped), scenario.service_documents)


async def run_plain(arena: Arena, scenario: Scenario) -> Run:
    """Run the plain loop on a scenario's documents."""
    topic = await _input(arena, scenario, scenario.plain_documents)
    async with arena.task(topic, scenario.poll_every) as task:
        return await _measured(arena, task, contenders.plain(task), scenario.plain_documents)


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


async def _input(arena: Arena, scenario: Scenario, count: int) -> str:
    return await arena.input(f"{count}", documents.reports(count, scenario.characters))


async def _measured(arena: Arena, task: contenders.Task, command: list[str], count: int) -> Run:
    """Run a contender until all is out, looking at it after the first window, after one half, and at the end."""
    patience = START + count / SLOWEST
    async with watching.output(task.bootstrap, task.output) as output:
        with contenders.at_work(command, arena.log("contender")) as process:
            first, middle, last = [
                await output.look(process.pid, out, patience) for out in (ONE_WINDOW, half(count), count)
            ]
    messages = await everything(task.bootstrap, task.output)
    watching.check_work(messages, count)
    stamps = [message.timestamp for message in messages]
    tally = await arena.endpoint.tally()
    return Run(
        documents=count,
        rate=watching.rate(stamps, ONE_WINDOW),
        cpu=watching.cpu_for_a_thousand(first, last),
        peak=last.peak,
        gets=tally.polls / tally.accepted,
        throttled=sum(tally.throttled.values()),
        late_rate=watching.rate(stamps, half(count)),
        late_cpu=watching.cpu_for_a_thousand(middle, last),
    )
