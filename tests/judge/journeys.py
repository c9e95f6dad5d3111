"""What is told of a run: the findings in figures, then the journey of the first culprits, in order of time.

For people under stress: nothing is told twice, times begin with the run, and what is left out is counted.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.judge.billing import brings
from tests.judge.books import NO_ANSWER, Poll, Submit
from tests.judge.case import Evidence, Input, Outcome
from tests.judge.findings import RULES, Findings

SHOWN: Final = 5
"""Culprits of each kind whose journey is told."""
WIDTH: Final = 110

Line = tuple[float, str]
"""When something happened, and what."""


def report(findings: Findings, evidence: Evidence, *, colour: bool = False) -> str:
    """Tell what was found."""
    paper = io.StringIO()
    console = Console(file=paper, width=WIDTH, force_terminal=colour, highlight=False, soft_wrap=True)
    console.print(_headline(findings, evidence))
    console.print(_table(findings))
    if again := findings.billed_again():
        share = len(again) / len(evidence.inputs)
        console.print(Text(f"Billed again for a crash: {len(again):,}, which is {share:.3%} of all inputs", "yellow"))
    culprits = _culprits(findings)
    chronicle = _Chronicle(evidence, culprits.keys())
    for name, kinds in culprits.items():
        console.print(Text.assemble("\n  ", (f"{', '.join(kinds)}: ", "bold red"), (chronicle.title(name), "bold")))
        for line in chronicle.journey(name):
            console.print(Text(line))
    if any(len(set(names)) > SHOWN for names in findings.faults().values()):
        console.print(Text(f"\n  These are the first {SHOWN} of each kind; --json names all.", "dim"))
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())


def _culprits(findings: Findings) -> dict[str, list[str]]:
    """Choose whose journey is told, and say what each is guilty of."""
    chosen: dict[str, list[str]] = defaultdict(list)
    for kind, names in findings.faults().items():
        for name in list(dict.fromkeys(names))[:SHOWN]:
            chosen[name].append(kind)
    return chosen


def _headline(findings: Findings, evidence: Evidence) -> Text:
    faults = sum(len(names) for names in findings.faults().values())
    verdict = (f"Faults {faults:,}", "bold red") if faults else ("No fault", "bold green")
    figures = {
        "inputs": len(evidence.inputs),
        "aborted": sum(record.aborted for record in evidence.inputs),
        "outcomes": len(evidence.outcomes),
        "submits": sum(isinstance(event, Submit) for event in evidence.books),
        "polls": sum(isinstance(event, Poll) for event in evidence.books),
        "shocks": len(evidence.shocks),
    }
    said = ", ".join(f"{what} {count:,}" for what, count in figures.items())
    return Text.assemble(verdict, f" ({findings.mode}). {said.capitalize()}")


def _table(findings: Findings) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    table.add_column()
    faults, tolerated = findings.faults(), findings.tolerated()
    for kind, meaning in RULES.items():
        style = "bold red" if kind in faults else "yellow" if kind in tolerated else "dim"
        count = len(faults.get(kind, tolerated.get(kind, ())))
        table.add_row(f"{count:,}", kind, meaning, style=style)
    return table


class _Chronicle:
    """All that is known of some names."""

    def __init__(self, evidence: Evidence, names: AbstractSet[str]) -> None:
        self._evidence = evidence
        self._inputs = {record.name: record for record in evidence.inputs if record.name in names}
        self._outcomes: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in evidence.outcomes:
            if outcome.name in names:
                self._outcomes[outcome.name].append(outcome)
        self._submits: dict[str, list[Submit]] = defaultdict(list)
        self._polls: dict[str, list[Poll]] = defaultdict(list)
        self._collect_calls(names)
        self._start = min(_times(evidence), default=0.0)

    def _collect_calls(self, names: AbstractSet[str]) -> None:
        jobs: set[str | None] = set()
        for event in self._evidence.books:
            if isinstance(event, Submit):
                for name in names & set(event.documents):
                    self._submits[name].append(event)
                    jobs.add(event.job)
        for event in self._evidence.books:
            if isinstance(event, Poll) and event.job in jobs:
                self._polls[event.job].append(event)

    def title(self, name: str) -> str:
        if (record := self._inputs.get(name)) is None:
            return f"{name} (no input)"
        return f"{name} (partition {record.partition}, offset {record.offset}, {_key(record.key)})"

    def journey(self, name: str) -> Iterator[str]:
        own = sorted(self._own(name))
        for at, text in sorted([*own, *self._shocks(own)]):
            yield f"  {at - self._start:9.2f} s  {text}"
        if record := self._inputs.get(name):
            position = self._evidence.positions.get(record.partition, "not committed")
            yield f"     position of partition {record.partition} is {position}"

    def _own(self, name: str) -> Iterator[Line]:
        if record := self._inputs.get(name):
            yield record.at, _written(record)
        for submit in self._submits[name]:
            yield submit.at, _submitted(submit)
            if submit.job is not None:
                yield from _polled(self._polls[submit.job])
                if submit.ends is not None:
                    missing = "" if brings(submit, name) else ", nothing of it"
                    yield submit.ends, f"job {_short(submit.job)} ends: {submit.fate}{missing}"
        for outcome in self._outcomes[name]:
            yield outcome.at, _published(outcome, self._inputs.get(name))

    def _shocks(self, own: Sequence[Line]) -> list[Line]:
        """The shocks between, and the first one after the last line."""
        if not own:
            return []
        since = sorted((shock.at, shock.what) for shock in self._evidence.shocks if shock.at >= own[0][0])
        between = sum(at <= own[-1][0] for at, _ in since)
        return since[: between + 1]


def _times(evidence: Evidence) -> Iterator[float]:
    for things in (evidence.inputs, evidence.outcomes, evidence.books, evidence.shocks):
        yield from (thing.at for thing in things)


def _written(record: Input) -> str:
    what = "a tombstone" if record.tombstone else "a document" if record.valid else "what is no document"
    trouble = f" with the trouble {record.fate}" if record.fate else ""
    return f"written: {what}{trouble}{', in a transaction that was aborted' if record.aborted else ''}"


def _submitted(submit: Submit) -> str:
    others = len(submit.documents) - 1
    company = "alone" if not others else f"with {others} other{'s' if others > 1 else ''}"
    job = f"job {_short(submit.job)}, " if submit.job is not None else ""
    return f"submitted by {submit.who} {company}: {job}{_answer(submit)}"


def _polled(polls: Iterable[Poll]) -> Iterator[Line]:
    """Tell polls in a row that were answered alike in one line."""
    alike = groupby(sorted(polls, key=lambda poll: poll.at), key=lambda poll: (poll.who, poll.told, _answer(poll)))
    for (who, told, answer), some in alike:
        first, *more = some
        until = f", {len(more)} more like it within {more[-1].at - first.at:.2f} s" if more else ""
        yield first.at, f"polled by {who}: {answer}, {told}{until}"


def _answer(call: Submit | Poll) -> str:
    status = "no answer" if call.status == NO_ANSWER else str(call.status)
    return f"{status}{f' ({call.fault})' if call.fault else ''}{', too early' if call.early else ''}"


def _published(outcome: Outcome, record: Input | None) -> str:
    """Tell of an outcome; of names, source and key only what is not the input's own."""
    said = [f"published in {outcome.topic} {outcome.partition} at offset {outcome.offset}: {outcome.kind}"]
    if outcome.reason:
        said.append(outcome.reason)
    if outcome.kind == "annotated" and outcome.found != (outcome.name,):
        said.append(f"names in it: {' '.join(outcome.found) or 'none'}")
    if outcome.source and (record is None or outcome.source != (record.partition, record.offset)):
        said.append(f"of partition {outcome.source[0]}, offset {outcome.source[1]}")
    if record and outcome.key != record.key:
        said.append(_key(outcome.key))
    return ", ".join(said)


def _key(key: bytes | None) -> str:
    return "no key" if key is None else f"key {key.decode(errors='backslashreplace')}"


def _short(job: str | None) -> str:
    return job[:8] if job else "none"
