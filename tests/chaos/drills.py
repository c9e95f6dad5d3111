"""Drills: short runs, each with one kind of trouble, that a mutant of the service cannot get through unfound.

The unchanged service goes through every drill as well. A finding is looked for when all is quiet after each round,
so it is never one that a moment more would have undone.
"""

import asyncio
import time
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from tests.chaos.documents import sheaves
from tests.chaos.judging import Judgement, judged
from tests.chaos.patches import Mutant, copied
from tests.chaos.play import play
from tests.chaos.recovery import Summary, summary
from tests.chaos.script import SESSION, WORKERS, Act, Blackout, Churn, Freeze, Kill, Stop
from tests.chaos.settling import beside, settled
from tests.chaos.stage import NONE, Props, Stage, stage
from tests.chaos.telling import Teller
from tests.chaos.writer import Writer
from tests.integration.cluster import Cluster, cluster
from tests.judge.conditions import Duration, Fault
from tests.judge.findings import Mode

PATIENCE: Final = 20.0
"""Seconds without progress after which a round is over."""

ENOUGH: Final = 90.0
CONTROL: Final = 20.0
"""Seconds after which no further round begins, for a mutant and for the unchanged service."""

WRITING: Final = 4.0
"""Seconds that a round writes at the least."""

ALL: Final = tuple(range(1, WORKERS + 1))
QUICK: Final = Duration(fixed=0.25, jitter=0.3)
UNEVEN: Final = Duration(fixed=0.3, jitter=0.5, tail_rate=0.2, tail_seconds=1.0)


class Drill(Struct, frozen=True):
    """One kind of trouble, the same in every round."""

    acts: Sequence[Act] = ()
    pace: float = 80.0
    """Documents a second."""
    backlog: int = 0
    """Documents that are there before anybody works."""
    duration: Duration = QUICK
    conditions: Mapping[str, Any] = {}
    """What the endpoint does besides."""
    marks: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    bulky: float = 0.0
    """The part of the documents that are bulky."""
    settings: Mapping[str, str] = NONE
    """Of the workers."""
    output: Mapping[str, str] = NONE
    """Configs of the output topic."""
    static: frozenset[int] = frozenset(ALL)
    mode: Mode = "at_least_once"

    def props(self) -> Props:
        """Say what it is played with."""
        return Props(self.mode, self.static, self.duration, self.settings, self.output)


def _freezes(mode: Mode, pace: float = 80.0, **settings: str) -> Drill:
    frozen = Act(2.0, Freeze(1, SESSION + 4.0))
    jobs = Duration(fixed=1.0, jitter=0.2)
    return Drill([frozen], pace=pace, duration=jobs, settings=settings, static=frozenset(), mode=mode)


DRILLS: Final[Mapping[str, Drill]] = {
    "calm": Drill(),
    "kills": Drill(
        [Act(1.0, Kill(ALL, 0.0))] * 3,
        pace=200.0,
        duration=Duration(fixed=0.6, jitter=0.3),
        settings={"BATCH_LINGER": "0.02", "BATCH_DOCUMENTS": "3"},
    ),
    "holes": Drill(
        [Act(3.0, Kill(ALL, 0.0))] * 2,
        pace=100.0,
        duration=Duration(fixed=0.5, tail_rate=0.2, tail_seconds=4.0),
    ),
    "freezes": _freezes("at_least_once"),
    "freezes-eo": _freezes("exactly_once", 300.0, BATCH_DOCUMENTS="3", BATCH_LINGER="0.02"),  # always in a transaction
    "lies": Drill(
        duration=UNEVEN,
        conditions={"faults": (Fault("missing", 0.03), Fault("repeated", 0.2), Fault("stranger", 0.2))},
        marks={"": 90, "missing*1": 10},
    ),
    "poison": Drill(marks={"": 97, "refused": 2, "too-large": 1}),
    "storms": Drill(conditions={"faults": (Fault("throttled", 0.3), Fault("poll-throttled", 0.3))}),
    "rebalances": Drill([Act(1.0, Churn(1, 2.0))], duration=Duration(fixed=2.5, jitter=0.1), static=frozenset()),
    "handover": Drill(
        [Act(2.0, Stop(1, 0.0)), Act(1.0, Churn(1, 2.0)), Act(2.0, Kill(ALL, 0.0))],
        duration=Duration(fixed=4.0, jitter=0.2),
        conditions={"answers_after": 0.7},
        settings={"DRAIN_FOR": "0.5"},
        static=frozenset(),
    ),
    "waves": Drill(  # between two waves of jobs nothing is settled that would name them by the way
        [Act(2.0, Kill(ALL, 0.0, into=1.0))] * 2,
        backlog=400,
        pace=40.0,
        duration=Duration(fixed=2.0),
        settings={"WINDOW": "8", "BATCH_DOCUMENTS": "3", "BATCH_LINGER": "0.02"},
    ),
    "blackout": Drill(
        [Act(3.0, Blackout(ALL, SESSION + 4.0))],
        backlog=600,  # when the broker goes, workers have read what they could submit in the dark
        pace=10.0,
        duration=Duration(fixed=1.2, jitter=0.2),
        settings={"WINDOW": "6", "BATCH_DOCUMENTS": "2", "BATCH_LINGER": "0.02"},
    ),
    "refusals-eo": Drill(
        pace=20.0,  # a refused record costs a transaction
        bulky=0.05,
        output={"cleanup.policy": "compact", "max.message.bytes": "20000"},
        mode="exactly_once",
    ),
}


