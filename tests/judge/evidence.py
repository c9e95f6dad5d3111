"""Collects what is to be judged: the topics, the group's positions, the books and the shocks.

Read in an order in which a service that is still running cannot look guilty: positions first, then outcomes, the
inputs last. So what a position has passed is looked for after it was passed, and each outcome finds its input.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from msgspec import Struct, structs

from tests.judge.books import Event
from tests.judge.case import Evidence, Input, Outcome, Shock
from tests.judge.fates import mark_in

NAME: Final = "judge-name"
"""The header that names an input, and whatever is published for it."""
LONGEST: Final = 125_000
"""Code points of a document's text at the most."""
LOOK: Final = 0.2
"""Seconds that one fetch waits."""
PATIENCE: Final = 90.0
"""Seconds of fetches that bring nothing, after which a topic is given up; brokers end open transactions sooner."""

T = TypeVar("T")
Isolation = Literal["read_committed", "read_uncommitted"]
Ends = dict[TopicPartition, int]


class Scene(Struct, frozen=True):
    """Where to look: the brokers, three topics, and the group that reads the first."""

    bootstrap: str
    input: str
    output: str
    dead_letters: str
    group: str


async def collect(scene: Scene, books: Sequence[Event], shocks: Sequence[Shock] = ()) -> Evidence:
    """Read all that the topics hold now. Raises what brokers say, and TimeoutError where they bring nothing."""
    positions = await _positions(scene)
    outcomes = await _outcomes(scene, scene.output, _outcome)
    outcomes += await _outcomes(scene, scene.dead_letters, _dead_letter)
    inputs = await _inputs(scene, await _welcome(scene))
    names = {(record.partition, record.offset): record.name for record in inputs}
    return Evidence(inputs, [_named(outcome, names) for outcome in outcomes], positions, books, shocks)


def read_shocks(path: Path) -> list[Shock]:
    """Read shocks, one JSON object a line."""
    return msgspec.json.Decoder(Shock).decode_lines(path.read_bytes())


# what messages say


class Welcome(Struct, frozen=True):
    """What the output topic takes."""

    keyless: bool
    largest: int
    """Bytes of a message at the most. What came in as large may go out as large."""

    def takes(self, record: ConsumerRecord) -> bool:
        """Say whether what comes of a record is sure to be taken."""
        size = len(record.key or b"") + len(record.value or b"") + sum(len(value) for _, value in record.headers)
        return (self.keyless or record.key is not None) and size < self.largest


class _Document(Struct):
    text: str
    id: str | None = None
    language: str | None = None
    metadata: dict[str, object] | None = None


class _Found(Struct):
    text: str
    category: str


class _Source(Struct):
    partition: int
    offset: int


class _Entities(Struct):
    entities: tuple[_Found, ...]
    source: _Source


_document = msgspec.json.Decoder(_Document)
_entities = msgspec.json.Decoder(_Entities)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _input(record: ConsumerRecord, welcome: Welcome) -> Input:
    tombstone = record.value is None and record.key is not None
    text = _text(record.value or b"")
    mark = mark_in(text or "")
    place = f"{record.partition}-{record.offset}"
    trouble = (mark.trouble or "") if mark else ""
    return Input(
        _header(record, NAME) or (mark.name if mark else place),
        record.partition,
        record.offset,
        record.key,
        fate=trouble if mark is None or mark.times is None else f"{trouble}*{mark.times}",
        aborted=False,
        tombstone=tombstone,
        valid=tombstone or text is not None,
        at=record.timestamp / 1000,
        unwelcome=not welcome.takes(record),
    )


def _text(value: bytes) -> str | None:
    """Read the text of a document; None where it is none: the schema of documents says what is."""
    try:
        text = _document.decode(value).text
    except _UNREADABLE:
        return None
    return text if text and not text.isspace() and len(text) <= LONGEST else None


def _outcome(record: ConsumerRecord) -> Outcome:
    """Read a message of the output topic."""
    outcome = _published(record)
    if record.value is None:
        return structs.replace(outcome, kind="deleted")
    try:
        said = _entities.decode(record.value)
    except _UNREADABLE:
        return outcome
    found = tuple(entity.text for entity in said.entities if entity.category == "Name")
    return structs.replace(outcome, kind="annotated", found=found, source=(said.source.partition, said.source.offset))


def _dead_letter(record: ConsumerRecord) -> Outcome:
    """Read a message of the dead-letter topic."""
    reason = _header(record, "entity-stream-reason")
    partition, offset = (_header(record, f"entity-stream-{part}") or "" for part in ("partition", "offset"))
    source = (int(partition), int(offset)) if partition.isdecimal() and offset.isdecimal() else None
    return structs.replace(_published(record), kind="rejected", source=source, reason=reason)


