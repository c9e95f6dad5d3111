"""The desk: keys, quota, faults and jobs, with bytes and moments handed in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge import dialect
from tests.judge.books import Books, Change, Poll, Submit, read_books
from tests.judge.conditions import Conditions, Duration, Fault, Limit, RetryAfter
from tests.judge.desk import Call, Desk
from tests.judge.fates import Fates
from tests.judge.jobs import accept, read
from tests.judge.replies import Reply
from tests.judge.samples import VERSION, marked, names_of, results_of, submit_body

NOW = 1_700_000_000.0
TWO_A_SECOND = Limit("slidingWindow", 2, 1.0)


class World:
    """A desk, its books, and a client that is where a test says in time."""

    def __init__(self, path: Path) -> None:
        self.books = Books(path)
        self.desk = Desk(Conditions(), self.books, "http://h", NOW)

    def under(self, conditions: Conditions) -> "World":
        """Let other conditions hold."""
        self.desk.set(conditions, NOW)
        return self

    def submit(self, body: bytes, at: float = 0.0, key: str = "key", version: str = VERSION) -> Reply:
        """Submit so many seconds after the start."""
        return self.desk.submit(Call("submit", key, f"api-version={version}", NOW + at), body)

    def poll(self, accepted: Reply, at: float, key: str = "key") -> Reply:
        """Poll the job of an accepted submit."""
        job = accepted.headers["operation-location"].split("/jobs/")[1].split("?")[0]
        return self.desk.poll(Call("poll", key, f"api-version={VERSION}&top=25", NOW + at), job)

    def submits(self) -> list[Submit]:
        """Give the submits in the books."""
        self.books.write()
        return [event for event in read_books(self.books.path) if isinstance(event, Submit)]

    def polls(self) -> list[Poll]:
        """Give the polls in the books."""
        self.books.write()
        return [event for event in read_books(self.books.path) if isinstance(event, Poll)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a desk that keeps books, and close them."""
    world = World(tmp_path / "books")
    yield world
    world.books.close()


def body_of(reply: Reply) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(reply.body)
    return body


# what is answered


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=1, max_size=25))
def test_entities_are_slices_of_their_text(texts: list[str]) -> None:
    """In any script offset and length cut each entity out of its text, none overlaps another, the name comes first."""
    sent = read(submit_body({str(place): f"{text}<<doc-{place}>>{text}" for place, text in enumerate(texts)}))
    assert sent.submission
    job = accept(sent, sent.submission, "key", Fates(Conditions(), NOW), NOW)
    body = json.loads(dialect.encode_job(job.wire, "succeeded", (25, 0), "", VERSION))
    for document, found in zip(sent.documents, results_of(body)["documents"], strict=True):
        assert found["entities"][0]["text"] == f"doc-{found['id']}"
        end = 0
        for entity in found["entities"]:
            assert entity["offset"] >= end
            end = entity["offset"] + entity["length"]
            assert document.text[entity["offset"] : end] == entity["text"]


def test_a_text_without_mark_is_named_by_its_wire_id(world: World) -> None:
    """In the books it has the name it was sent under; in the result it has words and no name."""
    accepted = world.submit(submit_body({"in/0/7": "no mark in here"} | marked("doc-1")))
    body = body_of(world.poll(accepted, 1.0))
    assert names_of(body) == {"in/0/7": [], "id-0": ["doc-1"]}
    assert [len(document["entities"]) for document in results_of(body)["documents"]] == [2, 5]
    assert world.submits()[0].documents == ["in/0/7", "doc-1"]


def test_a_job_takes_the_time_that_the_books_say(world: World) -> None:
    """It is not started, then running, and ended from the moment on that its submit's line names."""
    accepted = world.under(Conditions(duration=Duration(10.0))).submit(submit_body(marked("a")))
    for at in (0.5, 2.0, 9.9, 10.0):
        world.poll(accepted, at)
    assert [poll.told for poll in world.polls()] == ["notStarted", "running", "running", "succeeded"]
    assert world.submits()[0].ends == NOW + 10.0


