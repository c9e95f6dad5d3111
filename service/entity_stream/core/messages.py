"""The Kafka messages, both directions: documents in; entities, tombstones and dead letters out.

Nothing that a record may hold stops the stream: what is not a document is an outcome, with the
reason in words. The schemas in `schemas/` are the contract; this module obeys them.
"""

import json
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Raw, Struct

from entity_stream.core.model import (
    Annotated,
    Deleted,
    Document,
    Entity,
    Model,
    Outcome,
    Reason,
    Record,
    Rejected,
)
from entity_stream.core.routing import Routing
from entity_stream.core.wire.runtime import wire_id
from entity_stream.core.wire.shapes import CODE_POINTS, MOST_CHARACTERS

VERSION = 1
"""Of the messages we publish; grows when a reader of the old ones could not read the new ones."""

OFFSET_UNIT = CODE_POINTS
"""What offsets and lengths count: the index of a Python string."""


WHY = tuple(f"entity-stream-{part}" for part in ("reason", "message", "topic", "partition", "offset", "timestamp"))
"""Headers of a dead letter: why the record cannot have entities, and where it is."""

DROPPED = "entity-stream-value-dropped"
"""Header of a dead letter without its value: how many bytes that had."""


class Message(Struct, frozen=True, gc=False):
    """What is produced: topic, key, value and headers, all as bytes on the wire."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Topics(Struct, frozen=True):
    """Where outcomes go."""

    output: str
    dead_letter: str


class _Incoming(Struct, gc=False):
    text: str
    id: str | None = None
    language: str | None = None
    metadata: Raw = Raw()


class Source(Struct, gc=False):
    """Where a record came from, as messages say it."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime


class _Outgoing(Struct, gc=False, rename="camel", omit_defaults=True):
    version: int
    id: str
    entities: tuple[Entity, ...]
    offset_unit: str
    model: Model
    source: Source
    annotated_at: datetime
    language: str | None = None
    metadata: Raw | None = None


_incoming = msgspec.json.Decoder(_Incoming)
_object = msgspec.json.Decoder(dict[str, object])
_encoder = msgspec.json.Encoder()


