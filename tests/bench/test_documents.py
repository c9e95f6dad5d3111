"""What contenders are given to read."""

import msgspec
import pytest

from entity_stream.core.messages import decode
from entity_stream.core.model import Document, Partition, Record, Rejected
from tests.bench.documents import giants, reports
from tests.judge.fates import mark_in

BROKERS_LIMIT = 1_048_588
"""message.max.bytes, by default."""


@pytest.mark.parametrize("characters", [300, 2_000])
def test_reports_are_as_long_as_asked_and_all_different(characters: int) -> None:
    """Each has exactly so many characters, a key of its own and a text of its own."""
    made = list(reports(500, characters))
    texts = [msgspec.json.decode(value)["text"] for _, value in made]
    assert {len(text) for text in texts} == {characters}
    assert len({key for key, _ in made}) == len(set(texts)) == 500


def test_the_books_can_name_what_is_marked() -> None:
    """The endpoint reads the key of a marked document from its text, and none from any other."""
    for marked in (True, False):
        for key, value in reports(20, 300, marked=marked):
            mark = mark_in(msgspec.json.decode(value)["text"])
            assert (mark.name.encode() if mark else None) == (key if marked else None)


def test_the_same_reports_are_made_every_time() -> None:
    """A run reads what the run before it read."""
    assert list(reports(50, 300)) == list(reports(50, 300))


def test_one_giant_in_four_is_a_document() -> None:
    """Giants nearly fill what a broker takes; the first of four is a document, the others have too much text."""
    outcomes = []
    for offset, (key, value) in enumerate(giants(8)):
        assert 950_000 < len(value) < BROKERS_LIMIT - 10_000
        outcomes.append(type(decode(Record(Partition("t", 0), offset, key, value))))
    assert outcomes == [Document, Rejected, Rejected, Rejected] * 2
