"""Whatever arrives has a verdict, and it is the one that the table of the design gives to it."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.model import Annotated, Document, Job, Model, Reason, Rejected
from entity_stream.core.verdict import (
    Again,
    Answer,
    Done,
    Freeze,
    Halve,
    PageVerdict,
    Park,
    Running,
    Silence,
    SubmitVerdict,
    Wait,
    judge,
    on_submit,
    possibly_billed,
    read_page,
    retry_after,
)
from entity_stream.core.wire.runtime import JobState, decode_job
from tests.core.language_samples import answer, document, entity, error, item, job

NOW = 1_642_647_270.0
"""Thu, 20 Jan 2022 02:54:30 GMT."""
LOCATION = "https://x.example/language/analyze-text/jobs/64c0f660?api-version=2022-05-01"
PASSING = (408, 409, 425, 500, 502, 503, 504)
STRANGE = (100, 200, 201, 204, 301, 304, 307, 599)


def submitted(given_answer: Answer | Silence) -> SubmitVerdict:
    return on_submit(given_answer, "blue", NOW)


def polled(given_answer: Answer | Silence) -> PageVerdict:
    return read_page(given_answer, NOW)


def state_of(body: dict[str, Any]) -> JobState:
    return decode_job(json.dumps(body).encode())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(
    ["error", "code", "message", "innererror", "details", "status", "tasks", "items", "errors", "kind"]
)
nearly = st.recursive(
    anything | st.sampled_from(["failed", "Running", "succeeded", "400"]),
    lambda inner: st.dictionaries(words, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=60)
    | nearly.map(lambda value: json.dumps(value).encode())
    | nearly.map(lambda value: json.dumps(job(status="failed", tasks=value)).encode())
    | nearly.map(lambda value: json.dumps(job(item({"id": "1", "entities": value}))).encode())
    | st.integers(0, 900).map(lambda cut: json.dumps(job(item({"id": "1", "entities": [entity()]}))).encode()[:cut])
)
headers = st.none() | st.text(max_size=30) | st.sampled_from(["1", "-1", "nan", "Thu, 20 Jan 2022 02:54:31 GMT"])
answers = st.builds(Answer, st.integers(100, 599), bodies, headers, headers | st.just(LOCATION))
silences = st.builds(Silence, st.text(max_size=9), st.booleans())


@given(answers | silences)
def test_every_answer_to_a_submit_has_a_verdict(given_answer: Answer | Silence) -> None:
    """Whatever status, body and headers come back, a submit ends in a verdict and raises nothing."""
    assert isinstance(submitted(given_answer), Done | Wait | Freeze | Halve | Park)
    assert possibly_billed(given_answer) in {True, False}


@given(answers | silences)
def test_every_answer_to_a_poll_has_a_verdict(given_answer: Answer | Silence) -> None:
    """Whatever status, body and headers come back, a poll ends in a verdict and raises nothing."""
    assert isinstance(polled(given_answer), JobState | Running | Wait | Freeze | Again | Park)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"error":' * 100_000, b'{"error":{"message":"\xff"}}'])
def test_a_hostile_body_has_a_verdict(body: bytes) -> None:
    """A body nested without end, or not in UTF-8, is doubted like any other that is no job."""
    assert isinstance(polled(answer(200, body)), Again)
    assert isinstance(submitted(answer(503, body)), Wait)


def test_an_accepted_submit_is_a_job_of_its_resource() -> None:
    """A 202 that names a job is Done, with the job's id and the resource that owns it."""
    assert submitted(answer(202, location=LOCATION)) == Done(Job("64c0f660", "blue"))


@pytest.mark.parametrize("location", [None, "", "https://x.example/elsewhere", LOCATION.replace("64c0f660", "..")])
def test_an_accepted_submit_that_names_no_job_is_waited_out(location: str | None) -> None:
    """A 202 without a usable operation-location is asked again, and counts as possibly billed."""
    given_answer = answer(202, location=location)
    assert isinstance(submitted(given_answer), Wait)
    assert possibly_billed(given_answer)


@pytest.mark.parametrize("status", [*PASSING, *STRANGE])
def test_passing_trouble_is_waited_out(status: int) -> None:
    """Time-outs, conflicts, server errors and what belongs to no submit are Wait, naming their status."""
    verdict = submitted(answer(status, b"<html>sorry</html>"))
    assert verdict == Wait(f"HTTP {status}")


@pytest.mark.parametrize("status", [202, 400, 410, 413, *PASSING, *(set(STRANGE) - {200})])
def test_a_poll_that_says_nothing_usable_is_asked_again(status: int) -> None:
    """What is neither a job, nor a refusal of key or speed, nor a missing job is Wait on a poll."""
    assert polled(answer(status, b"<html>sorry</html>", location=LOCATION)) == Wait(f"HTTP {status}")


@pytest.mark.parametrize("silence", [Silence("no connection", sent=False), Silence("time-out", sent=True)])
def test_silence_is_waited_out(silence: Silence) -> None:
    """No answer is Wait with its cause, and possibly billed only if the request had been sent."""
    assert submitted(silence) == polled(silence) == Wait(silence.cause)
    assert possibly_billed(silence) == silence.sent


