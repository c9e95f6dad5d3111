"""Playing a script on a stage: each act in its turn, the weather beside them.

A kill is only worth something in full work: it waits until its victims have settled since their start and have jobs
in hand. One that waits in vain is not made, and told.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.errors import KafkaError

from tests.chaos.script import WORKERS, Act, Blackout, BrokerOut, Churn, Freeze, Kill, Leads, Spell, Step, Stop
from tests.chaos.stage import HEAD_START, Killed, Stage
from tests.chaos.telling import Teller
from tests.chaos.weather import conditions
from tests.chaos.workers import LEAVING
from tests.integration.cluster import MISSED, Node

IN_VAIN: Final = 60.0
"""Seconds that a kill waits for its victims to be in full work."""

LOOK: Final = 0.1
"""Seconds between two looks at something that is waited for."""


async def play(stage: Stage, acts: Iterable[Act], tell: Teller) -> None:
    """Play acts, one after another."""
    for act in acts:
        await asyncio.sleep(act.peace)
        await _step(stage, act.step, tell)


async def blow(stage: Stage, spells: Sequence[Spell], tell: Teller) -> None:
    """Let the weather change, round and round, until cancelled."""
    while True:
        for spell in spells:
            await asyncio.sleep(spell.calm)
            tell.say(f"endpoint: {spell.weather}, for {spell.seconds:g} s", "cyan")
            await stage.endpoint.set(conditions(stage.fair, spell.weather))
            try:
                await asyncio.sleep(spell.seconds)
            finally:
                await stage.endpoint.set(stage.fair)


async def _step(stage: Stage, step: Step, tell: Teller) -> None:
    match step:
        case Kill():
            await _kill(stage, step, tell)
        case Stop():
            await _stop(stage, step, tell)
        case Freeze():
            await _freeze(stage, step, tell)
        case Churn():
            await _churn(stage, step, tell)
        case BrokerOut():
            await _broker_out(stage, step, tell)
        case Blackout():
            await _blackout(stage, step, tell)


async def _kill(stage: Stage, step: Kill, tell: Teller) -> None:
    await _in_full_work(stage, step.workers)
    await asyncio.sleep(step.into)  # work begins with a burst of submits, and not all kills are to strike in that
    in_hand = await _in_full_work(stage, step.workers)
    for number, jobs in in_hand.items():
        life = stage.workers[number].life
        life.signal(signal.SIGKILL)
        stage.notes.shock("kill", life.key)
        stage.notes.kills.append(Killed(time.time(), life.key, jobs))
        tell.say(f"SIGKILL {life.key}, {jobs} jobs in flight", "bold red")
    for number in set(step.workers) - in_hand.keys():
        tell.say(f"not killed, for it was not in full work: worker-{number}", "yellow")
    await asyncio.sleep(step.away)
    for number in in_hand:
        await stage.workers[number].life.ended(LEAVING)
        await stage.workers[number].start()


async def _in_full_work(stage: Stage, workers: Iterable[int]) -> dict[int, int]:
    """Wait until all victims are in full work, or until it is in vain; tell the jobs in hand of those that are."""
    deadline = time.monotonic() + IN_VAIN
    while True:
        in_hand = {number: await stage.in_hand(number) for number in workers}
        ready = {number: jobs for number, jobs in in_hand.items() if jobs >= HEAD_START}
        if len(ready) == len(in_hand) or time.monotonic() > deadline:
            return ready
        await asyncio.sleep(LOOK)


async def _stop(stage: Stage, step: Stop, tell: Teller) -> None:
    tell.say(f"SIGTERM {stage.workers[step.worker].life.key}")
    await leave(stage, step.worker, tell)
    await asyncio.sleep(step.away)
    await stage.workers[step.worker].start()


async def leave(stage: Stage, number: int, tell: Teller) -> None:
    """Have a worker stop in order; one that does not, or not with exit code 0, is an oddity."""
    life = stage.workers[number].life
    life.signal(signal.SIGTERM)
    try:
        code = await life.ended(LEAVING)
    except TimeoutError:
        stage.notes.odd(f"{life.key} did not end within {LEAVING:g} s of SIGTERM", tell)
        await stage.workers[number].kill()
        return
    too_young = code == -signal.SIGTERM and not life.has_said("serve.listening")  # to listen for signals
    if code and not too_young:
        stage.notes.odd(f"{life.key} ended with exit code {code} after SIGTERM", tell)


async def _freeze(stage: Stage, step: Freeze, tell: Teller) -> None:
    life = stage.workers[step.worker].life
    tell.say(f"SIGSTOP {life.key} for {step.seconds:g} s", "bold magenta")
    life.signal(signal.SIGSTOP)
    stage.notes.shock("stop", life.key)  # only now: between the two we may be held up ourselves
    await asyncio.sleep(step.seconds)
    life.signal(signal.SIGCONT)
    tell.say(f"SIGCONT {life.key}", "magenta")


async def _churn(stage: Stage, step: Churn, tell: Teller) -> None:
    guest = stage.workers[WORKERS + 1]
    for _ in range(step.times):
        await guest.start()
        tell.say(f"{guest.life.key} joins, for {step.stay:g} s")
        await guest.assigned()
        await asyncio.sleep(step.stay)
        await leave(stage, WORKERS + 1, tell)


async def _broker_out(stage: Stage, step: BrokerOut, tell: Teller) -> None:
    node, topic = await _leader(stage, step.leads)
    what = f"{step.how} broker {node.number}, which led {topic}-0"
    tell.say(f"{what}, for {step.away:g} s and its start", "bold red")
    async with _without(stage, node, signal.Signals[step.how], what, tell):
        await asyncio.sleep(step.away)


async def _blackout(stage: Stage, step: Blackout, tell: Teller) -> None:
    """Nobody can commit: what the endpoint has taken meanwhile is known to those alone who are killed then."""
    await _in_full_work(stage, step.workers)
    node = stage.cluster.nodes[0]
    what = f"SIGKILL broker {node.number}"
    tell.say(f"{what}, and {step.alone:g} s later workers {', '.join(map(str, step.workers))}", "bold red")
    async with _without(stage, node, signal.SIGKILL, what, tell):
        await asyncio.sleep(step.alone)
        for number in step.workers:
            stage.workers[number].life.signal(signal.SIGKILL)
            stage.notes.shock("kill", stage.workers[number].life.key)
    for number in step.workers:
        await stage.workers[number].life.ended(LEAVING)
        await stage.workers[number].start()


@asynccontextmanager
async def _without(stage: Stage, node: Node, how: signal.Signals, what: str, tell: Teller) -> AsyncIterator[None]:
    """End a broker, and start it again when the block ends; note how long it was missed."""
    began, stage.notes.away = time.time(), True
    await node.end(how)
    replaced = time.time() + (MISSED if how == signal.SIGKILL else 0.0)  # by another, where there is one
    yield
    await stage.cluster.start(node)
    back, stage.notes.away = time.time(), False
    stage.notes.outage(what, began, min(back, replaced) if len(stage.cluster.nodes) > 1 else back)
    tell.say(f"broker {node.number} is back after {back - began:.1f} s")


TOPICS: Final[Mapping[Leads, str]] = {"group": "__consumer_offsets", "transactions": "__transaction_state"}
"""Who leads the first of their partitions coordinates a group, or transactions: there is but that one."""


async def _leader(stage: Stage, leads: Leads) -> tuple[Node, str]:
    topic = TOPICS.get(leads, stage.scene.input)
    try:
        return await stage.cluster.leader(topic, 0), topic
    except KafkaError:  # it has just come back, and leads again in a moment
        return stage.cluster.nodes[0], topic
