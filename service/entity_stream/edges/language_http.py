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

from entity_stream.core import cost
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
from entity_stream.ports import Lease

log = structlog.get_logger("entity_stream.language")

LARGEST_ANSWER = 8_000_000
"""Bytes of one answer that are read: what 125,000 characters with an entity in every second one come to."""

MOST_PAGES = 50
"""Pages of one result that are asked for: more than 25 documents can have, however short the pages."""

UNANSWERED = (httpx.RequestError, aiohttp.ClientError)
"""What comes up instead of an answer; aiohttp's own where httpx has no name for it."""

OVERDUE = "the proof that the documents are ours was too old when there was a connection"


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
    """One deployed model at one Language resource."""

    def __init__(self, transport: httpx.AsyncBaseTransport, endpoint: LanguageEndpoint, metrics: Metrics) -> None:
        """Call by way of a transport."""
        self._transport, self._endpoint, self._metrics = transport, endpoint, metrics
        self._submit_to = self._url(submit_path(endpoint.api_version))
        self._headers = headers_of(endpoint)
        self._meter = cost.Meter()
        self._place = {"resource": endpoint.resource, "project": endpoint.project}
        self._extensions = {"timeout": httpx.Timeout(endpoint.timeout).as_dict()}
        metrics.count("possibly_billed", 0, resource=endpoint.resource)  # so that it is seen before it grows

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        """Submit a batch as one job."""
        body = LeasedBody(encode_submit(batch, self._endpoint.project, self._endpoint.deployment), lease)
        try:
            answer = await self._call(Operation.SUBMIT, "POST", self._submit_to, body)
        except asyncio.CancelledError:
            if body.sent:
                self._doubt(batch)
            raise
        if possibly_billed(answer):
            self._doubt(batch)
        verdict = on_submit(answer, self._endpoint.resource, time.time())
        if isinstance(verdict, Done):
            self._bill(cost.of_batch(batch))
        return verdict

    def _doubt(self, batch: Batch) -> None:
        """Count documents that may have been billed, and their text records."""
        self._metrics.count("possibly_billed", len(batch), resource=self._endpoint.resource)
        self._metrics.count("possibly_billed_text_records", cost.of_batch(batch), **self._place)

    def _bill(self, text_records: int) -> None:
        """Count text records and their price; fewer than none are taken off the next ones."""
        grown = self._meter.count(text_records)
        self._metrics.count("text_records", grown, **self._place)
        if self._endpoint.price is not None:
            self._metrics.count("cost", cost.price(grown, self._endpoint.price), **self._place)

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
        if more := cost.correction(batch, pages):
            self._bill(more)
        return judged

    def _url(self, path: str) -> httpx.URL:
        return httpx.URL(self._endpoint.url + path)

    async def _call(
        self, operation: Operation, method: str, url: httpx.URL, body: "LeasedBody | None" = None
    ) -> Answer | Silence:
        """Send one request; return what came back, or why nothing did."""
        try:
            with self._metrics.stage(operation):
                async with asyncio.timeout(self._endpoint.timeout):
                    answer: Answer | Silence = await self._exchange(method, url, body)
        except TimeoutError:
            answer = Silence(f"no answer within {self._endpoint.timeout:g} s", sent=bool(body and body.sent))
        except UNANSWERED as error:
            kept = bool(body and body.kept)
            answer = Silence(OVERDUE if kept else words(error), sent=bool(body and body.sent))
        status = str(answer.status) if isinstance(answer, Answer) else "silence"
        resource = self._endpoint.resource
        self._metrics.count("calls", resource=resource, operation=operation, status=status)
        if status == "429":
            self._metrics.count("throttled", resource=resource, operation=operation)
        return answer

    async def _exchange(self, method: str, url: httpx.URL, body: "LeasedBody | None") -> Answer:
        headers = self._headers if body is None else body.headers(self._headers)
        request = httpx.Request(method, url, headers=headers, stream=body, extensions=self._extensions)
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


class LeasedBody(httpx.AsyncByteStream):
    """A body that is asked for when there is a connection, together with the head: the last moment to keep it."""

    def __init__(self, body: bytes, lease: Lease) -> None:
        self._body, self._lease = body, lease
        self.sent = self.kept = False
        """Whether the endpoint may have seen it, and whether the lease had ended.

        httpx's names do not tell a connection that was refused from one that was lost: both come as ConnectTimeout.
        """

    def headers(self, headers: httpx.Headers) -> httpx.Headers:
        """Add how long it is to the headers of every request."""
        return httpx.Headers([*headers.raw, (b"Content-Length", str(len(self._body)).encode())])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.kept = not self._lease()
        if self.kept:
            raise aiohttp.ClientConnectionError(OVERDUE)
        self.sent = True
        yield self._body


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
