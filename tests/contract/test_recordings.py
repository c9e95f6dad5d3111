"""The recorded traffic of the real service goes through both ends of the wire, and one end through the other."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from entity_stream.core.cost import text_records
from entity_stream.core.model import Annotated, Batch, Document, Entity, Job, Partition, Record, Rejected
from entity_stream.core.verdict import (
    Again,
    Answer,
    Done,
    Freeze,
    Halve,
    Park,
    Running,
    Wait,
    judge,
    on_submit,
    read_page,
)
from entity_stream.core.wire.errors import Fault, explain, fault_of
from entity_stream.core.wire.runtime import JobState, decode_job, encode_submit, job_id_of, page_of
from entity_stream.core.wire.service_job import Faulty, Found, ServedJob, ServedTask, encode_job
from entity_stream.core.wire.service_submit import EMPTY_TEXT, Refused, decode_submit, fault_in
from entity_stream.core.wire.shapes import InputDocument, Page

RECORDINGS = Path(__file__).parent / "recordings"
KIND = "CustomEntityRecognitionLROResults"


class Exchange(Struct, frozen=True):
    """One recorded request and its answer."""

    name: str
    method: str
    path: str
    sent: dict[str, Any] | None
    status: int
    headers: dict[str, str]
    body: dict[str, Any] | None

    def __str__(self) -> str:
        return self.name

    def answer(self) -> Answer:
        """Give what our client would see."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps(self.body).encode() if self.body is not None else b""
        return Answer(self.status, body, headers.get("retry-after"), headers.get("operation-location"))


def exchanges() -> Iterator[Exchange]:
    for path in sorted(RECORDINGS.rglob("*.json")):
        for place, entry in enumerate(json.loads(path.read_text(encoding="utf-8")).get("Entries", [])):
            yield Exchange(
                f"{path.stem}-{place}",
                entry["RequestMethod"],
                entry["RequestUri"],
                entry["RequestBody"],
                entry["StatusCode"],
                entry["ResponseHeaders"],
                entry["ResponseBody"] or None,
            )


ALL = list(exchanges())
SUBMITS = [each for each in ALL if each.method == "POST" and "/analyze-text/jobs?" in each.path]
POLLS = [each for each in ALL if each.body and "jobId" in each.body]
OURS = [each for each in POLLS if each.body and any(task["kind"] == KIND for task in each.body["tasks"]["items"])]
ALONE = [each for each in OURS if each.body and {task["kind"] for task in each.body["tasks"]["items"]} == {KIND}]
SYNCHRONOUS = [each for each in ALL if "/:analyze-text?" in each.path]


def issue(name: str) -> Answer:
    quoted = json.loads((RECORDINGS / "issues" / f"{name}.json").read_text(encoding="utf-8"))
    waits = (quoted.get("ResponseHeaders") or {}).get("Retry-After")
    return Answer(quoted["StatusCode"], json.dumps(quoted["ResponseBody"]).encode(), waits, None)


def test_there_is_something_to_replay() -> None:
    """The recordings are all there: a test that replays none of them would pass for nothing."""
    assert (len(SUBMITS), len(POLLS), len(OURS), len(ALONE), len(SYNCHRONOUS)) == (20, 28, 18, 10, 9)


# what the real SDKs sent, to our server's end


@pytest.mark.parametrize("exchange", SUBMITS, ids=str)
def test_each_recorded_submit_is_answered_as_it_was(exchange: Exchange) -> None:
    """A submit that the service accepted is read in every detail; one that it refused we refuse alike."""
    assert exchange.sent is not None
    body = json.dumps(exchange.sent).encode()
    if exchange.status == 400:
        with pytest.raises(Refused) as caught:
            decode_submit(body)
        assert (caught.value.status, json.loads(caught.value.body)) == (400, exchange.body)
        return
    submission = decode_submit(body)
    assert [(each.id, each.text, each.language) for each in submission.documents] == [
        (each["id"], each["text"], each.get("language")) for each in exchange.sent["analysisInput"]["documents"]
    ]
    assert [(each.kind, each.name, each.project) for each in submission.tasks] == [
        (each["kind"], each.get("taskName"), each["parameters"].get("projectName", ""))
        for each in exchange.sent["tasks"]
    ]
    assert submission.display_name == exchange.sent.get("displayName")


