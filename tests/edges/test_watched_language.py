"""When the endpoint ceases to answer, that is told once; in virtual time."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from entity_stream.core.model import Batch, Job, Reason, Route, Target
from entity_stream.core.verdict import Done, Freeze, Halve, Park, PollVerdict, Running, SubmitVerdict, Wait
from entity_stream.edges.watched_language import PATIENCE, WatchedLanguage, WatchedLanguages
from entity_stream.ports import Lease, unlimited
from tests import virtual_time

JOB = Job("1", "test")
HERE = Target("test")


class Scripted:
    """A language that says one thing after another."""

    def __init__(self, verdicts: Iterator[SubmitVerdict]) -> None:
        self._verdicts = verdicts

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        return next(self._verdicts)

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        return Running()


def told(*verdicts: SubmitVerdict) -> tuple[list[str], list[str | None]]:
    """Submit once a second; return the events of the log and the trouble after each submit."""

    async def main() -> list[str | None]:
        language, troubles = WatchedLanguage(Scripted(iter(verdicts)), HERE), []
        for _ in verdicts:
            await language.submit((), unlimited)
            troubles.append(language.trouble)
            await asyncio.sleep(1)
        return troubles

    with capture_logs() as logs:
        troubles = virtual_time.run(main())
    return [entry["event"] for entry in logs], troubles


@pytest.mark.parametrize("answer", [Done(JOB), Halve(Reason("InvalidDocument", "no"))])
def test_passing_trouble_is_no_news(answer: SubmitVerdict) -> None:
    """A 503 now and then, and a throttle of whatever length, are counted and not told."""
    assert told(Wait("503"), answer, Wait("503"), Freeze("429"), answer) == ([], [None] * 5)


def test_an_endpoint_that_does_not_answer_is_told_once_and_so_is_its_return() -> None:
    """After some seconds without a useful answer there is one line, at its end another, and between them a reason."""
    seconds = int(PATIENCE) + 3
    events, troubles = told(*[Wait("no connection")] * seconds, Done(JOB))
    assert events == ["language.unanswered", "language.recovered"]
    assert troubles == [None] * int(PATIENCE) + ["no connection"] * 3 + [None]


def test_a_refused_key_is_told_at_once_and_once() -> None:
    """Nobody has to wait for the line that says whom to wake."""
    assert told(Park("401"), Park("401"), Done(JOB)) == (
        ["language.parked", "language.recovered"],
        ["401", "401", None],
    )


def test_a_quota_that_is_used_up_is_told_with_its_end() -> None:
    """A freeze that is longer than is believed is a park: told once, until when, and again when it is over."""

    async def main() -> list[str | None]:
        verdicts: list[SubmitVerdict] = [
            Freeze("HTTP 403", 86_400.0 * 15),
            Freeze("HTTP 403", 86_400.0 * 15),
            Done(JOB),
        ]
        language, troubles = WatchedLanguage(Scripted(iter(verdicts)), HERE, longest_freeze=300.0), []
        for _ in range(3):
            await language.submit((), unlimited)
            troubles.append(language.trouble)
        return troubles

    with capture_logs() as logs:
        told = virtual_time.run(main())
    cause = "HTTP 403: the quota is used up for 15.0 days"
    assert told == [cause, cause, None]
    assert [entry["event"] for entry in logs] == ["language.parked", "language.recovered"]
    days = (datetime.fromisoformat(logs[0]["until"]) - datetime.now(UTC)) / timedelta(days=1)
    assert days == pytest.approx(15, abs=0.01)


def test_an_answered_poll_is_a_useful_answer() -> None:
    """Running jobs show that the endpoint is there."""

    async def main() -> str | None:
        language = WatchedLanguage(Scripted(iter([Park("401")])), HERE)
        await language.submit((), unlimited)
        await language.poll(JOB, ())
        return language.trouble

    assert virtual_time.run(main()) is None


def test_languages_are_in_trouble_where_none_is_left_for_a_route() -> None:
    """One that answers is enough, if it serves the same route; then each of the others is told by its name."""
    canary = Route("incidents", "canary")
    places = (Target("west"), Target("east"), Target("west", canary))
    each = {target: WatchedLanguage(Scripted(iter([])), target) for target in places}
    languages = WatchedLanguages(each)
    troubles = []
    for target, trouble in [(0, "no connection"), (1, "HTTP 503"), (0, None), (2, "HTTP 404")]:
        each[places[target]].trouble = trouble
        troubles.append(languages.trouble)
    both = "west: no connection; east: HTTP 503"
    assert troubles == [None, both, None, "west (incidents/canary): HTTP 404"]