class Drilled(Struct, frozen=True):
    """How a mutant, or the unchanged service, came through a drill."""

    name: str
    drill: str
    wanted: str | None
    """The finding that must tell of it; None: nothing may be found."""
    found: Mapping[str, int]
    kills: int
    seconds: float
    returns: Summary
    """How soon static members were back that were killed and started again at once."""

    @property
    def good(self) -> bool:
        """Whether what should be found was found."""
        return _is_found(self.wanted, self.found) if self.wanted else not self.found

    def __str__(self) -> str:
        what = f"{self.name} in the drill '{self.drill}': {self.words()}, after {self.kills} kills and {self.seconds} s"
        if self.wanted or not self.returns.judged:
            return what
        took = f"after {self.returns.median:.1f} s, {self.returns.longest:.1f} s at the most"
        return f"{what}; {self.returns.judged} static members published again {took}"

    def words(self) -> str:
        """Say what was found."""
        return ", ".join(f"{kind} {count}" for kind, count in self.found.items()) or "nothing"


Play = tuple[Mutant | None, str]
"""A mutant, or the unchanged service, and the name of a drill."""


async def drill(plays: Sequence[Play], folder: Path, tell: Teller) -> list[Drilled]:
    """Put mutants and the unchanged service through drills. Raises NoBroker, Unfit."""
    results: list[Drilled] = []
    async with cluster(folder / "brokers") as brokers:
        with tell.at_work():
            for mutant, name in plays:
                who = mutant.name if mutant else f"unchanged-{name}"
                result = await _drilled(mutant, name, brokers, folder / who, tell)
                tell.say(str(result), "green" if result.good else "bold red")
                results.append(result)
    return results


async def _drilled(mutant: Mutant | None, name: str, brokers: Cluster, folder: Path, tell: Teller) -> Drilled:
    """Play rounds of a drill until the mutant is found, or for as long as a drill takes."""
    package = copied(mutant, folder / "package") if mutant else None
    drill, wanted = DRILLS[name], mutant.finding if mutant else None
    async with stage(folder, brokers, drill.props(), package) as on:
        await on.endpoint.set(msgspec.structs.replace(on.fair, **drill.conditions))
        documents = sheaves(1, drill.marks, drill.bulky)
        writer, began = Writer(brokers.bootstrap, on.scene.input, documents), time.monotonic()
        await writer.write(drill.pace, drill.backlog, _at_once())
        async with beside(on.nurse(tell)):
            await on.start_workers()
            so_far = await _round(on, drill, writer, tell)
            while not _is_found(wanted, so_far.faults()) and time.monotonic() - began < (ENOUGH if wanted else CONTROL):
                so_far = await _round(on, drill, writer, tell)
        who, found = mutant.name if mutant else "unchanged", {kind: len(all_) for kind, all_ in so_far.faults().items()}
        took, returns = round(time.monotonic() - began, 1), summary(so_far.recoveries)
        return Drilled(who, name, wanted, found, len(on.notes.kills), took, returns)


def _is_found(wanted: str | None, found: Container[str]) -> bool:
    return wanted is not None and any(kind in found for kind in wanted.split(" or "))


def _at_once() -> asyncio.Event:
    """Say that it is enough before anything is done."""
    enough = asyncio.Event()
    enough.set()
    return enough


async def _round(on: Stage, drill: Drill, writer: Writer, tell: Teller) -> Judgement:
    """Make trouble while documents are written; when all is quiet, judge all rounds so far."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.write(drill.pace, 0, enough))
        await asyncio.gather(play(on, drill.acts, tell), asyncio.sleep(WRITING))
        enough.set()
    await settled(on, tell, PATIENCE)
    return await judged(on)
