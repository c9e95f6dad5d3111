"""The engine over HTTP: a route answers at once, and whatever takes longer is a job that a worker does.

    submit ─▶ job waits ─▶ a worker runs it ─▶ poll

What the service refuses is refused here in its words (`Refused`). Chosen where it has shown none: a project or
deployment that is not here is a 404 (ProjectNotFound, NotFound), an api-version that is not known a 400
(InvalidParameterValue): clients of ours park on either. No error and no log line holds a text or a key.
"""

import asyncio
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from entity_stream.core.wire.errors import Fault, encode_error
from entity_stream.core.wire.service_job import encode_job
from entity_stream.core.wire.service_submit import Refused, SubmittedTask, decode_page, decode_submit
from entity_stream.core.wire.shapes import JOBS_PATH, TASK_KIND
from entity_stream.engine.jobs import Full, Job, Jobs, Limits, serve
from entity_stream.engine.work import Worker

DEPLOYMENT_PATH: Final = "/language/authoring/analyze-text/projects/{project}/deployments/{deployment}"
API_VERSION: Final = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))(?:-preview)?")
OLDEST_VERSION: Final = "2022-05-01"
LARGEST_BODY: Final = 2_000_000
"""Bytes: 125,000 characters fit, even if each is an emoji and written as two escapes of six bytes."""
MOST_TASKS: Final = 25
"""Tasks of one job: each of them repeats the result."""
DENIED: Final = Fault(
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource.",
)
BROKEN: Final = Fault("InternalServerError", "Internal server error")


class Deployment(Struct, frozen=True):
    """The one model that is served, and what clients call it."""

    project: str
    name: str
    model_id: str
    trained: datetime
    deployed: datetime


class DeploymentDocument(Struct, frozen=True, rename="camel"):
    """What the authoring API says of a deployment."""

    deployment_name: str
    model_id: str
    last_trained_date_time: str
    last_deployed_date_time: str
    deployment_expiration_date: str = "9999-12-31"
    """Never."""
    model_training_config_version: str = OLDEST_VERSION
    assigned_resources: tuple[str, ...] = ()


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


