"""Estimates: exact where all was read, within their own word where not, and batches as the service fills them."""

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core import journal
from entity_stream.core.backlog import part
from entity_stream.core.batching import Batcher, Limits
from entity_stream.core.cost import text_records
from entity_stream.core.estimate import (
    Count,
    Estimate,
    Reading,
    Stretch,
    Tally,
    Unpaid,
    at_quotas,
    estimate,
    rows,
    span,
)
from entity_stream.core.inspection import Commit, Log
from entity_stream.core.journal import Journal, Trace, mark
from entity_stream.core.messages import decode
from entity_stream.core.model import Document, Partition, Record, Route
from entity_stream.core.progress import Progress
from entity_stream.core.quota import Rate
from entity_stream.core.routing import Routing
from tests.core.test_inspection import lives

PLACE = Partition("in", 0)
LIMITS = Limits(documents=5, characters=9_000, bytes=12_000)
ROUTING = Routing(frozenset({Route("chat", "production")}), Route("incidents", "production"))

lengths = st.lists(st.integers(1, 20_000), max_size=60)


def record(offset: int, length: int, project: str = "") -> Record:
    headers = ((ROUTING.project_header, project.encode()),)
    return Record(PLACE, offset, None, json.dumps({"text": "x" * length}).encode(), headers)


def tallied(lengths: list[int], limits: Limits = LIMITS) -> Count:
    tally = Tally(limits)
    for offset, length in enumerate(lengths):
        tally.add(record(offset, length))
    return tally.count


def estimated(readings: list[Reading], price: float | None = None) -> Estimate:
    return estimate(readings, at_quotas([(Rate(60, 60.0),)]), price)


@given(lengths)
def test_documents_characters_and_text_records_are_counted(lengths: list[int]) -> None:
    """Each document by itself, as it will be billed."""
    found = tallied(lengths)
    assert (found.documents, found.characters) == (len(lengths), sum(lengths))
    assert found.text_records == sum(text_records("x" * length) for length in lengths)


@given(st.lists(st.tuples(st.integers(1, 20_000), st.sampled_from(["", "chat", "incidents"])), max_size=60))
def test_batches_are_those_that_the_service_makes(some: list[tuple[int, str]]) -> None:
    """As many as its batcher closes, of each route by itself, and a part for each that is still open."""
    batcher, tally = Batcher(LIMITS), Tally(LIMITS, ROUTING)
    batches, still_open = 0, 0
    for offset, (length, project) in enumerate(some):
        read = record(offset, length, project)
        document = decode(read, ROUTING)
        assert isinstance(document, Document)
        batches += len(batcher.add(document, 0.0))
        tally.add(read)
    while batcher.due(LIMITS.linger + 1.0):
        still_open += 1
    assert batches <= tally.count.submits <= batches + still_open
    assert (tally.count.submits > batches) == (still_open > 0)


def test_what_asks_for_a_route_that_it_may_not_is_no_document() -> None:
    """It becomes a dead letter, unpaid; where nothing is routed, nobody looks at its headers."""
    for routing, count in (ROUTING, Count(invalid=1)), (None, Count(1, 10, 1, submits=0.2)):
        tally = Tally(LIMITS, routing)
        tally.add(record(0, 10, "evil"))
        assert tally.count == count


def test_what_is_no_document_is_told_apart() -> None:
    """Tombstones and broken records cost nothing, and fill no batch."""
    tally = Tally(LIMITS)
    for value in (None, b"{", b'{"text": " "}', json.dumps({"text": "x" * 125_001}).encode()):
        tally.add(Record(PLACE, 0, b"k", value))
    assert tally.count == Count(tombstones=1, invalid=3)


@given(lives(), st.integers(0, 300))
def test_what_is_settled_or_in_a_job_is_not_paid_for_again(
    life: tuple[Progress, set[int], dict[str, set[int]]], more: int
) -> None:
    """To the offset: what is unfinished and in no job, and all that was not begun."""
    progress, unfinished, jobs = life
    said = progress.journal()
    log = Log(0, said.end + more)
    unpaid = Unpaid(Commit(said.position, journal.write(said)), log, ["default"])
    in_jobs = {offset for some in jobs.values() for offset in some}
    owed = {offset for offset in unfinished if offset < said.end} - in_jobs | set(range(said.end, log.end))
    assert {offset for offset in range(said.position, log.end) if offset in unpaid} == owed
    assert len(unpaid) == len(owed) == part(Commit(said.position, journal.write(said)), log).left - len(in_jobs)
    middle = (unpaid.start + unpaid.end) // 2
    assert unpaid.within(unpaid.start, middle) + unpaid.within(middle, unpaid.end) == len(unpaid)
    assert unpaid.within(unpaid.start, middle) == sum(offset < middle for offset in owed)


def test_a_job_of_a_resource_that_is_not_ours_is_paid_for_again() -> None:
    """Whoever reads next submits its records anew; so it does without a commit, and where the log was replaced."""
    said = Journal(2, 9, (), (Trace("j-1", mark("elsewhere"), 1, ((2, 7),)),))
    commit, log = Commit(2, journal.write(said)), Log(0, 20)
    assert (len(Unpaid(commit, log, ["default"])), len(Unpaid(commit, log, ["elsewhere"]))) == (5 + 11, 11)
    assert len(Unpaid(None, Log(4, 20), ["default"])) == 16
    assert len(Unpaid(Commit(50), log, ["default"])) == 20


