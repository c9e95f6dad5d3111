"""A published message is printed as one line of JSON from which its bytes can be had back."""

import json
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.messages import Message, dead_letter, decode, encode, without_value
from entity_stream.core.model import Deleted, Document, Reason, Record
from entity_stream.core.rendering import render
from tests.core.kafka_samples import OURS, TOPICS, annotated, headers, keys, record, records

REASON = Reason("empty-text", "the text is empty or blank")


def printed(message: Message) -> Any:  # noqa: ANN401 (JSON)
    line = render(message, TOPICS)
    assert not set(b"\r\n") & set(line)
    return json.loads(line.decode("utf-8"))


def had_back(rendering: dict[str, str | None], name: str) -> bytes | None:
    if f"{name}Base64" in rendering:
        return b64decode(rendering[f"{name}Base64"] or "")
    text = rendering[name]
    return None if text is None else text.encode()


@given(records())
def test_whatever_was_published_is_one_line_of_json(given_record: Record) -> None:
    """Entities are printed as they are, whatever line breaks the sender put into the metadata."""
    decoded = decode(given_record)
    outcome = annotated(decoded) if isinstance(decoded, Document) else decoded
    message = encode(outcome, TOPICS, 0.0)
    said = printed(message)
    if isinstance(decoded, Document):
        assert said == json.loads(message.value or b"")
    elif isinstance(decoded, Deleted):
        assert said["deleted"].pop("topic") == TOPICS.output
        assert had_back(said["deleted"], "key") == given_record.key
    else:
        assert said["deadLetter"]["reason"]["code"] == decoded.reason.code


@given(records())
def test_a_dead_letter_is_printed_whole(given_record: Record) -> None:
    """Reason, source, key, value and the record's own headers are all there, to the byte."""
    letter = printed(dead_letter(given_record, REASON, TOPICS))["deadLetter"]
    source = letter["source"]
    assert letter["reason"] == {"code": REASON.code, "message": REASON.message}
    assert (source["topic"], source["partition"]) == (given_record.partition.topic, given_record.partition.index)
    assert source["offset"] == given_record.offset
    assert had_back(letter, "key") == given_record.key
    assert had_back(letter, "value") == given_record.value
    own = tuple((each["name"], had_back(each, "value")) for each in letter["headers"])
    assert own == given_record.headers
    assert "valueDropped" not in letter


@given(records(st.binary(min_size=1)))
def test_a_dead_letter_without_its_value_says_how_large_it_was(given_record: Record) -> None:
    """The size that was left out is printed, and nothing else differs but the value."""
    whole = dead_letter(given_record, REASON, TOPICS)
    letter = printed(without_value(whole))["deadLetter"]
    assert letter.pop("valueDropped") == len(given_record.value or b"")
    assert letter.pop("value") == ""
    rest = printed(whole)["deadLetter"]
    assert letter == {name: said for name, said in rest.items() if not name.startswith("value")}


def test_a_record_refused_twice_tells_of_the_second_time() -> None:
    """The last of our headers count; those of the first time are the record's own by now."""
    first = dead_letter(record(b"a", offset=1), Reason("first", "one"), TOPICS)
    again = Record(record(b"a").partition, 2, first.key, first.value, first.headers)
    letter = printed(dead_letter(again, Reason("second", "two"), TOPICS))["deadLetter"]
    assert letter["reason"] == {"code": "second", "message": "two"}
    assert letter["source"]["offset"] == 2
    assert [each["name"] for each in letter["headers"]] == list(OURS)


def test_a_header_that_a_mirror_appends_is_not_ours() -> None:
    """What stands behind our headers under another name is printed among the record's own."""
    letter = dead_letter(record(b"a"), REASON, TOPICS)
    mirrored = Message(letter.topic, letter.key, letter.value, (*letter.headers, ("mirrored-by", b"m1")))
    assert printed(mirrored)["deadLetter"]["headers"] == [{"name": "mirrored-by", "value": "m1"}]


@given(keys, st.none() | st.binary(max_size=9), headers)
def test_a_message_of_somebody_else_on_the_dead_letter_topic_is_printed_too(
    key: bytes | None, value: bytes | None, others: tuple[tuple[str, bytes | None], ...]
) -> None:
    """Headers of ours that are missing or nonsense stop no tool."""
    letter = printed(Message(TOPICS.dead_letter, key, value, others))["deadLetter"]
    assert had_back(letter, "key") == key
    assert had_back(letter, "value") == value


@pytest.mark.parametrize("nonsense", [b"", b"x", b"9" * 5_000, None])
def test_what_cannot_be_read_is_null(nonsense: bytes | None) -> None:
    """A place that is no number is no place."""
    ours = tuple((name, nonsense) for name in OURS)
    letter = printed(Message(TOPICS.dead_letter, None, None, (*ours, ("entity-stream-value-dropped", nonsense))))
    assert letter["deadLetter"]["source"] is None
    assert letter["deadLetter"]["valueDropped"] is None
    assert printed(Message(TOPICS.dead_letter, None, None, ()))["deadLetter"]["reason"] is None