class Engine:
    """The routes, and the jobs they share with the workers."""

    def __init__(
        self, deployment: Deployment, key: str | None, limits: Limits, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._deployment = deployment
        self._key = key
        self._now = now
        self._jobs = Jobs(limits)
        self._submitted = asyncio.Semaphore(0)

    def application(self) -> ASGIApp:
        """Make the ASGI application. Without a key, who reaches it may use it."""
        routes = [
            Route(JOBS_PATH, self._submit, methods=["POST"]),
            Route(f"{JOBS_PATH}/{{job_id}}:cancel", self._cancel, methods=["POST"]),
            Route(f"{JOBS_PATH}/{{job_id}}", self._poll, methods=["GET"]),
            Route(DEPLOYMENT_PATH, self._describe, methods=["GET"]),
        ]
        refusals = dict.fromkeys((Refused, HTTPException, ClientDisconnect, Exception), _refuse)
        app = Starlette(routes=routes, exception_handlers=refusals)
        return app if self._key is None else _guarded(app, self._key.encode())

    async def work(self, worker: Worker) -> None:
        """Have a worker do one job after another, for ever."""
        while True:
            await self._submitted.acquire()
            job = self._jobs.begin(self._now())
            if job is not None:
                result = await worker.read(job)
                if result is None:
                    self._jobs.fail(job.id, self._now())
                else:
                    self._jobs.succeed(job.id, result, self._now())

    async def _submit(self, request: Request) -> Response:
        version = _api_version(request)
        submission = decode_submit(await _body(request))
        _check_kinds(submission.tasks)
        for task in submission.tasks:
            self._check_names(task.project, task.deployment)
        job_id = str(uuid4())
        try:
            self._jobs.submit(job_id, submission, self._now())
        except Full as full:
            return _wait(full.retry_after)
        self._submitted.release()
        return _accepted(request, job_id, version)

    async def _poll(self, request: Request) -> Response:
        version = _api_version(request)
        asked = request.query_params
        page = decode_page(asked.get("top"), asked.get("skip"))
        show_stats = asked.get("showStats", "").lower() == "true"
        job = serve(self._job(request))
        return _answer(200, encode_job(job, _base(request), version, page, show_stats=show_stats))

    async def _cancel(self, request: Request) -> Response:
        version = _api_version(request)
        job = self._job(request)
        if not self._jobs.cancel(job.id, self._now()):
            message = f"Failed to cancel job with job id {job.id} as its already completed."
            raise Refused(400, Fault("InvalidRequest", message))
        return _accepted(request, job.id, version)

    async def _describe(self, request: Request) -> Response:
        _api_version(request)
        self._check_names(request.path_params["project"], request.path_params["deployment"])
        mine = self._deployment
        told = DeploymentDocument(mine.name, mine.model_id, _moment(mine.trained), _moment(mine.deployed))
        return _answer(200, msgspec.json.encode(told))

    def _job(self, request: Request) -> Job:
        job = self._jobs.find(request.path_params["job_id"], self._now())
        if job is None:
            raise Refused(404, Fault("NotFound", "There is no such job: there never was, or it is forgotten by now."))
        return job

    def _check_names(self, project: str, deployment: str) -> None:
        mine = self._deployment
        if project != mine.project:
            raise Refused(404, Fault("ProjectNotFound", f"There is no project '{project}' here."))
        if deployment != mine.name:
            message = f"There is no deployment '{deployment}' of project '{project}' here."
            raise Refused(404, Fault("NotFound", message))


def _guarded(app: ASGIApp, key: bytes) -> ASGIApp:
    """Let nobody in without the key, whatever they ask for."""

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        shown = dict(scope.get("headers", ())).get(b"ocp-apim-subscription-key", b"")
        known = hmac.compare_digest(shown, key)
        await (app if known else _answer(401, encode_error(DENIED)))(scope, receive, send)

    return check


async def _refuse(_: Request, error: Exception) -> Response:
    """Answer with an error what did not go well; uvicorn logs what nobody expected."""
    match error:
        case Refused():
            return _answer(error.status, error.body)
        case HTTPException():
            return _answer(error.status_code, encode_error(Fault(str(error.status_code), error.detail)))
        case ClientDisconnect():
            return _answer(400, b"")  # nobody is there to read it
        case _:
            return _answer(500, encode_error(BROKEN))


def _answer(status: int, body: bytes = b"", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"content-type": "application/json; charset=utf-8"} if body else {}
    return Response(body, status, {**kind, **named, "apim-request-id": str(uuid4())})


def _accepted(request: Request, job_id: str, version: str) -> Response:
    return _answer(202, operation_location=f"{_base(request)}{JOBS_PATH}/{job_id}?api-version={version}")


def _wait(seconds: int) -> Response:
    message = f"Too many jobs are here already. Please retry after {seconds} second{'s' if seconds > 1 else ''}."
    return _answer(429, encode_error(Fault("429", message)), retry_after=str(seconds))


def _base(request: Request) -> str:
    """Scheme and host as the client calls them; only a proxy in front of us knows of its TLS."""
    url = request.base_url
    scheme = request.headers.get("x-forwarded-proto", "")
    return f"{scheme if scheme in ('http', 'https') else url.scheme}://{url.netloc}"


def _api_version(request: Request) -> str:
    asked = request.query_params.get("api-version", "")
    version = API_VERSION.fullmatch(asked)
    if version is None or version[1] < OLDEST_VERSION:
        raise _invalid(f"Invalid value for parameter 'api-version', valid values are {OLDEST_VERSION} and later.")
    return asked


def _check_kinds(tasks: Sequence[SubmittedTask]) -> None:
    if len(tasks) > MOST_TASKS:
        raise _invalid(f"The request has {len(tasks)} tasks. Max {MOST_TASKS} tasks are permitted.")
    for place, task in enumerate(tasks):
        if task.kind != TASK_KIND:
            wrong = f"Invalid value for parameter 'kind', valid values are {TASK_KIND}."
            raise _invalid(f"Job task: '{task.kind}-{place}' failed with validation error: {wrong}")


def _invalid(message: str) -> Refused:
    inner = Fault("InvalidParameterValue", message)
    details = (Fault("InvalidRequest", message),)
    return Refused(400, Fault("InvalidRequest", "Invalid Request.", details=details, innererror=inner))


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_BODY:
            message = f"Request Payload sent is too large to be processed. Limit request size to: {LARGEST_BODY} bytes"
            inner = Fault("InvalidDocumentBatch", message)
            raise Refused(413, Fault("InvalidRequest", "Invalid Document in request.", innererror=inner))
    return b"".join(chunks)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
