"""What is said at the end of a run: the kills, the checker's table, what was odd; the same as JSON; what is kept."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.chaos.drills import Drilled
from tests.chaos.judging import Judgement
from tests.chaos.run import Wishes
from tests.judge.journeys import report

WIDTH = 120


def told(judgement: Judgement, wishes: Wishes, *, colour: bool) -> str:
    """Tell people what came out."""
    paper = io.StringIO()
    console = Console(file=paper, width=WIDTH, force_terminal=colour, highlight=False, soft_wrap=True)
    console.print(_kills(judgement))
    console.print(report(judgement.findings, judgement.evidence, colour=colour), markup=False, end="")
    for line in (*map(_odd, judgement.oddities), *_verdict(judgement, wishes)):
        console.print(line)
    return paper.getvalue()


def is_good(judgement: Judgement, wishes: Wishes) -> bool:
    """Tell whether nothing is wrong, and enough was done to make that worth something."""
    return not judgement.faults() and len(judgement.kills) >= wishes.kills


def as_json(judgement: Judgement, wishes: Wishes) -> bytes:
    """Write the result for machines."""
    return msgspec.json.encode(_result(judgement, wishes)) + b"\n"


def keep(judgement: Judgement, wishes: Wishes, folder: Path) -> None:
    """Put beside the logs and the books what would be gone with the brokers, so that it can be judged again."""
    (folder / "evidence.json").write_bytes(msgspec.json.encode(judgement.evidence))
    (folder / "shocks.jsonl").write_bytes(
        b"".join(msgspec.json.encode(each) + b"\n" for each in judgement.evidence.shocks)
    )
    (folder / "result.json").write_bytes(as_json(judgement, wishes))
    (folder / "report.txt").write_text(told(judgement, wishes, colour=False), encoding="utf-8")


def _result(judgement: Judgement, wishes: Wishes) -> dict[str, Any]:
    return {
        "good": is_good(judgement, wishes),
        "wishes": wishes,
        "kills": judgement.kills,
        "faults": judgement.faults(),
        "tolerated": {kind: len(names) for kind, names in judgement.findings.tolerated().items()},
        "inputs": len(judgement.evidence.inputs),
        "outcomes": len(judgement.evidence.outcomes),
    }


def _kills(judgement: Judgement) -> Table:
    table = Table(
        "kill",
        "of",
        "jobs in flight",
        title=f"{len(judgement.kills)} kills in full work",
        title_justify="left",
        box=None,
    )
    for number, kill in enumerate(judgement.kills, 1):
        table.add_row(f"{number}", kill.who, f"{kill.in_flight}")
    return table


def drills(results: Sequence[Drilled], *, colour: bool) -> str:
    """Tell which mutants were found."""
    paper = io.StringIO()
    Console(file=paper, width=WIDTH, force_terminal=colour, highlight=False).print(_drills(results))
    return paper.getvalue()


def _drills(results: Sequence[Drilled]) -> Table:
    table = Table("", "mutant", "drill", "must be found by", "found", "kills", "seconds", box=None)
    for each in results:
        mark = Text("good", "green") if each.good else Text("NOT FOUND" if each.wanted else "FALSE ALARM", "bold red")
        effort = f"{each.kills}", f"{each.seconds:.0f}"
        table.add_row(mark, each.name, each.drill, each.wanted or "-", each.words(), *effort)
    return table


def _odd(what: str) -> Text:
    return Text(f"odd: {what}", "bold red")


def _verdict(judgement: Judgement, wishes: Wishes) -> list[Text]:
    if len(judgement.kills) < wishes.kills:
        return [
            Text(
                f"only {len(judgement.kills)} of {wishes.kills} kills struck in full work: this proves too little",
                "bold red",
            )
        ]
    return []
