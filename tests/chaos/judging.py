"""The judgement of a run: the checker's findings, and what only the chaos itself can see.

The checker excuses what was first published shortly before a shock. What counts as one is gathered here, and never
taken from the service's word alone.
"""

from collections.abc import Iterator, Sequence
from math import inf

from msgspec import Struct, structs

from tests.chaos.recovery import Recovery, Return, recoveries
from tests.chaos.script import SESSION
from tests.chaos.shocks import Rebalance, moment, provoked, rebalances, shocks
from tests.chaos.stage import Killed, Stage
from tests.chaos.workers import Life
from tests.judge.books import read_books
from tests.judge.case import Evidence, Shock
from tests.judge.evidence import collect
from tests.judge.findings import Findings, check


class Judgement(Struct, frozen=True):
    """What came out of a run."""

    findings: Findings
    oddities: Sequence[str]
    kills: Sequence[Killed]
    recoveries: Sequence[Recovery]
    evidence: Evidence

    def faults(self) -> dict[str, tuple[str, ...]]:
        """Tell what is wrong, kind by kind; empty where nothing is."""
        return self.findings.faults() | ({"odd": tuple(self.oddities)} if self.oddities else {})


AT_ONCE = 1.0
"""Seconds between a kill and the next start, where it is to be at once."""


async def judged(stage: Stage) -> Judgement:
    """Judge what has happened on a stage until now."""
    notes, dealt = stage.notes, _rebalances(stage)
    restarts = list(_restarts(stage))
    excused = [each for each in restarts if provoked(each, notes.shocks)]
    done = sorted([*notes.shocks, *shocks(dealt), *excused], key=lambda shock: shock.at)
    evidence = await collect(stage.scene, read_books(stage.endpoint.books), done)
    evidence = structs.replace(evidence, session=SESSION)
    found = list(recoveries(_returns(stage), evidence, dealt))
    odd = [f"{each.who} began again, and nothing of ours was the cause" for each in restarts if each not in excused]
    odd += [str(each) for each in found if each.slow]
    return Judgement(check(evidence, stage.mode), [*notes.oddities, *odd], notes.kills, found, evidence)


def _rebalances(stage: Stage) -> list[Rebalance]:
    """Ask the brokers' own words."""
    words = (node.log.read_text(encoding="utf-8", errors="replace") for node in stage.cluster.nodes)
    return [rebalance for said in words for rebalance in rebalances(said, stage.scene.group)]


def _restarts(stage: Stage) -> Iterator[Shock]:
    """Find where a process says that it lost what its run rests on."""
    for worker in stage.workers.values():
        for life in worker.lives:
            for line in life.said():
                if line.event == "serve.starting_again":
                    yield Shock(moment(line.timestamp), f"{life.key} begins again", life.key, blow="restart")


def _returns(stage: Stage) -> Iterator[Return]:
    """Find the lives of static members that began as soon as the one before was killed in full work."""
    killed = {kill.who: kill.at for kill in stage.notes.kills}
    for worker in stage.workers.values():
        for before, life in zip(worker.lives, worker.lives[1:], strict=False):
            if worker.static and life.began - killed.get(before.key, -inf) < AT_ONCE:
                assigned, partitions = _assigned(life)
                yield Return(life.key, life.began, assigned, partitions, inf if life.struck is None else life.struck)


def _assigned(life: Life) -> tuple[float, frozenset[int]]:
    """Say when a life was first given partitions, and which."""
    for line in life.said():
        if line.event == "read.assigned" and not isinstance(line.partitions, int) and line.partitions:
            return moment(line.timestamp), frozenset(line.partitions)
    return inf, frozenset()
