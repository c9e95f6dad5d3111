"""Putting the service together: no start and no farewell outlasts the stop, and what is lost is told by its reason."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from entity_stream.core.messages import Topics
from entity_stream.plan import KafkaConnection, LanguageEndpoint, Plan, Watch
from entity_stream.serving import Setup, farewell, serve

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def silent_broker() -> AsyncIterator[str]:
    """Listen, take connections, and never say a word."""
    connected: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in connected:
            writer.close()


async def test_a_stop_while_the_brokers_do_not_answer_ends_the_start_at_once() -> None:
    """Told to stop before there is a line, it ends in order; until then it is alive, is not ready, and says why."""
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with silent_broker() as bootstrap, asyncio.timeout(10):
        setup = Setup(
            Plan(),
            "in",
            Topics("out", "dead"),
            KafkaConnection(bootstrap, "group"),
            [LanguageEndpoint("http://127.0.0.1:1", "key", "project", "deployment")],
            Watch("127.0.0.1", 0),
        )
        serving = asyncio.create_task(serve(setup, stop, address.set_result))
        async with httpx.AsyncClient(base_url=await address) as client:
            assert "connecting to the brokers" in (await client.get("/readyz")).text
            assert (await client.get("/livez")).text == "alive\n"
        stop.set()
        await serving


async def test_what_a_client_cancels_of_its_own_on_leaving_ends_nothing_else() -> None:
    """A client that ends with its own cancelled fetch has left; we were not cancelled, and exit in order."""

    async def leave() -> None:
        fetching = asyncio.create_task(asyncio.Event().wait())
        fetching.cancel()
        await fetching

    await farewell(leave, asyncio.Event())


async def test_before_the_next_life_a_client_may_send_all_it_has_taken() -> None:
    """What is sent after the next life has begun would come out of order; only a stop sets a limit."""
    stop, brokers_are_back, sent = asyncio.Event(), asyncio.Event(), []

    async def leave() -> None:
        await brokers_are_back.wait()
        sent.append("all")

    leaving = asyncio.create_task(farewell(leave, stop))
    done, _ = await asyncio.wait([leaving], timeout=0.1)
    assert not done
    brokers_are_back.set()
    await leaving
    assert sent == ["all"]
