"""What the server of the modern dialect sends: a job in pages, with keys and dates as the service has them.

A job is paged over its texts in the order they were submitted, found and faulty ones alike.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from entity_stream.core.model import Entity
from entity_stream.core.wire.errors import Fault
from entity_stream.core.wire.shapes import (
    JOBS_PATH,
    PAGE_SIZE,
    RESULT_KIND,
    BatchStatistics,
    DocumentError,
    DocumentResult,
    DocumentStatistics,
    Item,
    JobDocument,
    Page,
    Results,
    Tasks,
)

Status = Literal["notStarted", "running", "succeeded", "failed", "cancelled"]


class Found(Struct, frozen=True, tag=True):
    """The entities of one text, offsets in the unit its task asked for; `characters` are text elements."""

    id: str
    entities: tuple[Entity, ...]
    characters: int


class Faulty(Struct, frozen=True, tag=True):
    """Why one text has no entities."""

    id: str
    fault: Fault


class ServedTask(Struct, frozen=True):
    """One task of a job, and what it found, in the order of the texts."""

    name: str | None
    project: str
    deployment: str
    status: Status
    last_updated: datetime
    answers: tuple[Found | Faulty, ...] = ()


class ServedJob(Struct, frozen=True):
    """All that a poll may tell. Moments know their time zone."""

    id: str
    status: Status
    created: datetime
    last_updated: datetime
    expires: datetime
    tasks: tuple[ServedTask, ...]
    errors: tuple[Fault, ...] = ()
    display_name: str | None = None


FIRST_PAGE: Final = Page(PAGE_SIZE, 0)
LAST_UPDATE_VERSIONS: Final = frozenset({"2022-03-01-preview", "2022-10-01-preview"})
"""The versions in which a job says lastUpdateDateTime; in all others it says lastUpdatedDateTime."""
CHARACTERS_A_TRANSACTION: Final = 1_000

_encoder = msgspec.json.Encoder()


def encode_job(
    job: ServedJob, base: str, api_version: str, page: Page = FIRST_PAGE, *, show_stats: bool = False
) -> bytes:
    """Write one page of a job. `base` is scheme and host as the client calls them."""
    ended = [task for task in job.tasks if task.status not in {"notStarted", "running"}]
    old = api_version in LAST_UPDATE_VERSIONS
    updated = _to_the_second(job.last_updated)
    here = f"{base}{JOBS_PATH}/{job.id}"
    document = JobDocument(
        job_id=job.id,
        last_updated_date_time=UNSET if old else updated,
        last_update_date_time=updated if old else UNSET,
        created_date_time=_to_the_second(job.created),
        expiration_date_time=_to_the_second(job.expires),
        status=job.status,
        errors=job.errors,
        display_name=UNSET if job.display_name is None else job.display_name,
        tasks=Tasks(
            completed=sum(task.status == "succeeded" for task in ended),
            failed=sum(task.status == "failed" for task in ended),
            in_progress=len(job.tasks) - len(ended),
            total=len(job.tasks),
            items=[_item(task, page, show_stats=show_stats) for task in ended],
        ),
        next_link=_next_link(here, ended, page, api_version, show_stats=show_stats),
    )
    return _encoder.encode(document)


def _next_link(
    here: str, ended: Sequence[ServedTask], page: Page, api_version: str, *, show_stats: bool
) -> str | UnsetType:
    """Link to all that is left, as the service does: 25 texts are a page of 20 and a link to 5."""
    skip = page.skip + page.top
    left = max((len(task.answers) for task in ended), default=0) - skip
    if left <= 0:
        return UNSET
    return f"{here}?{'showStats=True&' if show_stats else ''}top={left}&skip={skip}&api-version={api_version}"


def _item(task: ServedTask, page: Page, *, show_stats: bool) -> Item:
    results = _results(task, task.answers[page.skip : page.skip + page.top], show_stats=show_stats)
    return Item(
        kind=RESULT_KIND,
        task_name=UNSET if task.name is None else task.name,
        last_update_date_time=_to_the_fraction(task.last_updated),
        status=task.status,
        results=UNSET if task.status == "failed" else Raw(_encoder.encode(results)),
    )


def _results(task: ServedTask, answers: Sequence[Found | Faulty], *, show_stats: bool) -> Results:
    found = [answer for answer in answers if isinstance(answer, Found)]
    faulty = [answer for answer in answers if isinstance(answer, Faulty)]
    return Results(
        statistics=_batch_statistics(found, faulty) if show_stats else UNSET,
        documents=[
            DocumentResult(each.id, _statistics(each) if show_stats else UNSET, each.entities) for each in found
        ],
        errors=[DocumentError(each.id, each.fault) for each in faulty],
        project_name=task.project,
        deployment_name=task.deployment,
    )


def _batch_statistics(found: Sequence[Found], faulty: Sequence[Faulty]) -> BatchStatistics:
    """Count what is on the page: erroneous texts cost nothing."""
    return BatchStatistics(
        documents_count=len(found) + len(faulty),
        valid_documents_count=len(found),
        erroneous_documents_count=len(faulty),
        transactions_count=sum(map(_transactions, found)),
    )


def _statistics(answer: Found) -> DocumentStatistics:
    return DocumentStatistics(answer.characters, _transactions(answer))


def _transactions(answer: Found) -> int:
    return -(-answer.characters // CHARACTERS_A_TRANSACTION)


def _to_the_second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _to_the_fraction(moment: datetime) -> str:
    """Seven digits, less the zeros they end in: a moment of ours has six."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
