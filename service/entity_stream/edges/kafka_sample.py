"""Reads what a group has left in a topic, or evenly spread stretches of it: nobody joins, and no position moves."""

from collections.abc import Callable, Collection

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition, errors

from entity_stream.core.estimate import Reading, Stretch, Tally, Unpaid
from entity_stream.core.model import Partition, Record
from entity_stream.edges.admin import require_topics
from entity_stream.edges.journals import NOT_NOW, commits_of, logs_of, no_answer, partitions_of
from entity_stream.edges.kafka_connection import client_options, refusal
from entity_stream.plan import KafkaConnection, Plan

STRETCHES = 10
"""Of one partition, where not all of it is read."""

ONE_READ = 500
"""Records at a time."""

PREFETCH = 1 << 18
"""Bytes the client fetches ahead, per partition: more than a stretch of common documents."""

WAIT, PATIENCE = 500, 60
"""Milliseconds that one read may take, and how many in a row may bring nothing."""

Tell = Callable[[int, int], None]
"""Is told how many records have been read, and of how many."""


async def read_backlog(
    connection: KafkaConnection, topic: str, plan: Plan, most: int | None, tell: Tell
) -> list[Reading]:
    """Read what the connection's group has left in a topic: all, or about `most` records of each partition.

    What is settled, or in a job of one of the plan's resources, is not left. Raises the Mistake that says why not.
    """
    await require_topics(connection, [topic])
    reader = AIOKafkaConsumer(
        isolation_level="read_committed",
        auto_offset_reset="earliest",  # retention may overtake us
        enable_auto_commit=False,
        max_partition_fetch_bytes=PREFETCH,
        **client_options(connection),
    )
    try:
        await reader.start()
        left = await _left(reader, connection.group, topic, [each.name for each in plan.resources])
        return await _Sampling(reader, plan, most, tell).read(left)
    except NOT_NOW as error:
        raise no_answer(connection, error) from error
    except errors.KafkaError as error:
        raise await refusal(error, connection) from error
    finally:
        await reader.stop()


async def _left(
    reader: AIOKafkaConsumer, group: str, topic: str, resources: Collection[str]
) -> dict[TopicPartition, Unpaid]:
    """Ask what of each partition is still to be paid for."""
    client = reader._client  # noqa: SLF001 (its connections are all we need)
    places, _ = await partitions_of(client, [topic])
    commits = await commits_of(client, group, places)
    logs = await logs_of(reader, places)
    return {place: Unpaid(commits.get(place), logs[place], resources) for place in sorted(places)}


class _Sampling:
    """One walk through a topic."""

    def __init__(self, reader: AIOKafkaConsumer, plan: Plan, most: int | None, tell: Tell) -> None:
        self._reader, self._plan, self._most, self._tell = reader, plan, most, tell
        self._read = self._of = 0

    async def read(self, left: dict[TopicPartition, Unpaid]) -> list[Reading]:
        """Read of each partition as much as is wanted."""
        self._of = sum(len(each) if self._most is None else min(len(each), self._most) for each in left.values())
        return [await self._partition(place, unpaid) for place, unpaid in left.items()]

    async def _partition(self, place: TopicPartition, unpaid: Unpaid) -> Reading:
        self._reader.assign([place])
        parts = list(unpaid.stretches(self._most, STRETCHES))
        most = None if self._most is None or len(parts) == 1 else self._most // len(parts)
        stretches = [await self._stretch(place, unpaid, start, stop, most) for start, stop in parts]
        return Reading(len(unpaid), stretches)

    async def _stretch(self, place: TopicPartition, unpaid: Unpaid, start: int, stop: int, most: int | None) -> Stretch:
        """Count the records of a stretch, up to its stop or so many."""
        tally, at, taken, idle = Tally(self._plan.limits, self._plan.routing), start, 0, 0
        self._reader.seek(place, start)
        while at < stop and (most is None or taken < most):
            wanted = ONE_READ if most is None else min(ONE_READ, most - taken)
            records = (await self._reader.getmany(place, timeout_ms=WAIT, max_records=wanted)).get(place, [])
            for record in records:
                if record.offset < stop and record.offset in unpaid:
                    tally.add(_record(record))
                    taken += 1
            before, at = at, min(stop, await self._reader.position(place))
            idle = 0 if at > before else idle + 1
            if idle > PATIENCE:
                raise errors.RequestTimedOutError(f"{place.topic}-{place.partition} brings nothing at offset {at}")
            self._tell(self._read + taken, self._of)
        self._read += taken
        return Stretch(unpaid.within(start, at), tally.count)


def _record(read: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(Partition(read.topic, read.partition), read.offset, read.key, read.value, tuple(read.headers))