@pytest.mark.parametrize(
    ("status", "billed"),
    [(500, True), (502, True), (504, True), (200, True), (503, False), (429, False), (400, False)],
)
def test_a_submit_is_possibly_billed_when_it_may_have_been_accepted(status: int, *, billed: bool) -> None:
    """Only answers that the service may give after it accepted a submit count as possibly billed."""
    assert possibly_billed(answer(status, location=LOCATION)) is billed


def test_a_submit_that_is_done_is_not_possibly_billed() -> None:
    """A job that we know is billed for certain, so it is not counted among the doubtful."""
    assert not possibly_billed(answer(202, location=LOCATION))


@pytest.mark.parametrize("status", [400, 402, 405, 410, 413, 415, 422, 431, 451])
def test_a_refused_batch_is_halved(status: int) -> None:
    """A 4xx that is about the request is Halve, with the innermost code and its message."""
    verdict = submitted(answer(status, error("InvalidRequest", "InvalidDocumentBatch")))
    assert verdict == Halve(Reason("InvalidDocumentBatch", "about InvalidDocumentBatch"))


@pytest.mark.parametrize(
    "code", ["InvalidParameterValue", "ModelVersionIncorrect", "ProjectNotFound", "OperationNotFound"]
)
def test_a_batch_refused_for_our_settings_parks(code: str) -> None:
    """A 400 about project, deployment or parameters is Park: no half of the batch would fare better."""
    for body in (error("InvalidRequest", code), error(code)):
        assert submitted(answer(400, body)) == Park(f"HTTP 400 {code}: about {code}")
    assert isinstance(submitted(answer(413, error("InvalidRequest", code))), Halve)


@pytest.mark.parametrize("ask", [submitted, polled])
def test_too_fast_freezes(ask: Callable[[Answer], object]) -> None:
    """A 429 is Freeze on both operations, with the seconds of Retry-After, or None where it has none."""
    assert ask(answer(429, error("429"), retry_after="2")) == Freeze("HTTP 429", 2.0)
    assert ask(answer(429, error("429"))) == Freeze("HTTP 429", None)


@pytest.mark.parametrize("ask", [submitted, polled])
def test_forbidden_parks_unless_it_says_until_when(ask: Callable[[Answer], object]) -> None:
    """A 403 with Retry-After is a quota, hence Freeze; without it is Park, as is a 401."""
    assert ask(answer(403, error("403"), retry_after="1296000")) == Freeze("HTTP 403", 1_296_000.0)
    assert ask(answer(403, error("403"))) == Park("HTTP 403: about 403")
    assert ask(answer(401, error("401"))) == Park("HTTP 401: about 401")


def test_not_found_is_a_deployment_on_submit_and_a_job_on_poll() -> None:
    """A 404 parks a submit; on a poll it is Again, to be believed at its second answer."""
    assert isinstance(submitted(answer(404, error("NotFound"))), Park)
    assert polled(answer(404, error("NotFound"))) == Again("HTTP 404 NotFound", certain=False)


@pytest.mark.parametrize("status", ["notStarted", "running", "Running", "CANCELLING"])
def test_a_job_that_has_not_ended_is_running(status: str) -> None:
    """A job that will still change is Running, also when some of its tasks have ended."""
    assert polled(answer(200, job(item({"id": "1", "entities": [entity()]}), status=status))) == Running()


@pytest.mark.parametrize("status", ["succeeded", "completed", "partiallySucceeded", "PartiallyCompleted"])
def test_a_job_that_has_ended_is_read(status: str) -> None:
    """A job that ended well, or partly well, gives its page, even an empty one."""
    full = job(item({"id": "1", "entities": [entity()]}), status=status)
    assert polled(answer(200, full)) == state_of(full)
    assert isinstance(polled(answer(200, job(status=status))), JobState)


@pytest.mark.parametrize("status", ["failed", "cancelled", "rejected", "expired"])
def test_a_failed_job_gives_what_it_has(status: str) -> None:
    """Results of a job that failed are kept; one without any is Again, naming the codes of its errors."""
    assert isinstance(polled(answer(200, job(item({"id": "1", "entities": []}), status=status))), JobState)
    refused = item(errors=[{"id": "1", **error("InvalidArgument", "InvalidDocument")}])
    assert isinstance(polled(answer(200, job(refused, status=status))), JobState)
    errors = [{"code": "InternalServerError", "message": "x"}, {"code": "Timeout", "message": "y"}]
    wholly = job({"kind": "CustomEntityRecognitionLROResults", "status": "failed"}, status=status, errors=errors)
    assert polled(answer(200, wholly)) == Again(f"job {status} InternalServerError Timeout")


def test_a_job_whose_status_is_not_known_is_asked_again() -> None:
    """A status that no version of the API has is Wait, not an exception and not an end."""
    assert isinstance(polled(answer(200, job(status="resting"))), Wait)


