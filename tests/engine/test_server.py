"""The engine over a real socket: asked as our own client asks, as a script asks, and as nobody should."""

import asyncio
import json
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from entity_stream.core.model import Annotated, Document, Rejected
from entity_stream.core.verdict import (
    Again,
    Answer,
    Done,
    Freeze,
    Halve,
    PageVerdict,
    Park,
    Running,
    SubmitVerdict,
    Wait,
    judge,
    on_submit,
    read_page,
)
from entity_stream.core.wire.runtime import JobState, encode_submit, job_path, submit_path
from entity_stream.core.wire.shapes import (
    CODE_POINTS,
    JOBS_PATH,
    TEXT_ELEMENTS,
    UTF16_UNITS,
)
from entity_stream.engine.commands import ServeOptions, serve
from entity_stream.engine.jobs import Limits
from entity_stream.engine.server import LARGEST_BODY, Deployment, Engine
from entity_stream.sample import DOCUMENTS
from tests.core.language_samples import document

V = "2023-04-01"
SUBMIT = submit_path(V)
KEY = "a-key"
DEPLOYED = "/language/authoring/analyze-text/projects/incidents/deployments/production"
REPORT = (DOCUMENTS / "incident-001.txt").read_bytes().decode()
ASTRAL = "👩‍👩‍👧‍👧 cafe\u0301\r\n"
"""15 code points, 19 UTF-16 units, 7 text elements."""


