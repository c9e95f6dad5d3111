"""The service as processes: seats in the group, and the lives that sit there one after another.

Each life has an API key of its own, all of the same resource: the judge's books say who did what, and a restarted
worker is not blamed for calling before a time that only its predecessor was told.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
from msgspec import Struct

from tests.integration.node import leash

JOINING = 20.0
"""Seconds until a process has partitions or knows that it gets none: a dead member's session may have to pass."""

LOOK = 0.1
"""Seconds between two looks into a log."""

LEAVING = 45.0
"""Seconds that a worker told to stop may take: its drain and what the README grants beyond it."""


class Said(Struct, frozen=True):
    """A line of a worker's log, as far as we read it."""

    event: str = ""
    timestamp: str = ""
    ready: str = ""
    partitions: Sequence[int] | int = ()


class Life:
    """One process of the service, from its start to its end."""

    def __init__(self, key: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.key, self.log, self._process = key, log, process
        self.condemned = False
        """Whether we have told or forced it to end."""
        self.began = time.time()
        self.struck: float | None = None
        """When we first did anything to it."""
        self._metrics: str | None = None

    @property
    def code(self) -> int | None:
        """How it ended; None while it lives."""
        return self._process.returncode

    def signal(self, what: signal.Signals) -> None:
        """Send a signal; to one that has ended it does nothing."""
        self.condemned = self.condemned or what in {signal.SIGTERM, signal.SIGKILL}
        self.struck = self.struck or time.time()
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, what)

    async def ended(self, within: float) -> int:
        """Return its exit code once it has ended. Raises TimeoutError."""
        async with asyncio.timeout(within):
            return await self._process.wait()

    def said(self) -> list[Said]:
        """Read what it has logged so far; lines that are not JSON (a stack trace) are left out."""
        lines = []
        for line in self.log.read_bytes().splitlines():
            with suppress(msgspec.DecodeError):
                lines.append(_said.decode(line))
        return lines

    def has_said(self, event: str) -> bool:
        """Tell whether a word is in its log."""
        return f'"{event}"'.encode() in self.log.read_bytes()

    async def figures(self, client: aiohttp.ClientSession) -> Mapping[str, float]:
        """Scrape its metrics, summed over labels; empty while it does not answer."""
        if self._metrics is None:
            self._metrics = next(
                (line.ready.replace("/readyz", "/metrics") for line in self.said() if line.ready), None
            )
        if self._metrics is None:
            return {}
        try:
            async with client.get(self._metrics) as answer:
                return figures(await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return {}


_said = msgspec.json.Decoder(Said)
SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)", re.MULTILINE)


def figures(scraped: str) -> dict[str, float]:
    """Sum the samples of each metric over its labels."""
    sums: dict[str, float] = {}
    for name, value in SAMPLE.findall(scraped):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


class Worker:
    """One seat: who sits there, and who sat there before."""

    def __init__(self, name: str, settings: Mapping[str, str], folder: Path, package: Path | None) -> None:
        self.name, self._settings, self._folder, self._package = name, settings, folder, package
        self.lives: list[Life] = []

    @property
    def life(self) -> Life:
        """Who sits there now, or sat there last."""
        return self.lives[-1]

    @property
    def static(self) -> bool:
        """Whether it has a name of its own in the group."""
        return "KAFKA_GROUP_INSTANCE_ID" in self._settings

    @property
    def alive(self) -> bool:
        """Whether somebody sits there."""
        return bool(self.lives) and self.life.code is None

    async def start(self) -> None:
        """Begin the next life."""
        key = f"{self.name}.{len(self.lives) + 1}"
        log = self._folder / f"{key}.log"
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("ENTITY_STREAM_", "KUBERNETES_"))
        }
        path = {"PYTHONPATH": str(self._package)} if self._package else {}
        given = {f"ENTITY_STREAM_{name}": value for name, value in {**self._settings, "LANGUAGE_KEY": key}.items()}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *leash([sys.executable, "-m", "entity_stream", "serve"]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=ours | path | given,
            )
        self.lives.append(Life(key, process, log))

    async def assigned(self) -> None:
        """Wait until the group has told the life that is there what it may read, or until that takes too long."""
        deadline = time.monotonic() + JOINING
        while self.alive and not self.life.has_said("read.assigned") and time.monotonic() < deadline:
            await asyncio.sleep(LOOK)

    async def kill(self) -> None:
        """End the life that is there, if one is, at once."""
        if self.alive:
            self.life.signal(signal.SIGKILL)
            await self.life.ended(LEAVING)


def keys(names: Sequence[str], lives: int) -> list[str]:
    """List the keys of so many lives of each worker: what the judge lets in."""
    return [f"{name}.{number}" for name in names for number in range(1, lives + 1)]
