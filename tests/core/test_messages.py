"""Whatever a record holds it has an outcome, and every outcome a message that keeps what the sender wrote."""

import json
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from entity_stream.core.messages import Message, coordinates, dead_letter, decode, encode, without_value
from entity_stream.core.model import Annotated, Deleted, Document, Entity, Model, Outcome, Reason, Record, Rejected
from entity_stream.core.wire.shapes import MOST_CHARACTERS
from tests.core.kafka_samples import (
    HERE,
    HOSTILE,
    OURS,
    TOPICS,
    annotated,
    documents,
    objects,
    pieces,
    record,
    records,
    texts,
    times,
    written,
)

NOW = 1_772_460_311.2049
MEGABYTE = 1_000_000


def outcome_of(given_record: Record) -> Outcome:
    decoded = decode(given_record)
    return annotated(decoded) if isinstance(decoded, Document) else decoded


def published(given_record: Record) -> Message:
    return encode(outcome_of(given_record), TOPICS, NOW)


def document_of(value: bytes, key: bytes | None = b"k", offset: int = 7, timestamp: int = 0) -> Document:
    document = decode(record(value, key, offset, timestamp))
    assert isinstance(document, Document)
    return document


def code_of(value: bytes) -> str:
    rejected = decode(record(value))
    assert isinstance(rejected, Rejected)
    return rejected.reason.code


def raw_metadata(value: bytes | None) -> bytes:
    class Members(msgspec.Struct):
        metadata: Raw = Raw()

    return bytes(msgspec.json.decode(value or b"", type=Members).metadata)


# nothing stops the stream


@settings(deadline=None)
@given(records())
def test_every_record_has_an_outcome_and_every_outcome_a_message(given_record: Record) -> None:
    """Whatever bytes key, value and headers hold, and whatever the timestamp, nothing is raised."""
    message = published(given_record)
    assert message.key == given_record.key
    assert message.headers[: len(given_record.headers)] == given_record.headers


@settings(deadline=None)
@given(records(st.builds(lambda piece: b'{"text":"a","metadata":{"a":' + piece + b"}}", pieces)))
def test_hostile_metadata_is_handed_on_or_refused_and_never_breaks_a_message(given_record: Record) -> None:
    """What is published for it is UTF-8 and JSON, or a dead letter with the same bytes."""
    message = published(given_record)
    if message.topic == TOPICS.output:
        json.loads((message.value or b"").decode("utf-8"))
    else:
        assert message.value == given_record.value


@pytest.mark.parametrize("member", ["text", "id", "language", "metadata", "other"])
@pytest.mark.parametrize("piece", HOSTILE, ids=lambda piece: repr(piece[:12]))
def test_each_hostile_piece_in_each_member_has_an_outcome(member: str, piece: bytes) -> None:
    """No piece is overlooked by chance."""
    message = published(record(b'{"text":"a","%s":%s}' % (member.encode(), piece)))
    assert message.topic in {TOPICS.output, TOPICS.dead_letter}


