"""The endpoint over HTTP, as a process: every fault looks to a client as its name says, and the books tell it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
from msgspec import Struct

from tests.judge.books import Change, Poll, Submit, read_books
from tests.judge.conditions import FAULTS, Conditions, Duration, Fault, FaultName, Limit
from tests.judge.process import Judge, judge
from tests.judge.samples import VERSION, marked, names_of, results_of, submit_body

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG, SHORT = 10.0, 0.8
"""Seconds after which a client believes that no answer will come; short where none shall come."""
AT_ONCE: Final = Duration(0.0)


class Seen(Struct, frozen=True):
    """What a client saw of an answer."""

    status: int
    """0: no answer, or none that was whole."""
    body: bytes = b""
    """As much of it as came."""
    location: str = ""
    retry_after: str = ""
    ended: str = "whole"
    """Or `silence`, `reset`, `broken off`."""

    @property
    def json(self) -> dict[str, Any]:
        """The body, read."""
        body: dict[str, Any] = json.loads(self.body)
        return body


class Client:
    """A plain client that tells what it sees, and raises nothing."""

    def __init__(self, judge: Judge, session: aiohttp.ClientSession) -> None:
        self.judge, self._session = judge, session

    async def submit(self, *marks: str, key: str = "key", patience: float = LONG) -> Seen:
        """Submit a text with each mark."""
        url = f"{self.judge.url}/language/analyze-text/jobs?api-version={VERSION}"
        return await self._call("POST", url, key, patience, submit_body(marked(*marks)))

    async def poll(self, accepted: Seen, patience: float = LONG) -> Seen:
        """Ask for the job of an accepted submit."""
        return await self._call("GET", accepted.location, "key", patience)

    async def lines(self) -> list[Submit | Poll]:
        """Give the calls in the books."""
        return [event for event in await self.judge.events() if isinstance(event, Submit | Poll)]

    async def _call(self, method: str, url: str, key: str, patience: float, body: bytes | None = None) -> Seen:
        came = bytearray()
        try:
            async with (
                asyncio.timeout(patience),
                self._session.request(
                    method, url, data=body, headers={"Ocp-Apim-Subscription-Key": key}, allow_redirects=False
                ) as response,
            ):
                async for chunk in response.content.iter_any():
                    came += chunk
                headers = response.headers
                location, retry_after = headers.get("operation-location", ""), headers.get("Retry-After", "")
                return Seen(response.status, bytes(came), location, retry_after)
        except TimeoutError:
            return Seen(0, bytes(came), ended="silence")
        except aiohttp.ClientPayloadError:
            return Seen(0, bytes(came), ended="broken off")
        except (aiohttp.ClientError, ConnectionResetError):
            return Seen(0, bytes(came), ended="reset")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """Run one endpoint for all tests of this file."""
    async with judge(tmp_path_factory.mktemp("judge")) as it, aiohttp.ClientSession() as session:
        session._retry_connection = False  # else a GET that was reset is sent again, and nobody sees the reset
        yield Client(it, session)


@pytest_asyncio.fixture(loop_scope="module")
async def client(running: Client) -> Client:
    """Give an endpoint whose books are empty and which does nothing special, and a client of it."""
    await running.judge.set(Conditions(duration=AT_ONCE))
    await running.judge.clear()
    return running


# what each fault looks like

ON_SUBMIT: Final[dict[FaultName, tuple[int, str]]] = {
    "throttled": (429, "whole"),
    "status-500": (500, "whole"),
    "status-502": (502, "whole"),
    "status-503": (503, "whole"),
    "status-504": (504, "whole"),
    "status-408": (408, "whole"),
    "hang": (0, "silence"),
    "reset": (0, "reset"),
    "refused": (400, "whole"),
    "too-large": (413, "whole"),
    "redirect": (307, "whole"),
}
LOST: Final[dict[FaultName, tuple[int, str]]] = {
    "accepted-hang": (0, "silence"),
    "accepted-reset": (0, "reset"),
    "accepted-500": (500, "whole"),
}
ON_POLL: Final[dict[FaultName, tuple[int, str]]] = {
    "poll-throttled": (429, "whole"),
    "poll-500": (500, "whole"),
    "poll-503": (503, "whole"),
    "poll-hang": (0, "silence"),
    "poll-reset": (0, "reset"),
    "cut-short": (200, "whole"),
    "broken-off": (0, "broken off"),
    "not-json": (200, "whole"),
    "huge": (200, "whole"),
    "deep": (200, "whole"),
    "slow": (0, "silence"),
}
ON_JOB: Final[dict[FaultName, str]] = {
    "fails": "failed",
    "partial": "partiallySucceeded",
    "cancelled": "cancelled",
    "expired": "expired",
    "vanishes": "",
}
IN_RESULT: Final[dict[FaultName, tuple[list[str], list[str]]]] = {
    "missing": (["id-1"], []),
    "error": (["id-1"], ["id-0"]),
    "repeated": (["id-0", "id-0", "id-1"], []),
    "stranger": (["id-0", "stranger", "id-1"], []),
}
"""Ids of documents and of errors, where the first of two documents is struck."""


def patience(expected: tuple[int, str]) -> float:
    """Wait no longer than need be for what shall not come."""
    return SHORT if expected[1] == "silence" else LONG


async def test_each_fault_has_its_test() -> None:
    """No name of a fault is left out below."""
    assert {*ON_SUBMIT, *LOST, *ON_POLL, *ON_JOB, *IN_RESULT} == FAULTS


@pytest.mark.parametrize("what", [*ON_SUBMIT, *LOST])
async def test_a_fault_on_a_submit(client: Client, what: FaultName) -> None:
    """The submit that is struck looks as it should, the next one passes, and only what was accepted has a job."""
    await client.judge.set(Conditions(duration=AT_ONCE, faults=[Fault(what, times=1)]))
    expected = (ON_SUBMIT | LOST)[what]
    seen, after = await client.submit("a", patience=patience(expected)), await client.submit("a")
    struck, passed = await client.lines()
    assert (seen.status, seen.ended) == expected
    assert isinstance(struck, Submit)
    assert (struck.fault, struck.status, struck.job is not None) == (what, seen.status, what in LOST)
    assert (after.status, passed.fault) == (202, None)


@pytest.mark.parametrize("what", [*ON_SUBMIT, *LOST])
async def test_a_document_with_a_trouble_on_submits(client: Client, what: FaultName) -> None:
    """A submit that holds it is struck as often as its mark says; one without it is not."""
    expected = (ON_SUBMIT | LOST)[what]
    other = await client.submit("b")
    seen = await client.submit("b", f"a {what}*1", patience=patience(expected))
    after = await client.submit("b", f"a {what}*1")
    assert [each.status for each in (other, seen, after)] == [202, expected[0], 202]


@pytest.mark.parametrize("what", ON_POLL)
async def test_a_fault_on_a_poll(client: Client, what: FaultName) -> None:
    """The poll that is struck looks as it should, the next one tells the job's end, which is told only then."""
    accepted = await client.submit("a")
    await client.judge.set(Conditions(duration=AT_ONCE, faults=[Fault(what, times=1)]))
    seen = await client.poll(accepted, patience(ON_POLL[what]))
    flights = await client.judge.flights()
    after = await client.poll(accepted)
    _, struck, told = await client.lines()
    assert (seen.status, seen.ended) == ON_POLL[what]
    assert isinstance(struck, Poll)
    assert isinstance(told, Poll)
    assert (struck.fault, struck.status, struck.told) == (what, ON_POLL[what][0] or struck.status, "none")
    assert (after.json["status"], told.told, told.fault) == ("succeeded", "succeeded", None)
    assert (flights, await client.judge.flights()) == ({"key": 1}, {"key": 0})


