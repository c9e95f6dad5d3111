"""The schemas are the contract with other teams: what we take and what we write is what they say, no more, no less."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from msgspec import Raw

from entity_stream.core.messages import Message, dead_letter, decode, encode, without_value
from entity_stream.core.model import Annotated, Deleted, Document, Entity, Model, Reason, Record
from entity_stream.core.rendering import render
from entity_stream.core.wire.shapes import MOST_CHARACTERS
from tests.core.kafka_samples import TOPICS, json_values, objects, record, records, texts, written

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "schemas").glob("*.json"))
}
DOCUMENT, ENTITIES, DEAD_LETTER = (SCHEMAS[f"{name}.schema.json"] for name in ("document", "entities", "dead-letter"))


def is_rfc3339(value: object) -> bool:
    if not isinstance(value, str):
        return True
    datetime.fromisoformat(value)
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value) is not None


formats = FormatChecker(formats=())
formats.checks("date-time", raises=ValueError)(is_rfc3339)


def validator(schema: dict[str, Any], part: str = "") -> Draft202012Validator:
    """Make what validates against a schema, or against one of its definitions."""
    if part:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    return Draft202012Validator(schema, format_checker=formats)


a_document = validator(DOCUMENT)
some_entities = validator(ENTITIES)
a_deletion = validator(ENTITIES, "deleted")
a_dead_letter = validator(DEAD_LETTER)
kafka_headers = validator(DEAD_LETTER, "kafkaHeaders")


def subschemas(node: object, way: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk all objects of a schema that are not examples."""
    if isinstance(node, dict):
        yield way, node
        for name, inner in node.items():
            if name != "examples":
                yield from subschemas(inner, f"{way}/{name}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from subschemas(inner, f"{way}/{index}")


def examples() -> Iterator[tuple[str, str, Any]]:
    for file, schema in SCHEMAS.items():
        for way, node in subschemas(schema):
            for example in node.get("examples", ()) if "type" in node else ():
                yield file, way.removeprefix("/$defs/"), example


# the files


@pytest.mark.parametrize("file", SCHEMAS)
def test_a_schema_is_one_and_says_which(file: str) -> None:
    """It is valid JSON Schema of 2020-12, and its $id is a URN with its file's name and a version."""
    schema = SCHEMAS[file]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert re.fullmatch(rf"urn:entity-stream:schema:{file.removesuffix('.schema.json')}:[1-9]\d*", schema["$id"])


@pytest.mark.parametrize("file", SCHEMAS)
def test_everything_is_described(file: str) -> None:
    """The schema, each definition, each member and each code has a description, and the schema has examples."""
    schema = SCHEMAS[file]
    assert schema["title"]
    assert schema["description"]
    assert len(schema["examples"]) >= 3
    for way, node in subschemas(schema):
        parent = way.rsplit("/", 2)[-2:-1]
        if parent in (["properties"], ["$defs"]) or "const" in node:
            assert node.get("description") or node.get("$ref"), way


@pytest.mark.parametrize(("file", "part", "example"), list(examples()))
def test_every_example_is_valid(file: str, part: str, example: object) -> None:
    """What we show is what we mean."""
    validator(SCHEMAS[file], part).validate(example)


def test_the_first_entities_are_those_of_the_first_document() -> None:
    """The examples of both schemas tell one story, and its offsets count the emoji once."""
    sent, found = DOCUMENT["examples"][0], ENTITIES["examples"][0]
    assert not sent["text"].isascii()
    assert (found["id"], found["metadata"], found["language"]) == (sent["id"], sent["metadata"], sent["language"])
    for entity in found["entities"]:
        assert sent["text"][entity["offset"] :][: entity["length"]] == entity["text"]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        {},
        {"text": None},
        {"text": ""},
        {"text": " \u2003\u0085\u001f\n"},
        {"text": "a" * (MOST_CHARACTERS + 1)},
        {"text": "a", "id": 7},
        {"text": "a", "language": ["en"]},
        {"text": "a", "metadata": []},
    ],
)
def test_what_is_no_document_is_refused(wrong: object) -> None:
    """Neither the schema nor the code takes it."""
    assert not a_document.is_valid(wrong)
    assert not isinstance(decode(record(json.dumps(wrong).encode())), Document)


def changed(value: dict[str, Any], way: str, to: object) -> dict[str, Any]:
    """Copy a value and change one place in it; `...` removes it."""
    copy: dict[str, Any] = json.loads(json.dumps(value))
    *inner, last = (int(step) if step.isdecimal() else step for step in way.split("/"))
    node: Any = copy
    for step in inner:
        node = node[step]
    if to is ...:
        del node[last]
    else:
        node[last] = to
    return copy


@pytest.mark.parametrize(
    ("way", "to"),
    [
        ("version", 2),
        ("version", ...),
        ("id", ""),
        ("id", ...),
        ("entities", None),
        ("entities/0/confidenceScore", 1.01),
        ("entities/0/confidenceScore", -0.01),
        ("entities/0/offset", -1),
        ("entities/0/offset", 1.5),
        ("entities/0/length", ...),
        ("entities/0/subcategory", None),
        ("entities/0/extra", 1),
        ("offsetUnit", "Utf16CodeUnit"),
        ("model/version", None),
        ("model/extra", 1),
        ("source/timestamp", 1_772_460_311_204),
        ("source/timestamp", "2026-03-02 14:05:11Z"),
        ("source/timestamp", "2026-03-02T14:05:11+01:00"),
        ("source/partition", -1),
        ("source/extra", 1),
        ("annotatedAt", "2026-13-02T14:05:11Z"),
        ("annotatedAt", ...),
        ("language", None),
        ("metadata", None),
        ("metadata", "{}"),
        ("extra", 1),
    ],
)
def test_what_is_not_what_we_write_is_refused(way: str, to: object) -> None:
    """One thing wrong in otherwise good entities, and the schema says so."""
    assert not some_entities.is_valid(changed(ENTITIES["examples"][0], way, to))