def test_our_submit_is_one_that_an_sdk_would_send() -> None:
    """What our client writes for the texts of a recorded submit has the fields and values of the recorded one."""
    exchange = next(each for each in SUBMITS if "poller_metadata" in each.name)
    assert exchange.sent is not None
    (task,) = exchange.sent["tasks"]
    batch = batch_of(exchange)
    ours = json.loads(encode_submit(batch, task["parameters"]["projectName"], task["parameters"]["deploymentName"]))
    assert ours["analysisInput"] == exchange.sent["analysisInput"]
    (our_task,) = ours["tasks"]
    assert our_task == {"kind": task["kind"], "parameters": task["parameters"]}


# what the real service answered, to our client's end


@pytest.mark.parametrize("exchange", [each for each in ALL if each.status == 202], ids=str)
def test_each_accepted_submit_is_done(exchange: Exchange) -> None:
    """Each recorded 202 names a job, and it is the id in its operation-location."""
    verdict = on_submit(exchange.answer(), "blue", 0.0)
    assert isinstance(verdict, Done)
    assert isinstance(verdict.value, Job)
    assert f"/jobs/{verdict.value.id}?" in exchange.headers["operation-location"]


@pytest.mark.parametrize("exchange", POLLS, ids=str)
def test_each_recorded_job_is_read(exchange: Exchange) -> None:
    """Every recorded job document, also those of other tasks, is read, and has the verdict of its status."""
    assert exchange.body is not None
    state = decode_job(exchange.answer().body)
    assert state.status == exchange.body["status"].lower()
    assert state.created is not None
    assert state.last_updated is not None
    assert timedelta(0) <= state.last_updated - state.created < timedelta(minutes=1)
    expected = {"notStarted": Running, "running": Running, "succeeded": JobState, "cancelled": Again}
    assert isinstance(read_page(exchange.answer(), 0.0), expected[exchange.body["status"]])


@pytest.mark.parametrize("exchange", OURS, ids=str)
def test_each_custom_ner_result_is_read_whole(exchange: Exchange) -> None:
    """Ids, counts, errors and model are those of the recording, read here without our code."""
    assert exchange.body is not None
    (task,) = (each for each in exchange.body["tasks"]["items"] if each["kind"] == KIND)
    results = task["results"]
    state = decode_job(exchange.answer().body)
    assert {name: len(found) for name, found in state.entities.items()} == {
        each["id"]: len(each["entities"]) for each in results["documents"]
    }
    assert list(state.faults) == [each["id"] for each in results["errors"]]
    assert (state.model.project, state.model.deployment) == (
        results["projectName"],
        results["deploymentName"],
    )
    assert state.next_page is None


@pytest.mark.parametrize("exchange", OURS, ids=str)
def test_what_a_result_says_it_is_billed_is_read(exchange: Exchange) -> None:
    """Each document's text records where statistics were asked for, and nothing where they were not."""
    assert exchange.body is not None
    results = [task["results"] for task in exchange.body["tasks"]["items"] if task["kind"] == KIND]
    shown = [each for some in results for each in some["documents"] if "statistics" in each]
    told = decode_job(json.dumps(exchange.body).encode()).transactions
    assert told == {each["id"]: each["statistics"]["transactionsCount"] for each in shown}
    for each in shown:
        assert told[each["id"]] == text_records("x" * each["statistics"]["charactersCount"])


