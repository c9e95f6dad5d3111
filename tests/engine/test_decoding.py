"""From probabilities to entities: the best path is the best of all paths that make sense, and confidence is honest."""

from itertools import product
from math import isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.engine.decoding import Column, Found, Stretch, best_path, confidence, decode

TAGS = ["O", "B-x", "I-x", "B-y", "I-y"]
PROBABILITIES = st.floats(0.001, 1)
COLUMNS = st.lists(
    st.builds(
        lambda outside, others: {"O": outside} | others,
        PROBABILITIES,
        st.dictionaries(st.sampled_from(TAGS[1:]), PROBABILITIES),
    ),
    max_size=5,
)


def makes_sense(path: tuple[str, ...]) -> bool:
    return all(
        not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)
        for before, tag in zip(("O", *path), path, strict=False)
    )


def worth(path: tuple[str, ...], columns: list[Column], bias: float) -> float:
    return sum(log(column[tag]) + (bias if tag != "O" else 0) for tag, column in zip(path, columns, strict=True))


@given(COLUMNS, st.floats(0, 3))
def test_no_path_is_better_than_the_best_path(columns: list[Column], bias: float) -> None:
    """Among all paths in which I-x follows only B-x or I-x, none is worth more than the one chosen."""
    chosen = tuple(best_path(columns, bias))
    assert makes_sense(chosen)
    paths = [path for path in product(*columns) if makes_sense(path)]
    best = max(worth(path, columns, bias) for path in paths)
    assert isclose(worth(chosen, columns, bias), best, abs_tol=1e-9)


@given(COLUMNS, st.integers(0, 9), st.floats(0, 3))
def test_entities_are_apart_and_in_order(columns: list[Column], start: int, bias: float) -> None:
    """Entities lie in their stretch, sorted and apart, with one probability for each token."""
    at = start
    for found in decode(Stretch(start, columns), bias):
        assert at <= found.first <= found.last < start + len(columns)
        assert len(found.probabilities) == found.last - found.first + 1
        at = found.last + 1


def test_an_entity_goes_on_until_another_begins() -> None:
    """B and I of one category are one entity; a new B, another category or O end it."""
    tags = ["B-x", "I-x", "B-x", "B-y", "I-y", "O", "B-y"]
    stretch = Stretch(10, [{"O": 0.1, tag: 0.9} for tag in tags])
    assert [(one.category, one.first, one.last) for one in decode(stretch, 0.0)] == [
        ("x", 10, 11),
        ("x", 12, 12),
        ("y", 13, 14),
        ("y", 16, 16),
    ]


def test_a_bias_finds_what_is_nearly_an_entity() -> None:
    """With a bias, an entity that is a little less likely than none is found; its confidence stays what it was."""
    stretch = Stretch(0, [{"O": 0.6, "B-x": 0.4}])
    assert list(decode(stretch, 0.0)) == []
    (found,) = decode(stretch, 1.0)
    assert confidence(found) == 0.4


@given(st.lists(PROBABILITIES, min_size=1), st.just(()) | st.tuples(*[st.floats(-9, 9)] * 4))
def test_confidence_is_never_certain_and_has_two_decimals(
    probabilities: list[float], calibration: tuple[float, ...]
) -> None:
    """Calibrated or not, confidence is from .01 to .99 with two decimals."""
    sure = confidence(Found("x", 0, len(probabilities) - 1, tuple(probabilities)), calibration)
    assert 0.01 <= sure <= 0.99
    assert sure == round(sure, 2)


@pytest.mark.parametrize(("probabilities", "sure"), [((0.9, 0.5, 0.8), 0.5), ((1.0,), 0.99), ((0.001,), 0.01)])
def test_an_entity_is_as_sure_as_its_weakest_token(probabilities: tuple[float, ...], sure: float) -> None:
    """Without a calibration, the smallest probability among the tokens is the confidence, within its bounds."""
    assert confidence(Found("x", 0, len(probabilities) - 1, probabilities)) == sure


def test_a_calibration_weighs_the_signs() -> None:
    """A calibration of one on the weakest token gives the probability back, and of its half a milder one."""
    found = Found("x", 0, 0, (0.9,))
    assert confidence(found, (1.0, 0.0, 0.0, 0.0)) == 0.9
    assert confidence(found, (0.5, 0.0, 0.0, 0.0)) == 0.75
