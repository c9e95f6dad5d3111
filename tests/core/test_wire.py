"""Both ends of the modern dialect, value by value: what is tolerated and what is refused."""

import json
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.model import Entity, Model, Partition, Reason
from entity_stream.core.wire.errors import (
    LONGEST_CODE,
    LONGEST_MESSAGE,
    Fault,
    decode_error,
    encode_error,
    explain,
    fault_of,
    reason_of,
)
from entity_stream.core.wire.runtime import (
    Garbled,
    JobState,
    decode_job,
    encode_submit,
    job_id_of,
    job_path,
    page_of,
    submit_path,
    wire_id,
)
from entity_stream.core.wire.service_job import Faulty, Found, ServedJob, ServedTask, Status, encode_job
from entity_stream.core.wire.service_submit import (
    EMPTY_TEXT,
    Refused,
    decode_page,
    decode_submit,
    fault_in,
)
from entity_stream.core.wire.shapes import InputDocument, Page
from tests.core.language_samples import document, entity, error, item, job

MOMENT = datetime(2022, 6, 23, 2, 12, 27, 103290, tzinfo=UTC)
OTHERWISE = Reason("Unknown", "no reason")


def read(body: dict[str, Any]) -> JobState:
    return decode_job(json.dumps(body).encode())


# errors


def test_the_innermost_error_is_told() -> None:
    """Code and message come from the deepest level that has them."""
    assert explain(400, json.dumps(error("InvalidRequest", "InvalidDocument")).encode()) == Reason(
        "InvalidDocument", "about InvalidDocument"
    )


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error":{"code":"A","innerError":{"code":"B","message":"m"}}}', "B", "m"),
        (b'{"error":{"code":"A","message":"m","innerError":{"requestId":"7"}}}', "A", "m"),
        (b'{"error":{"code":"A","message":"outer","innererror":{"code":"B"}}}', "B", "outer"),
        (b'{"error":{"code":429,"message":"slow"}}', "429", "slow"),
        (b'{"code":"404","message":"Resource not found"}', "404", "Resource not found"),
        (b'{"statusCode":401,"message":"Denied"}', "401", "Denied"),
        (b'{"error":{"message":"two\\n lines\\u001b[31m"}}', "502", "two lines [31m"),
        (b'{"error":{"code":"a b<c>","message":""}}', "abc", "the answer says no reason"),
        (b'{"error":"my secret"}', "502", "the answer says no reason"),
        (b'["my secret"]', "502", "the answer says no reason"),
        (b"<html>my secret</html>", "502", "the answer says no reason"),
        (b"", "502", "the answer says no reason"),
    ],
)
def test_every_known_kind_of_error_body_is_told(body: bytes, code: str, message: str) -> None:
    """Both spellings, gateway codes, bare errors and bodies without an error give a code and one line."""
    assert explain(502, body) == Reason(code, message)


faults = st.recursive(
    st.builds(Fault, st.text(min_size=1), st.text()),
    lambda inner: st.builds(
        Fault,
        st.text(min_size=1),
        st.text(),
        target=st.none() | st.text(min_size=1),
        details=st.lists(inner, max_size=2).map(tuple),
        innererror=st.none() | inner,
    ),
    max_leaves=5,
)


@given(faults)
def test_a_written_error_is_read_back(fault: Fault) -> None:
    """What encode_error writes decode_error reads, to the last level."""
    assert decode_error(encode_error(fault)) == fault


@given(faults)
def test_an_error_is_told_in_one_short_line(fault: Fault) -> None:
    """Code and message are bounded and printable, whatever the API wrote into them."""
    reason = reason_of(fault, OTHERWISE)
    assert 0 < len(reason.code) <= LONGEST_CODE
    assert 0 < len(reason.message) <= LONGEST_MESSAGE
    assert (reason.code + reason.message).isprintable()


def test_a_long_message_is_cut() -> None:
    """A message is cut to its bound, and shows that it was."""
    message = reason_of(Fault("A", "word " * 10_000), OTHERWISE).message
    assert len(message) <= LONGEST_MESSAGE
    assert message.endswith("…")


