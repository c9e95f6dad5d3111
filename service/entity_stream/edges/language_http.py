"""The analyze endpoint over HTTP: one request, one answer, one verdict; no retry is hidden in here.

(But aiohttp's own: a GET on a kept connection that turns out to be closed is sent again on a new one.)

httpx's API over aiohttp's transport, imported here only. Of what the endpoint answers only a job id and
a page number are used, so the key travels to no host but the one that is configured.
"""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from entity_stream.core.mistake import Mistake
from entity_stream.core.model import Batch, Job
from entity_stream.core.quota import Operation
from entity_stream.core.verdict import (
    Answer,
    Done,
    Judged,
    PollVerdict,
    Silence,
    SubmitVerdict,
    judge,
    on_submit,
    possibly_billed,
    read_page,
)
from entity_stream.core.wire.runtime import JobState, encode_submit, job_path, submit_path
from entity_stream.core.wire.shapes import MOST_DOCUMENTS
from entity_stream.edges.telemetry import Metrics
from entity_stream.plan import LanguageEndpoint

log = structlog.get_logger("entity_stream.language")

LARGEST_ANSWER = 8_000_000
"""Bytes of one answer that are read: what 125,000 characters with an entity in every second one come to."""

MOST_PAGES = 50
"""Pages of one result that are asked for: more than 25 documents can have, however short the pages."""

REACH = 5.0
"""Seconds in which a request must be under way: later, what it was allowed by may not hold any more."""

UNANSWERED = (httpx.RequestError, aiohttp.ClientError)
"""What comes up instead of an answer; aiohttp's own where httpx has no name for it."""

NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""After these the endpoint cannot have seen the request. httpx's own names do not tell: a connection that was
refused and one that was lost in the middle both come as ConnectTimeout; what aiohttp said is their cause."""


@asynccontextmanager
async def connect(endpoint: LanguageEndpoint, connections: int) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """Hold up to `connections` connections to the endpoint open until the block ends.

    It is httpx's transport, without its client: redirects, cookies and merging of addresses, of which we want none,
    cost as much as the request itself.
    """
    transport = AiohttpTransport(
        verify=_trust(endpoint),
        trust_env=False,
        limits=httpx.Limits(max_connections=connections, keepalive_expiry=60.0),
    )
    async with transport:
        yield transport


def headers_of(endpoint: LanguageEndpoint) -> httpx.Headers:
    """Give the headers of every request: the key, and what we send and take."""
    return httpx.Headers(
        {
            "Ocp-Apim-Subscription-Key": endpoint.key,
            "Content-Type": "application/json",
            "Accept-Encoding": "gzip",
        }
    )


def _trust(endpoint: LanguageEndpoint) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise Mistake(
            f"the authority's certificate cannot be used: {error}", "ENTITY_STREAM_LANGUAGE_CA_FILE", "Give a PEM file."
        ) from error


class HttpLanguage:
    """One Language resource."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, endpoint: LanguageEndpoint, metrics: Metrics, reach: float = REACH
    ) -> None:
        """`reach`: seconds in which a request must have a connection, and as many again to make one."""
        self._transport, self._endpoint, self._metrics = transport, endpoint, metrics
        self._submit_to = self._url(submit_path(endpoint.api_version))
        self._headers = headers_of(endpoint)
        reach = min(reach, endpoint.timeout)
        self._extensions = {"timeout": httpx.Timeout(endpoint.timeout, connect=reach, pool=reach).as_dict()}

    async def submit(self, batch: Batch) -> SubmitVerdict:
        """Submit a batch as one job."""
        body = encode_submit(batch, self._endpoint.project, self._endpoint.deployment)
        answer = await self._call(Operation.SUBMIT, "POST", self._submit_to, body)
        if possibly_billed(answer):
            self._metrics.count("possibly_billed", len(batch))
        return on_submit(answer, self._endpoint.resource, time.time())

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        """Ask for a job's result, page by page until the last."""
        pages: list[JobState] = []
        top, skip = MOST_DOCUMENTS, 0
        while len(pages) < MOST_PAGES:
            url = self._url(job_path(job.id, self._endpoint.api_version, top, skip))
            page = read_page(await self._call(Operation.POLL, "GET", url), time.time())
            if not isinstance(page, JobState):
                return page
            pages.append(page)
            if page.next_page is None or page.next_page.skip <= skip:
                break
            top, skip = page.next_page
        return Done(self._judge(batch, pages))

    def _judge(self, batch: Batch, pages: list[JobState]) -> Judged:
        judged = judge(batch, pages)
        self._metrics.count("missing_results", len(judged.missing))
        return judged

    def _url(self, path: str) -> httpx.URL:
        return httpx.URL(self._endpoint.url + path)

    async def _call(
        self, operation: Operation, method: str, url: httpx.URL, body: bytes | None = None
    ) -> Answer | Silence:
        """Send one request; return what came back, or why nothing did."""
        try:
            with self._metrics.stage(operation):
                async with asyncio.timeout(self._endpoint.timeout):
                    answer: Answer | Silence = await self._exchange(method, url, body)
        except TimeoutError:
            answer = Silence(f"no answer within {self._endpoint.timeout:g} s", sent=True)
        except UNANSWERED as error:
            answer = Silence(words(error), sent=not isinstance(error.__cause__, NOT_SENT))
        status = str(answer.status) if isinstance(answer, Answer) else "silence"
        self._metrics.count("calls", operation=operation, status=status)
        if status == "429":
            self._metrics.count("throttled", operation=operation)
        return answer

    async def _exchange(self, method: str, url: httpx.URL, body: bytes | None) -> Answer:
        request = httpx.Request(method, url, headers=self._headers, content=body, extensions=self._extensions)
        response = await self._transport.handle_async_request(request)
        try:
            read = await self._read(response)
        finally:
            await response.aclose()
        headers = response.headers
        return Answer(response.status_code, read, headers.get("retry-after"), headers.get("operation-location"))

    async def _read(self, response: httpx.Response) -> bytes:
        """Read a body, or nothing of one that is too large: it is no result, whatever it says."""
        chunks, size = [], 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            if (size := size + len(chunk)) > LARGEST_ANSWER:
                log.warning("language.answer_too_large", read=size, status=response.status_code)
                return b""
        return b"".join(chunks)


def words(error: Exception) -> str:
    """Say what happened to the connection. No part of a request is in these messages."""
    cause = error.__cause__ or error
    if isinstance(cause, aiohttp.ClientConnectorError):
        return f"cannot connect to {cause.host}:{cause.port}: {_why(cause.os_error)}"
    return f"{type(cause).__name__}: {cause}".rstrip(": ")


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{error.reason}; is https spoken there?"
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or "closed at once; is https spoken there?"