@pytest.mark.parametrize(
    ("status", "code", "body"),
    [
        (400, "InvalidRequestBodyFormat", b""),
        (400, "InvalidRequestBodyFormat", b"[" * 100_000),
        (
            400,
            "InvalidRequestBodyFormat",
            b'{"analysisInput": {"documents": [{"id": "a", "text": "\xff"}]}, "tasks": []}',
        ),
        (400, "MissingInputDocuments", submit_body({})),
        (400, "InvalidParameterValue", submit_body({"1": "x"}, stringIndexType="Utf16CodeUnit")),
        (400, "InvalidParameterValue", submit_body({"1": "x"}).replace(b'"CustomEntity', b'"Entity')),
        (404, "ProjectNotFound", submit_body({"1": "x"}, projectName="other")),
        (404, "ProjectNotFound", submit_body({"1": "x"}, deploymentName="other")),
        (413, "InvalidDocumentBatch", submit_body({"1": "x" * 125_001})),
        (413, "InvalidDocumentBatch", submit_body({"1": "é" * 120_000, "x" * 500_000: "x"})),
        (400, "InvalidDocument", submit_body({"1": "x", "2": "y"}).replace(b'"id": "2"', b'"id": "1"')),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_the_service_would_refuse_is_refused(world: World, status: int, code: str, body: bytes) -> None:
    """A submit that breaks a rule of the API gets no job, and its line in the books says so."""
    reply = world.submit(body)
    error = body_of(reply)["error"]
    assert (reply.status, error.get("innererror", error)["code"]) == (status, code)
    assert [(line.status, line.job) for line in world.submits()] == [(status, None)]


@pytest.mark.parametrize("version", ["", "2021-11-01", "latest"])
def test_another_dialect_is_refused(world: World, version: str) -> None:
    """Only versions from 2022-05-01 on are spoken."""
    assert world.submit(submit_body(marked("a")), version=version).status == 400


def test_links_can_lead_elsewhere(world: World) -> None:
    """The base of operation-location and nextLink is what the conditions say."""
    world.under(Conditions(elsewhere="https://gateway.example"))
    accepted = world.submit(submit_body(marked(*"abc")))
    assert accepted.headers["operation-location"].startswith("https://gateway.example/language/")


# keys


def test_any_key_of_the_resource_may_poll_a_job(world: World) -> None:
    """Whoever asks for a job is told, and has it in hand from then on until its end; the books say who asked."""
    world.under(Conditions(keys=["blue", "red"], duration=Duration(1.0)))
    accepted = world.submit(submit_body(marked("a")), key="blue")
    assert world.desk.flights() == {"blue": 1}
    assert body_of(world.poll(accepted, 0.5, key="red"))["status"] == "running"
    assert world.desk.flights() == {"blue": 0, "red": 1}
    assert names_of(body_of(world.poll(accepted, 1.0, key="blue"))) == {"id-0": ["a"]}
    assert names_of(body_of(world.poll(accepted, 1.5, key="red"))) == {"id-0": ["a"]}
    assert world.desk.flights() == {"blue": 0, "red": 0}
    assert [poll.who for poll in world.polls()] == ["red", "blue", "red"]


def test_only_keys_of_the_resource_may_poll(world: World) -> None:
    """A wrong key gets 401 for a job as for anything else, and takes nothing into its hands."""
    accepted = world.submit(submit_body(marked("a")))
    assert world.poll(accepted, 0.01, key="stranger").status == 401
    assert world.desk.flights() == {"key": 1}


def test_each_key_has_a_quota_of_its_own(world: World) -> None:
    """Polls of another's job count for whoever asks."""
    world.under(Conditions(keys=["blue", "red"], limits=[Limit("slidingWindow", 1, 60.0, ["poll"])]))
    accepted = world.submit(submit_body(marked("a")), key="blue")
    statuses = [world.poll(accepted, 1.0, key).status for key in ("red", "red", "blue")]
    assert statuses == [200, 429, 200]


def test_an_answer_that_is_held_is_noted_with_its_time(world: World) -> None:
    """The job begins when it is accepted; its answer is to be sent later, and the books say when."""
    world.under(Conditions(answers_after=1.5, duration=Duration(1.0)))
    accepted = world.submit(submit_body(marked("a")))
    refused = world.submit(b"")
    assert (accepted.after, refused.after) == (1.5, 0.0)
    assert [(line.answered, line.ends) for line in world.submits()] == [(NOW + 1.5, NOW + 1.0), (None, None)]


def test_a_rotated_key_takes_jobs_and_quota_along(world: World) -> None:
    """The old key is refused; the new one finds the old one's jobs, and its quota as used as it was."""
    world.under(Conditions(limits=[Limit("slidingWindow", 2, 1.0, ["submit"])]))
    accepted = world.submit(submit_body(marked("a")))
    world.submit(submit_body(marked("b")))
    world.desk.rotate("key", "new", NOW)
    assert world.poll(accepted, 0.5).status == 401
    assert world.poll(accepted, 0.5, key="new").status == 200
    assert world.submit(submit_body(marked("c")), 0.5, key="new").status == 429
    assert world.desk.flights() == {"new": 1}


def test_flights_are_jobs_whose_end_is_still_to_be_told(world: World) -> None:
    """An end counts once, also that of a job that vanished; a job whose answer was lost is waited for by nobody."""
    world.under(Conditions(duration=Duration(1.0)))
    accepted = [world.submit(submit_body(marked(mark))) for mark in ("a", "b vanishes", "c accepted-hang")]
    assert world.desk.flights() == {"key": 2}
    for at in (0.5, 1.0, 1.5):
        for each in accepted[:2]:
            world.poll(each, at)
    assert world.desk.flights() == {"key": 0}


# quota


def test_a_throttle_says_when_to_return(world: World) -> None:
    """The third call in a second gets 429 and the seconds until one would pass, and passes then."""
    world.under(Conditions(limits=[TWO_A_SECOND]))
    replies = [world.submit(submit_body(marked("a")), at) for at in (0.0, 0.3, 0.5, 1.5)]
    assert [reply.status for reply in replies] == [202, 202, 429, 202]
    assert replies[2].headers["Retry-After"] == "1"
    assert "retry after 1 second." in body_of(replies[2])["error"]["message"]


@pytest.mark.parametrize(
    ("style", "said"),
    [("seconds", "1"), ("date", "Tue, 14 Nov 2023 22:13:21 GMT"), ("none", None), ("absurd", "1296000")],
)
def test_a_retry_after_has_the_form_that_conditions_say(world: World, style: RetryAfter, said: str | None) -> None:
    """Seconds, a date, nothing, or fifteen days."""
    world.under(Conditions(faults=[Fault("throttled")], retry_after=style))
    assert world.submit(submit_body(marked("a"))).headers.get("Retry-After") == said


def test_who_comes_before_a_retry_after_has_passed_is_early(world: World) -> None:
    """Counted are calls to the operation that was throttled, but not those that were sent before it was told."""
    world.under(Conditions(faults=[Fault("throttled", times=1)]))
    for at in (0.0, 0.1, 0.5, 0.9, 1.0):
        accepted = world.submit(submit_body(marked("a")), at)
    world.poll(accepted, 0.5)
    assert [submit.early for submit in world.submits()] == [False, False, True, True, False]
    assert not world.polls()[0].early
    assert world.books.tally.early == 2


@pytest.mark.parametrize("style", ["none", "absurd"])
def test_nobody_is_early_who_was_told_nothing_sensible(world: World, style: RetryAfter) -> None:
    """Without a Retry-After, or with an absurd one, whoever returns is welcome."""
    world.under(Conditions(faults=[Fault("throttled", times=1)], retry_after=style))
    world.submit(submit_body(marked("a")))
    assert world.submit(submit_body(marked("a")), 0.5).status == 202
    assert world.books.tally.early == 0


def test_other_conditions_leave_a_quota_as_used_as_it_was(world: World) -> None:
    """Changing something else gives nobody fresh quota."""
    for faults in ([], [Fault("hang", 0.0)]):
        world.under(Conditions(limits=[Limit("slidingWindow", 1, 60.0)], faults=faults))
        replies = [world.submit(submit_body(marked("a"))).status for _ in range(2)]
    assert replies == [429, 429]


# books


def test_a_probe_is_marked(world: World) -> None:
    """A document of the id `probe` is accepted as any other, and counted as none."""
    assert world.submit(submit_body({"probe": "is it up?"})).status == 202
    assert world.submits()[0].probe
    assert (world.books.tally.accepted, world.books.tally.documents) == (1, 0)


def test_a_clear_forgets_all_but_the_conditions(world: World) -> None:
    """Jobs, books, keys, and how often each document met its trouble; what holds is noted anew."""
    world.under(Conditions(entities=7))
    accepted = world.submit(submit_body(marked("a")))
    assert world.submit(submit_body(marked("b status-500*1"))).status == 500
    world.desk.clear(NOW)
    world.books.write()
    (event,) = read_books(world.books.path)
    assert isinstance(event, Change)
    assert event.conditions.entities == 7
    assert world.desk.flights() == {}
    assert world.poll(accepted, 1.0).status == 404
    assert world.submit(submit_body(marked("b status-500*1"))).status == 500


@pytest.mark.parametrize(
    ("marks", "fate", "without"),
    [
        (("a", "b"), "succeeded", []),
        (("a missing", "b error", "c"), "succeeded", ["a"]),
        (("a", "b partial"), "partial", ["b"]),
        (("a", "b fails"), "failed", ["a", "b"]),
        (("a partial*1", "b fails"), "failed", ["a", "b"]),
        (("a cancelled", "b"), "cancelled", ["a", "b"]),
        (("a expired", "b"), "expired", ["a", "b"]),
        (("a", "b vanishes"), "vanished", ["a", "b"]),
    ],
)
def test_the_books_say_what_a_result_will_never_bring(
    world: World, marks: tuple[str, ...], fate: str, without: list[str]
) -> None:
    """Fate and missing names are known when a job is accepted; an error is brought, too."""
    world.submit(submit_body(marked(*marks)))
    (line,) = world.submits()
    assert (line.fate, line.without) == (fate, without)


def test_a_partial_job_that_the_dice_chose_lacks_one_document(world: World) -> None:
    """Its result brings all names but the one in `without`."""
    world.under(Conditions(faults=[Fault("partial")], duration=Duration(0.0)))
    body = body_of(world.poll(world.submit(submit_body(marked(*"abcde"))), 1.0))
    brought = {name for names in names_of(body).values() for name in names}
    assert brought == set("abcde") - set(world.submits()[0].without)
    assert len(brought) == 4


def test_a_finished_job_is_kept_small(world: World) -> None:
    """A job of 25 documents of 2,000 characters is kept in less than 3 kB: forty thousand of them fit 120 MB."""
    texts = {f"incidents-in/3/{n}/0/2000/0badf00d": f"<<doc-{n}>>" + "ab " * 663 for n in range(25)}
    job = world.submit(submit_body(texts)).headers["operation-location"].split("/jobs/")[1].split("?")[0]
    assert len(world.desk._jobs[job].wire.packed) < 3_000