def test_a_garbled_answer_is_doubted() -> None:
    """A 200 that is no job document counts once it has come twice, and its cause quotes nothing of it."""
    verdict = polled(answer(200, {"status": "succeeded", "tasks": "a secret"}))
    assert isinstance(verdict, Again)
    assert not verdict.certain
    assert "secret" not in verdict.cause


def test_judging_matches_by_id() -> None:
    """Entities go to the document whose wire id they carry, errors reject theirs, the rest is missing."""
    read, refused, forgotten = document(1, "Paris", "fr"), document(2, "x"), document(5, "y")
    page = state_of(
        job(
            item(
                {"id": "nobody's", "entities": [entity("Rome")]},
                {"id": read.wire_id, "entities": [entity("is", 9), entity("Paris")]},
                errors=[{"id": refused.wire_id, **error("InvalidArgument", "InvalidDocument")}],
            )
        )
    )
    judged = judge((read, refused, forgotten), [page])
    annotated, rejected = judged.outcomes
    assert isinstance(annotated, Annotated)
    assert (annotated.record, annotated.id, annotated.language) == (read.record, "doc-1", "fr")
    assert [(each.text, each.offset) for each in annotated.entities] == [("Paris", 0), ("is", 9)]
    assert annotated.model == Model("P", "D")
    assert rejected == Rejected(refused.record, Reason("InvalidDocument", "about InvalidDocument"))
    assert judged.missing == (forgotten,)
    assert judged.annotates
    assert judge((refused,), [page]).annotates, "another's document was read, so the model works"


def test_an_error_without_words_rejects_all_the_same() -> None:
    """A per-document error that the API leaves blank still rejects its document."""
    mute = document(1, "x")
    page = state_of(job(item(errors=[{"id": mute.wire_id, "error": None}])))
    assert judge((mute,), [page]).outcomes == (Rejected(mute.record, Reason("Unknown", "the API says no reason")),)


def test_of_a_repeated_id_the_first_counts() -> None:
    """An id that comes twice, on one page or on two, keeps what it said first."""
    one = document(1, "Paris Rome")
    said = [{"id": one.wire_id, "entities": [entity(text)]} for text in ("Paris", "Rome", "Oslo")]
    pages = [state_of(job(item(*said[:2]))), state_of(job(item(said[2])))]
    (outcome,) = judge((one,), pages).outcomes
    assert isinstance(outcome, Annotated)
    assert outcome.entities[0].text == "Paris"


@given(st.lists(st.sampled_from(["found", "faulty", "unsaid"]), min_size=1, max_size=25), st.data())
def test_judging_loses_and_invents_nothing(fates: list[str], data: st.DataObject) -> None:
    """Each document of a batch has an outcome or is missing, however the result is paged and ordered."""
    batch = tuple(document(offset, f"text {offset}") for offset in range(len(fates)))
    spoken = [(each, fate) for each, fate in zip(batch, fates, strict=True) if fate != "unsaid"]
    spoken = data.draw(st.permutations(spoken))
    cut = data.draw(st.integers(0, len(spoken)))
    judged = judge(batch, [page_with(spoken[:cut]), page_with(spoken[cut:])])
    outcomes = tuple(outcome_as(each, fate) for each, fate in zip(batch, fates, strict=True) if fate != "unsaid")
    missing = tuple(each for each, fate in zip(batch, fates, strict=True) if fate == "unsaid")
    assert (judged.outcomes, judged.missing) == (outcomes, missing)
    assert 0 < judged.created <= judged.ended


def page_with(spoken: list[tuple[Document, str]]) -> JobState:
    found = [{"id": each.wire_id, "entities": []} for each, fate in spoken if fate == "found"]
    faulty = [{"id": each.wire_id, **error("A", "B")} for each, fate in spoken if fate == "faulty"]
    return state_of(job(item(*found, errors=faulty)))


def outcome_as(each: Document, fate: str) -> Annotated | Rejected:
    if fate == "found":
        return Annotated(each.record, each.id, (), Model("P", "D"))
    return Rejected(each.record, Reason("B", "about B"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", None),
        ("1", 1.0),
        (" 30 ", 30.0),
        ("1296000", 1_296_000.0),
        ("1.5", 1.5),
        ("Thu, 20 Jan 2022 02:54:31 GMT", 1.0),
        ("Thu, 20 Jan 2022 03:54:31 +0100", 1.0),
        ("Thursday, 20-Jan-22 02:54:31 GMT", 1.0),
        ("Thu, 20 Jan 2022 02:54:29 GMT", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("Thu, 99 Jan 2022 02:54:31 GMT", None),
        ("Thu, 20 Jan 99999999999999999999 02:54:31 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_from_now(value: str | None, seconds: float | None) -> None:
    """Seconds and dates are read; what is absent, past, now, negative or no number is None."""
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=40) | st.floats().map(str))
def test_retry_after_is_a_usable_number_or_none(value: str) -> None:
    """Whatever the header holds, the result is None or a finite number of seconds above 0."""
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 < seconds < math.inf
