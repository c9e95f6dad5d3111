"""The HTTP edge against a real socket: one request, one answer, one verdict, whatever the other side does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from entity_stream.core.model import Annotated, Document, Job, Partition, Record
from entity_stream.core.verdict import Again, Done, Freeze, Halve, Park, Running, Wait
from entity_stream.edges.language_http import LARGEST_ANSWER, OVERDUE, HttpLanguage, connect
from entity_stream.edges.telemetry import Metrics
from entity_stream.plan import LanguageEndpoint
from entity_stream.ports import unlimited
from tests.edges.endpoint import Answering, Endpoint, endpoint

pytestmark = pytest.mark.asyncio

JOB = Job("11111111-2222-3333-4444-555555555555", "test")
TEST = {"resource": "test"}


def batch(count: int) -> tuple[Document, ...]:
    partition = Partition("in", 0)
    return tuple(
        Document(Record(partition, n, None, b"{}"), f"id-{n}", f"in/0/{n}", f"payments-api is down {n}")
        for n in range(count)
    )


@asynccontextmanager
async def language(
    answer: Answering, patience: float = 5.0, connections: int = 4
) -> AsyncIterator[tuple[HttpLanguage, Endpoint, Metrics]]:
    async with endpoint(answer) as there:
        name = LanguageEndpoint(there.url, "secret-key", "incidents", "production", resource="test")
        where = msgspec.structs.replace(name, timeout=patience, price=5.0)
        metrics = Metrics()
        async with connect(where, connections) as transport:
            yield HttpLanguage(transport, where, metrics), there, metrics


def answering(status: int, body: object = None, **headers: str) -> Answering:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=b"" if body is None else json.dumps(body).encode(), headers=headers)

    return answer


def job_body(ids: list[str], next_link: str | None = None, status: str = "succeeded") -> dict[str, object]:
    entity = {"text": "payments-api", "category": "ServiceName", "offset": 0, "length": 12, "confidenceScore": 0.9}
    documents = [{"id": each, "entities": [entity], "warnings": []} for each in ids]
    results = {"documents": documents, "errors": [], "projectName": "incidents", "deploymentName": "production"}
    item = {"kind": "CustomEntityRecognitionLROResults", "status": status, "results": results}
    item["lastUpdateDateTime"] = "2026-11-21T10:00:01.1234567Z"
    tasks = {"completed": 1, "failed": 0, "inProgress": 0, "total": 1, "items": [item]}
    body: dict[str, object] = {"jobId": JOB.id, "status": status, "errors": [], "tasks": tasks}
    body["createdDateTime"] = body["lastUpdatedDateTime"] = "2026-11-21T10:00:00Z"
    body["expirationDateTime"] = "2026-11-22T10:00:00Z"
    return body | ({"nextLink": next_link} if next_link else {})


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_an_answer_that_is_garbage_in_its_coding_is_waited_out(coding: str) -> None:
    """What cannot be decompressed is passing trouble, on submit and on poll, and no exception."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"hello", headers={"Content-Encoding": coding})

    async with language(answer) as (there, _, _):
        assert isinstance(await there.submit(batch(1), unlimited), Wait)
        assert isinstance(await there.poll(JOB, batch(1)), Wait)


async def test_a_submit_carries_the_key_and_takes_only_the_job_id_of_the_answer() -> None:
    """The job's id comes from operation-location; its host is not used."""
    location = {"operation-location": f"https://elsewhere.example/language/analyze-text/jobs/{JOB.id}?api-version=1"}
    async with language(answering(202, **location)) as (there, seen, _):
        assert await there.submit(batch(2), unlimited) == Done(JOB)
        assert seen.asked[0].headers["Ocp-Apim-Subscription-Key"] == "secret-key"
        assert seen.asked[0].path_qs == "/language/analyze-text/jobs?api-version=2023-04-01"
        sent = json.loads(seen.bodies[0])
        assert [document["id"] for document in sent["analysisInput"]["documents"]] == ["in/0/0", "in/0/1"]
        assert sent["tasks"][0]["parameters"]["deploymentName"] == "production"


async def test_all_pages_of_a_result_are_read_from_our_own_endpoint() -> None:
    """A result of two pages is put together, though its link names another host."""
    documents = batch(25)

    async def answer(request: web.Request) -> web.Response:
        first = request.query.get("skip", "0") == "0"
        ids = [d.wire_id for d in (documents[:20] if first else documents[20:])]
        link = "https://elsewhere.example/language/analyze-text/jobs/x?top=5&skip=20&api-version=2022-05-01"
        return web.json_response(job_body(ids, link if first else None))

    async with language(answer) as (there, seen, _):
        verdict = await there.poll(JOB, documents)
        assert isinstance(verdict, Done)
        assert [outcome.record.offset for outcome in verdict.value.outcomes] == list(range(25))
        assert verdict.value.missing == ()
        assert [request.query["skip"] for request in seen.asked] == ["0", "20"]
        assert all(request.headers["Ocp-Apim-Subscription-Key"] == "secret-key" for request in seen.asked)