@pytest.mark.parametrize("fault", [b'"id":1', b'"id":"\\ud800"', b'"metadata":{"a":1e999}', b'"other":1'])
@pytest.mark.parametrize("bracket", [(b"[", b"]"), (b'{"a":', b"}")], ids=["array", "object"])
def test_no_depth_of_nesting_raises(fault: bytes, bracket: tuple[bytes, bytes]) -> None:
    """Also not the depths at which one reader gives up and another does not."""
    opening, closing = bracket
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 10):
        nested = opening * depth + b"1" + closing * depth
        for member in (b'"deep":', b'"metadata":{"a":1},"metadata":'):
            published(record(b'{"text":"a",' + fault + b"," + member + nested + b"}"))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "invalid-json"),
        (b'\xef\xbb\xbf{"text":"a"}', "invalid-json"),
        (b'{"text":"a"} and more', "invalid-json"),
        (b'{"text":"a","metadata":{"a":1e999}}', "invalid-json"),
        (b'{"text":"a","metadata":{"a":' + b"9" * 5_000 + b"}}", "invalid-json"),
        (b'{"text":"a","metadata":' + b"[" * 200_000, "invalid-json"),
        (b'{"text":"a","metadata":{"a":NaN}}', "invalid-json"),
        (b'{"text":1,"text":"a"}', "invalid-json"),
        ('{"text":"a"}'.encode("utf-16"), "invalid-utf8"),
        (b'{"text":"\xff"}', "invalid-utf8"),
        (b'{"text":"a","metadata":{"\xff":1}}', "invalid-utf8"),
        (b'{"text":"a","metadata":{"a":"\xed\xa0\x80"}}', "invalid-utf8"),
        (b"[]", "wrong-type"),
        (b"null", "wrong-type"),
        (b'{"text":null}', "wrong-type"),
        (b'{"text":' + b"9" * 5_000 + b"}", "wrong-type"),
        (b'{"text":"a","id":7}', "wrong-type"),
        (b'{"text":"a","language":[]}', "wrong-type"),
        (b'{"text":"a","metadata":"{}"}', "wrong-type"),
        (b'{"Text":"a"}', "missing-text"),
        (b'{"text":"\\ud83d"}', "lone-surrogate"),
        (b'{"text":"a","id":"\\ude00\\ud83d"}', "lone-surrogate"),
        (b'{"text":"a","metadata":{"\\ud800":1}}', "lone-surrogate"),
        (b'{"text":"a","\\ud800":1}', "lone-surrogate"),
        (b'{"text":""}', "empty-text"),
        (b'{"text":" \\n\\u2003"}', "empty-text"),
        (b'{"text":"' + b"a" * (MOST_CHARACTERS + 1) + b'"}', "too-long"),
        (b'{"text":"' + b"a" * MEGABYTE + b'"}', "too-long"),
        (b"a" * MEGABYTE, "invalid-json"),
        (b'"' + b"\xff" * MEGABYTE, "invalid-utf8"),
    ],
    ids=lambda shown: repr(shown[:40]) if isinstance(shown, bytes) else shown,
)
def test_the_code_says_what_is_wrong_with_a_value(value: bytes, code: str) -> None:
    """Each way of being no document has its code."""
    assert code_of(value) == code


@given(records())
def test_a_reason_quotes_nothing_of_the_record(given_record: Record) -> None:
    """Names and strings of a value are in neither code nor message, so both may be logged."""
    private = "Qz7Vq"
    value = b'{"%s":"%s","text":["%s"],' % ((private.encode(),) * 3) + (given_record.value or b"")[1:]
    rejected = decode(record(value))
    assert not isinstance(rejected, Rejected) or private not in rejected.reason.code + rejected.reason.message


# documents


@given(records(written(documents)))
def test_a_document_is_what_its_sender_wrote(given_record: Record) -> None:
    """Text, id and language are the message's own; an empty id or language counts as none."""
    document = decode(given_record)
    sent = json.loads(given_record.value or b"")
    assert isinstance(document, Document)
    assert document.record is given_record
    assert document.text == sent["text"]
    assert document.language == (sent.get("language") or None)
    if sent.get("id"):
        assert document.id == sent["id"]