def test_nesting_without_end_is_cut_off() -> None:
    """An error nested deeper than the API ever does is read as far as is sensible."""
    deep: dict[str, Any] = {"code": "last"}
    for level in range(500):
        deep = {"code": f"level{level}", "innererror": deep}
    assert reason_of(fault_of(deep), OTHERWISE).code == "level492"


# the client's end


def test_a_wire_id_says_what_text_it_is() -> None:
    """The form of a wire id is pinned: jobs in flight are matched by it after an upgrade too."""
    text = "Zürich 🚰"
    name = wire_id(Partition("a.b-c_d", 3, epoch=9), 1234, 5_000, len(text), text)
    assert name == f"a.b-c_d/3/1234/5000/8/{zlib.crc32(text.encode('utf-8')):08x}"
    assert wire_id(Partition("t", 0), 1, 0, 1, "a") == "t/0/1/0/1/e8b7be43"


@given(st.text(), st.text())
def test_wire_ids_tell_texts_apart(one: str, other: str) -> None:
    """At one place of the log, ids are the same for the same text, and differ as far as 32 bits tell."""
    names = [wire_id(Partition("t", 0), 7, 0, len(text), text) for text in (one, other)]
    same = (len(one), zlib.crc32(one.encode())) == (len(other), zlib.crc32(other.encode()))
    assert (names[0] == names[1]) == same


def test_paths_say_version_and_page() -> None:
    """A poll asks for a page that holds all documents of a batch unless told otherwise."""
    assert submit_path("2022-05-01") == "/language/analyze-text/jobs?api-version=2022-05-01"
    assert job_path("abc", "2023-04-01") == (
        "/language/analyze-text/jobs/abc?api-version=2023-04-01&top=25&skip=0&showStats=true"
    )
    assert job_path("abc", "2023-04-01", *Page(5, 20)).endswith("&top=5&skip=20&showStats=true")


