"""What is billed: text records by the API's own rule, and a count of them that never falls and comes out right."""

import json
from datetime import UTC, datetime
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.cost import Meter, correction, of_batch, price, text_records
from entity_stream.core.model import Batch, Document, Model, Partition, Record
from entity_stream.core.wire.errors import Fault
from entity_stream.core.wire.runtime import JobState, decode_job
from entity_stream.core.wire.service_job import Faulty, Found, ServedJob, ServedTask, encode_job
from tests.core.language_samples import item, job

MOMENT = datetime(2022, 6, 23, 2, 12, 27, tzinfo=UTC)
NO_FAULT = Fault("", "")

told = st.lists(st.integers(0, 125), max_size=25)


def batch(lengths: list[int]) -> Batch:
    """Make documents of so many characters."""
    place = Partition("in", 0)
    return tuple(
        Document(Record(place, n, None, b""), f"d{n}", f"in/0/{n}", "x" * length) for n, length in enumerate(lengths)
    )


def page(transactions: dict[str, int], faults: tuple[str, ...] = (), *, tells_cost: bool = False) -> JobState:
    """Make the page of a job that tells this."""
    blamed = dict.fromkeys(faults, NO_FAULT)
    return JobState("succeeded", {}, blamed, (), Model("", ""), None, None, None, transactions, tells_cost)


@given(st.integers(1, 125_000))
def test_a_text_record_is_a_thousand_characters_started(length: int) -> None:
    """So many cover the text, and one fewer would not; a character is a code point, whatever its bytes."""
    records = text_records("é" * length)
    assert (records - 1) * 1_000 < length <= records * 1_000


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=25))
def test_each_document_is_rounded_up_by_itself(lengths: list[int]) -> None:
    """A batch is billed as its documents are, not as all their characters."""
    assert of_batch(batch(lengths)) == sum(text_records("x" * length) for length in lengths) >= len(lengths)


@given(st.lists(st.integers(-200, 200)))
def test_the_count_never_falls_and_catches_up(counts: list[int]) -> None:
    """What was counted too much is left out of what comes next: the sum is the most that was ever known."""
    meter = Meter()
    grown = [meter.count(each) for each in counts]
    assert all(each >= 0 for each in grown)
    assert list(accumulate(grown)) == [max(0, *some) for some in _prefixes(counts)]


def _prefixes(counts: list[int]) -> list[list[int]]:
    sums = list(accumulate(counts))
    return [[0, *sums[: end + 1]] for end in range(len(sums))]


@given(told)
def test_what_the_result_tells_is_believed(transactions: list[int]) -> None:
    """Whatever was counted at the submit, count and correction together are what the API says."""
    documents = batch([1_500] * len(transactions))
    said = {document.wire_id: count for document, count in zip(documents, transactions, strict=True)}
    found = correction(documents, [page(said), page({"stranger": 9})])
    assert of_batch(documents) + found == sum(transactions)


def test_a_document_at_fault_is_not_billed_where_the_result_tells() -> None:
    """Where it tells nothing at all, all is as counted; and so is a document that it does not speak of."""
    documents = batch([1_500, 10, 2_500])
    ids = [document.wire_id for document in documents]
    assert correction(documents, [page({ids[0]: 2}, faults=(ids[1],))]) == -1
    assert correction(documents, [page({}, faults=(ids[1],))]) == 0
    assert correction(documents, []) == 0


def test_a_job_all_of_whose_documents_are_at_fault_costs_nothing() -> None:
    """No document of it tells a figure, but the sum of the result does: 0."""
    documents = batch([1_500, 10])
    faults = tuple(document.wire_id for document in documents)
    assert correction(documents, [page({}, faults, tells_cost=True)]) == -3
    served = ServedJob(
        "j",
        "succeeded",
        MOMENT,
        MOMENT,
        MOMENT,
        (ServedTask("0", "P", "D", "succeeded", MOMENT, (Faulty("a", NO_FAULT),)),),
    )
    assert decode_job(encode_job(served, "http://h", "2023-04-01", show_stats=True)).tells_cost
    assert not decode_job(encode_job(served, "http://h", "2023-04-01")).tells_cost


def test_the_engine_tells_what_is_read() -> None:
    """Both ends of the wire agree: a text record is a thousand text elements started, and faults have none."""
    found = Found("a", (), 1_627), Found("b", (), 295), Faulty("c", NO_FAULT)
    served = ServedJob(
        "j", "succeeded", MOMENT, MOMENT, MOMENT, (ServedTask("0", "P", "D", "succeeded", MOMENT, found),)
    )
    state = decode_job(encode_job(served, "http://h", "2023-04-01", show_stats=True))
    assert state.transactions == {"a": 2, "b": 1}
    assert decode_job(encode_job(served, "http://h", "2023-04-01")).transactions == {}


@pytest.mark.parametrize("statistics", [7, "many", [], {}, {"transactionsCount": "1"}, {"transactionsCount": -1}, None])
def test_statistics_that_make_no_sense_cost_no_result(statistics: object) -> None:
    """They tell nothing, and the entities are read all the same."""
    told = item({"id": "a", "statistics": statistics, "entities": []})
    state = decode_job(json.dumps(job(told)).encode())
    assert (state.transactions, state.entities) == ({}, {"a": ()})


def test_a_price_is_for_a_thousand_text_records() -> None:
    """In whatever currency it is given."""
    assert price(2_500, 4.0) == 10.0
