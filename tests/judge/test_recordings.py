"""The endpoint's answers beside the recorded ones of the real service: the same keys, their order, the same words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.judge.books import Books
from tests.judge.conditions import Conditions, Duration, Fault, FaultName
from tests.judge.desk import Call, Desk
from tests.judge.replies import Reply
from tests.judge.samples import VERSION, marked, results_of, submit_body

RECORDINGS: Final = Path(__file__).parents[1] / "contract" / "recordings"
KIND: Final = "CustomEntityRecognitionLROResults"
NOW: Final = 1_700_000_000.25


class Recorded(msgspec.Struct, frozen=True, rename="pascal"):
    """A request to the real service, and its answer."""

    request_uri: str
    request_method: str
    status_code: int
    request_body: dict[str, Any] | None
    response_headers: dict[str, str]
    response_body: dict[str, Any] | str | None

    @property
    def body(self) -> dict[str, Any]:
        """What was answered."""
        assert isinstance(self.response_body, dict)
        return self.response_body

    def items(self) -> list[dict[str, Any]]:
        """Give the tasks of a job that was answered; none where it is none."""
        body = self.response_body
        items: list[dict[str, Any]] = body.get("tasks", {}).get("items", []) if isinstance(body, dict) else []
        return items


def exchanges() -> Iterator[Recorded]:
    for path in sorted(RECORDINGS.rglob("*.json")):
        for entry in json.loads(path.read_bytes()).get("Entries", []):
            yield msgspec.convert({"ResponseHeaders": {}} | entry, Recorded)


ALL: Final = list(exchanges())
ACCEPTED: Final = [
    each
    for each in ALL
    if each.status_code == 202
    and each.request_body
    and [task["kind"] for task in each.request_body["tasks"]] == ["CustomEntityRecognition"]
]
RESULTS: Final = [each for each in ALL if [item["kind"] for item in each.items()] == [KIND]]


def told(status: str) -> dict[str, Any]:
    """Find a recorded job by its status."""
    return next(each.body for each in ALL if each.status_code == 200 and each.body.get("status") == status)


def issue(name: str) -> dict[str, Any]:
    quoted: dict[str, Any] = json.loads((RECORDINGS / "issues" / f"{name}.json").read_bytes())["ResponseBody"]
    return quoted


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Give books, and close them."""
    books = Books(tmp_path / "books")
    yield books
    books.close()


def desk(books: Books, *faults: Fault, project: str = "project", deployment: str = "deployment") -> Desk:
    conditions = Conditions(project=project, deployment=deployment, faults=faults, duration=Duration(10.0))
    return Desk(conditions, books, "https://h", NOW)


def submitted(there: Desk, body: bytes, key: str = "key") -> Reply:
    return there.submit(Call("submit", key, f"api-version={VERSION}", NOW), body)


def polled(there: Desk, accepted: Reply, after: float = 10.0, page: str = "") -> dict[str, Any]:
    job = accepted.headers["operation-location"].split("/jobs/")[1].split("?")[0]
    reply = there.poll(Call("poll", "key", f"api-version={VERSION}{page}", NOW + after), job)
    body: dict[str, Any] = json.loads(reply.body)
    return body


