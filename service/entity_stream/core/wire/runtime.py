"""The client's end of the modern dialect; of the URLs in an answer only the job's id and the page are taken.

Reading is tolerant of everything known to vary (spelling of statuses and dates, missing results, other tasks
in the job, unknown fields) and of nothing else: what is no job document is `Garbled`.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter

import msgspec
from msgspec import UNSET, MsgspecError, Struct

from entity_stream.core.model import Batch, Entity, Model, Partition
from entity_stream.core.wire.errors import Fault, fault_of
from entity_stream.core.wire.shapes import (
    CODE_POINTS,
    JOBS_PATH,
    MOST_CHARACTERS,
    MOST_DOCUMENTS,
    PAGE_SIZE,
    RESULT_KIND,
    TASK_KIND,
    Input,
    InputDocument,
    Item,
    JobDocument,
    Page,
    Parameters,
    Request,
    Results,
    Task,
)


class Garbled(ValueError):
    """The body of an answer is no job document. Says what is wrong with its shape, never what is in it."""


class JobState(Struct, frozen=True):
    """A job as one page of its result tells it."""

    status: str
    """In lower case, as versions differ in it."""
    entities: dict[str, tuple[Entity, ...]]
    """By document id, sorted by offset."""
    faults: dict[str, Fault]
    """By document id: why it has no entities."""
    errors: tuple[Fault, ...]
    """What is wrong with the job as a whole."""
    model: Model
    """What the result says found the entities; empty names where it does not say."""
    next_page: Page | None
    created: datetime | None
    """To the second, as the wire has it."""
    last_updated: datetime | None
    """As its tasks say it, which is to the microsecond; to the second where they do not."""
    transactions: dict[str, int] = {}
    """By document id: the text records that it is billed as, where the result says so."""
    tells_cost: bool = False
    """Whether the result says what is billed, if only as a sum: then a document at fault costs nothing."""


_encoder = msgspec.json.Encoder()
_job_decoder = msgspec.json.Decoder(JobDocument)
_results_decoder: msgspec.json.Decoder[Results | None] = msgspec.json.Decoder(Results | None)

_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.-]{1,128}")
_TOP = re.compile(r"[?&](?:\$|%24)?top=([0-9]{1,6})(?![^&#])")
_SKIP = re.compile(r"[?&](?:\$|%24)?skip=([0-9]{1,6})(?![^&#])")
_by_offset = attrgetter("offset")


def encode_submit(batch: Batch, project: str, deployment: str, string_index: str = CODE_POINTS) -> bytes:
    """Write a batch as the body of a submit."""
    documents = tuple(InputDocument(each.wire_id, each.text, each.language) for each in batch)
    task = Task(TASK_KIND, parameters=Parameters(project, deployment, string_index))
    return _encoder.encode(Request(analysis_input=Input(documents), tasks=(task,)))


def wire_id(partition: Partition, offset: int, start: int, length: int, text: str) -> str:
    """Name a text for the API: `topic/partition/offset/start/length/crc`.

    Start and length say which code points of the document it is; the CRC-32 of its UTF-8 has eight
    hexadecimal digits. Change the form, and no job in flight fits its batch any more.
    """
    checksum = zlib.crc32(text.encode())
    return f"{partition.topic}/{partition.index}/{offset}/{start}/{length}/{checksum:08x}"


def submit_path(api_version: str) -> str:
    """Path and query to submit a batch to."""
    return f"{JOBS_PATH}?api-version={api_version}"


def job_path(job_id: str, api_version: str, top: int = MOST_DOCUMENTS, skip: int = 0) -> str:
    """Path and query of one page of a job, with what it is billed. The default page holds every document of a batch."""
    return f"{JOBS_PATH}/{job_id}?api-version={api_version}&top={top}&skip={skip}&showStats=true"


def job_id_of(operation_location: str) -> str | None:
    """Take the job's id out of `.../jobs/<id>?...`; None where there is none that is safe in a path."""
    path = re.split(r"[?#]", operation_location, maxsplit=1)[0]
    _, jobs, job_id = path.rstrip("/").rpartition("/jobs/")
    return job_id if jobs and _ID.fullmatch(job_id) else None


