"""What an answer of the API means for us: Done, Wait, Freeze, Halve, Again or Park.

One table says it for every HTTP status, another for every status of a job. What fits no row is waited out:
whatever arrives, there is a verdict and no exception.
"""

import math
from collections.abc import Callable, Collection, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Generic, TypeVar

from msgspec import Struct

from entity_stream.core.model import Annotated, Batch, Document, Job, Outcome, Reason, Rejected
from entity_stream.core.wire.errors import explain, reason_of
from entity_stream.core.wire.runtime import Garbled, JobState, decode_job, job_id_of

T = TypeVar("T")


class Done(Struct, Generic[T], frozen=True):
    """The answer is there."""

    value: T


class Running(Struct, frozen=True):
    """The job has not ended: ask again when its result is likely there."""


class Wait(Struct, frozen=True):
    """Passing trouble (5xx, no connection, no answer in time): ask the same again after a pause."""

    cause: str


class Freeze(Struct, frozen=True):
    """Too fast (429): nobody calls this operation before `seconds` have passed."""

    cause: str
    seconds: float | None = None
    """What Retry-After says; None where it says nothing usable."""


class Halve(Struct, frozen=True):
    """This request would be refused again: submit its halves. A document alone is rejected."""

    reason: Reason


class Again(Struct, frozen=True):
    """The job will bring nothing more: submit what is missing again."""

    cause: str
    certain: bool = True
    """False: believe it only when a second answer, a little later, says the same."""


class Park(Struct, frozen=True):
    """Not the documents' fault (key, permission, project, deployment): no call until an operator mends it."""

    cause: str


def too_long(freeze: Freeze, longest: float) -> Park | None:
    """Take a freeze that is longer than is believed for what it is: a quota that is used up, for days maybe."""
    if freeze.seconds is None or freeze.seconds <= longest:
        return None
    hours = freeze.seconds / 3_600
    spell = f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
    return Park(f"{freeze.cause}: the quota is used up for {spell}")


class Judged(Struct, frozen=True):
    """The result of a job, matched with its batch by id."""

    outcomes: tuple[Outcome, ...]
    missing: tuple[Document, ...]
    """Documents that the result does not speak of."""
    created: float = math.inf
    """When the job was, in seconds since 1970 by the API's own clock."""
    ended: float = -math.inf
    """When it last changed, likewise."""
    annotates: bool = False
    """Whether the model has read anything, be it another's document: what it rejects beside that is at fault."""
    pages: int = 1
    """Calls that it took."""


SubmitVerdict = Done[Job] | Wait | Freeze | Halve | Park
PollVerdict = Done[Judged] | Running | Wait | Freeze | Again | Park


class Answer(Struct, frozen=True):
    """What came back over HTTP, and the two headers that matter."""

    status: int
    body: bytes
    retry_after: str | None
    location: str | None


class Silence(Struct, frozen=True):
    """No answer. Not sent: there was no connection. Sent: the answer did not come in time, or broke off."""

    cause: str
    sent: bool


class _Call(Struct, frozen=True):
    """An answer, and what is known where it arrives."""

    answer: Answer
    now: float
    resource: str = ""


PageVerdict = JobState | Running | Wait | Freeze | Again | Park

NO_REASON: Final = Reason("Unknown", "the API says no reason")
SETTINGS_CODES: Final = frozenset(
    {"InvalidParameterValue", "ModelVersionIncorrect", "ProjectNotFound", "OperationNotFound"}
)
"""Codes of a 400 about project, deployment or parameters: no document is to blame, and no half would pass."""
SERVER_ERRORS_AFTER_ACCEPTANCE: Final = frozenset({500, 502, 504})
"""Statuses that may be answered to a submit that was accepted."""


# conditions of the table


def _always(_: _Call) -> bool:
    return True


def _says_when_to_return(call: _Call) -> bool:
    return call.answer.retry_after is not None


def _blames_settings(call: _Call) -> bool:
    return _reason(call).code in SETTINGS_CODES


# verdicts of the table


def _accepted(call: _Call) -> Done[Job] | Wait:
    job_id = job_id_of(call.answer.location or "")
    return Done(Job(job_id, call.resource)) if job_id else Wait("HTTP 202 without a usable operation-location")


def _arrived(call: _Call) -> PageVerdict:
    try:
        state = decode_job(call.answer.body)
    except Garbled as wrong:  # once may be the line's fault; twice the result is lost
        return Again(str(wrong), certain=False)
    return JOB_TABLE.get(state.status, _unheard_of)(state)


def _wait(call: _Call) -> Wait:
    return Wait(_cause(call))


def _freeze(call: _Call) -> Freeze:
    return Freeze(_cause(call), retry_after(call.answer.retry_after, call.now))


def _halve(call: _Call) -> Halve:
    return Halve(_reason(call))


def _vanished(call: _Call) -> Again:
    return Again(_cause(call), certain=False)


