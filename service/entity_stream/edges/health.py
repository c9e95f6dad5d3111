"""What operators and Kubernetes ask: /metrics, /livez, /readyz; every no comes with its reasons in words."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from entity_stream.core.mistake import Mistake

Reasons = Callable[[], list[str]]
"""Why not; empty when all is well."""


@asynccontextmanager
async def serve_health(
    host: str, port: int, registry: CollectorRegistry, unready: Reasons, stalled: Reasons
) -> AsyncIterator[str]:
    """Serve until the block ends; yield the address, with the port that was bound when `port` is 0."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    async def live(_: web.Request) -> web.Response:
        return _answer("alive", stalled())

    async def ready(_: web.Request) -> web.Response:
        return _answer("ready", unready())

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", live), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield await _listen(runner, host, port)
    finally:
        await runner.cleanup()


def _answer(asked: str, reasons: list[str]) -> web.Response:
    if not reasons:
        return web.Response(text=f"{asked}\n")
    return web.Response(status=503, text="".join(f"not {asked}: {reason}\n" for reason in reasons))


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise Mistake(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "ENTITY_STREAM_HTTP_HOST, ENTITY_STREAM_HTTP_PORT",
            "Choose an address of this machine and a free port; 0 takes any.",
        ) from error
    address, bound = runner.addresses[0][:2]
    return f"http://{'127.0.0.1' if address == '0.0.0.0' else address}:{bound}"  # noqa: S104 (compared, not bound)
