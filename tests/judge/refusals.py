"""Why a call is refused, in the recorded bodies; and when the caller may return."""

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import msgspec
from msgspec import Struct

from tests.judge.conditions import Operation, RetryAfter
from tests.judge.dialect import SentDocument, Submission, Task

MOST_DOCUMENTS, MOST_CHARACTERS, LARGEST_BODY = 25, 125_000, 1_000_000
ABSURD: Final = 15 * 24 * 3600
"""Seconds of the Retry-After that a used-up free tier was seen to send."""


class Refusal(Struct, frozen=True):
    """An error's status and body."""

    status: int
    body: bytes


def _error(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, msgspec.json.encode({"error": {"code": code, "message": message}}))


def _invalid(status: int, code: str, message: str, about: str = "Invalid Document in request.") -> Refusal:
    inner = {"code": code, "message": message}
    error = {"code": "InvalidRequest", "message": about, "innererror": inner}
    return Refusal(status, msgspec.json.encode({"error": error}))


WRONG_KEY: Final = _error(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an"
    " active subscription and use a correct regional API endpoint for your resource.",
)
FORBIDDEN: Final = _error(403, "403", "Access denied due to Virtual Network/Firewall rules.")
NOT_FOUND: Final = _error(404, "404", "Resource not found")
NO_JOB: Final = _error(404, "NotFound", "The job is not found.")
NO_PROJECT: Final = _error(404, "ProjectNotFound", "The project or its deployment is not found.")
UNREADABLE: Final = _invalid(400, "InvalidRequestBodyFormat", "The body cannot be read.", "Invalid Request.")
WRONG_VERSION: Final = _invalid(400, "InvalidParameterValue", "The api-version is not supported.", "Invalid Request.")
WRONG_TASK: Final = _invalid(
    400,
    "InvalidParameterValue",
    "This endpoint does one task: CustomEntityRecognition with stringIndexType UnicodeCodePoint.",
    "Invalid Request.",
)
NO_DOCUMENTS: Final = _invalid(400, "MissingInputDocuments", "Missing input documents.")
TOO_MANY: Final = _invalid(
    400, "InvalidDocumentBatch", "Batch request contains too many records. Max 25 records are permitted."
)
ALL_EMPTY: Final = _invalid(400, "InvalidDocumentBatch", "Document text is empty.")
SAME_IDS: Final = _invalid(
    400, "InvalidDocument", "Request contains duplicated Ids. Make sure each document has a unique Id."
)
TOO_LARGE: Final = _invalid(
    413,
    "InvalidDocumentBatch",
    "Request Payload sent is too large to be processed. Limit request size to: 125000",
)
REFUSALS: Final = {401: WRONG_KEY, 403: FORBIDDEN, 404: NOT_FOUND}


def server_error(status: int) -> Refusal:
    """Fail without a reason that a client could mend."""
    return _error(status, "InternalServerError", "Internal server error")


def objection(submission: Submission, project: str, deployment: str) -> Refusal | None:
    """Say why a submit is refused whole; None where it is not."""
    return _objection_to_task(submission.tasks, project, deployment) or _objection_to_documents(submission.documents)


def _objection_to_task(tasks: list[Task], project: str, deployment: str) -> Refusal | None:
    if len(tasks) != 1 or tasks[0].kind != "CustomEntityRecognition":
        return WRONG_TASK
    parameters = tasks[0].parameters
    if parameters.string_index_type != "UnicodeCodePoint":
        return WRONG_TASK
    found = parameters.project_name == project and parameters.deployment_name == deployment
    return None if found else NO_PROJECT


def _objection_to_documents(documents: list[SentDocument]) -> Refusal | None:
    if not documents:
        return NO_DOCUMENTS
    if len(documents) > MOST_DOCUMENTS:
        return TOO_MANY
    if len({document.id for document in documents}) < len(documents):
        return SAME_IDS
    characters = sum(len(document.text) for document in documents)
    if characters > MOST_CHARACTERS:
        return TOO_LARGE
    return None if characters else ALL_EMPTY


_OPERATIONS: Final[dict[Operation, str]] = {"submit": "Submit analysis job", "poll": "Get analysis status and results"}


def throttled(operation: Operation, version: str, wait: float) -> Refusal:
    """Tell somebody that they are too fast."""
    seconds = max(1, math.ceil(wait))
    return _error(
        429,
        "429",
        f"Requests to the {_OPERATIONS[operation]} Operation under Text Analytics API ({version}) have exceeded rate"
        f" limit of your current TextAnalytics S pricing tier. Please retry after {seconds}"
        f" second{'s' if seconds > 1 else ''}. Please contact Azure support service if you would like to further"
        " increase the default rate limit.",
    )


def return_at(wait: float, now: float, style: RetryAfter) -> tuple[float, str | None]:
    """Say from when on a call is welcome, and the Retry-After that tells it. What is not meant is not binding."""
    if style == "none":
        return now, None
    if style == "absurd":
        return now, str(ABSURD)
    if style == "date":
        moment = float(math.ceil(now + wait))
        return moment, format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)
    seconds = max(1, math.ceil(wait))
    return now + seconds, str(seconds)
