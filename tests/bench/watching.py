"""Measuring from outside: a process by what Linux tells of it, its work by what has come out.

The rule that keeps it honest: a contender reports nothing about itself. CPU is counted between two looks and divided
by the documents that came out between the same two. These are counted when they are read, never by their offsets: the
end of a transaction takes one as well.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from tests.bench.plan import Contender
from tests.bench.task import Task

TICKS = os.sysconf("SC_CLK_TCK")
ENDED = frozenset("ZX")
"""States of a process that nobody has waited for yet."""

BETWEEN_LOOKS = 0.05
"""Seconds."""

Message: TypeAlias = ConsumerRecord[bytes, bytes]


class Unsound(Exception):
    """A run that measured nothing: a contender ended, stood still, or did not do the work."""


class Look(Struct, frozen=True):
    """A process and its work at one moment."""

    ends: Mapping[int, int]
    """Where each partition of the output ended, for those who read only what is committed."""
    cpu: float
    """Seconds since the process started, all its threads, user and system."""
    peak: int
    """The most bytes that were ever resident."""
    at: float = 0.0
    """By a clock that only runs."""


class Progress:
    """How far the work on a task has come."""

    def __init__(self, consumer: AIOKafkaConsumer, task: Task) -> None:
        self._consumer = consumer
        self._input = [TopicPartition(task.input, index) for index in range(task.partitions)]
        self._output = [TopicPartition(task.output, index) for index in range(task.partitions)]

    async def done(self) -> int:
        """Count the documents below the group's positions; costs one request."""
        committed = await self._consumer._coordinator.fetch_committed_offsets(self._input)
        positions: list[int] = [commit.offset for commit in committed.values()]
        return sum(positions)

    async def ends(self) -> Mapping[int, int]:
        """Say where each partition of the output ends; costs one request, nothing is read."""
        return {place.partition: end for place, end in (await self._consumer.end_offsets(self._output)).items()}

    async def out(self) -> int:
        """Count the messages of a contender that writes no transactions; costs one request."""
        return sum((await self.ends()).values())

    async def look(self, pid: int, done: int, within: float, *, out: bool = False) -> Look:
        """Look at a process as soon as so many documents are done, or only `out`. Raises Unsound."""
        count = self.out if out else self.done
        try:
            async with asyncio.timeout(within):
                while (found := await count()) < done:
                    cpu_seconds(pid)  # it lives
                    await asyncio.sleep(BETWEEN_LOOKS)
        except TimeoutError:
            raise Unsound(f"{found} of {done} documents are done after {within:.0f} s") from None
        return Look(await self.ends(), cpu_seconds(pid), resident(pid, "VmHWM"), time.monotonic())


@asynccontextmanager
async def progress(task: Task) -> AsyncIterator[Progress]:
    """Watch the work on a task until the block ends, as no member of its group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    async with consumer:
        yield Progress(consumer, task)


def cpu_seconds(pid: int) -> float:
    """Read what a process has used so far, all its threads, its children left out. Raises Unsound when it has ended."""
    state, *fields = _told(pid, "stat").rpartition(")")[2].split()  # the name before may hold anything
    if state in ENDED:
        raise Unsound(f"process {pid} has ended")
    return (int(fields[10]) + int(fields[11])) / TICKS


def resident(pid: int, name: str = "VmRSS") -> int:
    """Read the bytes that are resident now, or by VmHWM the most that ever were. Raises Unsound."""
    lines = dict(line.split(":", 1) for line in _told(pid, "status").splitlines())
    if name not in lines:
        raise Unsound(f"process {pid} has ended")  # a zombie has no memory
    return int(lines[name].split()[0]) * 1024


def _told(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        raise Unsound(f"process {pid} has ended") from None


def cpu_for_a_thousand(first: Look, last: Look, messages: Sequence[Message]) -> float:
    """CPU seconds for 1,000 of the messages that came out between two looks. Raises Unsound when none did."""
    count: int = sum(first.ends[each.partition] <= each.offset < last.ends[each.partition] for each in messages)
    if not count:
        raise Unsound("it was over before there was anything to measure; give it more documents")
    return 1000 * (last.cpu - first.cpu) / count


def cpu_between(first: Look, last: Look, idle: float = 0.0) -> float:
    """CPU seconds for 1,000 messages that came out between two looks, where nothing else takes offsets.

    `idle` are those that the process uses in any second, whether or not there is work: they are left out.
    """
    used = last.cpu - first.cpu - idle * (last.at - first.at)
    return 1000 * used / (sum(last.ends.values()) - sum(first.ends.values()))


def rate(stamps: Sequence[int], unseen: int) -> float:
    """Documents a second, from the messages' timestamps in milliseconds.

    Counts from the moment when the first `unseen` were out, and only what came after them.
    """
    ordered = sorted(stamps)
    elapsed = ordered[-1] - ordered[unseen - 1]
    return 1000 * (len(ordered) - unseen) / max(elapsed, 1)


def check_work(messages: Sequence[Message], documents: int) -> None:
    """See that each document came out once, and with entities. Raises Unsound."""
    names = {message.key for message in messages}
    if len(names) != documents or len(messages) != documents:
        raise Unsound(f"{len(messages)} messages of {len(names)} documents came out for {documents} that went in")
    if empty := sum(b'"category"' not in message.value for message in messages):
        raise Unsound(f"{empty} of {documents} messages hold no entity")


async def check_all(task: Task, documents: int) -> None:
    """See the same of more documents than one may hold in memory. Raises Unsound."""
    names: set[bytes] = set()
    messages = empty = 0
    async with AIOKafkaConsumer(bootstrap_servers=task.bootstrap) as reader:
        places = [TopicPartition(task.output, index) for index in range(task.partitions)]
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        waiting = sum((await reader.end_offsets(places)).values())
        while messages < waiting:
            for some in (await reader.getmany(timeout_ms=200)).values():
                messages += len(some)
                names.update(message.key for message in some)
                empty += sum(b'"category"' not in message.value for message in some)
    if empty or not len(names) == messages == documents:
        raise Unsound(f"{messages} messages of {len(names)} documents came out for {documents}, {empty} of them empty")


def check_delivery(messages: Sequence[Message], contender: Contender) -> None:
    """See that who claims to write transactions does, and nobody else: their ends take offsets. Raises Unsound."""
    ends: Counter[int] = Counter()
    for message in messages:
        ends[message.partition] = max(ends[message.partition], message.offset + 1)
    between = ends.total() - len(messages)
    if bool(between) is not (contender is Contender.EXACTLY_ONCE):
        raise Unsound(f"{between} ends of transactions lie between the messages of {contender}")
