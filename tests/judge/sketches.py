"""Small runs made by hand: one document or two, published by the dozenth second, and whatever a test changes of it."""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from tests.judge.books import Event, Poll, Submit
from tests.judge.case import Blow, Evidence, Input, Outcome, Shock
from tests.judge.checker import Findings, Mode, check
from tests.judge.worlds import DEAD_LETTERS, OUTPUT

NOON: Final = 1_790_000_000.0
"""When the worlds made by hand begin."""


def document(name: str = "doc-1", offset: int = 0, **changes: object) -> Input:
    """Write a document, two seconds after noon."""
    record = Input(name, 0, offset, b"k", "", aborted=False, tombstone=False, valid=True, at=NOON + 2)
    return structs.replace(record, **changes)


def annotated(record: Input, offset: int | None = None, at: float = 5.0, **changes: object) -> Outcome:
    """Publish the entities of a document."""
    place = (OUTPUT, 0, record.offset if offset is None else offset, NOON + at)
    outcome = Outcome(record.name, "annotated", record.key, *place, (record.name,), (record.partition, record.offset))
    return structs.replace(outcome, **changes)


def rejected(record: Input, offset: int | None = None, at: float = 5.0, **changes: object) -> Outcome:
    """Publish a dead letter."""
    return annotated(record, offset, at, **({"kind": "rejected", "topic": DEAD_LETTERS, "found": ()} | changes))


def accepted(*names: str, at: float = 3.0, lasts: float = 1.0, **changes: object) -> Submit:
    """Have documents accepted as a job that succeeds."""
    job = f"job at {at}"
    submit = Submit(NOON + at, "worker-1", 202, job, names, names, ends=NOON + at + lasts, fate="succeeded")
    return structs.replace(submit, **changes)


def failed(*names: str, at: float = 3.0) -> Submit:
    """Have documents accepted as a job that brings nothing."""
    return structs.replace(accepted(*names, at=at), fate="failed", without=names)


def polled(submit: Submit, at: float, **changes: object) -> Poll:
    """Ask for a job."""
    assert submit.job
    return structs.replace(Poll(NOON + at, submit.who, 200, submit.job, "succeeded"), **changes)


def killed(at: float, who: str = "worker-1") -> Shock:
    """Kill a worker."""
    return Shock(NOON + at, f"SIGKILL {who}", who, blow="kill")


def shaken(at: float, blow: Blow, who: str = "worker-1", until: float | None = None) -> Shock:
    """Do something else to somebody."""
    return Shock(NOON + at, f"{blow} {who}", who, None if until is None else NOON + until, blow)


def judge(
    inputs: Sequence[Input],
    outcomes: Sequence[Outcome],
    books: Sequence[Event] | None = None,
    shocks: Sequence[Shock] = (),
    position: int = 1_000,
    mode: Mode = "at_least_once",
) -> Findings:
    """Judge a run; where no books are given, one job has brought all documents."""
    if books is None:
        books = [accepted(*(record.name for record in inputs if record.valid and not record.tombstone))]
    return check(Evidence(inputs, outcomes, {0: position}, books, shocks), mode)


def counted(findings: Findings) -> dict[str, tuple[str, ...]]:
    """Say all that was found, be it a fault or not."""
    return findings.faults() | findings.tolerated()
