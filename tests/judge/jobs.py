"""What becomes of a submit: the documents it carries, how its job will end and what the result will say.

All of it is decided when the job is accepted; polls only tell it.
"""

from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from msgspec import Struct

from tests.judge import dialect
from tests.judge.books import Fate
from tests.judge.conditions import IN_RESULT, ON_JOB, ON_POLL
from tests.judge.dialect import WORD, Finding, SentDocument, Submission
from tests.judge.fates import Fates, Mark, mark_in

PROBE: Final = "probe"
STRANGER: Final = "stranger"
NOT_STARTED_FOR: Final = 0.1
"""The part of its time that a job waits before it runs."""

_FATES: Final[dict[str | None, Fate]] = {
    None: "succeeded",
    "partial": "partial",
    "fails": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
    "vanishes": "vanished",
}
_STATUSES: Final[dict[Fate, dialect.Status]] = {
    "succeeded": "succeeded",
    "partial": "partiallySucceeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}


class Sent(Struct, frozen=True):
    """A submit as it was read."""

    size: int
    """Bytes of its body."""
    submission: Submission | None
    documents: list[SentDocument]
    marks: list[Mark | None]
    """Of each document."""
    names: list[str]
    """Of each document: its mark's, else its wire id."""
    troubled: list[Mark]
    """The marks that name a trouble."""

    @property
    def probe(self) -> bool:
        """Whether it asks if the endpoint works at all."""
        return any(document.id == PROBE for document in self.documents)


class Job(Struct, gc=False):
    """An accepted submit, and its end. It holds nothing that could be part of a cycle."""

    wire: dialect.Job
    holder: str
    """The key that has it in hand: the one that submitted it, or asked for it since."""
    fate: Fate
    without: tuple[str, ...]
    """Names that its result will never bring."""
    troubled: tuple[Mark, ...]
    """Marks of documents whose trouble strikes polls."""
    barren: bool = False
    """Its result has entities for nobody."""
    awaited: bool = True
    """Its holder may still ask for its end."""


def read(body: bytes) -> Sent:
    """Read a submit and the marks of its documents."""
    submission = dialect.decode_submission(body)
    documents = submission.documents if submission else []
    marks = [mark_in(document.text) for document in documents]
    names = [mark.name if mark else document.id for mark, document in zip(marks, documents, strict=True)]
    return Sent(len(body), submission, documents, marks, names, [mark for mark in marks if mark and mark.trouble])


def accept(sent: Sent, submission: Submission, who: str, fates: Fates, now: float) -> Job:
    """Decide how a job ends, and what its result says."""
    culprit = fates.own(ON_JOB, sorted(sent.troubled, key=_spares_nobody, reverse=True))
    fate = _FATES[culprit.trouble if culprit else fates.thrown(ON_JOB, who)]
    troubles = [fates.strike(IN_RESULT, [mark] if mark and mark.trouble else [], who) for mark in sent.marks]
    if fate == "partial":
        place = sent.marks.index(culprit) if culprit else fates.dice.randrange(len(troubles))
        troubles[place] = "missing"
    return Job(
        _wire(submission, _findings(sent, troubles, fates.conditions.entities), fates, now),
        who,
        fate,
        without=tuple(
            name
            for name, trouble in zip(sent.names, troubles, strict=True)
            if trouble == "missing" or fate not in {"succeeded", "partial"}
        ),
        troubled=tuple(mark for mark in sent.troubled if mark.trouble in ON_POLL),
        barren=all(
            trouble in {"missing", "error"} or not document.text
            for document, trouble in zip(sent.documents, troubles, strict=True)
        ),
    )


def _spares_nobody(mark: Mark) -> bool:
    """Tell whether a document fails every job it is in: in the company of another trouble it must not get entities."""
    return mark.trouble == "fails" and mark.times is None


def _wire(submission: Submission, findings: list[Finding], fates: Fates, now: float) -> dialect.Job:
    (task,) = submission.tasks
    return dialect.Job(
        str(uuid4()),
        created=now,
        ends=now + fates.lasting(len(submission.documents), now),
        task_name=task.task_name,
        display_name=submission.display_name,
        project=task.parameters.project_name,
        deployment=task.parameters.deployment_name,
        packed=dialect.pack(findings),
    )


def _findings(sent: Sent, troubles: list[str | None], entities: int) -> list[Finding]:
    return [
        finding
        for document, mark, trouble in zip(sent.documents, sent.marks, troubles, strict=True)
        for finding in _said(document, mark, trouble, entities)
    ]


def _said(document: SentDocument, mark: Mark | None, trouble: str | None, entities: int) -> Sequence[Finding]:
    if trouble == "missing":
        return ()
    if trouble == "error" or not document.text:
        return (Finding(document.id, fails=True),)
    finding = _found(document, mark, entities)
    if trouble == "repeated":
        return (finding, finding)
    return (finding, Finding(STRANGER)) if trouble == "stranger" else (finding,)


def _found(document: SentDocument, mark: Mark | None, entities: int) -> Finding:
    name, at, start = (mark.name, mark.at, mark.end) if mark else ("", 0, 0)
    words = document.text[start : start + WORD * (entities - 1)]
    return Finding(document.id, name, at, start, words)


def status_of(job: Job, now: float) -> dialect.Status | None:
    """Say how far a job is; None when it has vanished."""
    whole = job.wire.ends - job.wire.created
    if now < job.wire.created + NOT_STARTED_FOR * whole:
        return "notStarted"
    return "running" if now < job.wire.ends else _STATUSES.get(job.fate)
