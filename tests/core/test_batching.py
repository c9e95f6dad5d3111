"""A batch fills from one partition first, keeps its limits, waits no longer than its linger, and loses nothing."""

import json
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from entity_stream.core.batching import Batcher, Limits, Load, Way, load
from entity_stream.core.messages import decode
from entity_stream.core.model import Batch, Document, Partition, Record, Route
from entity_stream.core.wire.runtime import encode_submit
from tests.core.kafka_samples import documents, records, written

PARTITIONS = [Partition("incidents", index, 1) for index in range(3)]
ROUTES = [None, Route("chat", "production")]
LIMITS = Limits(documents=4, characters=20, bytes=1_000, linger=1.0)
TICK = 0.25
"""Sums of it are exact."""


def document(
    partition: Partition, offset: int, characters: int, padding: int = 0, route: Route | None = None
) -> Document:
    """Make a document of so many characters whose record holds so many bytes more."""
    record = Record(partition, offset, b"k", b"x" * (characters + padding))
    return Document(record, str(offset), f"{partition.index}/{offset}", "x" * characters, route=route)


def place_of(each: Document) -> Way:
    return each.record.partition, each.route


def weigh(batch: Batch) -> Load:
    return sum(map(load, batch), Load())


class Stream(RuleBasedStateMachine):
    """Documents of three partitions and two routes arrive, time passes, batches leave, partitions are taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.batcher = Batcher(LIMITS)
        self.now = 0.0
        self.offset = 0
        self.waiting: dict[Way, list[tuple[Document, float]]] = {place: [] for place in product(PARTITIONS, ROUTES)}

    def leave(self, batch: Batch) -> None:
        """Take a batch out of what waits: each document once, of each partition the oldest first."""
        assert batch
        assert len(batch) == 1 or weigh(batch).fits(LIMITS)
        for each in batch:
            first, _ = self.waiting[place_of(each)].pop(0)
            assert first is each
        assert len({each.route for each in batch}) == 1, "routes are mixed"

    @rule(
        route=st.sampled_from(ROUTES),
        partition=st.sampled_from(PARTITIONS),
        characters=st.sampled_from([1, 1, 2, 5, 9, 21]),
        padding=st.sampled_from([0, 0, 0, 300, 1_000]),
    )
    def arrive(self, route: Route | None, partition: Partition, characters: int, padding: int) -> None:
        self.offset += 1
        arrived, place = document(partition, self.offset, characters, padding, route), (partition, route)
        self.waiting[place].append((arrived, self.now))
        for batch in self.batcher.add(arrived, self.now):
            assert set(map(place_of, batch)) == {place}, "filled from one partition"
            after = [each for each, _ in self.waiting[place][len(batch) :]]
            no_room = after and not weigh((*batch, after[0])).fits(LIMITS)
            assert len(batch) == LIMITS.documents or no_room, "closed only when full"
            self.leave(batch)
        assert len(self.waiting[place]) < LIMITS.documents, "full leaves at once"

    @rule(ticks=st.integers(1, 5))
    def pass_time(self, ticks: int) -> None:
        self.now += ticks * TICK

    @rule()
    def collect(self) -> None:
        while self.batcher.patience(self.now) == 0.0:
            batch = self.batcher.due(self.now)
            assert batch
            own = place_of(batch[0])
            self.leave(batch)
            assert not self.waiting[own], "all of the place whose linger ended goes at once"
            for (_, route), rest in self.waiting.items():
                full = not rest or not weigh((*batch, rest[0][0])).fits(LIMITS)
                assert full or route != own[1], "topped up as far as it goes"
        assert self.batcher.due(self.now) is None
        for rest in self.waiting.values():
            assert all(since + LIMITS.linger > self.now for _, since in rest), "none waits longer than its linger"

    @precondition(lambda self: any(self.waiting.values()))
    @rule(partitions=st.sets(st.sampled_from(PARTITIONS)))
    def take_away(self, partitions: set[Partition]) -> None:
        self.batcher.drop(partitions)
        for place in product(partitions, ROUTES):
            self.waiting[place] = []

    @invariant()
    def patience_is_that_of_the_oldest(self) -> None:
        patience = self.batcher.patience(self.now)
        arrivals = [since for rest in self.waiting.values() for _, since in rest]
        assert (patience is None) == (not arrivals)
        if patience is not None:
            assert 0.0 <= patience <= max(0.0, min(arrivals) + LIMITS.linger - self.now)

    def teardown(self) -> None:
        self.now += LIMITS.linger
        self.collect()
        assert not any(self.waiting.values()), "nothing is left behind"


def test_every_document_leaves_once_in_order_within_limits_and_in_time() -> None:
    """Whatever arrives when, no document is lost, doubled, overtaken in its partition, overweight or late."""
    run_state_machine_as_test(Stream, settings=settings(max_examples=80, stateful_step_count=40, deadline=None))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_a_batch_is_not_closed_before_it_is_full(sizes: list[int]) -> None:
    """As long as the next document fits, all of a partition's go together."""
    batcher = Batcher(Limits(documents=len(sizes) + 1, characters=sum(sizes)))
    closed = [batcher.add(document(PARTITIONS[0], offset, size), 0.0) for offset, size in enumerate(sizes)]
    due = batcher.due(1.0)
    assert not any(closed)
    assert due is not None
    assert len(due) == len(sizes)