@pytest.mark.parametrize("exchange", OURS, ids=str)
def test_offsets_are_slices_of_the_text_that_was_sent(exchange: Exchange) -> None:
    """Offset and length cut each entity out of its text, and entities neither overlap nor come unsorted."""
    sent = {each.id: each.text for each in batch_of(submit_of(exchange))}
    for name, entities in decode_job(exchange.answer().body).entities.items():
        end = 0
        for entity in entities:
            assert entity.offset >= end
            end = entity.offset + entity.length
            assert sent[name][entity.offset : end] == entity.text


@pytest.mark.parametrize(
    "exchange", [each for each in OURS if each.body and each.body["status"] == "succeeded"], ids=str
)
def test_each_document_of_a_recorded_job_has_its_outcome(exchange: Exchange) -> None:
    """Judged against the batch that was sent, a recorded job leaves nothing missing and rejects empty texts only."""
    batch = batch_of(submit_of(exchange))
    judged = judge(batch, [decode_job(exchange.answer().body)])
    assert not judged.missing
    for document, outcome in zip(batch, judged.outcomes, strict=True):
        assert outcome.record == document.record
        assert isinstance(outcome, Annotated if document.text else Rejected)
        if isinstance(outcome, Rejected):
            assert (outcome.reason.code, outcome.reason.message) == (
                "InvalidDocument",
                "Document text is empty.",
            )


def test_recorded_pages_link_to_each_other() -> None:
    """Of a recorded job of 25 documents each page but the last names the next, which begins where it ends."""
    paged = [each for each in POLLS if "multiple_pages" in each.name]
    pages = [decode_job(each.answer().body).next_page for each in paged]
    assert pages == [None, Page(5, 20), Page(5, 20), None]
    assert page_of(paged[-1].path) == Page(5, 20)


@pytest.mark.parametrize("exchange", SYNCHRONOUS, ids=str)
def test_code_points_slice_any_script(exchange: Exchange) -> None:
    """Behind emoji, diacritics, Korean and Zalgo the recorded code points are indices into a Python string."""
    assert exchange.sent is not None
    assert exchange.body is not None
    (text,) = (each["text"] for each in exchange.sent["analysisInput"]["documents"])
    items = [{"kind": "PiiEntityRecognitionLROResults", "results": exchange.body["results"]}]
    state = decode_job(json.dumps({"status": "succeeded", "tasks": {"items": items}}).encode())
    (entity,) = state.entities["0"]
    assert text[entity.offset : entity.offset + entity.length] == entity.text == "859-98-0987"


@pytest.mark.parametrize(
    ("name", "on_a_submit", "on_a_poll"),
    [
        ("429-submit-v3.2-preview.2", Freeze("HTTP 429"), Freeze("HTTP 429")),
        ("429-get-status-v3.2-preview.2", Freeze("HTTP 429", 1.0), Freeze("HTTP 429", 1.0)),
        (
            "500-submit-two-same-kind",
            Wait("HTTP 500 InternalServerError"),
            Wait("HTTP 500 InternalServerError"),
        ),
        (
            "500-get-status-v3.2-preview.2",
            Wait("HTTP 500 InternalServerError"),
            Wait("HTTP 500 InternalServerError"),
        ),
        ("403-f0-quota", Freeze("HTTP 403"), Freeze("HTTP 403")),
        ("job-failed-language", Wait("HTTP 200"), Again("job failed InternalServerError")),
    ],
)
def test_quoted_trouble_has_its_verdict(name: str, on_a_submit: object, on_a_poll: object) -> None:
    """Errors that users quoted in issues have the verdicts that the design gives to them."""
    assert on_submit(issue(name), "blue", 0.0) == on_a_submit
    assert read_page(issue(name), 0.0) == on_a_poll


def test_a_partly_failed_job_is_a_result_with_gaps() -> None:
    """A status that is in no specification, partiallySucceeded, is an end; its errors say which task failed."""
    state = read_page(issue("job-partiallySucceeded-language"), 0.0)
    assert isinstance(state, JobState)
    assert [error.target for error in state.errors] == ["#/tasks/items/0", "#/tasks/items/1"]