shared = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(model: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Connect to an engine that many tests share."""
    stop = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    options = ServeOptions(model=model, project="incidents", deployment="production", port=0, key=KEY, workers=0)
    serving = asyncio.create_task(serve(options, stop, url.set_result))
    async with httpx.AsyncClient(base_url=await url, headers={"Ocp-Apim-Subscription-Key": KEY}) as connected:
        yield connected
    stop.set()
    await serving


@asynccontextmanager
async def served(
    model: Path, key: str | None = KEY, workers: int = 0, limits: Limits | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a model, and connect to it with the key."""
    stop = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    options = ServeOptions(
        model=model,
        project="incidents",
        deployment="production",
        port=0,
        key=key,
        workers=workers,
        limits=limits or Limits(),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(options, stop, url.set_result))
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
        async with httpx.AsyncClient(base_url=await url, headers=headers) as client:
            yield client
        stop.set()


def body(*texts: str, **more: str) -> dict[str, Any]:
    """Make the body of a submit; `more` goes into the parameters of its one task."""
    parameters = {"projectName": "incidents", "deploymentName": "production"} | more
    return {
        "analysisInput": {"documents": [{"id": str(place), "text": text} for place, text in enumerate(texts)]},
        "tasks": [{"kind": "CustomEntityRecognition", "parameters": parameters}],
    }


async def submitted(client: httpx.AsyncClient, sent: dict[str, Any]) -> str:
    """Submit, and return where the job is."""
    response = await client.post(SUBMIT, json=sent)
    assert (response.status_code, response.content) == (202, b""), response.text
    return response.headers["operation-location"]


async def polled(client: httpx.AsyncClient, url: str, until: str = "succeeded") -> dict[str, Any]:
    """Ask for a job until it has a status."""
    while True:
        told: dict[str, Any] = (await client.get(url)).raise_for_status().json()
        if told["status"] == until:
            return told
        assert told["status"] in {"notStarted", "running"}, told["status"]


async def results(client: httpx.AsyncClient, sent: dict[str, Any]) -> dict[str, Any]:
    """Submit, and return the results of the first task."""
    told = await polled(client, await submitted(client, sent))
    answer: dict[str, Any] = told["tasks"]["items"][0]["results"]
    return answer


def answer_of(response: httpx.Response) -> Answer:
    headers = response.headers
    return Answer(response.status_code, response.content, headers.get("retry-after"), headers.get("operation-location"))


def verdict_on_submit(response: httpx.Response) -> SubmitVerdict:
    return on_submit(answer_of(response), "engine", 0.0)


def verdict_on_poll(response: httpx.Response) -> PageVerdict:
    return read_page(answer_of(response), 0.0)


def workers() -> list[int]:
    """The processes that work for engines of this one."""
    return [child.pid for child in multiprocessing.active_children() if child.pid]


@asynccontextmanager
async def halted(pid: int) -> AsyncIterator[None]:
    """Have a process stand still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# as our own client asks


async def annotated(client: httpx.AsyncClient, batch: tuple[Document, ...]) -> tuple[Annotated | Rejected, ...]:
    """Have a batch judged by the rules of our own client."""
    accepted = verdict_on_submit(await client.post(SUBMIT, content=encode_submit(batch, "incidents", "production")))
    assert isinstance(accepted, Done)
    page: PageVerdict = Running()
    while isinstance(page, Running):
        page = verdict_on_poll(await client.get(job_path(accepted.value.id, V)))
    assert isinstance(page, JobState)
    judged = judge(batch, [page])
    assert judged.missing == ()
    return tuple(each for each in judged.outcomes if isinstance(each, Annotated | Rejected))


@pytest.mark.asyncio
@pytest.mark.parametrize("processes", [0, 1])
async def test_our_own_client_gets_an_outcome_for_every_document(model: Path, processes: int) -> None:
    """A batch comes back whole, and every entity stands in its text where the result says, in threads and processes."""
    batch = tuple(document(place, ASTRAL * place + REPORT, "en") for place in range(25))
    async with served(model, workers=processes) as client:
        outcomes = await annotated(client, batch)
    for each, sent in zip(outcomes, batch, strict=True):
        assert isinstance(each, Annotated)
        assert each.id == sent.id
        assert (each.model.project, each.model.deployment) == ("incidents", "production")
        assert len(each.entities) > 3
        assert all(sent.text[one.offset : one.offset + one.length] == one.text for one in each.entities)


@shared
async def test_only_the_faulty_documents_of_a_batch_are_rejected(client: httpx.AsyncClient) -> None:
    """An empty text and an unknown language are errors of their documents, with the codes of the service."""
    batch = (document(0, REPORT, "en-US"), document(1, ""), document(2, REPORT, "xx"), document(3, REPORT, "pt-BR"))
    good, empty, unknown, other = await annotated(client, batch)
    assert isinstance(empty, Rejected)
    assert isinstance(unknown, Rejected)
    assert (empty.reason.code, empty.reason.message) == ("InvalidDocument", "Document text is empty.")
    assert unknown.reason.code == "UnsupportedLanguageCode"
    assert isinstance(good, Annotated)
    assert isinstance(other, Annotated)


@shared
async def test_our_own_client_parks_when_it_is_the_settings_that_are_wrong(client: httpx.AsyncClient) -> None:
    """Wrong key, project, deployment or api-version is nothing that a document can be blamed for."""
    sent = body(REPORT)
    answers = [
        await client.post(SUBMIT, json=sent, headers={"Ocp-Apim-Subscription-Key": "wrong"}),
        await client.post(SUBMIT, json=body(REPORT, projectName="other")),
        await client.post(SUBMIT, json=body(REPORT, deploymentName="other")),
        await client.post(submit_path("2021-11-01-preview"), json=sent),
    ]
    assert [type(verdict_on_submit(each)) for each in answers] == [Park] * 4


# pages


@shared
async def test_25_documents_are_two_pages_unless_one_of_25_is_asked_for(client: httpx.AsyncClient) -> None:
    """The default page has 20 documents and links to the other 5; with top=25 there is one page, and no link."""
    url = await submitted(client, body(*[REPORT] * 25))
    first = await polled(client, url)
    second = await polled(client, first["nextLink"])
    whole = await polled(client, f"{url}&top=25")
    pages = [each["tasks"]["items"][0]["results"]["documents"] for each in (first, second, whole)]
    assert [len(page) for page in pages] == [20, 5, 25]
    assert pages[0] + pages[1] == pages[2]
    assert first["nextLink"].endswith(f"?top=5&skip=20&api-version={V}")
    assert "nextLink" not in second
    assert "nextLink" not in whole


@shared
@pytest.mark.parametrize("page", ["top=0", "top=51", "top=x", "skip=-1"])
async def test_a_page_that_cannot_be_is_refused(client: httpx.AsyncClient, page: str) -> None:
    """Top and skip outside their bounds are a 400 that names the parameter."""
    url = await submitted(client, body(REPORT))
    response = await client.get(f"{url}&{page}")
    assert response.status_code == 400
    assert response.json()["error"]["innererror"]["code"] == "InvalidParameterValue"
    assert page.partition("=")[0] in response.json()["error"]["innererror"]["message"]


# what a job tells


@shared
async def test_a_job_tells_what_it_was_asked_to(client: httpx.AsyncClient) -> None:
    """Display name, task names and counters are told; statistics only to who asks for them."""
    sent = body(REPORT, "") | {"displayName": "testing"}
    task = sent["tasks"][0]
    sent["tasks"] = [task | {"taskName": "b"}, task | {"taskName": "a"}]
    url = await submitted(client, sent)
    plain, counted = await polled(client, url), await polled(client, f"{url}&showStats=True")
    assert plain["displayName"] == "testing"
    assert [item["taskName"] for item in plain["tasks"]["items"]] == ["b", "a"]
    assert {name: plain["tasks"][name] for name in ("completed", "failed", "inProgress", "total")} == {
        "completed": 2,
        "failed": 0,
        "inProgress": 0,
        "total": 2,
    }
    assert "statistics" not in plain["tasks"]["items"][0]["results"]
    assert counted["tasks"]["items"][0]["results"]["statistics"] == {
        "documentsCount": 2,
        "validDocumentsCount": 1,
        "erroneousDocumentsCount": 1,
        "transactionsCount": 1,
    }


@shared
async def test_dates_and_keys_are_those_of_the_service(client: httpx.AsyncClient) -> None:
    """A job lives 24 hours to the second, and its members come in the order of the service."""
    told = await polled(client, await submitted(client, body(REPORT)))
    created, expires = (datetime.fromisoformat(told[name]) for name in ("createdDateTime", "expirationDateTime"))
    assert expires - created == timedelta(hours=24)
    assert list(told) == [
        "jobId",
        "lastUpdatedDateTime",
        "createdDateTime",
        "expirationDateTime",
        "status",
        "errors",
        "tasks",
    ]


@shared
async def test_the_job_is_where_the_client_came_in(client: httpx.AsyncClient) -> None:
    """The operation-location is absolute, with the host of the request, and the scheme that a proxy tells."""
    headers = {"Host": "language.example:8443", "X-Forwarded-Proto": "https"}
    response = await client.post(SUBMIT, json=body(REPORT), headers=headers)
    named = dict(response.headers.raw)
    assert named[b"operation-location"].startswith(b"https://language.example:8443/language/analyze-text/jobs/")
    assert named[b"operation-location"].endswith(b"?api-version=2023-04-01")
    assert len(named[b"apim-request-id"]) == 36


# offsets


@shared
@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"stringIndexType": CODE_POINTS}, 15),
        ({"stringIndexType": UTF16_UNITS}, 19),
        ({"stringIndexType": TEXT_ELEMENTS}, 7),
        ({"stringIndexType": "TextElement_v8"}, 7),
        ({}, 7),
    ],
    ids=str,
)
async def test_offsets_count_in_the_unit_that_was_asked_for(
    client: httpx.AsyncClient, asked: dict[str, str], size: int
) -> None:
    """Behind emoji, a combining accent and CRLF, offsets are shifted by their size in the unit of the task."""
    plain = await results(client, body("x\n" + REPORT, **asked))
    shifted = await results(client, body(ASTRAL + "x\n" + REPORT, **asked))
    before, after = (each["documents"][0]["entities"] for each in (plain, shifted))
    expected = [one | {"offset": one["offset"] + size} for one in before]
    told = [(one["text"], one["offset"], one["length"]) for one in after]
    assert told == [(one["text"], one["offset"], one["length"]) for one in expected]


# refused


INVALID = {"code": "InvalidRequest", "message": "Invalid Document in request."}


def refusal(code: str, message: str) -> dict[str, Any]:
    return {"error": INVALID | {"innererror": {"code": code, "message": message}}}


@shared
@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        (
            body(*["a"] * 26),
            400,
            refusal("InvalidDocumentBatch", "Batch request contains too many records. Max 25 records are permitted."),
        ),
        (body("", ""), 400, refusal("InvalidDocumentBatch", "Document text is empty.")),
        (
            body("a") | {"analysisInput": {"documents": [{"id": "1", "text": "a"}] * 2}},
            400,
            refusal("InvalidDocument", "Request contains duplicated Ids. Make sure each document has a unique Id."),
        ),
        (
            body("a" * 125_001),
            413,
            refusal(
                "InvalidDocumentBatch",
                "Request Payload sent is too large to be processed. Limit request size to: 125000",
            ),
        ),
    ],
    ids=["26 documents", "all empty", "duplicate ids", "125,001 characters"],
)
async def test_a_batch_is_refused_in_the_words_of_the_service(
    client: httpx.AsyncClient, sent: dict[str, Any], status: int, error: dict[str, Any]
) -> None:
    """Too many documents or characters, no text at all, and an id twice get the recorded answers; we halve."""
    response = await client.post(SUBMIT, json=sent)
    assert (response.status_code, response.json()) == (status, error)
    assert isinstance(verdict_on_submit(response), Halve)


@shared
async def test_a_task_that_cannot_be_done_is_refused_by_its_name(client: httpx.AsyncClient) -> None:
    """A task of another kind and an unknown unit are a 400 whose details name the task; too many tasks are one, too."""
    other = body("a")
    other["tasks"].append({"kind": "EntityRecognition"})
    many = body("a")
    many["tasks"] *= 26
    answers = [await client.post(SUBMIT, json=each) for each in (other, body("a", stringIndexType="bytes"), many)]
    errors = [each.json()["error"] for each in answers]
    assert [each.status_code for each in answers] == [400] * 3
    assert {each["innererror"]["code"] for each in errors} == {"InvalidParameterValue"}
    assert errors[0]["details"][0]["message"].startswith("Job task: 'EntityRecognition-1' failed with validation error")
    assert errors[1]["details"][0]["message"].startswith("Job task: 'CustomEntityRecognition-0' failed")


@shared
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused_and_the_client_goes_on(
    client: httpx.AsyncClient, chunked: bool
) -> None:
    """More than 2 MB are a 413, whether or not the client says the size, and it can go on asking."""
    piece = b" " * 100_000

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield piece

    response = await client.post(SUBMIT, content=pieces() if chunked else piece * 30)
    assert response.status_code == 413
    assert str(LARGEST_BODY) in response.json()["error"]["innererror"]["message"]
    await submitted(client, body(REPORT))


@shared
async def test_125000_characters_are_taken_however_they_are_written(client: httpx.AsyncClient) -> None:
    """A request of 125,000 emoji, each written as two escapes, is under the limit of bytes."""
    sent = json.dumps(body("👩" * 125_000), ensure_ascii=True)
    assert len(sent) > 1_500_000
    assert (await client.post(SUBMIT, content=sent)).status_code == 202


@shared
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"tasks": 1}', b'{"a":' * 5_000, b'"\\ud83d"'])
async def test_what_is_no_request_is_refused(client: httpx.AsyncClient, raw: bytes) -> None:
    """A body that is not the JSON of a submit is a 400 with a code, whatever it is."""
    response = await client.post(SUBMIT, content=raw)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "InvalidRequest"


@shared
@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("2022-05-01", True),
        ("2022-10-01-preview", True),
        ("2026-05-15-preview", True),
        ("2031-01-01", True),
        ("2022-03-01-preview", False),
        ("2021-11-01-preview", False),
        ("2023-13-01", False),
        ("2023-04-01&", True),
        ("2023-04-01 ", False),
        ("latest", False),
        ("", False),
    ],
)
async def test_api_versions_are_known_by_their_dates(client: httpx.AsyncClient, version: str, known: bool) -> None:
    """2022-05-01 and whatever is later is served; what is older or no date is a 400 that says so, everywhere."""
    answers = [
        await client.post(submit_path(version), json=body(REPORT)),
        await client.get(f"{DEPLOYED}?api-version={version}"),
    ]
    assert [each.status_code for each in answers] == ([202, 200] if known else [400, 400])
    if not known:
        error = answers[0].json()["error"]
        assert error["innererror"]["code"] == "InvalidParameterValue"
        assert "2022-05-01 and later" in error["innererror"]["message"]


@shared
async def test_what_is_not_there_is_404(client: httpx.AsyncClient) -> None:
    """Unknown jobs, projects, deployments and paths are 404 in the service's envelope; of a job we ask again."""
    job = await client.get(job_path("64c0f660-257f-49c1-90d1-8dcd9e685501", V))
    cancelled = await client.post(f"{JOBS_PATH}/nobody:cancel?api-version={V}")
    project = await client.post(SUBMIT, json=body("a", projectName="Incidents"))
    deployment = await client.post(SUBMIT, json=body("a", deploymentName=""))
    unknown = await client.post(SUBMIT, json=body("a", deploymentName="old"))
    path = await client.get("/")
    method = await client.get(SUBMIT)
    assert [each.status_code for each in (job, cancelled, project, unknown, path)] == [404] * 5
    assert [each.json()["error"]["code"] for each in (job, project, unknown, path, method)] == [
        "NotFound",
        "ProjectNotFound",
        "NotFound",
        "404",
        "405",
    ]
    assert (deployment.status_code, method.status_code) == (400, 405)
    verdict = verdict_on_poll(job)
    assert isinstance(verdict, Again)
    assert not verdict.certain


@shared
async def test_nobody_gets_in_without_the_key(client: httpx.AsyncClient) -> None:
    """Every path is a 401 in the words of the service: without a key, and with one that is wrong or nearly right."""
    url = await submitted(client, body(REPORT))
    wrong: list[dict[str, str]] = [{}, {"Ocp-Apim-Subscription-Key": ""}, {"Ocp-Apim-Subscription-Key": KEY.upper()}]
    async with httpx.AsyncClient(base_url=client.base_url) as stranger:
        answers = [
            await stranger.request(method, path, content=b"x" * 1_000_000, headers=headers)
            for headers in wrong
            for method, path in (("POST", SUBMIT), ("GET", url), ("GET", DEPLOYED), ("GET", "/"))
        ]
    assert {each.status_code for each in answers} == {401}
    assert {each.json()["error"]["code"] for each in answers} == {"401"}
    assert all("invalid subscription key" in each.json()["error"]["message"] for each in answers)
    assert isinstance(verdict_on_submit(answers[0]), Park)


@pytest.mark.asyncio
async def test_an_engine_without_a_key_asks_for_none(model: Path) -> None:
    """Where no key was set whoever comes is served, with or without one."""
    async with served(model, key=None) as client:
        await submitted(client, body(REPORT))
        client.headers["Ocp-Apim-Subscription-Key"] = "whatever"
        await submitted(client, body(REPORT))


@shared
async def test_a_deployment_tells_that_it_is_there(client: httpx.AsyncClient) -> None:
    """The deployment that is served is described as the authoring API does; another is not there."""
    there = await client.get(f"{DEPLOYED}?api-version={V}")
    other = await client.get(f"{DEPLOYED}2?api-version={V}")
    nowhere = await client.get(f"{DEPLOYED.replace('incidents', 'x')}?api-version={V}")
    told = there.json()
    assert there.status_code == 200
    assert told["deploymentName"] == "production"
    assert set(told) == {
        "deploymentName",
        "modelId",
        "lastTrainedDateTime",
        "lastDeployedDateTime",
        "deploymentExpirationDate",
        "modelTrainingConfigVersion",
        "assignedResources",
    }
    assert [(each.status_code, each.json()["error"]["code"]) for each in (other, nowhere)] == [
        (404, "NotFound"),
        (404, "ProjectNotFound"),
    ]


# cancelled, failed, full, expired


@pytest.mark.asyncio
async def test_a_job_can_be_cancelled_before_and_while_it_runs(model: Path) -> None:
    """Cancelled jobs bring nothing, though their worker goes on, and the next is done; a job that has ended is not."""
    async with served(model, workers=1) as client:
        async with halted(*workers()):
            running, waiting = [await submitted(client, body(REPORT)) for _ in range(2)]
            assert (await client.get(running)).json()["status"] == "running"
            assert (await client.get(waiting)).json()["status"] == "notStarted"
            answers = [await client.post(url.replace("?", ":cancel?")) for url in (running, waiting)]
            assert [(each.status_code, each.content) for each in answers] == [(202, b"")] * 2
            assert answers[0].headers["operation-location"] == running
        done = await submitted(client, body(REPORT))
        await polled(client, done)
        told = [await polled(client, url, "cancelled") for url in (running, waiting)]
        again = await client.post(done.replace("?", ":cancel?"))
    for each in told:
        (item,) = each["tasks"]["items"]
        assert (item["status"], item["results"]["documents"], item["results"]["errors"]) == ("cancelled", [], [])
        assert [each["tasks"][name] for name in ("completed", "failed", "inProgress", "total")] == [0, 0, 0, 1]
    job_id = done.partition("?")[0].rpartition("/")[2]
    assert (again.status_code, again.json()) == (
        400,
        {
            "error": {
                "code": "InvalidRequest",
                "message": f"Failed to cancel job with job id {job_id} as its already completed.",
            }
        },
    )


@pytest.mark.asyncio
async def test_a_worker_that_dies_takes_only_its_own_job_with_it(model: Path) -> None:
    """The job of a killed worker fails as the service fails them; what waited is done by its successor."""
    async with served(model, workers=1) as client:
        (pid,) = workers()
        os.kill(pid, signal.SIGSTOP)  # so that it cannot be done too soon
        dying, waiting = [await submitted(client, body(REPORT)) for _ in range(2)]
        os.kill(pid, signal.SIGKILL)
        failed = await polled(client, dying, "failed")
        verdict = verdict_on_poll(await client.get(dying))
        succeeded = await polled(client, waiting)
        assert workers() != [pid]
    assert failed["errors"] == [
        {
            "code": "InternalServerError",
            "message": "Failed to process task after several retry",
            "target": "#/tasks/items/0",
        }
    ]
    assert failed["tasks"]["failed"] == 1
    assert "results" not in failed["tasks"]["items"][0]
    assert succeeded["tasks"]["items"][0]["results"]["documents"][0]["entities"]
    assert verdict == Again("job failed InternalServerError")


@pytest.mark.asyncio
async def test_who_submits_too_much_is_told_when_to_return(model: Path) -> None:
    """Beyond the bound of the queue a submit is a 429 with Retry-After; our client freezes, and is served later."""
    async with served(model, workers=1, limits=Limits(waiting=1)) as client:
        async with halted(*workers()):
            urls = [await submitted(client, body(REPORT)) for _ in range(2)]
            refused = await client.post(SUBMIT, json=body(REPORT))
        for url in urls:
            await polled(client, url)
        await submitted(client, body(REPORT))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["error"]["code"] == "429"
    assert verdict_on_submit(refused) == Freeze("HTTP 429", 1.0)


@shared
async def test_a_client_that_goes_away_leaves_no_trace(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Who hangs up in the middle of a submit is nobody's error: nothing is logged, and others are served."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = f"POST {SUBMIT} HTTP/1.1\r\nhost: x\r\nocp-apim-subscription-key: {KEY}\r\nexpect: 100-continue\r\n"
    writer.write(f"{head}content-length: 100\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await submitted(client, body(REPORT))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.broken = False

    def __call__(self) -> datetime:
        if self.broken:
            raise RuntimeError("the clock stands still, and this is a secret")
        return self.time


@asynccontextmanager
async def unstaffed(clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """Connect to an engine without workers, whose clock is ours."""
    deployment = Deployment("incidents", "production", "m", clock.time, clock.time)
    app = Engine(deployment, None, Limits(), clock).application()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
        yield client


@pytest.mark.asyncio
async def test_a_job_is_gone_after_24_hours() -> None:
    """A poll finds a job until it expires, and is a 404 from then on."""
    clock = Clock()
    async with unstaffed(clock) as client:
        url = await submitted(client, body(REPORT))
        clock.time += timedelta(hours=24, seconds=-1)
        before = await client.get(url)
        clock.time += timedelta(seconds=1)
        after = await client.get(url)
    assert (before.status_code, after.status_code) == (200, 404)


@pytest.mark.asyncio
async def test_our_own_mistakes_show_nothing_of_us() -> None:
    """What nobody expected is a 500 in the words of the service, without a trace of the code; our client waits."""
    clock = Clock()
    async with unstaffed(clock) as client:
        clock.broken = True
        response = await client.post(SUBMIT, json=body(REPORT))
    assert response.status_code == 500
    assert response.json() == {"error": {"code": "InternalServerError", "message": "Internal server error"}}
    assert isinstance(verdict_on_submit(response), Wait)
