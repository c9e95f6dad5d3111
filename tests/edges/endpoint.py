"""A scripted endpoint on a loopback port: answers each request as a test says, and remembers what was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """Where it is, and what it was asked."""

    def __init__(self, url: str, asked: list[web.Request], bodies: list[bytes]) -> None:
        self.url, self.asked, self.bodies = url, asked, bodies


@asynccontextmanager
async def endpoint(answer: Answering) -> AsyncIterator[Endpoint]:
    """Serve until the block ends."""
    asked: list[web.Request] = []
    bodies: list[bytes] = []

    async def remember(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        bodies.append(await request.read())
        return await answer(request)

    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", remember)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}", asked, bodies)
    finally:
        await runner.cleanup()