@pytest.mark.parametrize(
    ("name", "verdict", "code"),
    [
        ("too_many_documents", Halve, "InvalidDocumentBatch"),
        ("bad_request_on_empty_document", Halve, "InvalidDocumentBatch"),
        ("bad_credentials", Park, "401"),
    ],
)
def test_refused_submits_have_their_verdict(name: str, verdict: type, code: str) -> None:
    """What the service refused is halved if it was the documents' fault, and parks if it was the key's."""
    (exchange,) = (each for each in SUBMITS if name in each.name)
    answer = exchange.answer()
    assert isinstance(on_submit(answer, "blue", 0.0), verdict)
    assert explain(answer.status, answer.body).code == code


# one end against the other


def comparable(body: dict[str, Any]) -> str:
    """Show a recorded job as text, its keys in their order, dates with the six digits that ours have."""
    shown = json.loads(json.dumps(body))
    for task in shown["tasks"]["items"]:
        moment = datetime.fromisoformat(task["lastUpdateDateTime"])
        task["lastUpdateDateTime"] = f"{moment:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
    return json.dumps(shown, indent=1)


@pytest.mark.parametrize("exchange", ALONE, ids=str)
def test_our_server_would_have_answered_to_the_letter(exchange: Exchange) -> None:
    """Given what the service found, our server's end writes the recorded answer: keys, order, numbers, dates."""
    assert exchange.body is not None
    shown = "showStats" in exchange.path
    body = encode_job(as_served(exchange.body, shown=shown), "https://h", "2022-05-01", show_stats=shown)
    assert comparable(json.loads(body)) == comparable(exchange.body)


def as_served(body: dict[str, Any], *, shown: bool) -> ServedJob:
    def moment(name: str, of: dict[str, Any] = body) -> datetime:
        return datetime.fromisoformat(of[name])

    tasks = tuple(
        ServedTask(
            task.get("taskName"),
            task["results"]["projectName"],
            task["results"]["deploymentName"],
            task["status"],
            moment("lastUpdateDateTime", task),
            tuple(answers_of(task["results"], shown=shown)),
        )
        for task in body["tasks"]["items"]
    )
    return ServedJob(
        body["jobId"],
        body["status"],
        moment("createdDateTime"),
        moment("lastUpdatedDateTime"),
        moment("expirationDateTime"),
        tasks,
        display_name=body.get("displayName"),
    )


def answers_of(results: dict[str, Any], *, shown: bool) -> Iterator[Found | Faulty]:
    for each in results["documents"]:
        entities = tuple(
            Entity(one["text"], one["category"], one["offset"], one["length"], one["confidenceScore"])
            for one in each["entities"]
        )
        yield Found(each["id"], entities, each["statistics"]["charactersCount"] if shown else 0)
    for each in results["errors"]:
        fault = fault_of(each["error"])
        assert fault is not None
        yield Faulty(each["id"], fault)


def test_the_errors_of_unreadable_texts_are_the_recorded_ones() -> None:
    """An empty text has the very error of the recordings, an unknown language its codes and first words."""
    faults = {
        each["error"]["innererror"]["code"]: fault_of(each["error"])
        for exchange in POLLS
        if exchange.body
        for task in exchange.body["tasks"]["items"]
        for each in task.get("results", {}).get("errors", [])
    }
    assert faults["InvalidDocument"] == EMPTY_TEXT == fault_in(InputDocument("1", ""), {"en"})
    ours, recorded = fault_in(InputDocument("1", "x", "tlh"), {"en", "es"}), faults["UnsupportedLanguageCode"]
    assert ours is not None
    assert recorded is not None
    assert ours.innererror is not None
    assert recorded.innererror is not None
    assert (ours.code, ours.message) == (recorded.code, recorded.message)
    assert ours.innererror.message.partition(": ")[0] == recorded.innererror.message.partition(": ")[0]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
