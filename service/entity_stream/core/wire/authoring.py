"""The labels file, both directions: what people labelled, as Azure's authoring API imports and exports it.

Offsets in it are UTF-16 code units from the start of the document. Reading is tolerant of what
it does not know and strict about what it uses: a fault is a Mistake that names where it is.
"""

from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from entity_stream.core.mistake import Mistake

KIND = "CustomEntityRecognition"
DRAFT_KIND = "customNamedEntityRecognition"
"""What early examples of the same format call it."""
UNIT = "Utf16CodeUnit"
"""The only string index type of the authoring API."""
DATASETS = ("Train", "Test")
BOM = b"\xef\xbb\xbf"
"""Editors on Windows begin a file with it; JSON does not allow it."""

NotNegative = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]


class Label(Struct, frozen=True):
    """A labelled entity, in UTF-16 code units."""

    category: str
    offset: NotNegative
    length: Positive

    def __str__(self) -> str:
        return f"label {self.category} at {self.offset} + {self.length}"


class LabelledRegion(Struct, frozen=True, rename="camel"):
    """A part of a document that somebody has read and labelled; what lies outside teaches nothing."""

    region_offset: NotNegative
    region_length: NotNegative
    labels: tuple[Label, ...] = ()


class DocumentEntry(Struct, frozen=True, omit_defaults=True):
    """A document of the project: where its text is, and its labels."""

    location: str
    language: str | None = None
    dataset: str | None = None
    """Train or Test; None leaves it to the split."""
    entities: tuple[LabelledRegion, ...] = ()


class EntityType(Struct, frozen=True):
    """A category that labels may use."""

    category: str


class Assets(Struct, frozen=True, rename="camel"):
    """What was labelled, and with what."""

    project_kind: str
    entities: tuple[EntityType, ...]
    documents: tuple[DocumentEntry, ...]


class Metadata(Struct, frozen=True, rename="camel"):
    """What the project is. Its settings are kept as they came, and not read."""

    project_kind: str
    project_name: str = ""
    storage_input_container_name: str = ""
    multilingual: bool = False
    description: str = ""
    language: str = "en"
    settings: Raw = Raw(b"{}")


class LabelsFile(Struct, frozen=True, rename="camel", kw_only=True):
    """A whole project: metadata and labelled documents."""

    project_file_version: str = "2022-05-01"
    string_index_type: str = UNIT
    metadata: Metadata
    assets: Assets


_decoder = msgspec.json.Decoder(LabelsFile)


def decode(data: bytes, where: str) -> LabelsFile:
    """Read and check a labels file; `where` is what a Mistake calls it."""
    try:
        file = _decoder.decode(data.removeprefix(BOM))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Mistake(
            f"This is not a labels file: {error}",
            where,
            "It needs metadata and assets as Azure exports them with api-version 2022-05-01 or later.",
        ) from error
    check(file, where)
    return file


def encode(file: LabelsFile) -> bytes:
    """Write a labels file, indented for people."""
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def check(file: LabelsFile, where: str) -> None:
    """Raise a Mistake where the file contradicts itself."""
    _check_kind(file, where)
    declared = {entity.category for entity in file.assets.entities}
    for category in sorted(declared):
        if not category or not category.isprintable():
            raise Mistake(f"The category {category!r} is not a name", where, "Use letters, digits and signs.")
    locations = Counter(document.location for document in file.assets.documents)
    for document in file.assets.documents:
        place = f"{where}, document {document.location}"
        if locations[document.location] > 1:
            raise Mistake("The document is listed twice", place, "Keep one entry with all its labels.")
        if document.dataset and document.dataset not in DATASETS:
            raise Mistake(f"Its dataset is {document.dataset!r}", place, "Use Train or Test, or leave it out.")
        for region in document.entities:
            _check_region(region, declared, place)


def _check_kind(file: LabelsFile, where: str) -> None:
    kind = file.metadata.project_kind
    if kind != file.assets.project_kind:
        raise Mistake(
            f"metadata.projectKind is {kind!r} but assets.projectKind is {file.assets.project_kind!r}",
            where,
            "The project kind in the exported project's metadata must match the assets' project kind.",
        )
    if kind not in (KIND, DRAFT_KIND):
        raise Mistake(f"The projectKind is {kind!r}", where, f"Only {KIND} projects can be trained here.")
    if file.string_index_type != UNIT:
        raise Mistake(f"The stringIndexType is {file.string_index_type!r}", where, f"Give offsets as {UNIT}.")


def _check_region(region: LabelledRegion, declared: set[str], place: str) -> None:
    end = region.region_offset + region.region_length
    for label in region.labels:
        if label.category not in declared:
            raise Mistake(
                "Its category is not declared",
                f"{place}, {label}",
                "Add it to assets.entities, or correct the label's category.",
            )
        if label.offset < region.region_offset or label.offset + label.length > end:
            raise Mistake(
                f"It is outside its region {region.region_offset} + {region.region_length}",
                f"{place}, {label}",
                "Correct the label or the region: both count UTF-16 code units from the document's start.",
            )