def _park(call: _Call) -> Park:
    return Park(f"{_cause(call)}: {_reason(call).message}")


def _reason(call: _Call) -> Reason:
    return explain(call.answer.status, call.answer.body)


def _cause(call: _Call) -> str:
    """Name an answer by its codes only: causes are counted."""
    status, code = str(call.answer.status), _reason(call).code
    return f"HTTP {status}" if code == status else f"HTTP {status} {code}"


class _Row(Struct, frozen=True):
    statuses: Collection[int]
    on_submit: Callable[[_Call], SubmitVerdict]
    on_poll: Callable[[_Call], PageVerdict]
    when: Callable[[_Call], bool] = _always


# the first row that fits decides
TABLE: Final = (
    #    HTTP status       submit       poll         only when it
    _Row((202,),           _accepted,   _wait),
    _Row((200,),           _wait,       _arrived),
    _Row((429,),           _freeze,     _freeze),
    _Row((403,),           _freeze,     _freeze,     _says_when_to_return),
    _Row((401, 403),       _park,       _park),
    _Row((404,),           _park,       _vanished),
    _Row((400,),           _park,       _wait,       _blames_settings),
    _Row((408, 409, 425),  _wait,       _wait),
    _Row(range(400, 500),  _halve,      _wait),
)  # fmt: skip
ALL_ELSE: Final = _Row((), _wait, _wait)


def _running(_: JobState) -> Running:
    return Running()


def _ended(state: JobState) -> JobState:
    return state


def _failed(state: JobState) -> JobState | Again:
    """Keep what is there: the rest will be missing. With nothing there, say what the job says of itself."""
    if state.entities or state.faults:
        return state
    codes = sorted({reason_of(fault, NO_REASON).code for fault in state.errors})
    return Again(" ".join([f"job {state.status}", *codes]))


def _unheard_of(_: JobState) -> Wait:
    return Wait("a job status never heard of")


JOB_TABLE: Final[dict[str, Callable[[JobState], PageVerdict]]] = {
    "notstarted": _running,
    "running": _running,
    "cancelling": _running,
    "succeeded": _ended,
    "completed": _ended,
    "partiallysucceeded": _ended,
    "partiallycompleted": _ended,
    "failed": _failed,
    "cancelled": _failed,
    "rejected": _failed,
    "expired": _failed,
}


def on_submit(answer: Answer | Silence, resource: str, now: float) -> SubmitVerdict:
    """Say what the answer to a submit means. `now`: seconds since 1970, for a Retry-After that is a date."""
    if isinstance(answer, Silence):
        return Wait(answer.cause)
    call = _Call(answer, now, resource)
    return _row(call).on_submit(call)


def read_page(answer: Answer | Silence, now: float) -> PageVerdict:
    """Say what the answer to a poll means: a page of a job that has ended, or why there is none."""
    if isinstance(answer, Silence):
        return Wait(answer.cause)
    call = _Call(answer, now)
    return _row(call).on_poll(call)


def judge(batch: Batch, pages: Sequence[JobState]) -> Judged:
    """Match the pages of a result with the batch. Of what they say twice, the first counts."""
    judged = [(document, _outcome(document, pages)) for document in batch]
    return Judged(
        outcomes=tuple(outcome for _, outcome in judged if outcome is not None),
        missing=tuple(document for document, outcome in judged if outcome is None),
        created=max((page.created.timestamp() for page in pages if page.created), default=math.inf),
        ended=max((page.last_updated.timestamp() for page in pages if page.last_updated), default=-math.inf),
        annotates=any(page.entities for page in pages),
        pages=len(pages),
    )


def possibly_billed(answer: Answer | Silence) -> bool:
    """Say whether a submit may have been accepted although its answer names no job."""
    if isinstance(answer, Silence):
        return answer.sent
    names_its_job = answer.status == 202 and job_id_of(answer.location or "") is not None
    accepted = 200 <= answer.status < 300 or answer.status in SERVER_ERRORS_AFTER_ACCEPTANCE
    return accepted and not names_its_job


def retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After, seconds or an HTTP date, as seconds from now; None where it says nothing usable.

    Nor does a 0: it is a spell of less than a second, and whoever came back at once would be refused again.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, now)
    return seconds if 0 < seconds < math.inf else None


def _seconds_until(date: str, now: float) -> float:
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return math.nan


def _row(call: _Call) -> _Row:
    return next((row for row in TABLE if call.answer.status in row.statuses and row.when(call)), ALL_ELSE)


def _outcome(document: Document, pages: Sequence[JobState]) -> Outcome | None:
    for page in pages:
        if (entities := page.entities.get(document.wire_id)) is not None:
            record, said = document.record, document.metadata
            return Annotated(record, document.id, entities, page.model, document.language, said)
        if fault := page.faults.get(document.wire_id):
            return Rejected(document.record, reason_of(fault, NO_REASON))
    return None