@pytest.mark.parametrize(
    ("way", "to"),
    [
        ("deadLetter/reason", ...),
        ("deadLetter/reason/code", "not a code"),
        ("deadLetter/reason/message", None),
        ("deadLetter/source/offset", "41208"),
        ("deadLetter/source/timestamp", "yesterday"),
        ("deadLetter/key", ...),
        ("deadLetter/keyBase64", "AAAB"),
        ("deadLetter/valueBase64", "AAAB"),
        ("deadLetter/headers", {}),
        ("deadLetter/headers/0/valueBase64", "AAAB"),
        ("deadLetter/headers/0/value", ...),
        ("deadLetter/valueDropped", -1),
        ("deadLetter/extra", 1),
        ("extra", 1),
    ],
)
def test_what_is_no_rendering_of_a_dead_letter_is_refused(way: str, to: object) -> None:
    """One thing wrong in an otherwise good rendering, and the schema says so."""
    assert not a_dead_letter.is_valid(changed(DEAD_LETTER["examples"][0], way, to))


# what we take


sizes = st.sampled_from(
    ["a" * MOST_CHARACTERS, "🔥" * MOST_CHARACTERS, "🔥" * MOST_CHARACTERS + "a", " " * MOST_CHARACTERS]
)
nearly_documents = json_values | st.fixed_dictionaries(
    {},
    optional={
        "text": texts | st.text() | st.text(" \t\n\x1f\x85\u2003\ufeff", max_size=3) | json_values | sizes,
        "id": st.text() | json_values,
        "language": st.text() | json_values,
        "metadata": objects | json_values,
        "other": json_values,
    },
)


@settings(deadline=None)
@given(nearly_documents, st.booleans())
def test_the_code_takes_what_the_schema_takes(value: object, escaped: bool) -> None:
    """A value that is valid is a document, and one that is not goes to the dead letters."""
    decoded = decode(record(json.dumps(value, ensure_ascii=escaped).encode()))
    assert isinstance(decoded, Document) == a_document.is_valid(value)


def test_white_space_is_what_the_code_takes_for_it() -> None:
    """The schema's pattern finds every character that is not white space, and no other."""
    characters = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    found = set(re.findall(DOCUMENT["properties"]["text"]["pattern"], "".join(characters)))
    assert found == {character for character in characters if not character.isspace()}


# what we write


entities = st.lists(
    st.builds(
        Entity,
        texts,
        st.text(),
        st.integers(0, MOST_CHARACTERS),
        st.integers(0, MOST_CHARACTERS),
        st.floats(0, 1),
        st.none() | st.text(),
    ),
    max_size=4,
).map(tuple)
outcomes = st.builds(
    Annotated,
    records(),
    st.text(min_size=1),
    entities,
    st.builds(Model, st.text(), st.text(), st.none() | st.text()),
    st.none() | st.text(min_size=1),
    st.none() | written(objects).map(Raw),
)


@settings(deadline=None)
@given(outcomes, st.floats(0, 2e11))
def test_entities_are_what_the_schema_says(outcome: Annotated, now: float) -> None:
    """Whatever the outcome, the published value is valid."""
    message = encode(outcome, TOPICS, now)
    some_entities.validate(json.loads((message.value or b"").decode("utf-8")))


@settings(deadline=None)
@given(records(), st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True), st.text(), st.booleans())
def test_dead_letters_are_what_the_schema_says(given_record: Record, code: str, sentence: str, short: bool) -> None:
    """Whatever the record, its dead letter has the headers that the schema lists and is printed as it says."""
    letter = dead_letter(given_record, Reason(code, sentence), TOPICS)
    letter = without_value(letter) if short and letter.value else letter
    ours = letter.headers[len(given_record.headers) :]
    kafka_headers.validate({name: (value or b"").decode("utf-8") for name, value in ours})
    a_dead_letter.validate(json.loads(render(letter, TOPICS)))


@given(records(st.none()))
def test_tombstones_are_what_the_schema_says(given_record: Record) -> None:
    """A tombstone is printed as the definition beside the entities says."""
    if given_record.key is not None:
        a_deletion.validate(json.loads(render(encode(Deleted(given_record), TOPICS, 0.0), TOPICS)))


@given(st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=9))
def test_a_stranger_on_the_dead_letter_topic_is_printed_as_the_schema_says(
    key: bytes | None, value: bytes | None
) -> None:
    """A message without headers of ours has a valid rendering too."""
    a_dead_letter.validate(json.loads(render(Message(TOPICS.dead_letter, key, value, ()), TOPICS)))


def test_the_headers_of_a_dead_letter_are_the_listed_ones() -> None:
    """The schema requires those that every dead letter has, and knows besides only that of a dropped value."""
    letter = without_value(dead_letter(record(b"a"), Reason("empty-text", "sentence"), TOPICS))
    *always, dropped = [name for name, _ in letter.headers]
    listed = DEAD_LETTER["$defs"]["kafkaHeaders"]
    assert listed["required"] == always
    assert list(listed["properties"]) == [*always, dropped]


def test_our_codes_are_the_listed_ones() -> None:
    """Every code that the code base gives to a record itself is in the closed list, and every one listed is given."""
    given_codes = set()
    for path in (ROOT / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Reason" and node.args:
                code = node.args[0]
                given_codes |= {code.value} if isinstance(code, ast.Constant) else set()
    listed = {code["const"] for code in DEAD_LETTER["$defs"]["ourCode"]["oneOf"]}
    assert given_codes - {"Unknown"} == listed, "Unknown is said of an answer of the API, and so not ours"
