"""What the API bills: text records, a thousand characters started, of each document by itself.

It counts text elements, of which a text has never more than code points; so what we count at the submit is never too
little. What the result says of it later is believed.
"""

from collections.abc import Sequence

from entity_stream.core.model import Batch
from entity_stream.core.wire.runtime import JobState

RECORD = 1_000
"""Characters of one text record."""

PRICED = 1_000
"""Text records that a price is for."""


def text_records(text: str) -> int:
    """Count the text records of one document."""
    return max(1, -(-len(text) // RECORD))


def of_batch(batch: Batch) -> int:
    """Count the text records of a batch."""
    return sum(text_records(document.text) for document in batch)


def price(records: float, per_thousand: float) -> float:
    """Say what text records cost, in the currency of the price."""
    return records / PRICED * per_thousand


def correction(batch: Batch, pages: Sequence[JobState]) -> int:
    """Say how many text records more were billed for a batch than counted; fewer are negative.

    Only for results that tell: a document at fault is not billed then, and one of which nothing is told is as counted.
    """
    told = {name: count for page in pages for name, count in page.transactions.items()}
    if not told and not any(page.tells_cost for page in pages):
        return 0
    told |= dict.fromkeys((name for page in pages for name in page.faults), 0)
    return sum(told[each.wire_id] - text_records(each.text) for each in batch if each.wire_id in told)


class Meter:
    """A count that never falls: what was counted too much is left out of what comes next."""

    __slots__ = ("_too_much",)

    def __init__(self) -> None:
        self._too_much = 0

    def count(self, records: int) -> int:
        """Count more text records, or fewer; return by how many the sum grows."""
        records -= self._too_much
        self._too_much = max(0, -records)
        return max(0, records)
