"""The wire of the modern dialect, from the server's side: what is read of a request, how a job is told.

Learned from recorded traffic alone; what no recording shows is not here.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

JOBS: Final = "/language/analyze-text/jobs"
FIRST_VERSION: Final = "2022-05-01"
PAGE_SIZE, LARGEST_PAGE = 20, 50
WORD: Final = 8
"""Characters of an entity that is no name."""
KEPT_FOR: Final = 24 * 3600.0
"""Seconds from acceptance to the expiration that a job names."""

_VERSION = re.compile(r"(?:^|&)api-version=(\d{4}-\d\d-\d\d(?:-preview)?)(?:&|$)")
_TOP = re.compile(r"(?:^|&)top=(\d{1,6})(?:&|$)")
_SKIP = re.compile(r"(?:^|&)skip=(\d{1,6})(?:&|$)")


# what is read


class SentDocument(Struct, frozen=True, gc=False):
    """A document as it was submitted."""

    id: str
    text: str


class _Input(Struct, frozen=True):
    documents: list[SentDocument]


class Parameters(Struct, frozen=True, rename="camel"):
    """What a task is to be done with."""

    project_name: str
    deployment_name: str
    string_index_type: str = "TextElements_v8"


class Task(Struct, frozen=True, rename="camel"):
    """What is to be done."""

    kind: str
    parameters: Parameters
    task_name: str | UnsetType = UNSET


class Submission(Struct, frozen=True, rename="camel"):
    """The body of a submit."""

    analysis_input: _Input
    tasks: list[Task]
    display_name: str | UnsetType = UNSET

    @property
    def documents(self) -> list[SentDocument]:
        """What was submitted, in order."""
        return self.analysis_input.documents


_submissions = msgspec.json.Decoder(Submission)


def decode_submission(body: bytes) -> Submission | None:
    """Read a submit; None where it is none."""
    try:
        return _submissions.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def version_in(query: str) -> str | None:
    """Take the version out of a query; None where there is none that this dialect has."""
    found = _VERSION.search(query)
    return found[1] if found and found[1] >= FIRST_VERSION else None


def page_in(query: str) -> tuple[int, int]:
    """Take the page out of a query: how many documents, and how many come before it."""
    top, skip = _TOP.search(query), _SKIP.search(query)
    return min(int(top[1]), LARGEST_PAGE) if top else PAGE_SIZE, int(skip[1]) if skip else 0


# what a job found


class Finding(Struct, frozen=True, gc=False, array_like=True):
    """What there is to say of one document, as small as a job can keep it."""

    id: str
    name: str = ""
    """Of its mark; empty where it has none."""
    at: int = 0
    """Where its name begins."""
    start: int = 0
    """Where its words begin."""
    words: str = ""
    """One behind the other, each WORD long, the last as long as what is left."""
    fails: bool = False
    """It has an error instead of entities."""


_findings = msgspec.msgpack.Decoder(list[Finding])
_packer = msgspec.msgpack.Encoder()


def pack(findings: list[Finding]) -> bytes:
    """Make findings small: jobs are kept by the ten thousand."""
    return _packer.encode(findings)


def unpack(packed: bytes) -> list[Finding]:
    """Get findings back."""
    return _findings.decode(packed)


# what is written


class _Entity(Struct, frozen=True, gc=False, rename="camel"):
    text: str
    category: str
    offset: int
    length: int
    confidence_score: float


class _Document(Struct, frozen=True, gc=False):
    id: str
    entities: list[_Entity]
    warnings: Sequence[str] = ()


class _Faulty(Struct, frozen=True, gc=False):
    id: str
    error: msgspec.Raw


class _Results(Struct, frozen=True, rename="camel"):
    documents: list[_Document]
    errors: list[_Faulty]
    project_name: str
    deployment_name: str


class _Item(Struct, frozen=True, rename="camel"):
    kind: str
    task_name: str | UnsetType
    last_update_date_time: str
    status: str
    results: _Results | UnsetType


class _Tasks(Struct, frozen=True, rename="camel"):
    completed: int
    failed: int
    in_progress: int
    total: int
    items: Sequence[_Item]


class _JobDocument(Struct, frozen=True, rename="camel"):
    job_id: str
    last_updated_date_time: str
    created_date_time: str
    expiration_date_time: str
    status: str
    errors: msgspec.Raw
    display_name: str | UnsetType
    tasks: _Tasks
    next_link: str | UnsetType = UNSET


Status = Literal["notStarted", "running", "succeeded", "partiallySucceeded", "failed", "cancelled", "expired"]
UNDER_WAY: Final = frozenset({"notStarted", "running"})
FRUITFUL: Final = frozenset({"succeeded", "partiallySucceeded"})


class Job(Struct, frozen=True, gc=False):
    """A job as its answers tell it."""

    id: str
    created: float
    ends: float
    task_name: str | UnsetType
    display_name: str | UnsetType
    project: str
    deployment: str
    packed: bytes
    """Its findings."""


_KIND = "CustomEntityRecognitionLROResults"
_EMPTY_TEXT = msgspec.Raw(
    b'{"code":"InvalidArgument","message":"Invalid Document in request.",'
    b'"innererror":{"code":"InvalidDocument","message":"Document text is empty."}}'
)
_NO_ERRORS = msgspec.Raw(b"[]")
_TASK_FAILED = msgspec.Raw(
    b'[{"code":"InternalServerError","message":"Failed to process task after several retry",'
    b'"target":"#/tasks/items/0"}]'
)
# completed, failed, in progress
_COUNTS: Final[dict[Status, tuple[int, int, int]]] = {
    "notStarted": (0, 0, 1),
    "running": (0, 0, 1),
    "succeeded": (1, 0, 0),
    "partiallySucceeded": (1, 0, 0),
    "failed": (0, 1, 0),
    "cancelled": (0, 0, 0),
    "expired": (0, 0, 0),
}
_encoder = msgspec.json.Encoder()


def operation_location(base: str, job: str, version: str) -> str:
    """Say where a job is asked for."""
    return f"{base}{JOBS}/{job}?api-version={version}"


def encode_job(job: Job, status: Status, page: tuple[int, int], base: str, version: str) -> bytes:
    """Write one page of a job."""
    findings = unpack(job.packed) if status in FRUITFUL else []
    top, skip = page
    left = len(findings) - skip - top
    return _encoder.encode(
        _JobDocument(
            job_id=job.id,
            last_updated_date_time=_moment(job.created if status in UNDER_WAY else job.ends),
            created_date_time=_moment(job.created),
            expiration_date_time=_moment(job.created + KEPT_FOR),
            status=status,
            errors=_TASK_FAILED if status in {"failed", "partiallySucceeded"} else _NO_ERRORS,
            display_name=job.display_name,
            tasks=_Tasks(*_COUNTS[status], 1, _items(job, status, findings[skip : skip + top])),
            next_link=f"{base}{JOBS}/{job.id}?top={left}&skip={skip + top}&api-version={version}"
            if left > 0
            else UNSET,
        )
    )


def _items(job: Job, status: Status, findings: list[Finding]) -> Sequence[_Item]:
    if status in UNDER_WAY or status == "expired":
        return ()
    results = UNSET if status == "failed" else _results(job, findings)
    task_status = "succeeded" if status in FRUITFUL else status
    return (_Item(_KIND, job.task_name, _moment(job.ends, "%Y-%m-%dT%H:%M:%S.%f0Z"), task_status, results),)


def _moment(at: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _results(job: Job, findings: list[Finding]) -> _Results:
    return _Results(
        [_Document(each.id, _entities(each)) for each in findings if not each.fails],
        [_Faulty(each.id, _EMPTY_TEXT) for each in findings if each.fails],
        job.project,
        job.deployment,
    )


def _entities(finding: Finding) -> list[_Entity]:
    entities = [_Entity(finding.name, "Name", finding.at, len(finding.name), 0.9)] if finding.name else []
    for place in range(0, len(finding.words), WORD):
        word = finding.words[place : place + WORD]
        entities.append(_Entity(word, "Word", finding.start + place, len(word), 0.5))
    return entities