@pytest.mark.parametrize(
    ("location", "job_id"),
    [
        ("https://h/language/analyze-text/jobs/64c0-f6?api-version=2022-05-01", "64c0-f6"),
        ("http://gw:8080/prefix/language/analyze-text/jobs/a_b.c/", "a_b.c"),
        ("/language/analyze-text/jobs/abc#x", "abc"),
        ("https://h/text/analytics/v3.2-preview.2/analyze/jobs/" + "a" * 128, "a" * 128),
        ("https://h/jobs/" + "a" * 129, None),
        ("https://h/jobs/", None),
        ("https://h/jobs/..", None),
        ("https://h/jobs/a%2Fb", None),
        ("https://h/jobs/a/b", None),
        ("https://h/jobs/abc:cancel", None),
        ("https://h/jobs/abc\n", None),
        ("https://h/elsewhere?then=/jobs/abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_of_a_location_only_the_job_id_is_taken(location: str, job_id: str | None) -> None:
    """The id is the last part of the path, and only if it is safe in a path of ours."""
    assert job_id_of(location) == job_id


@given(st.text())
def test_a_job_id_is_always_safe_in_a_path(tail: str) -> None:
    """Whatever a location holds, an id taken from it leads nowhere but below the jobs."""
    job_id = job_id_of(f"https://h/jobs/{tail}")
    assert job_id is None or (not set(job_id) & set("/?#%:\\\r\n ") and job_id.strip("."))


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("https://h/jobs/a?showStats=True&top=5&skip=20&api-version=2022-05-01", (5, 20)),
        ("https://other/evil?skip=20&top=5", (5, 20)),
        ("https://h/jobs/a?$top=5&$skip=20", (5, 20)),
        ("https://h/jobs/a?%24skip=20&%24top=5#x", (5, 20)),
        ("https://h/jobs/a?skip=20", (20, 20)),
        ("https://h/jobs/a?top=5x&skip=20", (20, 20)),
        ("https://h/jobs/a?top=5", None),
        ("https://h/jobs/a?stop=5&noskip=20", None),
        ("https://h/jobs/a?top=5&skip=-20", None),
        ("https://h/jobs/a?top=5&skip=20x", None),
        ("https://h/jobs/a?top=5&skip=99999999999", None),
        ("", None),
    ],
)
def test_of_a_next_link_only_the_page_is_taken(link: str, page: tuple[int, int] | None) -> None:
    """Top and skip are read, in both spellings; a link that names no page is no link."""
    assert page_of(link) == page


def test_a_submit_says_texts_task_and_unit() -> None:
    """A batch becomes its wire ids, texts and languages, and one task that counts in code points."""
    batch = (document(1, "Zürich", "de"), document(2, "Rome"))
    assert json.loads(encode_submit(batch, "P", "D")) == {
        "analysisInput": {
            "documents": [
                {"id": batch[0].wire_id, "text": "Zürich", "language": "de"},
                {"id": batch[1].wire_id, "text": "Rome"},
            ]
        },
        "tasks": [
            {
                "kind": "CustomEntityRecognition",
                "parameters": {
                    "projectName": "P",
                    "deploymentName": "D",
                    "stringIndexType": "UnicodeCodePoint",
                },
            }
        ],
    }


def test_a_job_is_read() -> None:
    """Entities are sorted by offset; status, model, errors, dates and the next page are there."""
    state = read(
        job(
            item(
                {"id": "1", "entities": [entity("is", 9), entity("Paris")], "warnings": []},
                errors=[{"id": "2", **error("InvalidArgument", "InvalidDocument")}],
            ),
            status="partiallySucceeded",
            errors=[{"code": "InternalServerError", "message": "m", "target": "#/tasks/items/1"}],
            nextLink="https://h/jobs/a?top=5&skip=20",
        )
    )
    assert state == JobState(
        status="partiallysucceeded",
        entities={"1": (Entity("Paris", "city", 0, 5, 0.5), Entity("is", "city", 9, 2, 0.5))},
        faults={
            "2": Fault(
                "InvalidArgument",
                "about InvalidArgument",
                innererror=Fault("InvalidDocument", "about InvalidDocument"),
            )
        },
        errors=(Fault("InternalServerError", "m", "#/tasks/items/1"),),
        model=Model("P", "D"),
        next_page=Page(5, 20),
        created=datetime(2022, 6, 23, 2, 12, 26, tzinfo=UTC),
        last_updated=datetime(2022, 6, 23, 2, 12, 27, 103295, tzinfo=UTC),
    )


@given(st.lists(st.integers(0, 100_000), max_size=12))
def test_entities_are_sorted_by_offset(offsets: list[int]) -> None:
    """In whatever order the service groups entities, they come out by offset, and none is lost."""
    state = read(job(item({"id": "1", "entities": [entity("x", offset) for offset in offsets]})))
    assert [each.offset for each in state.entities["1"]] == sorted(offsets)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"lastUpdatedDateTime": "2022-06-23T02:12:28Z"}, 28),
        ({"lastUpdatedDateTime": None, "lastUpdateDateTime": "2022-06-23T02:12:29Z"}, 29),
        ({"lastUpdatedDateTime": "2022-06-23T02:12:28.1032956Z"}, 28),
        ({"lastUpdatedDateTime": "2022-06-23T02:12:28"}, 28),
        ({"lastUpdatedDateTime": "yesterday"}, None),
        ({"lastUpdatedDateTime": 7}, None),
    ],
)
def test_dates_are_read_in_every_spelling(changes: dict[str, Any], seconds: int | None) -> None:
    """Both names and all precisions of a date are read as UTC; one that is none is absent, not an error."""
    moment = read(job(**changes)).last_updated
    assert (moment and moment.second) == seconds
    assert moment is None or moment.utcoffset() == timedelta(0)


FAILED: dict[str, Any] = {"kind": "CustomEntityRecognitionLROResults", "status": "failed"}
PARIS: dict[str, Any] = {"id": "1", "entities": [entity()]}
PHRASES: dict[str, Any] = {"id": "1", "keyPhrases": ["Paris"], "warnings": []}
LINKED: dict[str, Any] = {"id": "1", "entities": [{"name": "Paris", "matches": [], "url": "https://x"}]}


