"""The labels file: what Azure exports is read, what is wrong with one is said so that its author finds it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.mistake import Mistake
from entity_stream.core.wire.authoring import (
    Assets,
    DocumentEntry,
    EntityType,
    Label,
    LabelledRegion,
    LabelsFile,
    Metadata,
    decode,
    encode,
)

KIND = "CustomEntityRecognition"


def project(**document: object) -> dict[str, Any]:
    """Make a project with one document as Azure exports it."""
    label = {"category": "Date", "offset": 5, "length": 9}
    place = {"regionOffset": 0, "regionLength": 1793, "labels": [label]}
    entry = {"location": "01.txt", "language": "en-us", "dataset": "Train", "entities": [place]}
    return {
        "projectFileVersion": "2022-05-01",
        "stringIndexType": "Utf16CodeUnit",
        "metadata": {
            "projectKind": KIND,
            "projectName": "Loans",
            "storageInputContainerName": "loans",
            "multilingual": False,
            "description": "",
            "language": "en-us",
            "settings": {"confidenceThreshold": 0.5},
        },
        "assets": {
            "projectKind": KIND,
            "entities": [{"category": "Date"}],
            "documents": [entry | document],
        },
    }


def read(value: object) -> LabelsFile:
    return decode(json.dumps(value).encode(), "labels.json")


def region(category: str = "Date", offset: int = 5, length: int = 9, **place: int) -> list[dict[str, Any]]:
    label = {"category": category, "offset": offset, "length": length}
    return [{"regionOffset": 0, "regionLength": 100, **place, "labels": [label]}]


def test_what_azure_exports_is_read_and_written_again_unchanged() -> None:
    """Decoding and encoding an export keeps every field of it, settings included."""
    assert json.loads(encode(read(project()))) == project()


def test_what_is_not_known_is_ignored() -> None:
    """Newer fields, a missing dataset and language, and the draft's names do not hinder reading."""
    value = project()
    value["project-file-version"] = value.pop("projectFileVersion")
    for part in (value["metadata"], value["assets"]):
        part["projectKind"] = "customNamedEntityRecognition"
    value["metadata"]["settings"]["runGptPredictions"] = True
    value["assets"]["entities"][0] |= {"compositionSetting": "combineComponents", "prebuilts": []}
    del value["assets"]["documents"][0]["dataset"]
    del value["assets"]["documents"][0]["language"]
    document = read(value).assets.documents[0]
    assert (document.dataset, document.language) == (None, None)
    assert document.entities[0].labels == (Label("Date", 5, 9),)


def test_a_byte_order_mark_does_no_harm() -> None:
    """A file saved with a byte order mark is the same file."""
    data = json.dumps(project()).encode()
    assert decode(b"\xef\xbb\xbf" + data, "labels.json") == decode(data, "labels.json")


@pytest.mark.parametrize(
    ("document", "place", "words"),
    [
        ({"dataset": "Validation"}, "document 01.txt", "Validation"),
        ({"entities": region(category="Data")}, "document 01.txt, label Data at 5 + 9", "not declared"),
        ({"entities": region(offset=95)}, "document 01.txt, label Date at 95 + 9", "outside its region 0 + 100"),
        ({"entities": region(regionOffset=6)}, "document 01.txt, label Date at 5 + 9", "outside its region"),
        ({"entities": region(length=0)}, "labels.json", "$.assets.documents[0].entities[0].labels[0].length"),
        ({"entities": region(offset=-1)}, "labels.json", "$.assets.documents[0].entities[0].labels[0].offset"),
        ({"location": 7}, "labels.json", "$.assets.documents[0].location"),
    ],
)
def test_a_fault_in_a_document_is_named_with_its_place(document: dict[str, Any], place: str, words: str) -> None:
    """A Mistake names the file, the document, the label, what is wrong and what to do about it."""
    with pytest.raises(Mistake) as caught:
        read(project(**document))
    assert "labels.json" in caught.value.where
    assert caught.value.where.endswith(place)
    assert words in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("kinds", [(KIND, "CustomSingleLabelClassification"), ("Conversation", "Conversation")])
def test_projects_of_another_kind_are_refused(kinds: tuple[str, str]) -> None:
    """The kind has to be ours, in the metadata and in the assets alike."""
    value = project()
    value["metadata"]["projectKind"], value["assets"]["projectKind"] = kinds
    with pytest.raises(Mistake, match="projectKind"):
        read(value)


def test_offsets_in_another_unit_are_refused() -> None:
    """Offsets are never guessed to be UTF-16 code units when the file says otherwise."""
    with pytest.raises(Mistake, match="UnicodeCodePoint"):
        read(project() | {"stringIndexType": "UnicodeCodePoint"})


def test_a_document_listed_twice_is_refused() -> None:
    """Two entries for one document would train or test with half of its labels."""
    value = project()
    value["assets"]["documents"] *= 2
    with pytest.raises(Mistake, match="listed twice"):
        read(value)


@pytest.mark.parametrize("category", ["", "two\nlines", "nul\0"])
def test_a_category_has_to_be_a_name(category: str) -> None:
    """A category that cannot be shown cannot be declared."""
    value = project()
    value["assets"]["entities"] = [{"category": category}, {"category": "Date"}]
    with pytest.raises(Mistake, match="not a name"):
        read(value)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'"' + b"x" * 10, b"[" * 100_000, b'{"extractors": [], "documents": []}']
)
def test_what_is_not_a_labels_file_is_a_mistake(data: bytes) -> None:
    """Whatever the bytes are, the answer is a Mistake that says what was expected."""
    with pytest.raises(Mistake, match="not a labels file"):
        decode(data, "labels.json")


NAMES = st.text("abc_. é😀", min_size=1).filter(str.isprintable)
LABELS = st.builds(Label, st.sampled_from(["Date", "Name"]), st.integers(0, 50), st.integers(1, 50))
DOCUMENTS = st.builds(
    DocumentEntry,
    NAMES,
    st.none() | st.just("en-us"),
    st.sampled_from([None, "Train", "Test"]),
    st.lists(st.builds(LabelledRegion, st.just(0), st.just(100), st.lists(LABELS).map(tuple)), max_size=2).map(tuple),
)


@given(st.lists(DOCUMENTS, max_size=4, unique_by=lambda one: one.location))
def test_what_we_write_we_read(documents: list[DocumentEntry]) -> None:
    """Every project that keeps the rules is read back as it was written."""
    assets = Assets(KIND, (EntityType("Date"), EntityType("Name")), tuple(documents))
    file = LabelsFile(metadata=Metadata(KIND, "Loans"), assets=assets)
    assert decode(encode(file), "labels.json") == file
