"""Whose turn it is."""

import pytest

from tests.bench.plan import Contender
from tests.bench.scenarios import in_turn


@pytest.mark.parametrize("count", range(1, len(Contender) + 1))
def test_each_contender_has_every_place_once(count: int) -> None:
    """In as many rounds in a row as there are contenders nobody has a place twice: what it is worth favours nobody."""
    everybody = list(Contender)[:count]
    for start in range(count + 2):
        turns = [in_turn(everybody, number) for number in range(start, start + count)]
        assert all(set(place) == set(everybody) for place in zip(*turns, strict=True))