@pytest.mark.parametrize("what", ON_POLL)
async def test_a_document_with_a_trouble_on_polls(client: Client, what: FaultName) -> None:
    """The polls of its job are struck as often as its mark says, those of others are not."""
    struck, other = await client.submit(f"a {what}*1", "b"), await client.submit("b")
    seen = [await client.poll(other), await client.poll(struck, patience(ON_POLL[what])), await client.poll(struck)]
    assert [each.status for each in seen] == [200, ON_POLL[what][0], 200]
    assert names_of(seen[2].json) == {"id-0": ["a"], "id-1": ["b"]}


async def test_what_cannot_be_read_cannot_be_read(client: Client) -> None:
    """Bodies of polls that are wrong are wrong in the way that they say."""
    bodies = {}
    for what in ("cut-short", "broken-off", "not-json", "huge", "deep", "slow"):
        accepted = await client.submit(f"a {what}*1")
        bodies[what] = (await client.poll(accepted, patience(ON_POLL[what]))).body
    whole = (await client.poll(await client.submit("a"))).body
    assert all(0 < len(bodies[what]) < len(whole) for what in ("cut-short", "broken-off", "slow"))
    assert bodies["not-json"].startswith(b"<html>")
    assert len(bodies["huge"]) > 32_000_000
    assert bodies["deep"].startswith(b"[" * 100_000)
    for body in bodies.values():
        with pytest.raises((ValueError, RecursionError)):
            json.loads(body)


