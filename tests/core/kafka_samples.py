"""Records of every kind to test the core with, from well-formed to hostile; nothing in here asserts."""

import json
from typing import Any

from hypothesis import strategies as st

from entity_stream.core.messages import Topics
from entity_stream.core.model import Annotated, Document, Entity, Model, Partition, Record

TOPICS = Topics("entities", "entities.dead")
HERE = Partition("incidents", 3)

OURS = (
    "entity-stream-reason",
    "entity-stream-message",
    "entity-stream-topic",
    "entity-stream-partition",
    "entity-stream-offset",
    "entity-stream-timestamp",
)

HOSTILE = (
    b"1e999",
    b"-1e999",
    b"9" * 5_000,
    b"0." + b"0" * 5_000 + b"1",
    b"NaN",
    b"-Infinity",
    b"-0",
    b"01",
    b'"\\ud800"',
    b'"\\udc00\\ud83d"',
    b'"\\ud83d\\ude00"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\x00"',
    b'"\n"',
    b'"\\q"',
    b'"\\u00zz"',
    b'"',
    b'""',
    b'" \\t\\u2003"',
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"[1,]",
    b"{,}",
    b"",
)
"""Pieces of JSON, and of what is nearly JSON."""


def record(value: bytes | None, key: bytes | None = b"k", offset: int = 7, timestamp: int = 0) -> Record:
    """Make a record of which only some members matter."""
    return Record(HERE, offset, key, value, timestamp=timestamp)


def annotated(document: Document, *entities: Entity) -> Annotated:
    """Make the outcome of a document."""
    model = Model("incidents", "production")
    return Annotated(document.record, document.id, entities, model, document.language, document.metadata)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=6), json_values, max_size=4)
texts = st.text(min_size=1).filter(lambda text: not text.isspace())


def written(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Write values as JSON in all the ways that senders do."""
    return st.builds(
        lambda value, escaped, indent: json.dumps(value, ensure_ascii=escaped, indent=indent).encode(),
        values,
        st.booleans(),
        st.none() | st.integers(0, 2),
    )


documents = st.fixed_dictionaries(
    {"text": texts},
    optional={
        "id": st.none() | st.text(max_size=9),
        "language": st.sampled_from([None, "", "en", "de", "pt-BR"]),
        "metadata": st.none() | objects,
        "other": json_values,
    },
)
"""What decodes to a document."""

pieces = st.recursive(
    st.sampled_from(HOSTILE) | written(json_values),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"[" + b" ,".join(items) + b"]")
        | st.lists(st.tuples(st.sampled_from([b'"a"', b'"\\ud800"', b'"\xff"', b"7"]), inner), max_size=3).map(
            lambda members: b"{" + b",\r\n".join(name + b":" + value for name, value in members) + b"}"
        )
    ),
    max_leaves=4,
)
member_names = st.sampled_from(
    [b'"text"', b'"text"', b'"id"', b'"language"', b'"metadata"', b'"te\\u0078t"', b'"other"', b'"\\ud800"']
)
fuzz = st.builds(
    lambda start, members, end, cut: (start + b"{" + b",".join(members) + b"}" + end)[:cut],
    st.sampled_from([b"", b"", b"", b" \n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00"]),
    st.lists(st.builds(lambda name, value: name + b":" + value, member_names, pieces | written(texts)), max_size=5),
    st.sampled_from([b"", b"", b"", b"\n", b"{}", b"\x00"]),
    st.none() | st.integers(0, 60),
)
"""Objects with members twice, of wrong types or in no encoding, cut off, or with something before or behind them."""

values = st.none() | st.binary(max_size=40) | fuzz | written(documents) | written(json_values)
keys = st.none() | st.binary(max_size=8) | st.text(max_size=8).map(str.encode)
header_names = st.text(max_size=8) | st.sampled_from((*OURS, "entity-stream-value-dropped"))
headers = st.lists(st.tuples(header_names, st.none() | st.binary(max_size=8)), max_size=9).map(tuple)
times = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 2**42)
places = st.builds(Partition, st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True), st.integers(0, 99))


def records(of: st.SearchStrategy[bytes | None] = values) -> st.SearchStrategy[Record]:
    """Make records with such values, and with anything else that the broker takes."""
    return st.builds(Record, places, st.integers(0, 2**63 - 1), keys, of, headers, times)
