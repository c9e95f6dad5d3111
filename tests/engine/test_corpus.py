"""Reading labelled documents from disk: labels fall where they were set, faults are named, splits never change."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.mistake import Mistake
from entity_stream.core.wire.authoring import DocumentEntry, Label, LabelledRegion
from entity_stream.engine.corpus import LabelledDocument, Region, Span, labelled, read_corpus, split

Entry = dict[str, object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    return tmp_path


def write(folder: Path, texts: dict[str, bytes], entries: Sequence[Entry]) -> tuple[Path, Path]:
    for name, text in texts.items():
        (folder / "documents" / name).write_bytes(text)
    kind = {"projectKind": "CustomEntityRecognition"}
    assets = kind | {"entities": [{"category": "Date"}], "documents": list(entries)}
    (folder / "labels.json").write_text(json.dumps({"metadata": kind, "assets": assets}))
    return folder / "labels.json", folder / "documents"


def entry(location: str, offset: int, length: int, region: int = 40, **more: str) -> Entry:
    label = {"category": "Date", "offset": offset, "length": length}
    part = {"regionOffset": 0, "regionLength": region, "labels": [label]}
    return {"location": location, "entities": [part], **more}


def test_labels_are_found_behind_line_ends_and_emoji(folder: Path) -> None:
    """CRLF stays two characters, and a character of two UTF-16 units counts once."""
    text = "😀 hi\r\non Monday\r\n"
    labels, documents = write(folder, {"a.txt": text.encode()}, [entry("a.txt", 10, 6, region=18)])
    (document,) = read_corpus(labels, documents)
    (span,) = document.spans
    assert document.text == text
    assert text[span.offset : span.end] == "Monday"
    assert document.regions == (Region(0, 17),)


def test_language_and_dataset_are_kept(folder: Path) -> None:
    """What the file says of a document is known of it later."""
    said = {"language": "de", "dataset": "Test"}
    labels, documents = write(folder, {"a.txt": b"on Monday"}, [entry("a.txt", 3, 6, region=9, **said)])
    (document,) = read_corpus(labels, documents)
    assert (document.location, document.language, document.dataset) == ("a.txt", "de", "Test")


def test_a_document_that_nobody_has_labelled_is_left_out(folder: Path) -> None:
    """A document without a region teaches nothing, and its text is not even needed."""
    labels, documents = write(folder, {}, [{"location": "a.txt", "entities": []}])
    assert read_corpus(labels, documents) == []


@pytest.mark.parametrize(
    ("texts", "one", "words"),
    [
        ({}, entry("a.txt", 0, 1), "No such file"),
        ({"a.txt": b"\xff\xfe"}, entry("a.txt", 0, 1), "not UTF-8"),
        ({"a.txt": b"short"}, entry("a.txt", 0, 9), "outside a text of 5"),
        ({"a.txt": b"on Monday"}, entry("a.txt", 3, 6, region=9 + 1), "outside a text of 9"),
        ({"a.txt": "😀".encode()}, entry("a.txt", 1, 1, region=2), "middle of a character"),
        ({}, entry("../labels.json", 0, 1), "leaves the documents folder"),
        ({}, entry("/etc/hostname", 0, 1), "leaves the documents folder"),
        ({}, entry("a\0.txt", 0, 1), "leaves the documents folder"),
    ],
)
def test_a_fault_is_named_with_its_document(folder: Path, texts: dict[str, bytes], one: Entry, words: str) -> None:
    """A Mistake names the labels file and the document, and no text but that of the folder is ever read."""
    labels, documents = write(folder, texts, [one])
    with pytest.raises(Mistake) as caught:
        read_corpus(labels, documents)
    assert words in caught.value.what
    assert str(labels) in caught.value.where
    assert str(one["location"]) in caught.value.where


def test_a_missing_labels_file_is_a_mistake(tmp_path: Path) -> None:
    """The path of a labels file that is not there is in the Mistake."""
    with pytest.raises(Mistake, match=r"labels\.json"):
        read_corpus(tmp_path / "labels.json", tmp_path)


@given(st.text("ab 😀é\n", min_size=1), st.data())
def test_a_label_holds_the_same_characters_in_either_unit(text: str, data: st.DataObject) -> None:
    """Labels in UTF-16 units, in any order, become sorted spans over the characters that were marked."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2)) if len(text) > 1 else {0, 1})
    pieces = list(pairwise(cuts))

    def units(part: str) -> int:
        return len(part.encode("utf-16-le")) // 2

    labels = [Label("X", units(text[:start]), units(text[start:end])) for start, end in pieces]
    region = LabelledRegion(0, units(text), tuple(reversed(labels)))
    document = labelled(DocumentEntry("a.txt", entities=(region,)), text, "labels.json")
    assert document.spans == tuple(Span("X", start, end - start) for start, end in pieces)


def documents(count: int, dataset: str | None = None) -> list[LabelledDocument]:
    return [LabelledDocument(f"{i}.txt", "text", dataset=dataset) for i in range(count)]


@given(st.integers(2, 60), st.randoms(use_true_random=False))
def test_every_fifth_document_tests_whatever_the_order(count: int, random: Random) -> None:
    """Without datasets, a fifth of the documents test, always the same ones, and none is lost."""
    given_order = documents(count)
    mixed = given_order[:]
    random.shuffle(mixed)
    training, testing = split(mixed)
    assert (training, testing) == split(given_order)
    assert len(testing) == max(1, round(count / 5))
    assert sorted(one.location for one in training + testing) == sorted(one.location for one in given_order)


def test_a_test_dataset_decides_the_split() -> None:
    """As soon as one document says Test, the datasets decide, and what says nothing trains."""
    trains, tests, silent = documents(2, "Train"), documents(1, "Test"), documents(3)
    assert split([*trains, *tests, *silent]) == ([*trains, *silent], tests)


def test_a_single_document_trains() -> None:
    """There is no test where it would leave nothing to train with."""
    assert split(documents(1)) == (documents(1), [])
    assert split([]) == ([], [])