@pytest.mark.parametrize("by", ["dice", "mark"])
@pytest.mark.parametrize("what", ON_JOB)
async def test_a_job_that_does_not_end_well(client: Client, what: FaultName, by: str) -> None:
    """Whether the dice chose it or a document's mark: from its end on each poll tells its fate."""
    faults = [Fault(what)] if by == "dice" else []
    await client.judge.set(Conditions(duration=AT_ONCE, faults=faults))
    accepted = await client.submit(f"a {what}" if by == "mark" else "a", "b")
    seen = [await client.poll(accepted) for _ in range(2)]
    assert [each.status for each in seen] == ([200, 200] if ON_JOB[what] else [404, 404])
    assert [each.json.get("status", "") for each in seen] == [ON_JOB[what]] * 2
    if what == "partial":
        assert len(results_of(seen[0].json)["documents"]) == 1
        assert by == "dice" or list(names_of(seen[0].json)) == ["id-1"]


@pytest.mark.parametrize("by", ["dice", "mark"])
@pytest.mark.parametrize("what", IN_RESULT)
async def test_a_result_that_speaks_wrongly(client: Client, what: FaultName, by: str) -> None:
    """Whether the dice chose it or its mark: the document is missing, an error, there twice or beside a stranger."""
    faults = [Fault(what, times=1)] if by == "dice" else []
    await client.judge.set(Conditions(duration=AT_ONCE, faults=faults))
    results = results_of((await client.poll(await client.submit(f"a {what}" if by == "mark" else "a", "b"))).json)
    documents, errors = IN_RESULT[what]
    assert [each["id"] for each in results["documents"]] == documents
    assert [each["id"] for each in results["errors"]] == errors


# conditions


@pytest.mark.parametrize(
    ("down", "seen"),
    [("status", (503, "whole")), ("hang", (0, "silence")), ("reset", (0, "reset")), ("refused", (0, "reset"))],
)
async def test_an_outage(client: Client, down: Any, seen: tuple[int, str]) -> None:  # noqa: ANN401
    """While it lasts no submit and no poll is served; after it the job that was there is there."""
    accepted = await client.submit("a")
    await client.judge.set(Conditions(duration=AT_ONCE, down=down))
    calls = [await client.submit("b", patience=patience(seen)), await client.poll(accepted, patience(seen))]
    assert [(each.status, each.ended) for each in calls] == [seen, seen]
    await client.judge.set(Conditions(duration=AT_ONCE))
    assert (await client.poll(accepted)).json["status"] == "succeeded"
    assert (await client.judge.tally()).accepted == 1


