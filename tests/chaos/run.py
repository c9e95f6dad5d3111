"""One run from its beginning to its judgement: brokers, endpoint, workers and a writer; the script; the evidence."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError
from msgspec import Struct

from tests.chaos.documents import sheaves
from tests.chaos.judging import Judgement, judged
from tests.chaos.play import blow, leave, play
from tests.chaos.script import Act, Kill, Script, script
from tests.chaos.settling import beside, settled
from tests.chaos.stage import SEATS, Props, Stage, stage
from tests.chaos.telling import Teller
from tests.chaos.weather import WEATHERS
from tests.chaos.writer import Writer
from tests.integration.cluster import cluster
from tests.judge.findings import Mode

SLOWEST: Final = 30.0
"""Documents a second at the least: fewer would leave workers without jobs to be killed with."""

AFTERWARDS: Final = 3.0
"""Seconds that documents are written on after the last fault."""

TRIES: Final = 4
"""How often kills that waited in vain are made up for."""

STALL: Final = 60.0
"""Seconds without any progress that nothing we do can excuse: workers are killed, but never so long in a row."""

NEWS: Final = 2.0
"""Seconds between two looks at how far the run has got."""


class Wishes(Struct, frozen=True):
    """What the command line asks for."""

    seed: int
    kills: int
    documents: int
    nodes: int = 1
    mode: Mode = "at_least_once"


async def run(wishes: Wishes, folder: Path, tell: Teller) -> Judgement:
    """Make chaos and judge what the service made of it. Raises NoBroker."""
    plot = script(wishes.seed, wishes.kills, list(WEATHERS))
    tell.say(f"{len(plot.acts)} acts, about {plot.seconds():.0f} s; static members: {sorted(plot.static)}")
    props = Props(wishes.mode, plot.static)
    async with cluster(folder / "brokers", wishes.nodes) as brokers, stage(folder, brokers, props) as on:
        writer = Writer(brokers.bootstrap, on.scene.input, sheaves(wishes.seed))
        with tell.at_work():
            async with beside(on.nurse(tell), _report(on, writer, wishes, tell)):
                await _perform(on, plot, writer, wishes, tell)
            await settled(on, tell)
            for number in SEATS:
                await leave(on, number, tell)
            tell.say("judging")
            return await judged(on)


async def _perform(on: Stage, plot: Script, writer: Writer, wishes: Wishes, tell: Teller) -> None:
    """Write documents until the script is played to its end, and some more."""
    await on.start_workers()
    enough = asyncio.Event()
    pace = max(SLOWEST, wishes.documents / plot.seconds())
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.write(pace, wishes.documents, enough))
        async with beside(blow(on, plot.spells, tell)):
            await play(on, plot.acts, tell)
            await _make_up(on, wishes.kills, tell)
        await asyncio.sleep(AFTERWARDS)
        enough.set()
    tell.say(f"{writer.written} documents written, the fate of {writer.untold} untold; all faults are over")


async def _make_up(on: Stage, kills: int, tell: Teller) -> None:
    """Make up for kills that waited in vain."""
    for _ in range(TRIES):
        if (missing := kills - len(on.notes.kills)) > 0:
            await play(on, [Act(1.0, Kill(tuple(SEATS[:missing]), 0.0))], tell)


async def _report(on: Stage, writer: Writer, wishes: Wishes, tell: Teller) -> None:
    """Tell how far the run has got, and when it gets no further, until cancelled."""
    passed, since, stalled = 0, time.monotonic(), False
    while True:
        before = passed
        with suppress(KafkaError):
            passed = sum((await on.positions()).values())
        if passed != before or on.notes.away:
            since, stalled = time.monotonic(), False
        if not stalled and time.monotonic() - since > STALL:
            stalled = True
            on.notes.odd(f"no position has moved for {STALL:g} s, although trouble never lasted that long", tell)
        kills = f"{len(on.notes.kills)} of {wishes.kills} kills"
        tell.progress(f"{kills}, {writer.written} documents written, {passed} offsets passed")
        await asyncio.sleep(NEWS)
