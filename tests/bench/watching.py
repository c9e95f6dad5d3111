"""Measuring from outside: a process by what Linux tells of it, its work by what has come out.

The rule that keeps it honest: a contender reports nothing about itself. CPU is counted between two looks and divided
by the documents that came out between the same two.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Struct

from tests.bench.plan import PARTITIONS

TICKS = os.sysconf("SC_CLK_TCK")
ENDED = frozenset("ZX")
"""States of a process that nobody has waited for yet."""

BETWEEN_LOOKS = 0.05
"""Seconds."""


class Unsound(Exception):
    """A run that measured nothing: a contender ended, stood still, or did not do the work."""


class Look(Struct, frozen=True):
    """A process and its work at one moment."""

    out: int
    """Messages in the output topic."""
    cpu: float
    """Seconds since the process started, all its threads, user and system."""
    peak: int
    """The most bytes that were ever resident."""


class Output:
    """An output topic as it fills."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._places = [TopicPartition(topic, index) for index in range(PARTITIONS)]

    async def count(self) -> int:
        """Count the messages; costs one request, none of them is read."""
        return sum((await self._consumer.end_offsets(self._places)).values())

    async def look(self, pid: int, out: int, within: float) -> Look:
        """Look at a process as soon as so many messages are out. Raises Unsound."""
        try:
            async with asyncio.timeout(within):
                while (found := await self.count()) < out:
                    cpu_seconds(pid)  # it lives
                    await asyncio.sleep(BETWEEN_LOOKS)
        except TimeoutError:
            raise Unsound(f"{found} of {out} messages are out after {within:.0f} s") from None
        return Look(found, cpu_seconds(pid), resident(pid, "VmHWM"))


@asynccontextmanager
async def output(bootstrap: str, topic: str) -> AsyncIterator[Output]:
    """Watch an output topic until the block ends."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        yield Output(consumer, topic)


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


def cpu_for_a_thousand(first: Look, last: Look) -> float:
    """CPU seconds for 1,000 of the documents that came out between two looks. Raises Unsound when none did."""
    if last.out == first.out:
        raise Unsound("it was over before there was anything to measure; give it more documents")
    return 1000 * (last.cpu - first.cpu) / (last.out - first.out)


def rate(stamps: Sequence[int], unseen: int) -> float:
    """Documents a second, from the messages' timestamps in milliseconds.

    Counts from the moment when the first `unseen` were out, and only what came after them.
    """
    ordered = sorted(stamps)
    elapsed = ordered[-1] - ordered[unseen - 1]
    return 1000 * (len(ordered) - unseen) / max(elapsed, 1)


def check_work(messages: Sequence[ConsumerRecord[bytes, bytes]], documents: int) -> None:
    """See that each document came out once, and with entities. Raises Unsound."""
    names = {message.key for message in messages}
    if len(names) != documents or len(messages) != documents:
        raise Unsound(f"{len(messages)} messages of {len(names)} documents came out for {documents} that went in")
    if empty := sum(b'"category"' not in message.value for message in messages):
        raise Unsound(f"{empty} of {documents} messages hold no entity")
