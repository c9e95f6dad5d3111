"""The judgement of a run: the checker's findings, and what only the chaos itself can see.

The checker excuses what was first published shortly before a shock. What counts as one is gathered here, and never
taken from the service's word alone.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from tests.chaos.shocks import provoked, rebalances, shocks
from tests.chaos.stage import Killed, Stage
from tests.judge.books import read_books
from tests.judge.case import Evidence, Shock
from tests.judge.evidence import collect
from tests.judge.findings import Findings, check


class Judgement(Struct, frozen=True):
    """What came out of a run."""

    findings: Findings
    oddities: Sequence[str]
    kills: Sequence[Killed]
    evidence: Evidence

    def faults(self) -> dict[str, tuple[str, ...]]:
        """Tell what is wrong, kind by kind; empty where nothing is."""
        return self.findings.faults() | ({"odd": tuple(self.oddities)} if self.oddities else {})


async def judged(stage: Stage) -> Judgement:
    """Judge what has happened on a stage until now."""
    notes = stage.notes
    lost = [
        *notes.shocks,
        *shocks(rebalance for said in _brokers_words(stage) for rebalance in rebalances(said, stage.scene.group)),
    ]
    restarts = list(_restarts(stage))
    excused = [shock for shock in restarts if provoked(shock.at, notes.shocks)]
    evidence = await collect(
        stage.scene, read_books(stage.endpoint.books), sorted(lost + excused, key=lambda shock: shock.at)
    )
    findings = check(evidence, "at_least_once")
    odd = [f"{shock.who} began again although no broker was away" for shock in restarts if shock not in excused]
    return Judgement(findings, notes.oddities + odd, notes.kills, evidence)


def _brokers_words(stage: Stage) -> Iterator[str]:
    for node in stage.cluster.nodes:
        yield node.log.read_text(encoding="utf-8", errors="replace")


def _restarts(stage: Stage) -> Iterator[Shock]:
    """Find where a process says that it lost what its run rests on."""
    for worker in stage.workers.values():
        for life in worker.lives:
            for line in life.said():
                if line.event == "serve.starting_again":
                    at = datetime.fromisoformat(line.timestamp).timestamp()
                    yield Shock(at, f"{life.key} begins again", life.key)
