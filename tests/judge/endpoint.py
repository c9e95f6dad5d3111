"""The judge's endpoint: a simulated Language service over HTTP that keeps books. Nothing is decided here.

    python -m tests.judge.endpoint [--port 0] [--conditions FILE] --books FILE

It prints `judge http://127.0.0.1:PORT control http://127.0.0.1:PORT` when it listens, and ends on SIGTERM with the
books complete. The routes below /judge answer on both ports; while connections are refused, on the second.
"""

import argparse
import asyncio
import gc
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from tests.judge import refusals
from tests.judge.books import Books
from tests.judge.conditions import Conditions, decode_conditions
from tests.judge.desk import Call, Desk
from tests.judge.dialect import JOBS
from tests.judge.replies import HUGE, Reply, refused

HOST: Final = "127.0.0.1"
KEY: Final = "Ocp-Apim-Subscription-Key"
WRITE_EVERY: Final = 0.2
"""Seconds that a line of the books may wait to be written."""
SLOW: Final = 0.1
"""Seconds between two bytes of a slow answer."""

SELDOM: Final = (100_000, 50, 50)
"""When garbage is collected. What is kept here holds no cycles; to look for them as usual costs a tenth of the time."""

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_NO_LINGER = struct.pack("ii", 1, 0)
"""A socket that lingers for no time is closed with a reset."""

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Rotation(msgspec.Struct, frozen=True):
    """Which key becomes which."""

    old: str
    new: str


# answers


async def deliver(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """Send an answer, or do not, as it says."""
    if reply.after:
        await asyncio.sleep(reply.after)
    if reply.delivery == "whole":
        return web.Response(status=reply.status, body=reply.body, headers=_JSON | reply.headers)
    if reply.delivery == "hang":
        await asyncio.Event().wait()  # ends when the client leaves
    if reply.delivery == "reset":
        reset(request.transport)
        return web.Response()
    return await _trickle(request, reply)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Break a connection off so that the other side sees a reset."""
    if isinstance(transport, asyncio.Transport):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()


async def _trickle(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=_JSON | reply.headers)
    response.content_length = len(reply.body) * (HUGE if reply.delivery == "huge" else 1)
    await response.prepare(request)
    if reply.delivery == "huge":
        for _ in range(HUGE):
            await response.write(reply.body)
    elif reply.delivery == "slow":
        for place in range(len(reply.body)):
            await response.write(reply.body[place : place + 1])
            await asyncio.sleep(SLOW)
    elif request.transport:
        await response.write(reply.body[: len(reply.body) // 2])
        request.transport.close()
    return response


# ports


class Door:
    """The port of the API. While it is shut connections are refused, yet nobody else gets the port."""

    def __init__(self, port: int) -> None:
        self.port = _free(port)
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind((HOST, self.port))
        self._opened: tuple[web.Server, asyncio.Server] | None = None

    async def follow(self, conditions: Conditions, answer: Answering) -> None:
        """Be shut where the conditions say that connections are refused, else open."""
        if conditions.down == "refused":
            await self.shut()
        elif self._opened is None:
            server = web.Server(answer, handler_cancellation=True, access_log=None)
            self._opened = (server, await _listen(server, self.port))

    async def shut(self) -> None:
        """Listen no more, and reset what is connected."""
        if self._opened:
            server, listener = self._opened
            self._opened = None
            listener.close()
            for connection in server.connections:
                reset(connection.transport)
            await server.shutdown(0)


def _free(port: int) -> int:
    """Make sure that nobody has the port, which those who share it would not be told; find one where it is 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        found: int = probe.getsockname()[1]
        return found


async def _listen(server: web.Server, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(server, HOST, port, reuse_port=True, backlog=1024)


# routes


class Routes:
    """Reads requests and hands them to the desk."""

    def __init__(self, desk: Desk, books: Books, door: Door) -> None:
        self._desk, self._books, self._door = desk, books, door
        self._control = {
            ("PUT", "/judge/conditions"): self._set,
            ("POST", "/judge/clear"): self._clear,
            ("POST", "/judge/rotate"): self._rotate,
            ("GET", "/judge/flights"): self._flights,
            ("GET", "/judge/tally"): self._tally,
            ("GET", "/judge/books"): self._read,
        }

    async def api(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a call to the API, or to one of our own routes."""
        path, _, query = request.raw_path.partition("?")
        key = request.headers.get(KEY, "")
        if request.method == "POST" and path == JOBS:
            body = await request.content.read()  # however large it is: the desk says what is too large
            reply = self._desk.submit(Call("submit", key, query, time.time()), body)
        elif request.method == "GET" and path.startswith(f"{JOBS}/"):
            reply = self._desk.poll(Call("poll", key, query, time.time()), path[len(JOBS) + 1 :])
        else:
            return await self.control(request)
        return await deliver(request, reply)

    async def control(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to one of our own routes."""
        route = self._control.get((request.method, request.path))
        if route is None:
            return await deliver(request, refused(refusals.NOT_FOUND))
        try:
            return await route(request)
        except msgspec.DecodeError as wrong:
            return web.Response(status=400, text=str(wrong))

    async def _set(self, request: web.BaseRequest) -> web.StreamResponse:
        self._desk.set(decode_conditions(await request.read()), time.time())
        await self._door.follow(self._desk.conditions, self.api)
        return web.Response(status=204)

    async def _clear(self, _: web.BaseRequest) -> web.StreamResponse:
        self._desk.clear(time.time())
        return web.Response(status=204)

    async def _rotate(self, request: web.BaseRequest) -> web.StreamResponse:
        rotation = msgspec.json.decode(await request.read(), type=Rotation)
        self._desk.rotate(rotation.old, rotation.new, time.time())
        return web.Response(status=204)

    async def _flights(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=msgspec.json.encode(self._desk.flights()), headers=_JSON)

    async def _tally(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=msgspec.json.encode(self._books.tally), headers=_JSON)

    async def _read(self, _: web.BaseRequest) -> web.StreamResponse:
        self._books.write()
        return web.FileResponse(self._books.path)


# the process


async def serve(port: int, conditions: Conditions, path: Path) -> None:
    """Answer until SIGTERM."""
    stop, door, books = _stop_signal(), Door(port), Books(path)
    desk = Desk(conditions, books, f"http://{HOST}:{door.port}", time.time())
    routes = Routes(desk, books, door)
    await door.follow(conditions, routes.api)
    control = web.Server(routes.control, access_log=None)
    listener = await _listen(control, 0)
    _announce(door.port, listener.sockets[0].getsockname()[1])
    while not stop.is_set():
        await _passed(stop, WRITE_EVERY)
        books.write()
    await door.shut()
    await control.shutdown(0)
    books.close()


def _announce(api: int, control: int) -> None:
    sys.stdout.write(f"judge http://{HOST}:{api} control http://{HOST}:{control}\n")
    sys.stdout.flush()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _passed(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge.endpoint", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--conditions", type=Path)
    parser.add_argument("--books", type=Path, required=True)
    options = parser.parse_args()
    conditions = decode_conditions(options.conditions.read_bytes()) if options.conditions else Conditions()
    gc.freeze()
    gc.set_threshold(*SELDOM)
    asyncio.run(serve(options.port, conditions, options.books))


if __name__ == "__main__":
    main()
