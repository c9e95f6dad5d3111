"""Who is to blame in a batch, found by asking for parts of it; the endpoint is a function of the batch."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.model import Batch, Document, Reason
from entity_stream.core.trial import ALONE, Left, trial
from tests.core.language_samples import document

REASON = Reason("job-failed", "for a test")
Asking = Callable[[Batch], Left]


def batch(count: int) -> Batch:
    return tuple(document(offset, "text") for offset in range(count))


def offsets(documents: Batch) -> set[int]:
    return {each.record.offset for each in documents}


def convict(suspects: Batch, ask: Asking, asked: int = 0) -> tuple[set[int], list[Batch]]:
    """Try a batch; return the offsets of the convicted, and all that was asked."""
    trying, calls = trial(Left(suspects, REASON), asked), []
    try:
        calls.append(next(trying))
        while True:
            calls.append(trying.send(ask(calls[-1])))
    except StopIteration as found:
        convicted: list[Left] = found.value
        assert all(len(each.documents) == 1 for each in convicted)
        return {each.documents[0].record.offset for each in convicted}, calls


def poisoned_by(*culprits: int, final: bool) -> Asking:
    """An endpoint that brings nothing for a batch with one of these in it."""
    return lambda part: Left(part if offsets(part) & set(culprits) else (), REASON, final=final)


@given(st.integers(2, 25), st.data(), st.booleans())
def test_exactly_the_culprits_are_convicted(count: int, data: st.DataObject, final: bool) -> None:
    """Whoever makes a batch fail, and nobody else, whether the failure is a refusal or a job's."""
    culprits = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    assert convict(batch(count), poisoned_by(*culprits, final=final))[0] == culprits


@given(st.integers(2, 25), st.data(), st.booleans())
def test_no_good_document_is_run_twice(count: int, data: st.DataObject, final: bool) -> None:
    """A good document is part of one batch that brings results, and of none after that."""
    culprits = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    ask = poisoned_by(*culprits, final=final)
    brought = [each for part in convict(batch(count), ask)[1] if not ask(part).documents for each in part]
    assert sorted(each.record.offset for each in brought) == sorted(set(range(count)) - culprits)


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("culprit", range(25))
def test_one_culprit_among_25_is_found_by_ten_submits(culprit: int, final: bool) -> None:
    """Wherever it stands, also where it is asked alone again and again, because a job may fail for no reason."""
    convicted, calls = convict(batch(25), poisoned_by(culprit, final=final))
    assert convicted == {culprit}
    assert len(calls) <= 10


def test_what_is_refused_alone_is_not_asked_again() -> None:
    """A refusal would be repeated: the culprit is submitted alone once."""
    _, calls = convict(batch(2), poisoned_by(1, final=True))
    assert [len(part) for part in calls] == [1, 1]


@given(st.integers(1, ALONE - 1))
def test_who_fails_alone_for_a_while_is_not_convicted(failures: int) -> None:
    """One that brings its result at last was never to blame."""
    left = [failures]

    def ask(part: Batch) -> Left:
        left[0] -= 1
        return Left(part if left[0] >= 0 else (), REASON)

    assert convict(batch(1), ask)[0] == set()


def test_who_has_been_asked_alone_often_enough_is_convicted_at_once() -> None:
    """A batch of one has had its jobs before its trial."""
    trying = trial(Left(batch(1), REASON), asked=ALONE)
    with pytest.raises(StopIteration) as found:
        next(trying)
    assert found.value.value == [Left(batch(1), REASON)]


@given(st.integers(2, 25), st.randoms(use_true_random=False))
def test_a_part_that_brings_some_is_tried_for_the_rest_only(count: int, dice: Random) -> None:
    """Whatever a job leaves out at random, a document that was brought is not asked for again."""
    brought: set[int] = set()

    def ask(part: Batch) -> Left:
        assert not offsets(part) & brought
        missing: list[Document] = [each for each in part if dice.random() < 0.5]
        brought.update(offsets(part) - offsets(tuple(missing)))
        return Left(tuple(missing), REASON)

    convicted, _ = convict(batch(count), ask)
    assert convicted | brought == set(range(count))
    assert not convicted & brought
