"""The books say what happened, whole and in order, and the tally is their sum."""

from pathlib import Path

import msgspec
import pytest

from tests.judge.books import Books, Change, Event, Poll, Submit, Tally, read_books, write_event
from tests.judge.conditions import Conditions, Fault

EVENTS: list[Event] = [
    Change(1.0, Conditions(faults=[Fault("hang", times=1)])),
    Submit(2.0, "key", 202, "j", ["a", "b"], ["1", "2"], ends=5.0, fate="partial", without=["b"]),
    Submit(3.0, "key", 0, "k", ["a"], ["1"], fate="succeeded", early=True, fault="accepted-hang"),
    Submit(3.5, "key", 202, "l", ["probe"], ["probe"], probe=True, fate="succeeded"),
    Submit(4.0, "key", 429, documents=["c"], ids=["3"]),
    Poll(5.0, "key", 200, "j", "succeeded"),
    Poll(6.0, "key", 429, "j", early=True),
]


def noted(path: Path) -> Books:
    books = Books(path)
    for event in EVENTS:
        books.note(event)
    return books


def test_what_is_noted_is_read(tmp_path: Path) -> None:
    """Each event comes back as it was, in order, once the books are closed."""
    noted(tmp_path / "books").close()
    read = read_books(tmp_path / "books")
    assert [type(event) for event in read] == [type(event) for event in EVENTS]
    assert [write_event(event) for event in read] == [write_event(event) for event in EVENTS]


def test_a_line_is_an_object_that_says_what_it_is(tmp_path: Path) -> None:
    """Other tools can read the books: one JSON object a line, its kind in `event`, a submit's fields as specified."""
    noted(tmp_path / "books").close()
    lines = [msgspec.json.decode(line) for line in (tmp_path / "books").read_bytes().splitlines()]
    assert [line["event"] for line in lines] == ["conditions", *["submit"] * 4, "poll", "poll"]
    assert set(lines[1]) == {
        "event", "at", "who", "status", "job", "documents", "ids", "probe", "ends", "fate", "without", "early", "fault",
        "answered", "barren",
    }  # fmt: skip


def test_the_tally_is_the_sum_of_the_calls(tmp_path: Path) -> None:
    """Accepted submits count though their answer was lost; a probe's document does not."""
    books = noted(tmp_path / "books")
    books.close()
    assert books.tally == Tally(
        submits=4,
        accepted=3,
        documents=3,
        polls=2,
        throttled={"submit": 1, "poll": 1},
        early=2,
        first_at=2.0,
        last_at=6.0,
        by_status={202: 2, 0: 1, 429: 2, 200: 1},
    )
    assert msgspec.json.decode(msgspec.json.encode(books.tally), type=Tally) == books.tally


def test_cleared_books_are_empty_and_go_on(tmp_path: Path) -> None:
    """What was noted before is gone from disk and tally, what comes after is there."""
    books = noted(tmp_path / "books")
    books.write()
    books.note(EVENTS[1])
    books.clear()
    assert books.tally == Tally()
    books.note(EVENTS[-1])
    books.close()
    assert read_books(tmp_path / "books") == EVENTS[-1:]


def test_a_torn_line_is_refused(tmp_path: Path) -> None:
    """Books that break off are no evidence."""
    path = tmp_path / "books"
    noted(path).close()
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(msgspec.DecodeError):
        read_books(path)
