"""The JSON of the modern dialect (2022-05-01 and later) in the order of the wire; one set for both ends.

What a reader can do without has a default, what it must not trip over is typed `object`, and what a writer
leaves out is UNSET.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import UNSET, Raw, Struct, UnsetType

from entity_stream.core.model import Entity

JOBS_PATH: Final = "/language/analyze-text/jobs"
TASK_KIND: Final = "CustomEntityRecognition"
RESULT_KIND: Final = "CustomEntityRecognitionLROResults"
CODE_POINTS: Final = "UnicodeCodePoint"
UTF16_UNITS: Final = "Utf16CodeUnit"
TEXT_ELEMENTS: Final = "TextElements_v8"
PAGE_SIZE: Final = 20
"""Documents on a page when nobody asks for another number."""
MOST_DOCUMENTS: Final = 25
"""Documents in one request."""
MOST_CHARACTERS: Final = 125_000
"""In all documents of one request together, and so in one document."""


class Page(NamedTuple):
    """A part of a result: `top` documents after the first `skip`."""

    top: int
    skip: int


class InputDocument(Struct, frozen=True, gc=False, omit_defaults=True):
    """A text to be read. Without a language, the project's own is meant."""

    id: str = ""
    text: str = ""
    language: str | None = None


class Input(Struct, frozen=True):
    """All texts of a request."""

    documents: tuple[InputDocument, ...] = ()


class Parameters(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which model shall read, and in which unit offsets are counted."""

    project_name: str = ""
    deployment_name: str = ""
    string_index_type: str = TEXT_ELEMENTS


class Task(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What shall be done with the texts."""

    kind: str
    task_name: str | None = None
    parameters: Parameters = Parameters()


class Request(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The body of a submit."""

    display_name: str | None = None
    analysis_input: Input = Input()
    tasks: tuple[Task, ...] = ()


class DocumentStatistics(Struct, frozen=True, gc=False, rename="camel"):
    """Characters are text elements; a transaction is a started thousand of them."""

    characters_count: int
    transactions_count: int


class BatchStatistics(Struct, frozen=True, gc=False, rename="camel"):
    """Counts the documents of this page only."""

    documents_count: int
    valid_documents_count: int
    erroneous_documents_count: int
    transactions_count: int


class DocumentResult(Struct, frozen=True):
    """The entities of one text, in any order."""

    id: str
    statistics: object = UNSET
    entities: Sequence[Entity] | UnsetType = UNSET
    warnings: object = ()


class DocumentError(Struct, frozen=True):
    """Why one text has no entities."""

    id: str
    error: object = None


class Results(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a task brought."""

    statistics: object = UNSET
    documents: Sequence[DocumentResult] | None = None
    errors: Sequence[DocumentError] | None = None
    project_name: str | None = None
    deployment_name: str | None = None
    model_version: str | None = None


class Item(Struct, frozen=True, rename="camel"):
    """One task of a job; one that failed has no results. They stay raw until it is known whose they are."""

    kind: str = ""
    task_name: object = UNSET
    last_update_date_time: object = UNSET
    status: object = UNSET
    results: Raw | UnsetType = UNSET


class Tasks(Struct, frozen=True, rename="camel"):
    """The counters of a job and its tasks that have ended."""

    completed: object = 0
    failed: object = 0
    in_progress: object = 0
    total: object = 0
    items: Sequence[Item] | None = None


class JobDocument(Struct, frozen=True, rename="camel", kw_only=True):
    """The body of a poll. Some versions say when it last changed in other words."""

    job_id: object = UNSET
    last_updated_date_time: object = UNSET
    last_update_date_time: object = UNSET
    created_date_time: object = UNSET
    expiration_date_time: object = UNSET
    status: str
    errors: object = ()
    display_name: object = UNSET
    tasks: Tasks | None = None
    next_link: object = UNSET
