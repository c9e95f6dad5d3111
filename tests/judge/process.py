"""The endpoint as a process, for tests, chaos and bench: started, spoken to, and ended."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

import aiohttp
import msgspec

from tests.judge.books import Event, Tally, read_events
from tests.judge.conditions import Conditions

ROOT: Final = Path(__file__).parents[2]
"""Where `tests.judge` can be imported from."""
LOG: Final = "judge.log"
PLAIN: Final = Conditions()
PATIENCE: Final = 60.0
"""Seconds that the process has to begin, and to end."""


class NotStarted(Exception):
    """The process ended before it listened."""


class Judge:
    """A running endpoint."""

    def __init__(self, url: str, control: str, pid: int, books: Path, session: aiohttp.ClientSession) -> None:
        self.url, self.pid, self.books = url, pid, books
        self._control, self._session = control, session

    async def set(self, conditions: Conditions) -> None:
        """Let other conditions hold, all of them."""
        await self._ask("PUT", "conditions", msgspec.json.encode(conditions))

    async def clear(self) -> None:
        """Forget jobs, books, and how often faults have struck."""
        await self._ask("POST", "clear")

    async def rotate(self, old: str, new: str) -> None:
        """Exchange a key for another."""
        await self._ask("POST", "rotate", msgspec.json.encode({"old": old, "new": new}))

    async def flights(self) -> dict[str, int]:
        """Count the jobs that each key has in hand and whose end was not told yet."""
        return msgspec.json.decode(await self._ask("GET", "flights"), type=dict[str, int])

    async def tally(self) -> Tally:
        """Give the books in figures."""
        return msgspec.json.decode(await self._ask("GET", "tally"), type=Tally)

    async def events(self) -> list[Event]:
        """Give everything in the books."""
        return read_events(await self._ask("GET", "books"))

    async def _ask(self, method: str, route: str, body: bytes | None = None) -> bytes:
        async with self._session.request(method, f"{self._control}/judge/{route}", data=body) as response:
            answer = await response.read()
            if not response.ok:
                raise ValueError(f"{method} /judge/{route}: {answer.decode()}")
            return answer


@asynccontextmanager
async def judge(folder: Path, conditions: Conditions = PLAIN, port: int = 0) -> AsyncIterator[Judge]:
    """Run an endpoint until the block ends; books, conditions and what it complains of are files in the folder."""
    books, command, log = _prepare(folder, conditions, port)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log)
    try:
        url, control = await _listening(process, folder)
        async with aiohttp.ClientSession() as session:
            yield Judge(url, control, process.pid, books, session)
    finally:
        log.close()
        await _end(process)


def _prepare(folder: Path, conditions: Conditions, port: int) -> tuple[Path, list[str], BinaryIO]:
    folder.mkdir(parents=True, exist_ok=True)
    books, given = folder / "books.jsonl", folder / "conditions.json"
    given.write_bytes(msgspec.json.encode(conditions))
    options = {"--port": port, "--books": books, "--conditions": given}
    command = [sys.executable, "-m", "tests.judge.endpoint"]
    command += [str(each) for option in options.items() for each in option]
    return books, command, (folder / LOG).open("wb")


async def _listening(process: asyncio.subprocess.Process, folder: Path) -> tuple[str, str]:
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        line = await process.stdout.readline()
    if not line:
        raise NotStarted(f"see {folder / LOG}")
    _, url, _, control = line.decode().split()
    return url, control


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE):
            await (
                process.communicate()
            )  # its pipe has to end too: else its transport outlives a loop that ends right now
    except TimeoutError:
        process.kill()
        raise
