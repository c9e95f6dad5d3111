"""The commands as a user runs them: processes of their own, told to stop or killed."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


COMMAND = (sys.executable, "-m", "entity_stream")


class Running:
    """A command that runs, and what it has said so far on both its outputs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: list[str] = []
        self._news = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @property
    def said(self) -> str:
        """All that was printed."""
        return "".join(self._said)

    async def _listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            self._said.append(line.decode())
            self._news.set()
        self._news.set()

    async def says(self, pattern: str, within: float = 60.0) -> re.Match[str]:
        """Wait until it prints something that matches."""
        async with asyncio.timeout(within):
            while not (found := re.search(pattern, self.said)):
                assert not self._listening.done(), f"it ended without saying {pattern!r}:\n{self.said}"
                self._news.clear()
                await self._news.wait()
        return found

    async def end(self, with_signal: signal.Signals = signal.SIGTERM, within: float = 40.0) -> int:
        """Signal it, and return its exit code once it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(with_signal)
        return await self.ended(within)

    async def ended(self, within: float = 60.0) -> int:
        """Return its exit code once it has ended by itself."""
        async with asyncio.timeout(within):
            await self._listening
            return await self._process.wait()


@asynccontextmanager
async def running(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Run a command of ours until the block ends."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ENTITY_STREAM_", "KUBERNETES_"))}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ours | dict(environment or {}),
    )
    run = Running(process)
    try:
        yield run
    finally:
        await run.end(signal.SIGKILL)
