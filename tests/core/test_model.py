"""The nouns are values: they do not change, they compare by what they say, and the many cost the collector nothing."""

import gc
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.messages import decode
from entity_stream.core.model import (
    OVERHEAD,
    Annotated,
    Deleted,
    Document,
    Entity,
    Job,
    Model,
    Partition,
    Reason,
    Record,
    Rejected,
    weight,
)
from tests.core.kafka_samples import HERE, headers, record, records

RECORD = record(b'{"text":"a"}')
ENTITY = Entity("web-prod-03", "ServerName", 16, 11, 0.99)
MODEL = Model("incidents", "production")
REASON = Reason("empty-text", "the text is empty or blank")
PER_DOCUMENT = [
    RECORD,
    Document(RECORD, "a", "b", "c"),
    ENTITY,
    MODEL,
    REASON,
    Annotated(RECORD, "a", (ENTITY,), MODEL),
    Rejected(RECORD, REASON),
    Deleted(RECORD),
]
VALUES: list[Any] = [HERE, Job("1", "blue"), *PER_DOCUMENT]


def named(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("value", VALUES, ids=named)
def test_a_value_does_not_change(value: Any) -> None:  # noqa: ANN401 (any of the nouns)
    """No member can be set, and a copy is equal and hashes alike."""
    for member in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, member, None)
    copy = msgspec.structs.replace(value)
    assert copy == value
    assert hash(copy) == hash(value)


@pytest.mark.parametrize("value", PER_DOCUMENT, ids=named)
def test_what_is_made_per_document_is_not_the_collectors_business(value: object) -> None:
    """The garbage collector does not walk it, however many there are."""
    assert not gc.is_tracked(value)


def test_assigned_again_a_partition_is_another() -> None:
    """The epoch is part of its name, and partitions sort by topic, index and epoch."""
    partitions = [Partition("b", 0, 0), Partition("a", 10, 0), Partition("a", 2, 2), Partition("a", 2, 1)]
    assert len(set(partitions)) == 4
    assert sorted(partitions) == partitions[::-1]


def test_an_entity_is_written_as_the_api_writes_it() -> None:
    """In camel case, and without a subcategory where there is none."""
    said = msgspec.json.decode(msgspec.json.encode(ENTITY))
    assert said == {
        "text": "web-prod-03",
        "category": "ServerName",
        "offset": 16,
        "length": 11,
        "confidenceScore": 0.99,
    }


@given(records())
def test_a_weight_counts_all_that_a_record_holds(given_record: Record) -> None:
    """Value twice, as there is the text too, key and headers once; an empty record weighs its overhead."""
    held = 2 * len(given_record.value or b"") + len(given_record.key or b"")
    held += sum(len(name) + len(value or b"") for name, value in given_record.headers)
    assert weight(given_record) >= OVERHEAD + held
    assert weight(Record(HERE, 0, None, None)) == OVERHEAD


@given(st.binary(min_size=1), headers)
def test_a_weight_grows_with_each_part(more: bytes, others: tuple[tuple[str, bytes | None], ...]) -> None:
    """Nothing that a record can hold is free."""
    bare = Record(HERE, 0, b"k", b"v", (*others, ("name", b"v")))
    weigh_more = (
        msgspec.structs.replace(bare, key=b"k" + more),
        msgspec.structs.replace(bare, value=b"v" + more),
        msgspec.structs.replace(bare, headers=(*others, ("name", b"v" + more))),
        msgspec.structs.replace(bare, headers=(*bare.headers, ("", None))),
    )
    assert all(weight(heavier) > weight(bare) for heavier in weigh_more)


@pytest.mark.parametrize("characters", [1, 1_000, 100_000])
def test_a_weight_is_no_less_than_the_memory_it_stands_for(characters: int) -> None:
    """Of a document in ASCII, record, document and outcome together take no more than its weight."""
    read = record(b'{"text":"%s"}' % (b"a" * characters), key=b"INC-20417")
    document = decode(read)
    assert isinstance(document, Document)
    outcome = Annotated(read, document.id, (ENTITY,), MODEL)
    held = (read, read.value, read.key, document, document.text, document.id, document.wire_id, outcome, ENTITY)
    assert sum(map(sys.getsizeof, held)) <= weight(read)
