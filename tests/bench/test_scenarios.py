"""Whose turn it is."""

from tests.bench.plan import Contender
from tests.bench.scenarios import in_turn


def test_each_contender_has_every_place_once_in_three_rounds() -> None:
    """In any three rounds in a row nobody has the same place twice, so what a place is worth favours nobody."""
    for start in range(5):
        turns = [in_turn(number) for number in range(start, start + len(Contender))]
        assert all(set(place) == set(Contender) for place in zip(*turns, strict=True))