@given(st.integers(1, 9))
def test_a_full_batch_leaves_at_once(most: int) -> None:
    """The document that fills it up is the last it waits for."""
    batcher = Batcher(Limits(documents=most))
    fill = tuple(document(PARTITIONS[0], offset, 1) for offset in range(most))
    assert [batcher.add(each, 0.0) for each in fill] == [[]] * (most - 1) + [[fill]]
    assert batcher.patience(0.0) is None


@pytest.mark.parametrize(("characters", "padding"), [(21, 0), (1, 1_000)])
def test_a_document_over_a_limit_goes_alone(characters: int, padding: int) -> None:
    """No other is held back or refused for it: those before it go before it, those behind it after."""
    batcher = Batcher(LIMITS)
    small, large, next_one = (
        document(PARTITIONS[0], 1, 1),
        document(PARTITIONS[0], 2, characters, padding),
        document(PARTITIONS[0], 3, 1),
    )
    other = document(PARTITIONS[1], 1, 1)
    assert batcher.add(small, 0.0) == []
    assert batcher.add(large, 0.0) == [(small,)]
    assert batcher.add(next_one, 0.5) == [(large,)]
    assert batcher.add(other, 0.5) == []
    assert batcher.due(1.5) == (next_one, other)


def test_other_partitions_are_touched_only_when_the_linger_ends() -> None:
    """Until then each partition fills a batch of its own, however empty the others are."""
    batcher = Batcher(LIMITS)
    first, second = document(PARTITIONS[0], 1, 1), document(PARTITIONS[1], 1, 1)
    assert batcher.add(first, 0.0) == batcher.add(second, 0.5) == []
    assert batcher.due(0.75) is None
    assert batcher.due(1.0) == (first, second)
    assert batcher.patience(1.0) is None


def test_a_document_left_behind_by_a_top_up_keeps_its_place() -> None:
    """A top-up takes from the front and stops at the first that does not fit, also when a later one would."""
    batcher = Batcher(LIMITS)
    first = document(PARTITIONS[0], 1, 12)
    small, large, tiny = (document(PARTITIONS[1], offset, size) for offset, size in enumerate((5, 9, 1)))
    for each in (first, small, large, tiny):
        assert batcher.add(each, 0.0) == []
    assert batcher.due(1.0) == (first, small)
    assert batcher.due(1.0) == (large, tiny)


@given(st.lists(records(written(documents)), max_size=5))
def test_a_body_is_never_larger_than_its_documents_were_weighed(given_records: list[Record]) -> None:
    """The bytes of a request, less what it says once for all documents, are at most the sum of their loads."""
    batch = tuple(each for each in map(decode, given_records) if isinstance(each, Document))
    assume(batch)
    once = len(encode_submit((), "project", "deployment"))
    assert len(encode_submit(batch, "project", "deployment")) - once <= weigh(batch).bytes
    assert weigh(batch).characters == sum(len(each.text) for each in batch)


@pytest.mark.parametrize("text", ['\b\f\n\r\t"\\/', "\x00\x01\x1f\x7f", "🔥ü\u2028", "</script>"])
def test_the_shortest_way_to_send_a_text_is_not_shorter_than_ours(text: str) -> None:
    """Escapes do not make a body larger than the record was."""
    shortest = json.dumps({"text": text * 99}, ensure_ascii=False, separators=(",", ":"))
    shown = decode(Record(PARTITIONS[0], 1, b"k", shortest.encode()))
    assert isinstance(shown, Document)
    assert len(encode_submit((shown,), "p", "d")) - len(encode_submit((), "p", "d")) <= load(shown).bytes