def test_a_job_beyond_what_a_full_journal_knows_is_paid_for() -> None:
    """Such a journal says less of what is finished, but still names its jobs."""
    said = Journal(2, 5, ((3, 4),), (Trace("j-1", mark("default"), 1, ((7, 9), (12, 13)), over=0b1),))
    unpaid = Unpaid(Commit(2, journal.write(said)), Log(0, 14), ["default"])
    assert [offset for offset in range(14) if offset in unpaid] == [3, 5, 6, 7, 9, 10, 11, 13]
    assert len(unpaid) == 8


@given(st.integers(0, 500), st.integers(1, 500), st.integers(1, 20))
def test_stretches_lie_apart_and_evenly(size: int, most: int, count: int) -> None:
    """One for all where that is not too much; else so many, none in another, each in the middle of its part."""
    found = list(Unpaid(None, Log(7, 7 + size), ["default"]).stretches(most, count))
    assert len(found) == (1 if size <= most else count)
    assert found[-1][1] == 7 + size
    for (first, stop), begin in zip(found, [7, *(stop for _, stop in found)], strict=False):
        assert begin <= first <= stop
        if size > most and stop - begin > most // count:
            assert abs((first - begin) - (stop - first - most // count)) <= 1
    assert list(Unpaid(None, Log(7, 7 + size), ["default"]).stretches(None, count)) == [(7, 7 + size)]


@given(st.lists(lengths, max_size=4))
def test_what_was_read_as_a_whole_is_exact(partitions: list[list[int]]) -> None:
    """Nothing is off, and the price is that of the text records."""
    readings = [Reading(len(each), [Stretch(len(each), tallied(each))]) for each in partitions]
    found = estimated(readings, price=2.0)
    assert (found.documents, found.characters) == (sum(map(len, partitions)), sum(map(sum, partitions)))
    assert (found.documents_off, found.text_records_off, found.read) == (0, 0, found.records)
    assert found.price == found.text_records * 2.0 / 1_000
    assert found.seconds == found.submits + found.polls


def sampled(lengths: list[int], unpaid: Unpaid) -> Reading:
    """Read of a partition what an estimate reads."""
    some = [lengths[first : first + 40] for first, _ in unpaid.stretches(400, 10)]
    counts = [Count(len(each), sum(each), sum(text_records("x" * length) for length in each)) for each in some]
    return Reading(len(lengths), [Stretch(40, count) for count in counts])


SHAPES: dict[str, Callable[[random.Random, int], int]] = {
    "alike": lambda dice, _: dice.randint(900, 1_100),
    "mixed": lambda dice, _: dice.choice([100, 500, 4_000, 20_000]),
    "drifting": lambda dice, n: 100 + n // 2 + dice.randint(0, 2_000),
}


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_is_off_by_no_more_than_it_says(shape: str, partitions: int) -> None:
    """Of a hundred topics whose texts are alike, mixed, or grow longer, 19 in 20 hold, give or take."""
    held = 0
    for seed in range(100):
        dice = random.Random(seed)
        texts = [[SHAPES[shape](dice, n) for n in range(2_000)] for _ in range(partitions)]
        found = estimated([sampled(some, Unpaid(None, Log(0, 2_000), ["default"])) for some in texts])
        truth = sum(-(-length // 1_000) for some in texts for length in some)
        assert (found.documents, found.read) == (2_000 * partitions, 400 * partitions)
        assert found.text_records_off < truth / 3
        held += abs(found.text_records - truth) <= found.text_records_off
    assert held >= 91


def test_holes_in_the_log_are_no_documents() -> None:
    """Every other offset of a compacted topic: half as many documents as offsets."""
    tally = Count(documents=20, text_records=20)
    found = estimated([Reading(1_000, [Stretch(40, tally)] * 10)])
    assert (found.documents, found.records, found.documents_off) == (500, 1_000, 0)


def test_an_estimate_is_told_in_words() -> None:
    """What it is about, by how much it may be off, and what nobody has told."""
    stretches = [Stretch(10, Count(10, 9_000, 10 + n, invalid=1, tombstones=1, submits=0.4)) for n in range(10)]
    found = estimated([Reading(1_000, stretches)], price=5.0)
    assert dict(rows(found, 5.0)) == {
        "documents": "1,000",
        "characters": "900,000",
        "text records": f"1,450 ± {found.text_records_off}",
        "no documents": "100, which become dead letters and cost nothing",
        "tombstones": "100, which cost nothing",
        "calls": "40 submits, and at least 40 polls",
        "time at the quota": "at least 1 min 20 s",
        "price": f"7.25 ± {found.text_records_off / 200:.2f}, at 5 for 1,000 text records",
        "read": "100 of 1,000 records; in 19 of 20 cases ± holds",
    }
    assert 0 < found.text_records_off < 250
    nothing = dict(rows(estimated([]), None))
    assert nothing["price"].startswith("not known: --price")
    assert nothing["time at the quota"] == "at least 0 s"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_725, "1 h 2 min"),
        (1e6, "11 d 13 h"),
    ],
)
def test_a_time_has_two_units(seconds: float, said: str) -> None:
    """The two that matter, none that is nought."""
    assert span(seconds) == said
