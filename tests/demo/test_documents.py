"""The user's own input: a folder, a text file, JSON Lines, and whatever is wrong with them."""

import json
import os
from pathlib import Path

import pytest

from entity_stream.core.mistake import Mistake
from entity_stream.demo.documents import Fed, begun, read, sample
from entity_stream.sample import DOCUMENTS


def test_a_folder_gives_its_text_files_by_name(tmp_path: Path) -> None:
    """Each .txt file below the folder is one document, its line ends untouched, called by its path."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes("line one\r\nline two 🚨".encode())
    (tmp_path / "a.txt").write_bytes(b"plain")
    (tmp_path / "ignored.csv").write_bytes(b"not a text")
    fed = list(read(tmp_path))
    assert [one.key for one in fed] == [b"a.txt", b"deep/b.txt"]
    assert json.loads(fed[1].value) == {"id": "deep/b.txt", "text": "line one\r\nline two 🚨"}


def test_names_and_marks_of_other_systems_are_taken(tmp_path: Path) -> None:
    """A suffix in capitals, a name that is no UTF-8 and a byte order mark keep no document out."""
    (tmp_path / "A.TXT").write_bytes(b"\xef\xbb\xbfpayments-api is down")
    (tmp_path / os.fsdecode(b"b\xff.txt")).write_bytes(b"odd name")
    (tmp_path / "lines.jsonl").write_bytes(b'\xef\xbb\xbf{"id":"c","text":"x"}')
    fed = [*read(tmp_path), *read(tmp_path / "lines.jsonl")]
    assert [json.loads(one.value)["text"] for one in fed] == ["payments-api is down", "odd name", "x"]
    assert [one.key for one in fed] == [b"A.TXT", b"b?.txt", b"c"]


def test_a_text_file_that_is_not_utf8_is_sent_as_it_is(tmp_path: Path) -> None:
    """The service says what is wrong with it, as it does for any record."""
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert list(read(tmp_path / "latin.txt")) == [Fed(b"latin.txt", b"caf\xe9")]


def test_json_lines_are_sent_verbatim_and_named(tmp_path: Path) -> None:
    """A line is called by its id, or by its place; blank lines are no documents, broken ones are sent."""
    lines = tmp_path / "notes.jsonl"
    lines.write_bytes(b'{"id":"a","text":"x"}\n\n{"text":"y"}\r\nnot json\n{"id":7}')
    assert list(read(lines)) == [
        Fed(b"a", b'{"id":"a","text":"x"}'),
        Fed(b"notes.jsonl:3", b'{"text":"y"}'),
        Fed(b"notes.jsonl:4", b"not json"),
        Fed(b"notes.jsonl:5", b'{"id":7}'),
    ]


@pytest.mark.parametrize("name", ["nowhere.jsonl", "empty-folder"])
def test_what_cannot_be_read_is_told_before_anything_starts(tmp_path: Path, name: str) -> None:
    """A file that is not there and a folder without texts are mistakes in words."""
    (tmp_path / "empty-folder").mkdir()
    with pytest.raises(Mistake) as told:
        begun(read(tmp_path / name))
    assert name in told.value.what


def test_the_sample_begins_with_what_is_asked_for_and_may_go_on_for_ever() -> None:
    """Documents that the model has not seen come first; endlessly, the sample starts over."""
    count = len(list(DOCUMENTS.iterdir()))
    once = list(sample(DOCUMENTS, ["incident-040.txt"], endlessly=False))
    assert len(once) == count
    assert once[0].key == b"incident-040"
    again = sample(DOCUMENTS, [], endlessly=True)
    assert [next(again).key for _ in range(count + 1)][-1] == b"incident-001"
