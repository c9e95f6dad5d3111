"""Where a batch is submitted: to whoever can take it soonest; where several can take it now, in turns by weight.

It is asked once per batch. Who could not be asked for a while has no turns to make up for.
"""

from collections.abc import Mapping

from msgspec import Struct

from entity_stream.core.model import Target

SOON = 0.05
"""Seconds that make no difference: whoever can take a batch within them can take it now."""


class Offer(Struct, frozen=True):
    """How soon a target could take a batch."""

    shut: bool = False
    """It is of no use to ask it, but now and then for one who tries."""
    wait: float = 0.0
    """Seconds until it can take the batch, or until it is worth while to try."""
    full: bool = False
    """It has its part of all jobs that may be in flight."""

    def beats(self, other: "Offer") -> bool:
        """Tell whether a batch that is held up there had better come here: it would be sooner by more than a little.

        A little passes between two looks; without it a batch could go to and fro for ever.
        """
        return other.shut if self.shut is not other.shut else self.wait + SOON < other.wait


class Turns:
    """Whose turn it is, by weight: smooth, so that three to one is a, a, b, a and not a, a, a, b."""

    __slots__ = ("_credit", "_weights")

    def __init__(self, weights: Mapping[Target, float]) -> None:
        """Give each target a weight above 0."""
        self._weights = weights
        self._credit = dict.fromkeys(weights, 0.0)

    def choose(self, offers: Mapping[Target, Offer]) -> Target:
        """Choose one of those that make the best offer."""
        ranks = {target: _rank(offer) for target, offer in offers.items()}
        best = min(ranks.values())
        equals = [target for target, rank in ranks.items() if rank == best]
        for target in equals:
            self._credit[target] += self._weights[target]
        chosen = max(equals, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[target] for target in equals)
        return chosen


def _rank(offer: Offer) -> tuple[bool, float, bool]:
    return offer.shut, max(0.0, offer.wait - SOON), offer.full
