"""Labelled documents, from a labels file and a folder of texts.

Offsets are code points of the text exactly as it lies there: no line end is converted, nothing trimmed.
"""

import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from entity_stream.core.indexing import Utf16, utf16
from entity_stream.core.mistake import Mistake
from entity_stream.core.wire import authoring


class Span(Struct, frozen=True, gc=False):
    """An entity in a text, in code points; a person's label is sure."""

    category: str
    offset: int
    length: int
    confidence: float = 1.0

    @property
    def end(self) -> int:
        """The code point behind it."""
        return self.offset + self.length


class Region(Struct, frozen=True, gc=False):
    """A part of a text that somebody has labelled, in code points."""

    offset: int
    length: int

    def touches(self, start: int, end: int) -> bool:
        """Whether a stretch of the text lies in it, at least in part."""
        return start < self.offset + self.length and self.offset < end


EVERYTHING = (Region(0, sys.maxsize),)


class LabelledDocument(Struct, frozen=True):
    """A text and the entities that a person found in it."""

    location: str
    text: str
    language: str | None = None
    dataset: str | None = None
    """Train, Test, or None where nobody decided."""
    spans: tuple[Span, ...] = ()
    """Sorted by offset."""
    regions: tuple[Region, ...] = EVERYTHING
    """Only these are learnt from and scored."""


def read_corpus(labels: Path, documents: Path) -> list[LabelledDocument]:
    """Read the labelled documents of a labels file. One without a region is not labelled: it is left out."""
    file = authoring.decode(_read(labels, str(labels), "Give the path of a labels file."), str(labels))
    return [
        labelled(entry, _read_text(documents, entry.location, labels), f"{labels}, document {entry.location}")
        for entry in file.assets.documents
        if entry.entities
    ]


def labelled(entry: authoring.DocumentEntry, text: str, where: str) -> LabelledDocument:
    """Put the labels onto the text: UTF-16 code units become code points."""
    index = utf16(text)
    regions, spans = [], []
    for region in entry.entities:
        place = f"{where}, region {region.region_offset} + {region.region_length}"
        regions.append(Region(*_points(index, region.region_offset, region.region_length, place)))
        for label in region.labels:
            offset, length = _points(index, label.offset, label.length, f"{where}, {label}")
            spans.append(Span(label.category, offset, length))
    spans.sort(key=lambda span: (span.offset, span.length))
    return LabelledDocument(entry.location, text, entry.language, entry.dataset, tuple(spans), tuple(regions))


def split(
    documents: Sequence[LabelledDocument], testing: float = 0.2
) -> tuple[list[LabelledDocument], list[LabelledDocument]]:
    """Documents to train and to test with: as their datasets say when one says Test, else by share."""
    if any(document.dataset == "Test" for document in documents):
        return split_by_dataset(documents)
    return split_by_share(documents, testing)


def split_by_dataset(
    documents: Iterable[LabelledDocument],
) -> tuple[list[LabelledDocument], list[LabelledDocument]]:
    """Whatever is not for testing is for training."""
    training: list[LabelledDocument] = []
    testing: list[LabelledDocument] = []
    for document in documents:
        (testing if document.dataset == "Test" else training).append(document)
    return training, testing


def split_by_share(
    documents: Sequence[LabelledDocument], testing: float
) -> tuple[list[LabelledDocument], list[LabelledDocument]]:
    """Whole documents, the same ones every time. Both sides get one as soon as there are two."""
    drawn = shuffled(documents)
    count = min(max(round(len(drawn) * testing), 1), len(drawn) - 1) if testing and drawn else 0
    return drawn[count:], drawn[:count]


def shuffled(documents: Iterable[LabelledDocument]) -> list[LabelledDocument]:
    """Put documents in an order that has nothing to do with their content, and is always the same."""
    return sorted(documents, key=lambda one: (zlib.crc32(one.location.encode("utf-8", "replace")), one.location))


def _points(index: Utf16, offset: int, length: int, where: str) -> tuple[int, int]:
    try:
        return index.span_to_points(offset, length)
    except ValueError as error:
        raise Mistake(
            f"It does not fit the text: {error}",
            where,
            "Offsets count UTF-16 code units of the file as it is, CRLF included: was it changed since?",
        ) from error


def _read_text(folder: Path, location: str, labels: Path) -> str:
    where = f"{folder / location}, listed in {labels}"
    if "\0" in location or not (folder / location).resolve().is_relative_to(folder.resolve()):
        raise Mistake("The document's location leaves the documents folder", where, "Locations are names below it.")
    data = _read(folder / location, where, "Put the document there, or take it out of the labels file.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Mistake(
            f"The document is not UTF-8 (byte {error.start})", where, "Save it as UTF-8 and check its labels."
        ) from error


def _read(path: Path, where: str, fix: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Mistake(f"The file cannot be read: {error.strerror}", where, fix) from error