@settings(deadline=None)
@given(texts.map(lambda text: text * (MOST_CHARACTERS // len(text))))
def test_the_limit_counts_code_points(text: str) -> None:
    """A text of as many code points as the API takes is a document, whatever its bytes or UTF-16 units."""
    assert document_of(json.dumps({"text": text}).encode()).text == text


@pytest.mark.parametrize(
    ("member", "key", "expected"),
    [
        (b'"mine"', b"key", "mine"),
        (b'" "', b"key", " "),
        (b'""', b"key", "key"),
        (b"null", b"key", "key"),
        (b"null", "schlüssel 🔑".encode(), "schlüssel 🔑"),
        (b"null", b"\xff\x00", "incidents-3-42"),
        (b"null", b"\xed\xa0\x80", "incidents-3-42"),
        (b"null", b"", "incidents-3-42"),
        (b"null", None, "incidents-3-42"),
    ],
)
def test_a_document_without_id_is_named_by_its_key_else_by_its_place(
    member: bytes, key: bytes | None, expected: str
) -> None:
    """The id is the message's, else the key if it is text, else topic-partition-offset."""
    assert document_of(b'{"text":"a","id":%s}' % member, key, offset=42).id == expected


@given(written(documents), st.integers(0, 2**63 - 1))
def test_the_name_for_the_api_tells_place_and_text(value: bytes, offset: int) -> None:
    """Two documents have one wire id only if they stand at one place with one text."""
    document = document_of(value, offset=offset)
    topic, index, place, start, length, _ = document.wire_id.split("/")
    assert (topic, index, place, start) == (HERE.topic, str(HERE.index), str(offset), "0")
    assert int(length) == len(document.text)
    longer = json.dumps({"text": document.text + "!"}).encode()
    assert document_of(longer, offset=offset).wire_id != document.wire_id


# entities


entities = st.builds(
    Entity, st.text(), st.text(), st.integers(0, 9), st.integers(0, 9), st.floats(0, 1), st.none() | st.text()
)


@given(records(written(documents)), st.lists(entities, max_size=3), st.floats(0, 4e9))
def test_entities_are_json_in_utf8(given_record: Record, found: list[Entity], now: float) -> None:
    """What goes to the output topic can be read again, and says what the outcome says."""
    document = decode(given_record)
    assert isinstance(document, Document)
    message = encode(annotated(document, *found), TOPICS, now)
    said = json.loads((message.value or b"").decode("utf-8"))
    assert message.topic == TOPICS.output
    assert said["id"] == document.id
    assert [each["text"] for each in said["entities"]] == [each.text for each in found]
    assert (said["source"]["partition"], said["source"]["offset"]) == (
        given_record.partition.index,
        given_record.offset,
    )


@given(written(objects))
def test_metadata_comes_out_byte_for_byte(metadata: bytes) -> None:
    """White space, escapes, order and digits of the sender's object are in the published message as they came."""
    message = published(record(b'{"metadata": ' + metadata + b' ,"text":"a"}'))
    assert raw_metadata(message.value) == metadata


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"a":1,"a":2}',
        b'{"a":0.1000000000000000055511151231257827}',
        b'{"a":123456789012345678901234567890}',
        b'{"a":1E+2,"b":-0,"c":1e-999}',
        b'{"a":"\\u0041\\/\\ud83d\\ude00 \xf0\x9f\x98\x80"}',
        b'{\r\n\t"a" : [ ] }',
        b"{}",
    ],
)
def test_metadata_is_never_rewritten(metadata: bytes) -> None:
    """Not even where another spelling would mean the same, or a reader would round."""
    message = published(record(b'{"text":"a","metadata":%s}' % metadata))
    assert raw_metadata(message.value) == metadata


@pytest.mark.parametrize("value", [b'{"text":"a"}', b'{"text":"a","metadata":null,"language":null}'])
def test_what_the_sender_left_out_is_left_out(value: bytes) -> None:
    """No metadata, no language: no such members."""
    said = json.loads(published(record(value)).value or b"")
    assert not {"metadata", "language"} & set(said)


