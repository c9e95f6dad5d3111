"""What a group has committed, asked for from outside: nobody joins, and nothing is written, fenced or moved."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.commit import OffsetFetchRequest

from entity_stream.core.inspection import Commit, Inspection, Log, inspect
from entity_stream.core.mistake import Mistake
from entity_stream.edges.kafka_connection import NO_LEADER, PREFIX, client_options, refusal
from entity_stream.plan import KafkaConnection

LEADS_A_GROUP = 0
"""The kind of coordinator, as the protocol counts them."""

NOTHING = -1
"""Stands for the position of a partition that has none."""

TRIES, PAUSE = 20, 0.5
"""How often a coordinator is asked that is just taking over, and the seconds between."""

PATIENCE = 10_000
"""Milliseconds that leaders may take to say where their logs begin and end."""

NOT_NOW = (
    errors.GroupCoordinatorNotAvailableError,
    errors.GroupLoadInProgressError,
    errors.NotCoordinatorForGroupError,
    errors.NodeNotReadyError,
    errors.RequestTimedOutError,
    errors.KafkaTimeoutError,
)
"""What passes when a broker is back, or another has taken its place."""


async def inspect_group(connection: KafkaConnection, resources: Collection[str]) -> list[Inspection]:
    """Look at all partitions of the topics that the connection's group reads. Raises the Mistake that says why not."""
    client = AIOKafkaClient(**client_options(connection))
    try:
        await client.bootstrap()
        commits = await commits_of(client, connection.group)
        if not commits:
            raise _nothing_committed(connection)
        places, led = await partitions_of(client, {place.topic for place in commits})
        logs = await _logs(connection, led)
    except NOT_NOW as error:
        raise no_answer(connection, error) from error
    except errors.IncompatibleBrokerVersion as error:
        raise _not_told(connection) from error
    except errors.KafkaError as error:
        raise await refusal(error, connection) from error
    finally:
        await client.close()
    return [
        inspect(place.topic, place.partition, commits.get(place), logs.get(place), resources)
        for place in sorted({*commits, *places})
    ]


async def commits_of(
    client: AIOKafkaClient, group: str, places: Collection[TopicPartition] | None = None
) -> Mapping[TopicPartition, Commit]:
    """Ask what a group has committed, for some places or for all, until whoever leads it knows."""
    for _ in range(TRIES - 1):
        with suppress(*NOT_NOW):
            return await committed(client, group, places)
        await asyncio.sleep(PAUSE)
    return await committed(client, group, places)


async def committed(
    client: AIOKafkaClient, group: str, places: Collection[TopicPartition] | None = None
) -> Mapping[TopicPartition, Commit]:
    """Ask once what a group has committed: for some places, or for all. Raises what the brokers answer instead.

    The admin client of aiokafka would take a refused request for a group without commits.
    """
    asked = None if places is None else _by_topic(places)
    answer = await client.send(await leader(client, group), OffsetFetchRequest(group, asked))
    raise_for(getattr(answer, "error_code", 0), group)
    if answer.topics is None:  # as librdkafka's mock cluster answers who asks for all
        raise errors.IncompatibleBrokerVersion
    commits = {}
    for topic, partitions in answer.topics:
        for index, position, metadata, code in partitions:
            raise_for(code, group)
            if position != NOTHING:
                commits[TopicPartition(topic, index)] = Commit(position, (metadata or "").encode())
    return commits


async def leader(client: AIOKafkaClient, group: str) -> int:
    """Ask which broker leads a group."""
    node: int = await client.coordinator_lookup(LEADS_A_GROUP, group)
    return node


def _by_topic(places: Collection[TopicPartition]) -> list[tuple[str, list[int]]]:
    sorted_: dict[str, list[int]] = {}
    for topic, index in places:
        sorted_.setdefault(topic, []).append(index)
    return list(sorted_.items())


def raise_for(code: int, group: str) -> None:
    """Raise what a broker's answer about a group says is wrong, if anything is."""
    if code:
        raise errors.for_code(code)(group)


async def partitions_of(
    client: AIOKafkaClient, topics: Collection[str]
) -> tuple[Collection[TopicPartition], Collection[TopicPartition]]:
    """List the partitions that topics have now, then those that have a leader.

    All topics are asked for: a broker may create one that is asked for by its name.
    """
    cluster = await client.fetch_all_metadata()
    places = [TopicPartition(topic, index) for topic in topics for index in cluster.partitions_for_topic(topic) or ()]
    return places, [place for place in places if cluster.leader_for_partition(place) not in NO_LEADER]


async def _logs(connection: KafkaConnection, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Log]:
    """Ask where logs begin and end, for one who reads what is committed, as a source does."""
    reader = AIOKafkaConsumer(
        isolation_level="read_committed", request_timeout_ms=PATIENCE, **client_options(connection)
    )
    try:
        await reader.start()
        return await logs_of(reader, places)
    finally:
        await reader.stop()


async def logs_of(reader: AIOKafkaConsumer, places: Collection[TopicPartition]) -> Mapping[TopicPartition, Log]:
    """Ask by a reader's connections where logs begin, and where what it may read of them ends."""
    starts, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
    return {place: Log(starts[place], ends[place]) for place in places}


def _nothing_committed(connection: KafkaConnection) -> Mistake:
    return Mistake(
        f"the group '{connection.group}' has committed nothing",
        f"GROUP, {PREFIX}_GROUP; {PREFIX}_BOOTSTRAP_SERVERS={connection.bootstrap}",
        "Is that its name, and does it read from this cluster? Brokers forget a group that was left empty for a week, "
        "and show only topics on which DESCRIBE is granted.",
    )


def _not_told(connection: KafkaConnection) -> Mistake:
    return Mistake(
        "these brokers do not list what a group has committed",
        f"{PREFIX}_BOOTSTRAP_SERVERS={connection.bootstrap}",
        "Ask Apache Kafka 0.10.2 or later; the demo's broker, which lives in memory, cannot tell.",
    )


def no_answer(connection: KafkaConnection, error: errors.KafkaError) -> Mistake:
    """Tell that brokers which were there a moment ago do not answer."""
    return Mistake(
        f"the brokers that hold the group '{connection.group}' and its topics do not answer now: {error}",
        f"{PREFIX}_BOOTSTRAP_SERVERS={connection.bootstrap}",
        "Are all brokers up, and can the addresses they advertise be reached from here?",
    )
