"""Grouping documents into batches: full, or old enough. A batch fills from one partition first, and never mixes routes.

A job that touches one partition costs bytes in one journal; so documents of other partitions
top a batch up only when its linger ends.
"""

from collections.abc import Iterable

from msgspec import Struct

from entity_stream.core.model import Batch, Document, Partition, Route
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


Way = tuple[Partition, Route | None]
"""Where a document comes from and where it is to go."""


class _Open:
    """A batch of one place that still takes documents."""

    __slots__ = ("documents", "load", "since")

    def __init__(self, since: float) -> None:
        self.documents: list[Document] = []
        self.load = Load()
        self.since = since

    def add(self, document: Document, weighed: Load) -> None:
        self.documents.append(document)
        self.load += weighed


class Batcher:
    """The open batches, one per partition and route, oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[Way, _Open] = {}

    def add(self, document: Document, now: float) -> list[Batch]:
        """Take a document; return the batches that are full with it, or that had no room for it."""
        closed = []
        place, weighed = (document.record.partition, document.route), load(document)
        batch = self._open.get(place)
        if batch and not (batch.load + weighed).fits(self._limits):
            closed.append(self._close(place))
            batch = None
        if batch is None:
            batch = self._open[place] = _Open(now)
        batch.add(document, weighed)
        if batch.load.documents >= self._limits.documents:
            closed.append(self._close(place))
        return closed

    def due(self, now: float) -> Batch | None:
        """Return the batch whose linger has ended, topped up with documents of its route and other partitions."""
        if self.patience(now) != 0.0:
            return None
        first = next(iter(self._open))
        batch = self._open.pop(first)
        for place in [each for each in self._open if each[1] == first[1]]:
            self._top_up(batch, place)
        return tuple(batch.documents)

    def patience(self, now: float) -> float | None:
        """Seconds that the oldest open batch can still wait; None when no batch is open."""
        for batch in self._open.values():
            return max(0.0, batch.since + self._limits.linger - now)
        return None

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the documents of partitions that are no longer ours."""
        gone = set(partitions)
        for place in [each for each in self._open if each[0] in gone]:
            del self._open[place]

    def _close(self, place: Way) -> Batch:
        return tuple(self._open.pop(place).documents)

    def _top_up(self, batch: _Open, place: Way) -> None:
        """Move documents from the front of another open batch as long as they fit, in their order."""
        other = self._open[place]
        moved = 0
        for document in other.documents:
            weighed = load(document)
            if not (batch.load + weighed).fits(self._limits):
                break
            batch.add(document, weighed)
            moved += 1
        if moved == len(other.documents):
            del self._open[place]
        elif moved:
            self._open[place] = rest = _Open(other.since)
            for document in other.documents[moved:]:
                rest.add(document, load(document))
