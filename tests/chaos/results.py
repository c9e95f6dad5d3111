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
from tests.chaos.recovery import LIMIT, summary
from tests.chaos.run import Wishes
from tests.judge.journeys import report

WIDTH = 120

MOST_AGAIN = 0.005
"""Of all inputs, how many may be billed again because of a crash."""
FEW = 20_000
"""Inputs below which that is no measure: one kill in the middle of a burst costs a batch or two."""
A_KILL = 10
"""Documents that a kill may cost there."""


def told(judgement: Judgement, wishes: Wishes, *, colour: bool) -> str:
    """Tell people what came out."""
    paper = io.StringIO()
    console = Console(file=paper, width=WIDTH, force_terminal=colour, highlight=False, soft_wrap=True)
    console.print(_kills(judgement))
    console.print(_recoveries(judgement))
    console.print(report(judgement.findings, judgement.evidence, colour=colour), markup=False, end="")
    for line in (*map(_odd, judgement.oddities), *_verdict(judgement, wishes)):
        console.print(line)
    return paper.getvalue()


def is_good(judgement: Judgement, wishes: Wishes) -> bool:
    """Tell whether nothing is wrong, and enough was done to make that worth something."""
    return not judgement.faults() and not _verdict(judgement, wishes)


def _dear(judgement: Judgement) -> float:
    """Say of what part of all inputs crashes have cost a second bill."""
    return len(judgement.findings.billed_again()) / max(1, len(judgement.evidence.inputs))


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
        "billed_again": _dear(judgement),
        "recoveries": {"summary": summary(judgement.recoveries), "all": judgement.recoveries},
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


def _recoveries(judgement: Judgement) -> Text:
    """Tell how soon static members published again that were killed and started again at once."""
    found = summary(judgement.recoveries)
    said = [f"{found.judged + found.excused} static members were killed and started again at once."]
    if found.median is not None and found.longest is not None:
        took = f"{found.median:.1f} s after their start in the median, {found.longest:.1f} s at the most"
        said.append(f"{found.judged} of them in peace: they published again {took}; {LIMIT:g} s are allowed.")
    said.append(f"{found.excused} had something else in their way, {found.in_time} of them were as quick all the same.")
    return Text(" ".join(said))


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


def _allowed(judgement: Judgement) -> float:
    """Say what part that may be."""
    inputs = max(1, len(judgement.evidence.inputs))
    return max(MOST_AGAIN, A_KILL * len(judgement.kills) / inputs) if inputs < FEW else MOST_AGAIN


def _verdict(judgement: Judgement, wishes: Wishes) -> list[Text]:
    """Say why a run without fault is not good all the same."""
    kills, dear, allowed = len(judgement.kills), _dear(judgement), _allowed(judgement)
    reasons = {
        f"only {kills} of {wishes.kills} kills struck in full work: this proves too little": kills < wishes.kills,
        f"crashes have cost {dear:.2%} of all inputs a second bill: {allowed:.1%} are allowed": dear > allowed,
    }
    return [Text(reason, "bold red") for reason, holds in reasons.items() if holds]