def page_of(next_link: str) -> Page | None:
    """Take the page out of `...?top=5&skip=20&...`; None where it names none."""
    top, skip = _TOP.search(next_link), _SKIP.search(next_link)
    if skip is None:
        return None
    return Page(int(top[1]) if top else PAGE_SIZE, int(skip[1]))


def decode_job(body: bytes) -> JobState:
    """Read one page of a job. Raises Garbled."""
    try:
        job = _job_decoder.decode(body)
        items = (job.tasks.items if job.tasks else None) or ()
        results = _own_results(items)
    except (ValueError, RecursionError) as wrong:
        # only msgspec's own words are sure to quote nothing
        why = str(wrong) if isinstance(wrong, MsgspecError) else type(wrong).__name__
        raise Garbled(f"the answer is no job document: {why}") from None
    return JobState(
        status=job.status.lower(),
        entities=_entities(results),
        faults=_faults(results),
        errors=_job_errors(job.errors),
        model=_model(results),
        next_page=page_of(job.next_link) if isinstance(job.next_link, str) else None,
        created=_moment(job.created_date_time),
        last_updated=_last_updated(job, items),
        transactions=dict(_transactions(results)),
        tells_cost=any(_billed(part.statistics) is not None for part in results),
    )


def _own_results(items: Sequence[Item]) -> list[Results]:
    """Read the results of custom-NER tasks; a task alone may be of any kind, if it brought entities."""
    own = [item for item in items if item.kind == RESULT_KIND]
    if own or len(items) != 1:
        return list(_decoded(own))
    try:
        return list(_decoded(items))
    except msgspec.ValidationError:
        return []


def _decoded(items: Iterable[Item]) -> Iterable[Results]:
    for item in items:
        if item.results is not UNSET and (results := _results_decoder.decode(item.results)):
            yield results


def _entities(results: Iterable[Results]) -> dict[str, tuple[Entity, ...]]:
    found: dict[str, tuple[Entity, ...]] = {}
    for part in results:
        for document in part.documents or ():
            if document.entities is not UNSET and document.id not in found:
                found[document.id] = tuple(sorted(document.entities, key=_by_offset))
    return found


def _transactions(results: Iterable[Results]) -> Iterator[tuple[str, int]]:
    for part in results:
        for document in part.documents or ():
            if (count := _billed(document.statistics)) is not None:
                yield document.id, count


def _billed(statistics: object) -> int | None:
    """Read how many text records statistics say are billed; None where they do not, or make no sense."""
    count = statistics.get("transactionsCount") if isinstance(statistics, dict) else None
    return count if isinstance(count, int) and 0 <= count <= MOST_CHARACTERS else None


def _faults(results: Iterable[Results]) -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for part in results:
        for document in part.errors or ():
            found.setdefault(document.id, fault_of(document.error) or Fault("", ""))
    return found


def _job_errors(errors: object) -> tuple[Fault, ...]:
    return tuple(filter(None, map(fault_of, errors))) if isinstance(errors, list) else ()


def _model(results: Sequence[Results]) -> Model:
    if not results:
        return Model("", "")
    first = results[0]
    return Model(first.project_name or "", first.deployment_name or "", first.model_version or None)


def _last_updated(job: JobDocument, items: Iterable[Item]) -> datetime | None:
    told = filter(None, (_moment(item.last_update_date_time) for item in items))
    return max(told, default=None) or _moment(job.last_updated_date_time) or _moment(job.last_update_date_time)


def _moment(value: object) -> datetime | None:
    """Read a moment; all of them are UTC, whether they say so or not."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