def billed(metrics: Metrics, what: str = "text_records") -> float | None:
    place = {"resource": "test", "project": "incidents"}
    return metrics.registry.get_sample_value(f"entity_stream_{what}_total", place)


async def test_what_is_billed_is_counted_at_the_submit_and_set_right_by_the_result() -> None:
    """By characters first, then as the API tells; what was counted too much is left out of the next submit."""
    documents = tuple(msgspec.structs.replace(each, text="x" * 1_001) for each in batch(3))
    told = job_body([each.wire_id for each in documents])
    for shown in told["tasks"]["items"][0]["results"]["documents"]:  # type: ignore[index]
        shown["statistics"] = {"charactersCount": 1_000, "transactionsCount": 1}

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            assert request.query["showStats"] == "true"
            return web.json_response(told)
        return web.Response(status=202, headers={"operation-location": f"https://h/analyze-text/jobs/{JOB.id}"})

    async with language(answer) as (there, _, metrics):
        await there.submit(documents, unlimited)
        assert (billed(metrics), billed(metrics, "cost")) == (6, 0.03)
        await there.poll(JOB, documents)
        assert billed(metrics) == 6
        await there.submit(documents, unlimited)
        assert (billed(metrics), billed(metrics, "cost")) == (6 - 3 + 6, 0.045)
        assert billed(metrics, "possibly_billed_text_records") is None


async def test_without_a_price_there_is_no_cost() -> None:
    """The text records are counted all the same."""
    location = {"operation-location": f"https://elsewhere.example/analyze-text/jobs/{JOB.id}"}
    async with endpoint(answering(202, **location)) as there:
        where, metrics = LanguageEndpoint(there.url, "k", "incidents", "production", resource="test"), Metrics()
        async with connect(where, connections=1) as transport:
            await HttpLanguage(transport, where, metrics).submit(batch(2), unlimited)
    assert (billed(metrics), billed(metrics, "cost")) == (2, None)


async def test_a_missing_id_is_noticed() -> None:
    """A document that the result does not speak of is missing, and counted."""
    documents = batch(3)
    async with language(answering(200, job_body([documents[0].wire_id, documents[2].wire_id, "stranger"]))) as (
        there,
        _,
        metrics,
    ):
        verdict = await there.poll(JOB, documents)
        assert isinstance(verdict, Done)
        assert verdict.value.missing == (documents[1],)
        assert all(isinstance(outcome, Annotated) for outcome in verdict.value.outcomes)
        assert metrics.registry.get_sample_value("entity_stream_missing_results_total") == 1


SUBMIT_VERDICTS: list[tuple[int, dict[str, str], type]] = [
    (400, {}, Halve),
    (413, {}, Halve),
    (401, {}, Park),
    (404, {}, Park),
    (429, {"Retry-After": "7"}, Freeze),
    (500, {}, Wait),
    (503, {}, Wait),
    (202, {}, Wait),
    (302, {"Location": "http://127.0.0.1:1/"}, Wait),
]


@pytest.mark.parametrize(("status", "headers", "verdict"), SUBMIT_VERDICTS)
async def test_every_refusal_of_a_submit_is_a_verdict(status: int, headers: dict[str, str], verdict: type) -> None:
    """No status raises; a redirect is not followed."""
    async with language(answering(status, {"error": {"code": str(status), "message": "no"}}, **headers)) as (
        there,
        seen,
        metrics,
    ):
        assert isinstance(await there.submit(batch(1), unlimited), verdict)
        assert len(seen.asked) == 1
        counted = TEST | {"operation": "submit", "status": str(status)}
        assert metrics.registry.get_sample_value("entity_stream_calls_total", counted) == 1


async def test_a_throttle_carries_its_retry_after_and_is_counted() -> None:
    """429 with Retry-After: 7 freezes for seven seconds."""
    async with language(answering(429, {"error": {"code": "429", "message": "slow"}}, **{"Retry-After": "7"})) as (
        there,
        _,
        metrics,
    ):
        verdict = await there.poll(JOB, batch(1))
        assert isinstance(verdict, Freeze)
        assert verdict.seconds == 7.0
        assert metrics.registry.get_sample_value("entity_stream_throttled_total", TEST | {"operation": "poll"}) == 1


async def test_a_running_job_and_an_unknown_job() -> None:
    """A running job is to be asked again; an unknown one is doubted first."""
    async with language(answering(200, job_body([], status="running"))) as (there, _, _m):
        assert await there.poll(JOB, batch(1)) == Running()
    async with language(answering(404, {"error": {"code": "NotFound", "message": "no such job"}})) as (there, _, _m):
        verdict = await there.poll(JOB, batch(1))
        assert isinstance(verdict, Again)
        assert not verdict.certain