async def test_connections_are_refused_while_the_port_is_shut(client: Client) -> None:
    """A refused connection never was one: the client sees so, and the books see nothing."""
    await client.judge.set(Conditions(down="refused"))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="Connect call failed"):
            await session.get(client.judge.url)
    assert (await client.judge.tally()).submits == 0


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_of_everything(client: Client, status: Any) -> None:  # noqa: ANN401
    """Every call gets the status until the conditions are others."""
    accepted = await client.submit("a")
    await client.judge.set(Conditions(refuse=status))
    assert {(await client.submit("a")).status, (await client.poll(accepted)).status} == {status}
    await client.judge.set(Conditions())
    assert (await client.poll(accepted)).status == 200


async def test_an_answer_can_be_held(client: Client) -> None:
    """Whoever leaves before it comes has had his submit accepted all the same; whoever stays gets it."""
    await client.judge.set(Conditions(duration=AT_ONCE, answers_after=2 * SHORT))
    left, stayed = await client.submit("a", patience=SHORT), await client.submit("b")
    assert ((left.status, left.ended), stayed.status) == ((0, "silence"), 202)
    assert (await client.poll(stayed)).json["status"] == "succeeded"
    assert (await client.judge.tally()).accepted == 2


async def test_a_limit_throttles_over_http(client: Client) -> None:
    """What is over the limit gets 429 and a Retry-After, and the tally counts it."""
    await client.judge.set(Conditions(limits=[Limit("slidingWindow", 3, 60.0)]))
    seen = [await client.submit("a") for _ in range(5)]
    assert [each.status for each in seen] == [202, 202, 202, 429, 429]
    assert [1 <= int(each.retry_after) <= 60 for each in seen[3:]] == [True, True]
    assert (await client.judge.tally()).throttled == {"submit": 2, "poll": 0}


async def test_conditions_that_cannot_be_are_refused(client: Client) -> None:
    """A wrong field is told with its place, and what held before still holds."""
    wrong = json.dumps({"faults": [{"what": "hangs"}]})
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{client.judge.url}/judge/conditions", data=wrong) as response,
    ):
        assert response.status == 400
        assert "$.faults[0].what" in await response.text()
    assert (await client.submit("a")).status == 202


async def test_our_own_routes_ask_for_no_key(client: Client) -> None:
    """At the API's port too: conditions, rotate, flights, tally, books and clear; what is none of them is not found."""
    new = json.dumps({"old": "key", "new": "new"})
    async with aiohttp.ClientSession(client.judge.url) as session:
        statuses = [
            (await session.request(method, f"/judge/{route}", data=body)).status
            for method, route, body in [
                ("PUT", "conditions", "{}"),
                ("POST", "rotate", new),
                ("GET", "flights", None),
                ("GET", "tally", None),
                ("GET", "books", None),
                ("POST", "clear", None),
                ("GET", "elsewhere", None),
            ]
        ]
    assert statuses == [204, 204, 200, 200, 200, 204, 404]
    assert (await client.submit("a")).status == 401
    assert (await client.submit("a", key="new")).status == 202


async def test_calls_at_the_same_time_do_not_mix(client: Client) -> None:
    """Of a hundred jobs at once each finds the names of its own documents."""
    marks = [[f"doc-{n}-{each}" for each in range(3)] for n in range(100)]
    accepted = await asyncio.gather(*(client.submit(*each) for each in marks))
    seen = await asyncio.gather(*(client.poll(each) for each in accepted))
    assert [[name for names in names_of(each.json).values() for name in names] for each in seen] == marks
    assert len({line.job for line in await client.lines()}) == 100


async def test_the_books_can_be_read_while_it_runs(client: Client) -> None:
    """What was answered is in the books that it hands out, and from then on in the file."""
    await client.poll(await client.submit("a"))
    events = await client.judge.events()
    assert [type(event) for event in events] == [Change, Submit, Poll]
    assert read_books(client.judge.books) == events