@pytest.mark.parametrize(
    "body",
    [
        job(item(PARIS)),
        job(item(PHRASES, kind="KeyPhraseExtractionLROResults"), item(PARIS)),
        job(item(LINKED, kind="EntityLinkingLROResults"), FAILED, item(PARIS)),
        job(item(PARIS, kind="EntityRecognitionLROResults")),
        job(item(PARIS, modelVersion="2022", future={"x": [1]}), future=None),
        job(item(PARIS, {"id": "1", "entities": []})),
        job(item(PARIS), item({"id": "1", "entities": []})),
        job(item(PARIS, errors=None), errors=None, displayName=None, nextLink=None),
    ],
)
def test_our_entities_are_found_in_any_job(body: dict[str, Any]) -> None:
    """Other tasks, failed ones, unknown fields, nulls and repeated ids do not hide a document's entities."""
    assert read(body).entities == {"1": (Entity("Paris", "city", 0, 5, 0.5),)}


@pytest.mark.parametrize(
    "body",
    [
        job(FAILED),
        job(FAILED | {"results": None}),
        job(status="notStarted", tasks={"inProgress": 1, "total": 1}),
        job(status="notStarted", tasks=None),
        {"status": "failed", "errors": [{"code": "InternalServerError", "message": "m"}]},
        job(item(PHRASES)),
        job(item(PHRASES, kind="KeyPhraseExtractionLROResults")),
        job(item(LINKED, kind="EntityLinkingLROResults")),
        job(item(PARIS, kind="EntityRecognitionLROResults"), item(PARIS, kind="PiiEntityRecognitionLROResults")),
        job(item(PARIS, kind="EntityRecognitionLROResults"), item(LINKED, kind="EntityLinkingLROResults")),
    ],
)
def test_a_job_without_our_entities_is_still_a_job(body: dict[str, Any]) -> None:
    """A task without results, and results of other kinds, are read as saying nothing of any document."""
    state = read(body)
    assert (state.entities, state.faults) == ({}, {})


TEXT = "the words of a document"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>" + TEXT.encode(),
        b'"\xff' + TEXT.encode(),
        json.dumps([TEXT]).encode(),
        json.dumps({"error": TEXT}).encode(),
        json.dumps(job(status=TEXT) | {"status": [TEXT]}).encode(),
        json.dumps(job(tasks=TEXT)).encode(),
        json.dumps(job(item({"id": "1", "entities": [entity() | {"offset": TEXT}]}))).encode(),
        json.dumps(job(item({"id": "1", "entities": TEXT}))).encode(),
        json.dumps(job(item({"id": "1", "entities": [{"text": TEXT}]}))).encode(),
        json.dumps(job(item(PARIS))).encode()[:-30],
        b'{"status":"succeeded","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_job_is_garbled(body: bytes) -> None:
    """A body that is not JSON, or not shaped like a job, is Garbled, in few words and without quoting it."""
    with pytest.raises(Garbled) as caught:
        decode_job(body)
    assert TEXT not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert caught.value.__suppress_context__, "a trace would show the cause, and the cause may hold the body"


# the server's end


def submit(*documents: dict[str, Any], **more: object) -> bytes:
    task = {"kind": "CustomEntityRecognition", "parameters": {"projectName": "P", "deploymentName": "D"}}
    return json.dumps({"analysisInput": {"documents": documents}, "tasks": [task]} | more).encode()


def texts(*given_texts: str) -> list[dict[str, Any]]:
    return [{"id": str(place), "text": text} for place, text in enumerate(given_texts)]


