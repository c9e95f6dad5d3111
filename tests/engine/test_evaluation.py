"""Scores: an entity counts when it is exactly right, and the figures are those that Azure would show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.engine.corpus import LabelledDocument, Region, Span
from entity_stream.engine.evaluation import NONE, Score, evaluate

ADDRESS = "- Ann Lee, with mailing address of 29 Rose Road, Bern"
EXPECTED = Span("Address", 16, 31)
"""`mailing address of 29 Rose Road`: 26 characters but blanks."""
PREDICTED = Span("Address", 35, 12, 0.8)
"""`29 Rose Road`: 10 of them."""


def test_the_published_example_adds_up() -> None:
    """46 entities found, 3 invented and 2 missed give the micro figures of the API's own example."""
    score = Score(46, 3, 2)
    assert score.precision == pytest.approx(0.93877554)
    assert score.recall == pytest.approx(0.9583333)
    assert score.f1 == pytest.approx(0.94845366)


def test_nearly_right_is_one_missed_and_one_invented() -> None:
    """The right category over the wrong characters counts twice against the model."""
    document = LabelledDocument("a", ADDRESS, spans=(EXPECTED,))
    assert evaluate([document], [[PREDICTED]]).entities == {"Address": Score(0, 1, 1)}


def test_the_confusion_shows_how_nearly() -> None:
    """An entity is shared out by its characters but blanks, and so is each gap between entities."""
    document = LabelledDocument("a", ADDRESS, spans=(EXPECTED,))
    confusion = evaluate([document], [[PREDICTED]]).confusion
    assert confusion["Address"] == pytest.approx({"Address": 10 / 26, NONE: 16 / 26})
    assert confusion[NONE] == pytest.approx({NONE: 2.0})


def test_micro_counts_entities_and_macro_counts_categories() -> None:
    """Micro figures pool the counts of all categories, macro figures are means over them."""
    spans = (Span("Common", 0, 1), Span("Common", 2, 1), Span("Common", 4, 1), Span("Rare", 6, 1))
    document = LabelledDocument("a", "a b c d e", spans=spans)
    told = evaluate([document], [[*spans[:3], Span("Rare", 8, 1)]])
    assert (told.micro.precision, told.micro.recall, told.micro.f1) == (0.75, 0.75, 0.75)
    assert (told.macro.precision, told.macro.recall, told.macro.f1) == (0.5, 0.5, 0.5)


def test_only_labelled_regions_count() -> None:
    """What is predicted where nobody labelled is neither right nor wrong."""
    document = LabelledDocument("a", "Ann met Bob", spans=(Span("Name", 0, 3),), regions=(Region(0, 7),))
    told = evaluate([document], [[Span("Name", 0, 3), Span("Name", 8, 3)]])
    assert told.entities == {"Name": Score(1, 0, 0)}
    assert set(told.confusion) == {"Name", NONE}


def test_nothing_at_all_has_figures() -> None:
    """Without documents, or without entities, every figure is 0 and none is an error."""
    for told in (evaluate([], []), evaluate([LabelledDocument("a", "")], [[]])):
        assert (told.entities, told.micro.f1, told.macro.f1) == ({}, 0.0, 0.0)


SPANS = st.sets(st.integers(0, 9)).map(lambda at: tuple(Span("AB"[i % 2], 2 * i, 1) for i in sorted(at)))


@given(SPANS, SPANS)
def test_every_entity_is_counted_once(expected: tuple[Span, ...], predicted: tuple[Span, ...]) -> None:
    """Found and missed are all that was expected, found and invented all that was predicted."""
    told = evaluate([LabelledDocument("a", "x " * 10, spans=expected)], [predicted])
    total = sum(told.entities.values(), Score())
    assert total.true_positives + total.false_negatives == len(expected)
    assert total.true_positives + total.false_positives == len(predicted)
    shares = [share for row in told.confusion.values() for share in row.values()]
    assert all(share > 0 for share in shares)
    assert sum(sum(row.values()) for name, row in told.confusion.items() if name != NONE) == pytest.approx(
        len(expected)
    )


@given(SPANS)
def test_a_perfect_model_scores_one(spans: tuple[Span, ...]) -> None:
    """Predicting the labels themselves gives 1 everywhere there is something to find."""
    told = evaluate([LabelledDocument("a", "x " * 10, spans=spans)], [spans])
    assert all(score.f1 == 1 for score in told.entities.values())
    assert told.micro.f1 == told.macro.f1 == float(bool(spans))
