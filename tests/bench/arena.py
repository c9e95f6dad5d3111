"""Where contenders meet: one broker, one endpoint, topics of their own for every run.

The rule that keeps it honest: nothing of a run is left for the next. Its topics are deleted, the endpoint's books
are cleared, its group is used by nobody else; only what there is to read stays.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from rich.console import Console

from tests.bench.documents import Record, reports, write
from tests.bench.plan import PARTITIONS
from tests.bench.task import Task
from tests.integration.topics import create_topic, delete_topics
from tests.judge.process import Judge


class Arena:
    """A broker, an endpoint and a folder for logs."""

    def __init__(self, bootstrap: str, endpoint: Judge, folder: Path, console: Console) -> None:
        self.bootstrap, self.endpoint, self.folder, self.console = bootstrap, endpoint, folder, console
        self._numbers = count(1)
        self._inputs: dict[str, str] = {}

    async def input(self, name: str, records: Iterable[Record]) -> str:
        """Return the topic that holds these records; they are written when it is asked for first."""
        if name not in self._inputs:
            topic = await self.topic(f"documents-{name}")
            await write(self.bootstrap, topic, records)
            self._inputs[name] = topic
        return self._inputs[name]

    async def reports(self, count: int, characters: int) -> str:
        """Return the topic that holds so many documents of that many characters."""
        return await self.input(f"{count}x{characters}", reports(count, characters))

    async def topic(self, name: str, partitions: int = PARTITIONS) -> str:
        """Create a topic of its own."""
        topic = f"bench-{name}-{next(self._numbers)}"
        await create_topic(self.bootstrap, topic, partitions)
        return topic

    @asynccontextmanager
    async def task(
        self, topic: str, poll_every: float = 1.0, quota: int | None = None, partitions: int = PARTITIONS
    ) -> AsyncIterator[Task]:
        """Give a contender a topic to read and empty ones to write to, which are deleted when the block ends."""
        await self.endpoint.clear()
        output, dead_letters = await self.topic("entities", partitions), await self.topic("dead-letters", partitions)
        given = self.bootstrap, self.endpoint.url, topic, output, dead_letters, f"group-{output}"
        try:
            yield Task(*given, poll_every, quota, partitions)
        finally:
            await delete_topics(self.bootstrap, [output, dead_letters])

    def tell(self, line: str) -> None:
        """Say how far we are."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def log(self, name: str) -> Path:
        """Name a file that no other run writes to."""
        return self.folder / f"{name}-{next(self._numbers)}.log"