def _published(record: ConsumerRecord) -> Outcome:
    return Outcome(
        _header(record, NAME) or "",
        "garbled",
        record.key,
        record.topic,
        record.partition,
        record.offset,
        record.timestamp / 1000,
    )


def _named(outcome: Outcome, names: Mapping[tuple[int, int], str]) -> Outcome:
    """Name an outcome that has lost its header by the input it says it is of; else by its own place."""
    if outcome.name:
        return outcome
    place = f"{outcome.topic}-{outcome.partition}-{outcome.offset}"
    return structs.replace(outcome, name=names.get(outcome.source, place) if outcome.source else place)


def _header(record: ConsumerRecord, name: str) -> str | None:
    """Read a header; of several the last: who hands headers on puts his own behind them."""
    found = dict(record.headers).get(name)
    return None if found is None else found.decode("utf-8", "replace")


# Kafka


async def _outcomes(scene: Scene, topic: str, convert: Callable[[ConsumerRecord], Outcome]) -> list[Outcome]:
    """Read all that is written there now: what an open transaction hides is neither lost nor there, but waited for."""
    async with _reader(scene.bootstrap, topic, "read_uncommitted") as reader:
        ends = await _ends(reader)
    async with _reader(scene.bootstrap, topic, "read_committed") as reader:
        return await _read(reader, ends, convert)


async def _welcome(scene: Scene) -> Welcome:
    async with _admin(scene.bootstrap) as admin:
        topic = ConfigResource(ConfigResourceType.TOPIC, scene.output, configs=None)
        [answer] = await admin.describe_configs([topic])
    [(code, message, _, _, entries)] = answer.resources
    if code:
        raise for_code(code)(message)
    configs = {name: value for name, value, *_ in entries}
    return Welcome("compact" not in configs["cleanup.policy"], int(configs["max.message.bytes"]))


async def _inputs(scene: Scene, welcome: Welcome) -> list[Input]:
    """Read the input topic twice. What only the first look sees is not committed: aborted, or undecided as yet."""
    async with _reader(scene.bootstrap, scene.input, "read_uncommitted") as reader:
        written = await _read(reader, await _ends(reader), lambda record: _input(record, welcome))
    async with _reader(scene.bootstrap, scene.input, "read_committed") as reader:
        seen = set(await _read(reader, await _ends(reader), lambda record: (record.partition, record.offset)))
    return [structs.replace(record, aborted=(record.partition, record.offset) not in seen) for record in written]


async def _read(reader: AIOKafkaConsumer, ends: Ends, convert: Callable[[ConsumerRecord], T]) -> list[T]:
    """Read until all partitions have been read to their ends."""
    found: list[T] = []
    left, waited = await _left(reader, ends), 0.0
    while left:
        for records in (await reader.getmany(timeout_ms=round(LOOK * 1000))).values():
            found += [convert(record) for record in records]
        before, left = left, await _left(reader, ends)
        waited = waited + LOOK if left == before else 0.0
        if waited > PATIENCE:
            raise TimeoutError(f"the ends are out of reach, a transaction may be open: {left}")
    return found


async def _ends(reader: AIOKafkaConsumer) -> Ends:
    """Say where each partition ends, as far as the reader may read."""
    ends: Ends = await reader.end_offsets(reader.assignment())
    return ends


async def _left(reader: AIOKafkaConsumer, ends: Ends) -> Ends:
    """Count the offsets that are left of each partition: what was aborted is passed without bringing a record."""
    left = {place: end - await reader.position(place) for place, end in ends.items()}
    return {place: offsets for place, offsets in left.items() if offsets > 0}


@asynccontextmanager
async def _reader(bootstrap: str, topic: str, isolation: Isolation) -> AsyncIterator[AIOKafkaConsumer]:
    async with _admin(bootstrap) as admin:
        [described] = await admin.describe_topics([topic])
    if described["error_code"]:
        raise for_code(described["error_code"])(topic)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation, enable_auto_commit=False)
    reader.assign([TopicPartition(topic, partition["partition"]) for partition in described["partitions"]])
    try:
        await reader.start()
        await reader.seek_to_beginning()
        yield reader
    finally:
        await reader.stop()


async def _positions(scene: Scene) -> dict[int, int]:
    async with _admin(scene.bootstrap) as admin:
        committed = await admin.list_consumer_group_offsets(scene.group)
    return {place.partition: at.offset for place, at in committed.items() if place.topic == scene.input}


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