def task_with(**parameters: object) -> dict[str, Any]:
    return {"kind": "CustomEntityRecognition", "taskName": "0", "parameters": parameters}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "InvalidRequestBodyFormat"),
        (b"[" * 100_000, 400, "InvalidRequestBodyFormat"),
        (submit({"id": 1, "text": "x"}), 400, "InvalidRequestBodyFormat"),
        (submit({"id": "1", "text": None}), 400, "InvalidRequestBodyFormat"),
        (b"{}", 400, "MissingInputDocuments"),
        (submit(), 400, "MissingInputDocuments"),
        (submit(*texts(*"x" * 26)), 400, "InvalidDocumentBatch"),
        (submit({"text": "x"}), 400, "InvalidDocument"),
        (submit(*texts("x"), *texts("y")), 400, "InvalidDocument"),
        (submit(*texts("", "")), 400, "InvalidDocumentBatch"),
        (submit(*texts("x" * 125_000, "y")), 413, "InvalidDocumentBatch"),
        (submit(*texts("x"), tasks=[]), 400, "InvalidParameterValue"),
        (submit(*texts("x"), tasks=[task_with(deploymentName="D")]), 400, "InvalidParameterValue"),
        (submit(*texts("x"), tasks=[task_with(projectName="P")]), 400, "InvalidParameterValue"),
        (
            submit(*texts("x"), tasks=[task_with(projectName="P", deploymentName="D", stringIndexType="Bytes")]),
            400,
            "InvalidParameterValue",
        ),
    ],
)
def test_a_submit_is_refused_as_the_service_does(body: bytes, status: int, code: str) -> None:
    """Each mistake in a request has the status and inner code that the service gives to it."""
    with pytest.raises(Refused) as caught:
        decode_submit(body)
    assert (caught.value.status, explain(status, caught.value.body).code) == (status, code)


def test_the_limits_themselves_are_allowed() -> None:
    """25 documents, 125,000 characters, and some empty texts among others are a good request."""
    assert len(decode_submit(submit(*texts(*["x" * 5_000] * 25))).documents) == 25
    assert len(decode_submit(submit(*texts("", "x"))).documents) == 2


@pytest.mark.parametrize(
    ("asked", "unit"),
    [
        ({}, "TextElements_v8"),
        ({"stringIndexType": "TextElement_v8"}, "TextElements_v8"),
        ({"stringIndexType": "Utf16CodeUnit"}, "Utf16CodeUnit"),
    ],
)
def test_a_submit_names_its_task_and_unit(asked: dict[str, str], unit: str) -> None:
    """Task name, project, deployment and display name are kept for the echo; text elements are the default."""
    task = task_with(projectName="P", deploymentName="D", loggingOptOut=True, **asked)
    submission = decode_submit(submit(*texts("x"), tasks=[task], displayName="mine"))
    (only,) = submission.tasks
    assert (only.name, only.project, only.deployment, only.string_index) == ("0", "P", "D", unit)
    assert submission.display_name == "mine"


@pytest.mark.parametrize(
    ("top", "skip", "page"),
    [(None, None, (20, 0)), ("25", None, (25, 0)), ("50", "20", (50, 20)), ("1", "0", (1, 0))],
)
def test_a_page_is_read(top: str | None, skip: str | None, page: tuple[int, int]) -> None:
    """A poll that names no page gets the first 20 documents."""
    assert decode_page(top, skip) == page


@pytest.mark.parametrize(
    ("top", "skip"),
    [("0", None), ("51", None), ("x", None), ("", None), (None, "-1"), (None, "9" * 5_000), ("²", None)],
)
def test_a_page_out_of_range_is_refused(top: str | None, skip: str | None) -> None:
    """Top must be 1 to 50 and skip a number that is not negative."""
    with pytest.raises(Refused) as caught:
        decode_page(top, skip)
    assert caught.value.status == 400


def test_a_text_that_cannot_be_read_says_why() -> None:
    """An empty text or a language not served has the error of the service; regions count as languages."""
    languages = {"en", "de", "zh-hans"}
    assert fault_in(InputDocument("1", "x", "en-US"), languages) is None
    assert fault_in(InputDocument("1", "x", "zh-Hans"), languages) is None
    assert fault_in(InputDocument("1", "x", "zh-hant"), languages) is not None
    assert fault_in(InputDocument("1", "x"), languages) is None
    assert fault_in(InputDocument("1", ""), languages) == EMPTY_TEXT
    fault = fault_in(InputDocument("1", "x", "tlh"), languages)
    assert reason_of(fault, OTHERWISE).code == "UnsupportedLanguageCode"


def served(status: Status, *tasks: ServedTask, display_name: str | None = None) -> dict[str, Any]:
    served_job = ServedJob("abc", status, MOMENT, MOMENT, MOMENT + timedelta(hours=24), tasks, (), display_name)
    shown: dict[str, Any] = json.loads(encode_job(served_job, "http://h:1", "2022-05-01"))
    return shown