def decode(record: Record, routing: Routing | None = None) -> Document | Rejected | Deleted:
    """Tell what a record is: a document, a tombstone, or nothing we can read, or may not send where it asks to go."""
    if record.value is None:
        return Deleted(record) if record.key is not None else Rejected(record, NO_VALUE)
    try:
        message = _incoming.decode(record.value)
        metadata = _metadata(message.metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(record, diagnose(record.value, error))
    if fault := _unfit(message.text):
        return Rejected(record, fault)
    route = routing.route(record.headers) if routing else None
    if isinstance(route, Reason):
        return Rejected(record, route)
    return Document(
        record,
        message.id or _name(record),
        wire_id(record.partition, record.offset, 0, len(message.text), message.text),
        message.text,
        message.language or None,
        metadata,
        route,
    )


def encode(outcome: Outcome, topics: Topics, now: float) -> Message:
    """Make the message for an outcome; `now` is in seconds since 1970."""
    record = outcome.record
    if isinstance(outcome, Annotated):
        return Message(topics.output, record.key, _entities(outcome, now), record.headers)
    if isinstance(outcome, Deleted):
        return Message(topics.output, record.key, None, record.headers)
    return dead_letter(record, outcome.reason, topics)


def dead_letter(record: Record, reason: Reason, topics: Topics) -> Message:
    """Key, value and headers as they came, to the byte; behind them, headers that say why and from where."""
    place = record.partition
    why = (reason.code, reason.message, place.topic, str(place.index), str(record.offset), str(record.timestamp))
    headers = tuple((name, text.encode("utf-8", "replace")) for name, text in zip(WHY, why, strict=True))
    return Message(topics.dead_letter, record.key, record.value, record.headers + headers)


def without_value(letter: Message) -> Message:
    """Shorten a dead letter that the broker finds too large: the source coordinates tell where its value is.

    The value is left empty, not null: copied back to the input topic, null would be a tombstone.
    ValueError where there is no value to leave out.
    """
    if not letter.value:
        raise ValueError("the dead letter has no value already")
    size = str(len(letter.value)).encode()
    return Message(letter.topic, letter.key, b"", (*letter.headers, (DROPPED, size)))


def coordinates(letter: Message) -> Message:
    """Leave of a dead letter only why and from where, under a key of its own: there is a topic that takes no less.

    Keys and headers have no limit but the broker's, and a compacted topic takes nothing without a key.
    """
    said = dict(letter.headers)
    headers = tuple((name, said[name]) for name in WHY)
    place = (said[f"entity-stream-{part}"] or b"" for part in ("topic", "partition", "offset"))
    return Message(letter.topic, b"-".join(place), b"", headers)


def moment(milliseconds: int) -> datetime:
    """Read a time since 1970; one that no calendar holds (the broker takes any) counts as 1970."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return EPOCH


def diagnose(value: bytes, error: Exception) -> Reason:
    """Say why a value is not a document. Slow and thorough: only what failed comes here."""
    try:
        parsed = json.loads(value.decode("utf-8"), parse_int=float)  # int would refuse what has 4,301 digits
        halved = _has_lone_surrogate(parsed)  # nesting that can just be read may be too deep to be written
    except UnicodeDecodeError as fault:
        return Reason("invalid-utf8", f"not UTF-8: {fault.reason} at byte {fault.start}")
    except RecursionError:
        return Reason("invalid-json", "nested too deeply")
    except ValueError as fault:
        return Reason("invalid-json", f"not JSON: {fault}")
    if not isinstance(parsed, dict):
        return Reason("wrong-type", f"expected an object, got {_kind(parsed)}")
    if "text" not in parsed:
        return Reason("missing-text", "the object has no member 'text'")
    for member, wanted in MEMBERS.items():
        if not isinstance(given := parsed.get(member), wanted):
            return Reason("wrong-type", f"member '{member}' is {_kind(given)}")
    if halved:
        return Reason("lone-surrogate", "a string holds half of a surrogate pair, which is no character")
    return Reason("invalid-json", str(error))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MEMBERS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "id": (str, type(None)),
    "language": (str, type(None)),
    "metadata": (dict, type(None)),
}
"""The members of a document and the types they may have. Other members are ignored."""

NO_VALUE = Reason("no-value", "the record has neither value nor key: not a document, and no tombstone of anything")
EMPTY = Reason("empty-text", "the text is empty or blank")


def _metadata(raw: Raw) -> Raw | None:
    """Check the sender's object and hand on its very bytes (re-encoding would round its numbers)."""
    if bytes(raw) in {b"", b"null"}:
        return None
    _object.decode(raw)  # reading is checking: what it skipped as raw may be neither UTF-8 nor JSON
    return raw


def _unfit(text: str) -> Reason | None:
    if not text or text.isspace():
        return EMPTY
    if len(text) > MOST_CHARACTERS:
        return Reason("too-long", f"the text has {len(text)} characters, the API takes {MOST_CHARACTERS} at most")
    return None


def _name(record: Record) -> str:
    """Name a document that has no id of its own: by its key, else by its place."""
    if record.key:
        try:
            return record.key.decode("utf-8")
        except UnicodeDecodeError:
            pass  # a binary key names nothing that JSON could say
    return f"{record.partition.topic}-{record.partition.index}-{record.offset}"


def _entities(outcome: Annotated, now: float) -> bytes:
    record, partition = outcome.record, outcome.record.partition
    return _encoder.encode(
        _Outgoing(
            VERSION,
            outcome.id,
            outcome.entities,
            OFFSET_UNIT,
            outcome.model,
            Source(partition.topic, partition.index, record.offset, moment(record.timestamp)),
            moment(round(now * 1000)),
            outcome.language,
            outcome.metadata,
        )
    )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _has_lone_surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
