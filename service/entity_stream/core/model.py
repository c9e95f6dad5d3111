"""The nouns. Frozen values; nothing in here does anything.

`gc=False` keeps the values that are made per document out of the garbage collector's
rounds: they hold only strings, bytes and tuples, so they cannot be part of a cycle.
"""

from msgspec import Raw, Struct


class Partition(Struct, frozen=True, order=True):
    """One assignment of a topic's partition. The epoch is part of the name: assigned again, it is another."""

    topic: str
    index: int
    epoch: int = 0


Place = tuple[str, int]
"""A partition of a topic, whosever it is: the topic, and its number."""


class Record(Struct, frozen=True, gc=False):
    """One Kafka message as it was read, and where it came from."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = 0
    """Milliseconds since 1970, as the broker tells it."""
    read_at: float = 0.0
    """When it was read, in seconds of the reader's own clock."""


class Route(Struct, frozen=True, order=True, gc=False):
    """A deployed model that records may ask for."""

    project: str
    deployment: str

    def __str__(self) -> str:
        return f"{self.project}/{self.deployment}"


class Document(Struct, frozen=True, gc=False):
    """A record that can be submitted."""

    record: Record
    id: str
    """What its sender calls it: the message's `id`, else the record's key, else topic-partition-offset."""
    wire_id: str
    """What the API calls it: says topic, partition, offset, chunk start, length and a CRC of the text."""
    text: str
    language: str | None = None
    metadata: Raw | None = None
    """The sender's own JSON object, handed on untouched."""
    route: Route | None = None
    """The model that it asks for; None: the one that is asked where nobody says anything."""


Batch = tuple[Document, ...]
"""What is submitted together: at least one document, all of one route."""


class Target(Struct, frozen=True):
    """Where batches can be submitted: one route at one resource."""

    resource: str = "default"
    route: Route | None = None

    def __str__(self) -> str:
        return f"{self.resource} ({self.route})" if self.route else self.resource


class Job(Struct, frozen=True):
    """A batch handed over to the API."""

    id: str
    resource: str
    """The name of the Language endpoint that owns it."""


class Entity(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """A named thing found in a text. Offset and length count Unicode code points."""

    text: str
    category: str
    offset: int
    length: int
    confidence_score: float
    subcategory: str | None = None


class Model(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What found the entities, as the result itself says."""

    project: str
    deployment: str
    version: str | None = None


class Reason(Struct, frozen=True, gc=False):
    """Why a record cannot have entities: a code to count by and a sentence to read."""

    code: str
    message: str


class Annotated(Struct, frozen=True, gc=False):
    """The outcome of a document whose entities are known. They are sorted by offset."""

    record: Record
    id: str
    entities: tuple[Entity, ...]
    model: Model
    language: str | None = None
    metadata: Raw | None = None


class Rejected(Struct, frozen=True, gc=False):
    """The outcome of a record that goes to the dead-letter topic."""

    record: Record
    reason: Reason


class Deleted(Struct, frozen=True, gc=False):
    """The outcome of a tombstone: whatever was published for its key is to be forgotten."""

    record: Record


Outcome = Annotated | Rejected | Deleted


def weight(record: Record) -> int:
    """Bytes of memory that a record costs until it is settled: its value, its text, and what holds them."""
    value = record.value or b""
    one_byte_each = value.isascii() and not (b"\\" in value and b"\\u" in value)  # to look for one byte is quick
    size = len(value) * (2 if one_byte_each else 1 + WIDEST) + len(record.key or b"") + OVERHEAD
    for name, content in record.headers:
        size += len(name) + len(content or b"") + HEADER
    return size


WIDEST = 4
"""Bytes of each character of a Python string that holds one beyond the basic plane: a single emoji is enough."""

OVERHEAD, HEADER = 1_000, 100
"""Bytes for the objects around a record (record, document, outcome, entities) and around each of its headers."""
