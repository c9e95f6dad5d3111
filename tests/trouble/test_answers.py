"""Answers that are wrong on purpose: they fill no memory, take no longer than others, and lead nowhere else."""

import time
import tracemalloc
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from msgspec import structs

from entity_stream.core import messages
from entity_stream.core.model import Annotated, Batch, Document
from entity_stream.core.verdict import Again, Done, PollVerdict, Wait
from entity_stream.ports import unlimited
from tests.edges.endpoint import endpoint as scripted
from tests.judge.conditions import FaultName
from tests.judge.process import Judge
from tests.pipeline.worlds import Log
from tests.trouble.work import CALM, TIMEOUT, at_work, document, good, log_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTE: Final = 1_000_000
KEY: Final = "Ocp-Apim-Subscription-Key"


async def _answer(endpoint: Judge, what: FaultName) -> tuple[PollVerdict, float, int]:
    """Poll for a job whose answers are wrong; tell the verdict, the seconds it took, and the bytes that were held."""
    batch = _batch(f"bad {what}")
    async with at_work(endpoint, Log([])) as work:
        accepted = await work.language.submit(batch, unlimited)
        assert isinstance(accepted, Done)
        began = time.monotonic()
        tracemalloc.start()
        verdict = await work.language.poll(accepted.value, batch)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return verdict, time.monotonic() - began, most


def _batch(*marks: str) -> Batch:
    decoded = [messages.decode(document(offset, mark)) for offset, mark in enumerate(marks)]
    return tuple(each for each in decoded if isinstance(each, Document))


async def test_a_huge_answer_is_not_held_in_memory(endpoint: Judge) -> None:
    """Of 40 MB no more than the limit is read, and it is no result."""
    verdict, _, most = await _answer(endpoint, "huge")
    assert verdict == Again("the answer is no job document: Input data was truncated", certain=False)
    assert 8 * MEGABYTE < most < 16 * MEGABYTE


async def test_an_answer_that_is_nested_too_deeply_is_no_result(endpoint: Judge) -> None:
    """A hundred thousand levels are neither followed nor held."""
    verdict, _, most = await _answer(endpoint, "deep")
    assert isinstance(verdict, Again)
    assert most < 2 * MEGABYTE


async def test_an_answer_that_does_not_end_is_left(endpoint: Judge) -> None:
    """A byte now and then is no more than silence: after the time-out the caller goes on."""
    verdict, seconds, _ = await _answer(endpoint, "slow")
    assert verdict == Wait(f"no answer within {TIMEOUT:g} s")
    assert TIMEOUT - 0.1 < seconds < TIMEOUT + 5


# where answers lead


async def _no_answer(_: web.Request) -> web.Response:
    return web.Response(status=500)


async def test_links_to_another_host_are_followed_on_our_own(endpoint: Judge) -> None:
    """Job id and page come from the answer, host and path do not: the other host never hears of us, nor of the key."""
    async with scripted(_no_answer) as thief:
        await endpoint.set(structs.replace(CALM, elsewhere=thief.url))
        async with at_work(endpoint, log_of("first stranger", *good(24))) as work:
            await work.done()
            assert [poll.told for poll in await work.polls()].count("succeeded") == 2, "the result has two pages"
            assert len(await work.submits()) == 1
            assert all(isinstance(outcome, Annotated) for outcome in work.outcomes().values())
            assert await work.faultless()
        assert not thief.asked


async def test_a_redirect_is_not_followed(endpoint: Judge) -> None:
    """Whatever its status, it is waited out like any trouble: the other host never hears of us, nor of the key."""
    redirects = {"POST": [302, 307], "GET": [301]}

    async with scripted(_no_answer) as thief, aiohttp.ClientSession() as session:

        async def gateway(request: web.Request) -> web.Response:
            if waiting := redirects[request.method]:
                return web.Response(status=waiting.pop(), headers={"Location": thief.url + request.path_qs})
            url, headers = endpoint.url + request.path_qs, {KEY: request.headers[KEY]}
            async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
                location = {name: answer.headers[name] for name in answer.headers if name == "operation-location"}
                return web.Response(status=answer.status, body=await answer.read(), headers=location)

        async with scripted(gateway) as front, at_work(endpoint, log_of(*good(25)), url=front.url) as work:
            await work.done()
            assert redirects == {"POST": [], "GET": []}
            assert not work.rejected()
            assert await work.faultless()
        assert not thief.asked