@given(times, st.integers(0, 2**42))
def test_times_are_exact_to_the_millisecond(timestamp: int, now: int) -> None:
    """The record's time and ours come out as they are; a time that no calendar holds counts as 1970."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    document = document_of(b'{"text":"a"}', timestamp=timestamp)
    said = json.loads(encode(annotated(document), TOPICS, now / 1000).value or b"")
    read = (datetime.fromisoformat(said["source"]["timestamp"]) - epoch) // timedelta(milliseconds=1)
    assert read == (timestamp if -62_135_596_800_000 <= timestamp < 253_402_300_800_000 else 0)
    assert datetime.fromisoformat(said["annotatedAt"]) == epoch + timedelta(milliseconds=now)


# tombstones


@given(records(st.none()))
def test_a_key_without_a_value_is_a_tombstone_and_stays_one(given_record: Record) -> None:
    """It is published with its key, its headers and no value; without a key it tombs nothing and is refused."""
    outcome, message = decode(given_record), published(given_record)
    assert message.value is None
    if given_record.key is None:
        assert isinstance(outcome, Rejected)
        assert outcome.reason.code == "no-value"
        assert message.topic == TOPICS.dead_letter
    else:
        assert isinstance(outcome, Deleted)
        assert message == Message(TOPICS.output, given_record.key, None, given_record.headers)


# dead letters


@given(records(), st.text(max_size=9), st.text(alphabet=st.characters(), max_size=20))
def test_a_dead_letter_is_the_record_with_our_headers_behind_its_own(
    given_record: Record, code: str, sentence: str
) -> None:
    """Key, value and headers are there to the byte; ours follow, always the same six, in UTF-8."""
    letter = dead_letter(given_record, Reason(code, sentence), TOPICS)
    original = len(given_record.headers)
    assert (letter.topic, letter.key, letter.value) == (TOPICS.dead_letter, given_record.key, given_record.value)
    assert letter.headers[:original] == given_record.headers
    ours = {name: (value or b"").decode("utf-8") for name, value in letter.headers[original:]}
    assert tuple(name for name, _ in letter.headers[original:]) == OURS
    said = sentence.encode("utf-8", "replace").decode()  # half of a surrogate pair is no character
    assert (ours["entity-stream-reason"], ours["entity-stream-message"]) == (code, said)
    assert ours["entity-stream-topic"] == given_record.partition.topic
    assert ours["entity-stream-partition"] == str(given_record.partition.index)
    assert ours["entity-stream-offset"] == str(given_record.offset)
    assert ours["entity-stream-timestamp"] == str(given_record.timestamp)


def test_a_reason_with_half_a_character_can_still_be_written() -> None:
    """What UTF-8 cannot say becomes a question mark."""
    letter = dead_letter(record(b"a"), Reason("code", "half: \ud83d"), TOPICS)
    assert dict(letter.headers)["entity-stream-message"] == b"half: ?"


@given(records(st.binary(min_size=1)))
def test_a_dead_letter_without_its_value_tells_its_size_and_is_no_tombstone(given_record: Record) -> None:
    """Written back to the input topic it is refused again: it deletes nothing."""
    whole = dead_letter(given_record, Reason("code", "sentence"), TOPICS)
    short = without_value(whole)
    size = str(len(given_record.value or b"")).encode()
    assert short.headers == (*whole.headers, ("entity-stream-value-dropped", size))
    assert (short.topic, short.key) == (whole.topic, whole.key)
    assert isinstance(decode(Record(HERE, 8, short.key, short.value, short.headers)), Rejected)


@pytest.mark.parametrize("value", [None, b""])
def test_a_value_that_is_not_there_cannot_be_left_out(value: bytes | None) -> None:
    """Who shortens a dead letter again and again is stopped."""
    letter = dead_letter(record(value), Reason("code", "sentence"), TOPICS)
    with pytest.raises(ValueError, match="no value already"):
        without_value(letter)


@given(records())
def test_of_a_dead_letter_that_no_topic_takes_its_coordinates_stay(given_record: Record) -> None:
    """Nothing of the sender is left, whatever its headers are called; it has a key and a value, and cannot shrink."""
    sent = msgspec.structs.replace(
        given_record, headers=(*given_record.headers, ("entity-stream-value-dropped", b"forged"))
    )
    letter = dead_letter(sent, Reason("code", "sentence"), TOPICS)
    least = coordinates(letter)
    assert [name for name, _ in least.headers] == list(OURS)
    assert dict(least.headers)["entity-stream-offset"] == str(sent.offset).encode()
    assert least.key == f"{sent.partition.topic}-{sent.partition.index}-{sent.offset}".encode()
    assert least.value == b""
    assert coordinates(least) == least


@given(records())
def test_a_dead_letter_that_is_written_back_has_the_same_outcome(given_record: Record) -> None:
    """Headers of ours on a record change nothing in how it is read."""
    letter = dead_letter(given_record, Reason("code", "sentence"), TOPICS)
    again = msgspec.structs.replace(given_record, headers=letter.headers)
    assert type(decode(again)) is type(decode(given_record))


def test_the_model_of_the_result_is_published() -> None:
    """Project, deployment and version are those of the outcome."""
    document = document_of(b'{"text":"a"}')
    outcome = Annotated(document.record, document.id, (), Model("blue", "staging", "2"))
    said = json.loads(encode(outcome, TOPICS, NOW).value or b"")
    assert said["model"] == {"project": "blue", "deployment": "staging", "version": "2"}
