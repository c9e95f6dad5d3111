"""A steady load: how long each document takes until whoever reads the output has its entities.

The rule that keeps it honest: writer and reader are one process with one clock, the reader gets only what is committed,
and a run counts when every document came out once.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.bench import contenders, documents, watching
from tests.bench.arena import Arena
from tests.bench.documents import Record
from tests.bench.figures import Delay, Outcome, quantile
from tests.bench.plan import PARTITIONS, Contender, Load
from tests.bench.scenarios import START, Round, one_round
from tests.bench.task import Task
from tests.integration.stage import everything


async def keep_coming(arena: Arena, load: Load, rounds: int) -> Outcome[Delay]:
    """Play all rounds of a load, the service in each of its modes; which of them goes first changes."""
    played = [
        await one_round(arena, Round(load.name, number, rounds), load.contenders, partial(_delay, arena, load), told)
        for number in range(rounds)
    ]
    return Outcome(load.name, load.title, tuple(played))


async def _delay(arena: Arena, load: Load, mode: Contender) -> Delay:
    measured = [*(await delays(arena, load, mode)).values()]
    return Delay(quantile(measured, 0.5), quantile(measured, 0.99))


def told(delay: Delay) -> str:
    """Tell a run in a line."""
    return f"{delay.p50 * 1000:.0f} ms from record to readable entities, {delay.p99 * 1000:.0f} for 99 of 100"


async def delays(arena: Arena, load: Load, contender: Contender) -> Mapping[bytes, float]:
    """Have documents come one by one; return by name the seconds that each took, without the first ones."""
    unseen = load.per_second * load.settling
    count = unseen + load.per_second * load.seconds
    records = documents.reports(PARTITIONS + count, load.characters, marked=True)
    await arena.endpoint.set(load.conditions)
    async with arena.task(await arena.topic("documents-steady")) as task, _mailbox(task) as box:
        with contenders.at_work(contenders.command(contender, task), arena.log("contender")):
            await box.carry(list(islice(records, PARTITIONS)), load.per_second)  # when these are out all are connected
            found = await box.carry(list(records), load.per_second)
        messages = await everything(task.bootstrap, task.output)
    watching.check_work(messages, PARTITIONS + count)
    watching.check_delivery(messages, contender)
    return dict(list(found.items())[unseen:])


class Mailbox:
    """Both ends of a contender: its input, and its output as others read it."""

    def __init__(self, writer: AIOKafkaProducer, reader: AIOKafkaConsumer, topic: str) -> None:
        self._writer, self._reader, self._topic = writer, reader, topic
        self._clock = asyncio.get_running_loop().time

    async def carry(self, records: Sequence[Record], per_second: float) -> dict[bytes, float]:
        """Write records one by one; return by key the seconds that each took. Raises Unsound when one does not come."""
        within = START + len(records) / per_second
        try:
            async with asyncio.timeout(within), asyncio.TaskGroup() as group:
                writing = group.create_task(self._write(records, per_second))
                reading = group.create_task(self._read(len(records)))
        except TimeoutError:
            raise watching.Unsound(f"not all of {len(records)} documents are out after {within:.0f} s") from None
        written, read = writing.result(), reading.result()
        if written.keys() != read.keys():
            raise watching.Unsound(f"{len(written)} documents went in, {len(read)} others came out")
        return {name: read[name] - written[name] for name in written}

    async def _write(self, records: Sequence[Record], per_second: float) -> Mapping[bytes, float]:
        """Write at an even pace, to the partitions in turn; say when each record was made."""
        began, written = self._clock(), {}
        for number, (key, value) in enumerate(records):
            await asyncio.sleep(began + number / per_second - self._clock())
            written[key] = self._clock()
            await self._writer.send(self._topic, value, key, partition=number % PARTITIONS)
        return written

    async def _read(self, count: int) -> Mapping[bytes, float]:
        """Read so many messages; say when we had each."""
        read: dict[bytes, float] = {}
        while count > 0:
            messages = [each for some in (await self._reader.getmany(timeout_ms=1000)).values() for each in some]
            read |= dict.fromkeys([message.key for message in messages], self._clock())
            count -= len(messages)
        return read


@asynccontextmanager
async def _mailbox(task: Task) -> AsyncIterator[Mailbox]:
    """Write to a contender's input and read its output until the block ends."""
    writer = AIOKafkaProducer(bootstrap_servers=task.bootstrap, acks="all")
    reader = AIOKafkaConsumer(bootstrap_servers=task.bootstrap, isolation_level="read_committed")
    async with writer, reader:
        reader.assign([TopicPartition(task.output, index) for index in range(PARTITIONS)])
        await reader.seek_to_beginning()
        yield Mailbox(writer, reader, task.input)
