"""The sample in the package: its labels lie where they claim to, and its Test part is a fair exam.

`sample_entities.json` is the witness: what is labelled in each document, in order,
written from the mark-up in which the reports were composed and not from the offsets.
"""

import re
from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from msgspec import Struct

from entity_stream.sample import DOCUMENTS, LABELS

TOKEN = re.compile(r"\w+|[^\w\s]")
CATEGORIES = {"ServiceName", "ErrorCode", "ServerName", "TimeReference"}

Dataset = Literal["Train", "Test"]
Witness = dict[str, list[tuple[str, str]]]


class Label(Struct, frozen=True):
    category: str
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


class Region(Struct, frozen=True, rename="camel"):
    region_offset: int
    region_length: int
    labels: list[Label]


class Entry(Struct, frozen=True):
    location: str
    language: str
    dataset: Dataset
    entities: list[Region]

    @property
    def labels(self) -> list[Label]:
        return self.entities[0].labels

    @property
    def text(self) -> str:
        # bytes, not read_text: that would turn CRLF into LF
        return (DOCUMENTS / self.location).read_bytes().decode("utf-8")


class Category(Struct, frozen=True):
    category: str


class Metadata(Struct, frozen=True, rename="camel"):
    project_kind: str
    project_name: str
    language: str


class Assets(Struct, frozen=True, rename="camel"):
    project_kind: str
    entities: list[Category]
    documents: list[Entry]


class LabelsFile(Struct, frozen=True, rename="camel"):
    project_file_version: str
    string_index_type: str
    metadata: Metadata
    assets: Assets


@cache
def labels_file() -> LabelsFile:
    return msgspec.json.decode(LABELS.read_bytes(), type=LabelsFile)


def entries(dataset: Dataset | None = None) -> list[Entry]:
    return [entry for entry in labels_file().assets.documents if dataset in (None, entry.dataset)]


@cache
def witness() -> Witness:
    path = Path(__file__).with_name("sample_entities.json")
    return msgspec.json.decode(path.read_bytes(), type=Witness)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, start: int, end: int) -> str:
    """Return what lies between two UTF-16 offsets. Raises UnicodeDecodeError if one splits a character."""
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


def strings(dataset: Dataset) -> set[str]:
    return {text for entry in entries(dataset) for _, text in witness()[entry.location]}


def test_the_labels_file_is_an_azure_export_of_the_incidents_project() -> None:
    """Version, unit, kind, project, language and the four categories are named as Azure names them."""
    book = labels_file()
    assert (book.project_file_version, book.string_index_type) == ("2022-05-01", "Utf16CodeUnit")
    assert book.metadata == Metadata("CustomEntityRecognition", "incidents", "en-us")
    assert book.assets.project_kind == book.metadata.project_kind
    assert {entity.category for entity in book.assets.entities} == CATEGORIES


def test_every_label_cuts_out_what_the_witness_says() -> None:
    """In order of offset, labels have the categories and cut out the strings that the witness holds."""
    found = {
        entry.location: [(label.category, cut(entry.text, label.offset, label.end)) for label in entry.labels]
        for entry in entries()
    }
    assert found == witness()


def test_no_label_is_empty_or_has_white_space_at_its_ends() -> None:
    """What a label cuts out begins and ends with something visible."""
    for entry in entries():
        for label in entry.labels:
            text = cut(entry.text, label.offset, label.end)
            assert text, entry.location
            assert text == text.strip(), (entry.location, text)


def test_no_label_cuts_a_token() -> None:
    """Labels begin where a token begins and end where one ends, so that no model has to widen them."""
    for entry in entries():
        tokens = list(TOKEN.finditer(entry.text))
        begins = {utf16(entry.text[: token.start()]) for token in tokens}
        ends = {utf16(entry.text[: token.end()]) for token in tokens}
        assert {label.offset for label in entry.labels} <= begins, entry.location
        assert {label.end for label in entry.labels} <= ends, entry.location


def test_labels_are_in_order_and_do_not_overlap() -> None:
    """Each label begins at or after the end of the one before it."""
    for entry in entries():
        assert all(first.end <= second.offset for first, second in pairwise(entry.labels)), entry.location


def test_one_region_covers_each_document() -> None:
    """A document has one region, as long as its text in UTF-16 units."""
    for entry in entries():
        [region] = entry.entities
        assert (region.region_offset, region.region_length) == (0, utf16(entry.text)), entry.location


def test_the_folder_holds_the_listed_documents_and_no_others() -> None:
    """At least sixty documents, each listed once, each there, none unlisted, none with a byte order mark."""
    locations = [entry.location for entry in entries()]
    assert len(locations) >= 60
    assert sorted(locations) == sorted(path.name for path in DOCUMENTS.iterdir())
    assert not any(entry.text.startswith("\ufeff") for entry in entries())


def test_reports_have_the_length_of_reports() -> None:
    """A document has 200 to 2,000 characters."""
    assert all(200 <= len(entry.text) <= 2_000 for entry in entries())


def test_a_quarter_of_the_documents_is_for_the_exam() -> None:
    """Between a fifth and a third of the documents are Test, all others Train."""
    assert 1 / 5 <= len(entries("Test")) / len(entries()) <= 1 / 3


@pytest.mark.parametrize(("dataset", "least"), [("Train", 4), ("Test", 3)])
def test_both_datasets_hold_crlf(dataset: Dataset, least: int) -> None:
    """Documents with CRLF line ends are in both datasets, and keep to CRLF in all of their lines."""
    crlf = [entry.text for entry in entries(dataset) if "\r" in entry.text]
    assert len(crlf) >= least
    assert all(text.count("\r\n") == text.count("\n") == text.count("\r") for text in crlf)


@pytest.mark.parametrize(("dataset", "least"), [("Train", 5), ("Test", 3)])
def test_both_datasets_hold_labels_behind_astral_characters(dataset: Dataset, least: int) -> None:
    """In both datasets code points and UTF-16 units disagree on where labels are."""
    shifted = [entry for entry in entries(dataset) if any(is_shifted(entry.text, label) for label in entry.labels)]
    assert len(shifted) >= least


def is_shifted(text: str, label: Label) -> bool:
    return len(cut(text, 0, label.offset)) != label.offset


def test_at_least_thirty_percent_of_the_exam_is_new() -> None:
    """Of the distinct entity strings in Test documents, 30 % or more are no entity of a Train document."""
    exam = strings("Test")
    assert len(exam - strings("Train")) / len(exam) >= 0.3


@pytest.mark.parametrize("dataset", ["Train", "Test"])
def test_no_category_is_rare(dataset: Dataset) -> None:
    """Each category has a tenth or more of the labels of each dataset."""
    counted = Counter(label.category for entry in entries(dataset) for label in entry.labels)
    assert set(counted) == CATEGORIES
    assert min(counted.values()) >= counted.total() / 10


def test_some_documents_lack_a_category_and_some_have_no_entity() -> None:
    """Models also meet documents without a category, and one or two without any entity."""
    held = [{label.category for label in entry.labels} for entry in entries()]
    assert all(any(category not in categories for categories in held if categories) for category in CATEGORIES)
    assert 1 <= held.count(set()) <= 2


def test_no_two_documents_are_nearly_the_same() -> None:
    """Any two documents share less than 30 % of their runs of four words."""
    runs = {entry.location: four_words(entry.text) for entry in entries()}
    for one, other in combinations(runs, 2):
        alike = len(runs[one] & runs[other]) / len(runs[one] | runs[other])
        assert alike < 0.3, f"{one} and {other} are {alike:.0%} alike"


def four_words(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(words, words[1:], words[2:], words[3:], strict=False))