async def test_no_connection_is_waited_out_and_bills_nothing() -> None:
    """A refused connection is passing trouble, and no document of it counts as possibly billed."""
    async with endpoint(answering(200)) as gone:
        url = gone.url
    where, metrics = LanguageEndpoint(url, "secret-key", "incidents", "production", resource="test"), Metrics()
    async with connect(where, connections=1) as transport:
        verdict = await HttpLanguage(transport, where, metrics).submit(batch(1), unlimited)
    assert isinstance(verdict, Wait)
    assert verdict.cause == f"cannot connect to {url.removeprefix('http://')}: Connection refused"
    assert metrics.registry.get_sample_value("entity_stream_possibly_billed_total", TEST) == 0


async def test_https_to_a_port_that_speaks_http_is_told_as_such() -> None:
    """The words of a failed handshake ask whether https is spoken there."""
    async with endpoint(answering(200)) as plain:
        where, metrics = LanguageEndpoint(plain.url.replace("http", "https"), "k", "p", "d"), Metrics()
        async with connect(where, connections=1) as transport:
            verdict = await HttpLanguage(transport, where, metrics).submit(batch(1), unlimited)
    assert isinstance(verdict, Wait)
    assert "is https spoken there?" in verdict.cause


async def test_an_answer_that_never_comes_is_waited_out_and_counts_as_possibly_billed() -> None:
    """After the time-out the submit is passing trouble, and its documents may have been billed."""

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with language(hang, patience=2.0) as (there, _, metrics):
        assert isinstance(await there.submit(batch(3), unlimited), Wait)
        assert metrics.registry.get_sample_value("entity_stream_possibly_billed_total", TEST) == 3
        assert (billed(metrics, "possibly_billed_text_records"), billed(metrics)) == (3, None)


async def test_a_submit_that_is_cancelled_counts_as_possibly_billed_once_it_is_sent() -> None:
    """Nobody hears the answer to what is on its way; what still waits for a connection is not."""
    arrived = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with language(hang, connections=1) as (there, _, metrics):
        first = asyncio.create_task(there.submit(batch(3), unlimited))
        await arrived.wait()
        waiting = asyncio.create_task(there.submit(batch(2), unlimited))
        await asyncio.sleep(0)
        for each, documents in (waiting, 0), (first, 3):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each
            assert metrics.registry.get_sample_value("entity_stream_possibly_billed_total", TEST) == documents
        assert billed(metrics, "possibly_billed_text_records") == 3


async def test_who_gets_a_connection_when_the_lease_has_ended_sends_nothing() -> None:
    """However long it waited for one, or was stopped, what may be another's by now is not sent, and bills nothing."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return web.Response(
            status=202, headers={"operation-location": f"https://elsewhere.example/analyze-text/jobs/{JOB.id}"}
        )

    async with language(hold, connections=1) as (client, there, metrics):
        held = True
        holding = asyncio.create_task(client.submit(batch(1), unlimited))
        await arrived.wait()
        waiting = asyncio.create_task(client.submit(batch(1), lambda: held))
        await asyncio.sleep(0)
        held = False
        go_on.set()
        assert await holding == Done(JOB)
        assert await waiting == Wait(OVERDUE)
        held = True
        assert await client.submit(batch(1), lambda: held) == Done(JOB)
        assert len(there.asked) == 2
        assert metrics.registry.get_sample_value("entity_stream_possibly_billed_total", TEST) == 0


async def test_a_connection_that_breaks_off_is_waited_out() -> None:
    """A reset in the middle of an answer is passing trouble."""

    async def reset(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport
        request.transport.abort()
        return response

    async with language(reset) as (there, _, metrics):
        assert isinstance(await there.submit(batch(1), unlimited), Wait)
        assert isinstance(await there.poll(JOB, batch(1)), Wait)
        assert metrics.registry.get_sample_value("entity_stream_possibly_billed_total", TEST) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff\xfe", b'{"status": 7}', b"[" * 100_000])
async def test_a_body_that_is_no_job_is_doubted(body: bytes) -> None:
    """What is not a job document raises nothing, and counts when it comes twice."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with language(answer) as (there, _, _m):
        verdict = await there.poll(JOB, batch(1))
        assert isinstance(verdict, Again)
        assert not verdict.certain


async def test_a_huge_answer_is_not_read_to_its_end() -> None:
    """An answer over the limit is given up, so that it cannot fill the memory."""

    async def huge(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(LARGEST_ANSWER // 1_000_000 + 20):
            await response.write(b" " * 1_000_000)
        return response

    async with language(huge) as (there, _, _m):
        with capture_logs() as logs:
            verdict = await there.poll(JOB, batch(1))
        assert isinstance(verdict, Again)
        [told] = logs
        assert LARGEST_ANSWER < told["read"] < LARGEST_ANSWER + 2_000_000
