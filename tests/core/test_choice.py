"""Where a batch goes: to the best offer, among equals in turns by weight."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.choice import SOON, Offer, Turns
from entity_stream.core.model import Target

TARGETS = [Target(name) for name in ("west", "east", "north")]
WEIGHTS = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, 10.0]), min_size=1, max_size=3)
WAITS = st.sampled_from([0.0, SOON / 2, 0.2, 7.0, math.inf])
OFFERS = st.builds(Offer, st.booleans(), WAITS, st.booleans())


@given(WEIGHTS, st.integers(1, 300))
def test_equals_have_turns_by_weight_at_any_time(weights: list[float], turns: int) -> None:
    """However long one looks, nobody is a whole turn behind or ahead of its part."""
    of = dict(zip(TARGETS, weights, strict=False))
    choosing, free = Turns(of), dict.fromkeys(of, Offer())
    had = Counter(choosing.choose(free) for _ in range(turns))
    for target, weight in of.items():
        assert abs(had[target] - turns * weight / sum(weights)) <= 1


@given(st.lists(st.lists(OFFERS, min_size=3, max_size=3), min_size=1, max_size=50))
def test_the_best_offer_is_taken(rounds: list[list[Offer]]) -> None:
    """Nobody who is left beats the one that is chosen: open before shut, soon before late, then who has room."""
    choosing = Turns(dict.fromkeys(TARGETS, 1.0))
    for offers in rounds:
        of = dict(zip(TARGETS, offers, strict=True))
        chosen = of[choosing.choose(of)]
        assert not any(offer.beats(chosen) for offer in offers)
        assert not chosen.full or not any(
            (offer.shut, offer.wait, offer.full) == (chosen.shut, chosen.wait, False) for offer in offers
        )


@given(st.integers(0, 500))
def test_who_was_away_has_no_turns_to_make_up_for(away: int) -> None:
    """Back from an outage it takes its part as before, and not all that it has missed."""
    west, east = TARGETS[:2]
    choosing = Turns({west: 1.0, east: 1.0})
    for _ in range(away):
        assert choosing.choose({west: Offer(shut=True), east: Offer()}) == east
    had = Counter(choosing.choose({west: Offer(), east: Offer()}) for _ in range(10))
    assert had[west] == had[east] == 5


@given(OFFERS, OFFERS, st.floats(0, SOON))
def test_no_two_offers_beat_each_other(one: Offer, other: Offer, later: float) -> None:
    """A batch that moves has no reason to come back, nor to leave for where it is, also a little later."""

    def aged(offer: Offer) -> Offer:
        return Offer(offer.shut, max(0.0, offer.wait - later), offer.full)

    assert not (one.beats(other) and aged(other).beats(one))
    assert not aged(one).beats(one)


@given(OFFERS, OFFERS)
def test_whoever_leaves_is_not_sent_back(one: Offer, other: Offer) -> None:
    """What beats where a batch is, is chosen before it."""
    if one.beats(other):
        for weight in (0.01, 100.0):
            choosing = Turns({TARGETS[0]: 1.0, TARGETS[1]: weight})
            assert choosing.choose({TARGETS[0]: one, TARGETS[1]: other}) == TARGETS[0]


def test_a_little_sooner_is_no_reason_to_move() -> None:
    """Within what makes no difference one stays where one is."""
    assert not Offer(wait=0.0).beats(Offer(wait=SOON))
    assert Offer(wait=0.0).beats(Offer(wait=2 * SOON))
    assert Offer(wait=60.0).beats(Offer(shut=True))