def shape(value: object) -> object:
    """Keys in their order, kinds of values, the form of moments; statistics left out, which nobody here asks for."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items() if key != "statistics"]
    if isinstance(value, list):
        return sorted({repr(shape(each)) for each in value})
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return re.sub(r"(\.\d)?\d*Z$", r"\1Z", value).translate(str.maketrans("123456789", "0" * 9))
    return type(value).__name__


def test_there_is_something_to_compare_with() -> None:
    """The recordings are there: comparing with none of them would prove nothing."""
    assert (len(ALL), len(ACCEPTED), len(RESULTS)) == (59, 9, 10)


@pytest.mark.parametrize("exchange", ACCEPTED, ids=lambda each: each.request_uri[-40:])
def test_a_recorded_submit_is_accepted_in_the_recorded_way(books: Books, exchange: Recorded) -> None:
    """What the service accepted is accepted: no body, and the same operation-location but for host, id and version."""
    assert exchange.request_body is not None
    (task,) = exchange.request_body["tasks"]
    task["parameters"]["stringIndexType"] = "UnicodeCodePoint"  # one recorded client left it out
    there = desk(books, project=task["parameters"]["projectName"], deployment=task["parameters"]["deploymentName"])
    reply = submitted(there, json.dumps(exchange.request_body).encode())
    assert (reply.status, reply.body) == (202, b"")

    def form(location: str) -> str:
        return re.sub(r"https://[^/]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\d", "_", location)

    assert form(reply.headers["operation-location"]) == form(exchange.response_headers["operation-location"])


@pytest.mark.parametrize("exchange", RESULTS, ids=lambda each: each.request_uri[-40:])
def test_a_result_has_the_shape_of_the_recorded_one(books: Books, exchange: Recorded) -> None:
    """The same texts, under the same task and display name, give the same keys in their order, and the same errors."""
    job = exchange.body["jobId"]
    submit = next(each for each in ACCEPTED if job in each.response_headers["operation-location"])
    assert submit.request_body is not None
    (task,) = submit.request_body["tasks"]
    task["parameters"] |= {"stringIndexType": "UnicodeCodePoint"}
    there = desk(books, project=task["parameters"]["projectName"], deployment=task["parameters"]["deploymentName"])
    ours = polled(there, submitted(there, json.dumps(submit.request_body).encode()))
    assert shape(ours) == shape(exchange.body)
    assert results_of(ours)["errors"] == results_of(exchange.body)["errors"]
    assert ours["tasks"] | {"items": []} == exchange.body["tasks"] | {"items": []}


@pytest.mark.parametrize(("after", "status"), [(0.5, "notStarted"), (5.0, "running")])
def test_a_job_under_way_has_the_recorded_shape(books: Books, after: float, status: str) -> None:
    """Before its end a job has no items, and its one task is in progress."""
    there = desk(books)
    ours = polled(there, submitted(there, submit_body(marked("a"))), after)
    theirs = told(status)
    assert ours["status"] == status
    assert ours["tasks"] == {"completed": 0, "failed": 0, "inProgress": 1, "total": 1, "items": []}
    assert list(ours) == [key for key in theirs if key != "nextLink"]


def test_a_second_page_is_linked_as_recorded(books: Books) -> None:
    """Of 25 documents 20 come first, and the link to the others has the recorded parameters in their order."""
    there = desk(books)
    accepted = submitted(there, submit_body(marked(*(f"doc-{n}" for n in range(25)))))
    first = polled(there, accepted)
    linked = next(each.body["nextLink"] for each in ALL if "nextLink" in (each.response_body or {}))
    assert list(first)[-1] == "nextLink"
    query = linked.partition("?")[2].replace("showStats=True&", "").replace("2022-05-01", VERSION)
    assert first["nextLink"] == f"https://h/language/analyze-text/jobs/{first['jobId']}?{query}"
    second = polled(there, accepted, page="&top=5&skip=20")
    assert [len(results_of(page)["documents"]) for page in (first, second)] == [20, 5]
    assert "nextLink" not in second
    assert "nextLink" not in polled(there, accepted, page="&top=25&skip=0")


@pytest.mark.parametrize(
    ("status", "texts", "key"),
    [
        (401, {"1": "x"}, "wrong"),
        (400, {str(n): "x" for n in range(26)}, "key"),
        (400, {"1": "", "2": ""}, "key"),
    ],
)
def test_a_refusal_is_the_recorded_one(books: Books, status: int, texts: dict[str, str], key: str) -> None:
    """A wrong key, too many documents and nothing but empty ones get the recorded bodies, to the letter."""
    reply = submitted(desk(books), submit_body(texts), key)
    assert reply.status == status
    assert json.loads(reply.body) in [each.response_body for each in ALL if each.status_code == status]


@pytest.mark.parametrize(
    ("what", "name"),
    [("throttled", "429-submit-v3.2-preview.2"), ("poll-throttled", "429-get-status-v3.2-preview.2")],
)
def test_a_throttle_has_the_quoted_words(books: Books, what: FaultName, name: str) -> None:
    """A 429 says what users quoted, with its own operation, version and seconds."""
    there = desk(books, Fault(what))
    reply = submitted(there, submit_body(marked("a")))
    ours = polled(there, reply) if reply.status == 202 else json.loads(reply.body)

    def words(body: dict[str, Any]) -> str:
        return re.sub(r"\((.*?)\)|\d+ seconds?", "_", json.dumps(body))

    assert words(ours) == words(issue(name))


@pytest.mark.parametrize(
    ("what", "name"), [("fails", "job-failed-language"), ("partial", "job-partiallySucceeded-language")]
)
def test_a_job_that_ends_badly_has_the_quoted_shape(books: Books, what: FaultName, name: str) -> None:
    """The keys, the status and the words of the errors are those that users quoted."""
    there = desk(books, Fault(what))
    ours, theirs = polled(there, submitted(there, submit_body(marked("a", "b")))), issue(name)
    assert list(ours) == list(theirs)
    assert ours["status"] == theirs["status"]
    assert ours["errors"] == theirs["errors"][:1]
    if what == "fails":
        assert shape(ours) == shape(theirs)
        assert ours["tasks"] | {"items": []} == theirs["tasks"] | {"items": []}


def test_a_cancelled_job_has_the_recorded_shape(books: Books) -> None:
    """Its item is there, cancelled and empty, and no counter counts it."""
    there = desk(books, Fault("cancelled"))
    ours, theirs = polled(there, submitted(there, submit_body(marked("a")))), told("cancelled")
    assert list(ours) == list(theirs)
    assert {**ours["tasks"], "items": [], "total": 5} == {**theirs["tasks"], "items": []}
    (item,), other = ours["tasks"]["items"], theirs["tasks"]["items"][0]
    assert [key for key in other if key != "taskName"] == list(item)
    assert (item["status"], item["results"]["documents"], item["results"]["errors"]) == ("cancelled", [], [])
