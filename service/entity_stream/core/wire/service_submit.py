"""What the server of the modern dialect receives; it refuses what the service refuses, in the same words."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from entity_stream.core.wire.errors import Fault, encode_error
from entity_stream.core.wire.shapes import (
    CODE_POINTS,
    MOST_CHARACTERS,
    MOST_DOCUMENTS,
    PAGE_SIZE,
    TASK_KIND,
    TEXT_ELEMENTS,
    UTF16_UNITS,
    InputDocument,
    Page,
    Request,
    Task,
)


class Refused(ValueError):
    """A request that gets an error for an answer: the status and the body of it."""

    def __init__(self, status: int, fault: Fault) -> None:
        super().__init__(fault.message)
        self.status = status
        self.body = encode_error(fault)


class SubmittedTask(Struct, frozen=True):
    """What a submit asks to be done with its texts."""

    kind: str
    name: str | None
    """To be echoed in the result: clients look for it."""
    project: str
    deployment: str
    string_index: str


class Submission(Struct, frozen=True):
    """A submit that can be worked on: at least one task, and at least one text that is not empty."""

    documents: tuple[InputDocument, ...]
    tasks: tuple[SubmittedTask, ...]
    display_name: str | None = None


MOST_ON_A_PAGE: Final = 50
STRING_INDEXES: Final = {
    TEXT_ELEMENTS: TEXT_ELEMENTS,
    "TextElement_v8": TEXT_ELEMENTS,  # the spelling of older versions
    CODE_POINTS: CODE_POINTS,
    UTF16_UNITS: UTF16_UNITS,
}
"""The spellings of stringIndexType that are taken, and what they mean."""
EMPTY_TEXT: Final = Fault(
    "InvalidArgument",
    "Invalid Document in request.",
    innererror=Fault("InvalidDocument", "Document text is empty."),
)

Texts = Sequence[InputDocument]


class _Check(Struct, frozen=True):
    """What may be wrong with the texts of a request, and the answer to it."""

    fails: Callable[[Texts], bool]
    status: int
    code: str
    message: str


# the first that fails is answered
_CHECKS = (
    _Check(lambda texts: not texts, 400, "MissingInputDocuments", "Missing input documents."),
    _Check(
        lambda texts: len(texts) > MOST_DOCUMENTS,
        400,
        "InvalidDocumentBatch",
        f"Batch request contains too many records. Max {MOST_DOCUMENTS} records are permitted.",
    ),
    _Check(lambda texts: not all(each.id for each in texts), 400, "InvalidDocument", "Document Id is empty."),
    _Check(
        lambda texts: len({each.id for each in texts}) < len(texts),
        400,
        "InvalidDocument",
        "Request contains duplicated Ids. Make sure each document has a unique Id.",
    ),
    _Check(
        lambda texts: not any(each.text for each in texts),
        400,
        "InvalidDocumentBatch",
        "Document text is empty.",
    ),
    _Check(
        # in code points: quick to count, and never fewer than text elements
        lambda texts: sum(len(each.text) for each in texts) > MOST_CHARACTERS,
        413,
        "InvalidDocumentBatch",
        f"Request Payload sent is too large to be processed. Limit request size to: {MOST_CHARACTERS}",
    ),
)

_decoder = msgspec.json.Decoder(Request)


def decode_submit(body: bytes) -> Submission:
    """Read a submit. Raises Refused."""
    try:
        request = _decoder.decode(body)
    except (ValueError, RecursionError):
        message = "Request body format is wrong: it must be the JSON of this operation, without null members."
        raise _invalid("InvalidRequestBodyFormat", message) from None
    texts = request.analysis_input.documents
    for check in _CHECKS:
        if check.fails(texts):
            inner = Fault(check.code, check.message)
            raise Refused(check.status, Fault("InvalidRequest", EMPTY_TEXT.message, innererror=inner))
    if not request.tasks:
        raise _invalid("InvalidParameterValue", "The request has no tasks.")
    tasks = tuple(_submitted(task, place) for place, task in enumerate(request.tasks))
    return Submission(texts, tasks, request.display_name)


def decode_page(top: str | None, skip: str | None) -> Page:
    """Read which page a poll asks for. Raises Refused."""
    return Page(
        _number("top", top, range(1, MOST_ON_A_PAGE + 1), PAGE_SIZE),
        _number("skip", skip, range(1_000_000), 0),
    )


def fault_in(document: InputDocument, languages: Collection[str]) -> Fault | None:
    """Say why a text cannot be read: it is empty, or in none of these languages: lower case, `en` covers `en-us`."""
    if not document.text:
        return EMPTY_TEXT
    spoken = (document.language or "").lower()
    if not spoken or spoken in languages or spoken.partition("-")[0] in languages:
        return None
    message = f"Invalid language code. Supported languages: {','.join(sorted(languages))}."
    return Fault("InvalidArgument", "Invalid Language Code.", innererror=Fault("UnsupportedLanguageCode", message))


def _submitted(task: Task, place: int) -> SubmittedTask:
    """Check a task. Those of other kinds are for the caller to refuse."""
    asked = task.parameters
    string_index = STRING_INDEXES.get(asked.string_index_type)
    wrong = None
    if string_index is None:
        wrong = f"Invalid value for parameter 'stringIndexType', valid values are {', '.join(STRING_INDEXES)}."
    elif task.kind == TASK_KIND and not asked.project_name:
        wrong = "Missing value for parameter 'projectName'."
    elif task.kind == TASK_KIND and not asked.deployment_name:
        wrong = "Missing value for parameter 'deploymentName'."
    if string_index is None or wrong:
        message = f"Job task: '{task.kind}-{place}' failed with validation error: {wrong}"
        raise _invalid("InvalidParameterValue", message)
    return SubmittedTask(task.kind, task.task_name, asked.project_name, asked.deployment_name, string_index)


def _number(name: str, asked: str | None, allowed: range, default: int) -> int:
    if asked is None:
        return default
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else -1
    if number not in allowed:
        message = f"Invalid value for parameter '{name}', valid values are {allowed[0]} to {allowed[-1]}."
        raise _invalid("InvalidParameterValue", message)
    return number


def _invalid(code: str, message: str) -> Refused:
    detail = Fault("InvalidRequest", message)
    inner = Fault(code, message)
    return Refused(400, Fault("InvalidRequest", "Invalid Request.", details=(detail,), innererror=inner))