def served_task(status: Status, *answers: Found | Faulty, name: str | None = None) -> ServedTask:
    return ServedTask(name, "P", "D", status, MOMENT, answers)


def test_a_job_begins_without_items() -> None:
    """A job that is not started counts its tasks and shows none; what was not submitted is not echoed."""
    assert served("notStarted", served_task("notStarted")) == {
        "jobId": "abc",
        "lastUpdatedDateTime": "2022-06-23T02:12:27Z",
        "createdDateTime": "2022-06-23T02:12:27Z",
        "expirationDateTime": "2022-06-24T02:12:27Z",
        "status": "notStarted",
        "errors": [],
        "tasks": {"completed": 0, "failed": 0, "inProgress": 1, "total": 1, "items": []},
    }


def test_a_running_job_shows_what_has_ended() -> None:
    """While a job runs its items are the tasks that have ended, by the names they were submitted with."""
    shown = served("running", served_task("succeeded", name="a"), served_task("running"), display_name="mine")
    assert [each["taskName"] for each in shown["tasks"]["items"]] == ["a"]
    assert (shown["displayName"], shown["tasks"]["completed"], shown["tasks"]["inProgress"]) == ("mine", 1, 1)


def test_a_failed_task_has_no_results_and_a_cancelled_one_empty_ones() -> None:
    """Failed and cancelled tasks look as they do on the wire, counters included."""
    shown = served("failed", served_task("failed"), served_task("cancelled"))["tasks"]
    failed, cancelled = shown["items"]
    assert "results" not in failed
    assert cancelled["results"] == {
        "documents": [],
        "errors": [],
        "projectName": "P",
        "deploymentName": "D",
    }
    assert (shown["completed"], shown["failed"], shown["inProgress"]) == (0, 1, 0)


def test_dates_are_written_in_utc_without_idle_zeros() -> None:
    """A task's date has as many digits as it needs, and any time zone is told in UTC."""
    noon = datetime(2022, 6, 23, 12, tzinfo=timezone(timedelta(hours=2)))
    dates = [MOMENT, noon, MOMENT.replace(microsecond=665944)]
    shown = served("succeeded", *(ServedTask(None, "P", "D", "succeeded", date) for date in dates))
    assert [each["lastUpdateDateTime"] for each in shown["tasks"]["items"]] == [
        "2022-06-23T02:12:27.10329Z",
        "2022-06-23T10:00:00Z",
        "2022-06-23T02:12:27.665944Z",
    ]


@pytest.mark.parametrize(
    ("version", "field"),
    [("2022-05-01", "lastUpdatedDateTime"), ("2022-10-01-preview", "lastUpdateDateTime")],
)
def test_each_version_spells_the_last_update_its_own_way(version: str, field: str) -> None:
    """Two previews say lastUpdateDateTime where all others say lastUpdatedDateTime."""
    body = encode_job(ServedJob("abc", "running", MOMENT, MOMENT, MOMENT, ()), "http://h", version)
    assert [key for key in json.loads(body) if key.startswith("last")] == [field]
    assert decode_job(body).last_updated == MOMENT.replace(microsecond=0)


def test_statistics_are_of_the_page_and_only_on_demand() -> None:
    """Each page counts its own documents; a started thousand characters is a transaction; errors are free."""
    answers = [Found(str(place), (), characters) for place, characters in enumerate([1, 1_000, 1_001])]
    task = served_task("succeeded", *answers, Faulty("9", EMPTY_TEXT))
    served_job = ServedJob("abc", "succeeded", MOMENT, MOMENT, MOMENT, (task,))
    body = encode_job(served_job, "http://h", "2022-05-01", Page(3, 1), show_stats=True)
    results = json.loads(body)["tasks"]["items"][0]["results"]
    assert results["statistics"] == {
        "documentsCount": 3,
        "validDocumentsCount": 2,
        "erroneousDocumentsCount": 1,
        "transactionsCount": 3,
    }
    assert results["documents"][1]["statistics"] == {"charactersCount": 1_001, "transactionsCount": 2}
    assert b"statistics" not in encode_job(served_job, "http://h", "2022-05-01")