entities = st.builds(
    Entity,
    names,
    names,
    st.integers(0, 125_000),
    st.integers(1, 500),
    st.integers(0, 100).map(lambda hundredths: hundredths / 100),
    st.none() | names,
)
moments = st.datetimes(datetime(2022, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(st.tuples(texts, st.none() | st.just("en")), min_size=1, max_size=25), names, names)
def test_a_submit_of_ours_is_read_by_our_server(
    sent: list[tuple[str, str | None]], project: str, deployment: str
) -> None:
    """Whatever texts and names our client writes, our server reads them unchanged."""
    batch = tuple(document(str(place), text, language) for place, (text, language) in enumerate(sent))
    submission = decode_submit(encode_submit(batch, project, deployment))
    assert [(each.text, each.language) for each in submission.documents] == sent
    (task,) = submission.tasks
    assert (task.project, task.deployment, task.string_index) == (project, deployment, "UnicodeCodePoint")


@given(st.lists(st.lists(entities, max_size=3) | st.none(), min_size=1, max_size=25), moments, st.integers(1, 50))
def test_all_pages_of_our_server_are_read_by_our_client(
    found: list[list[Entity] | None], moment: datetime, top: int
) -> None:
    """Following the links of a job from its first page brings every document once, entities or error."""
    answers = tuple(
        Faulty(str(place), EMPTY_TEXT) if each is None else Found(str(place), tuple(each), 1)
        for place, each in enumerate(found)
    )
    task = ServedTask("0", "P", "D", "succeeded", moment, answers)
    served = ServedJob("abc", "succeeded", moment, moment, moment, (task,))
    states = list(pages(served, Page(top, 0)))
    assert len(states) == (1 if len(found) <= top else 2)
    assert [name for state in states for name in state.entities] == [
        answer.id for answer in answers if isinstance(answer, Found)
    ]
    faults: dict[str, Fault] = {}
    for state in states:
        faults |= state.faults
        for name, read in state.entities.items():
            assert read == tuple(sorted(found[int(name)] or [], key=lambda entity: entity.offset))
        assert (state.created, state.last_updated) == (moment.replace(microsecond=0), moment)
    assert faults == {answer.id: EMPTY_TEXT for answer in answers if isinstance(answer, Faulty)}


def pages(job: ServedJob, page: Page | None) -> Iterator[JobState]:
    while page is not None:
        state = decode_job(encode_job(job, "https://h", "2022-05-01", page))
        yield state
        assert state.next_page is None or state.next_page.skip > page.skip, "a link must lead on"
        page = state.next_page


def test_a_job_of_25_documents_has_two_pages() -> None:
    """By default the first page has 20 documents and links to the other 5, in the words of the recorded link."""
    moment = datetime(2022, 6, 9, tzinfo=UTC)
    answers = tuple(Found(str(place), (), 1) for place in range(25))
    recorded = next(each.body["nextLink"] for each in POLLS if each.body and "nextLink" in each.body)
    job_id = job_id_of(recorded)
    assert job_id is not None
    task = ServedTask(None, "P", "D", "succeeded", moment, answers)
    job = ServedJob(job_id, "succeeded", moment, moment, moment, (task,))
    host = recorded.partition("/language")[0]
    assert json.loads(encode_job(job, host, "2022-05-01", show_stats=True))["nextLink"] == recorded
    assert [len(state.entities) for state in pages(job, Page(20, 0))] == [20, 5]


def document(name: str, text: str, language: str | None) -> Document:
    """Make a document that the API was given under a name."""
    record = Record(Partition("t", 0), 0, key=None, value=text.encode())
    return Document(record, name, name, text, language)


def batch_of(exchange: Exchange) -> Batch:
    assert exchange.sent is not None
    inputs = exchange.sent["analysisInput"]["documents"]
    return tuple(document(each["id"], each["text"], each.get("language")) for each in inputs)


def submit_of(poll: Exchange) -> Exchange:
    """Find the submit that a poll's job came from."""
    assert poll.body is not None
    name = f"/jobs/{poll.body['jobId']}?"
    return next(each for each in SUBMITS if name in each.headers.get("operation-location", ""))
