"""Grouping documents into batches: full, or old enough. A batch fills from one partition first.

A job that touches one partition costs bytes in one journal; so documents of other partitions
top a batch up only when its linger ends.
"""

from collections.abc import Iterable

from msgspec import Struct

from entity_stream.core.model import Batch, Document, Partition
from entity_stream.core.wire.shapes import MOST_CHARACTERS, MOST_DOCUMENTS


class Limits(Struct, frozen=True):
    """What one request may hold, and how long its first document may wait for company."""

    documents: int = MOST_DOCUMENTS
    characters: int = MOST_CHARACTERS
    bytes: int = 1_000_000
    linger: float = 0.05


class Load(Struct, frozen=True, gc=False):
    """What documents weigh together, in the three units of the limits."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0

    def __add__(self, other: "Load") -> "Load":
        """Weigh both together."""
        return Load(self.documents + other.documents, self.characters + other.characters, self.bytes + other.bytes)

    def fits(self, limits: Limits) -> bool:
        """Tell whether one request may hold this."""
        return (
            self.documents <= limits.documents and self.characters <= limits.characters and self.bytes <= limits.bytes
        )


BODY_OVERHEAD = 64
"""Bytes of JSON around one document in a request."""


def load(document: Document) -> Load:
    """Weigh one document. Its record's value is never shorter than the text in our JSON, which escapes least."""
    size = len(document.record.value or b"") + len(document.wire_id) + BODY_OVERHEAD
    return Load(1, len(document.text), size)


class _Open:
    """A batch of one partition that still takes documents."""

    __slots__ = ("documents", "load", "since")

    def __init__(self, since: float) -> None:
        self.documents: list[Document] = []
        self.load = Load()
        self.since = since

    def add(self, document: Document, weighed: Load) -> None:
        self.documents.append(document)
        self.load += weighed


class Batcher:
    """The open batches, one per partition, oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[Partition, _Open] = {}

    def add(self, document: Document, now: float) -> list[Batch]:
        """Take a document; return the batches that are full with it, or that had no room for it."""
        closed = []
        partition, weighed = document.record.partition, load(document)
        batch = self._open.get(partition)
        if batch and not (batch.load + weighed).fits(self._limits):
            closed.append(self._close(partition))
            batch = None
        if batch is None:
            batch = self._open[partition] = _Open(now)
        batch.add(document, weighed)
        if batch.load.documents >= self._limits.documents:
            closed.append(self._close(partition))
        return closed

    def due(self, now: float) -> Batch | None:
        """Return the batch whose linger has ended, topped up with documents of other partitions."""
        if self.patience(now) != 0.0:
            return None
        first = next(iter(self._open))
        batch = self._open.pop(first)
        for partition in list(self._open):
            self._top_up(batch, partition)
        return tuple(batch.documents)

    def patience(self, now: float) -> float | None:
        """Seconds that the oldest open batch can still wait; None when no batch is open."""
        for batch in self._open.values():
            return max(0.0, batch.since + self._limits.linger - now)
        return None

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the documents of partitions that are no longer ours."""
        for partition in partitions:
            self._open.pop(partition, None)

    def _close(self, partition: Partition) -> Batch:
        return tuple(self._open.pop(partition).documents)

    def _top_up(self, batch: _Open, partition: Partition) -> None:
        """Move documents from the front of another open batch as long as they fit, in their order."""
        other = self._open[partition]
        moved = 0
        for document in other.documents:
            weighed = load(document)
            if not (batch.load + weighed).fits(self._limits):
                break
            batch.add(document, weighed)
            moved += 1
        if moved == len(other.documents):
            del self._open[partition]
        elif moved:
            self._open[partition] = rest = _Open(other.since)
            for document in other.documents[moved:]:
                rest.add(document, load(document))
