"""Drills: short runs, each with one kind of trouble, that a mutant of the service cannot get through unfound.

The unchanged service goes through every drill as well. A finding is looked for when all is quiet after each round,
so it is never one that a moment more would have undone.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from tests.chaos.documents import sheaves
from tests.chaos.judging import judged
from tests.chaos.patches import Mutant, copied
from tests.chaos.play import play
from tests.chaos.script import SESSION, WORKERS, Act, Churn, Freeze, Kill
from tests.chaos.settling import beside, settled
from tests.chaos.stage import Stage, stage
from tests.chaos.telling import Teller
from tests.chaos.writer import Writer
from tests.integration.cluster import Cluster, cluster
from tests.judge.conditions import Duration, Fault

PATIENCE: Final = 10.0
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
    duration: Duration = QUICK
    conditions: Mapping[str, Any] = {}
    """What the endpoint does besides."""
    marks: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    settings: Mapping[str, str] = {}
    static: frozenset[int] = frozenset(ALL)


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
    "freezes": Drill(
        [Act(2.0, Freeze(1, SESSION + 4.0))], duration=Duration(fixed=1.0, jitter=0.2), static=frozenset()
    ),
    "lies": Drill(
        duration=UNEVEN,
        conditions={"faults": (Fault("missing", 0.03), Fault("repeated", 0.2), Fault("stranger", 0.2))},
        marks={"": 90, "missing*1": 10},
    ),
    "poison": Drill(marks={"": 97, "refused": 2, "too-large": 1}),
    "storms": Drill(conditions={"faults": (Fault("throttled", 0.3), Fault("poll-throttled", 0.3))}),
    "rebalances": Drill([Act(1.0, Churn(1, 2.0))], duration=Duration(fixed=2.5, jitter=0.1), static=frozenset()),
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

    @property
    def good(self) -> bool:
        """Whether what should be found was found."""
        return self.wanted in self.found if self.wanted else not self.found

    def __str__(self) -> str:
        return f"{self.name} in the drill '{self.drill}': {self.words()}, after {self.kills} kills and {self.seconds} s"

    def words(self) -> str:
        """Say what was found."""
        return ", ".join(f"{kind} {count}" for kind, count in self.found.items()) or "nothing"


async def drill(mutants: Sequence[Mutant], folder: Path, tell: Teller) -> list[Drilled]:
    """Put mutants through their drills, and the unchanged service through the same ones. Raises NoBroker, Unfit."""
    unchanged = [(None, name) for name in dict.fromkeys(mutant.trouble for mutant in mutants)]
    results: list[Drilled] = []
    async with cluster(folder / "brokers") as brokers:
        with tell.at_work():
            for mutant, name in (*unchanged, *((mutant, mutant.trouble) for mutant in mutants)):
                who = mutant.name if mutant else f"unchanged-{name}"
                result = await _drilled(mutant, name, brokers, folder / who, tell)
                tell.say(str(result), "green" if result.good else "bold red")
                results.append(result)
    return results


async def _drilled(mutant: Mutant | None, name: str, brokers: Cluster, folder: Path, tell: Teller) -> Drilled:
    """Play rounds of a drill until the mutant is found, or for as long as a drill takes."""
    package = copied(mutant, folder / "package") if mutant else None
    drill, wanted, found = DRILLS[name], mutant.finding if mutant else None, dict[str, int]()
    async with stage(folder, brokers, drill.static, drill.duration, package, drill.settings) as on:
        await on.endpoint.set(msgspec.structs.replace(on.fair, **drill.conditions))
        writer, began = Writer(brokers.bootstrap, on.scene.input, sheaves(1, drill.marks)), time.monotonic()
        async with beside(on.nurse(tell)):
            await on.start_workers()
            while wanted not in found and time.monotonic() - began < (ENOUGH if wanted else CONTROL):
                found = await _round(on, drill, writer, tell)
        who = mutant.name if mutant else "unchanged"
        return Drilled(who, name, wanted, found, len(on.notes.kills), round(time.monotonic() - began, 1))


async def _round(on: Stage, drill: Drill, writer: Writer, tell: Teller) -> dict[str, int]:
    """Make trouble while documents are written; when all is quiet, count what is found."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.write(drill.pace, 0, enough))
        await asyncio.gather(play(on, drill.acts, tell), asyncio.sleep(WRITING))
        enough.set()
    await settled(on, tell, PATIENCE)
    return {kind: len(names) for kind, names in (await judged(on)).faults().items()}
