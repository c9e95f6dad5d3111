"""The wrappers that measure the ports: what they count, and that what they hold is bounded."""

from collections.abc import Sequence

import pytest

from entity_stream.core.model import Outcome, Partition, Reason, Record, Rejected
from entity_stream.edges.telemetry import MOST_REASONS, Metrics, ObservedLedger

pytestmark = pytest.mark.asyncio

HERE = Partition("in", 0, 1)


class Nowhere:
    """A ledger that takes everything."""

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> None:
        pass

    async def prove(self) -> bool:
        return True


async def test_an_endpoint_that_makes_up_codes_does_not_fill_the_memory() -> None:
    """So many codes are counted apart and no more; the rest is counted together, and nothing goes uncounted."""
    metrics = Metrics()
    ledger = ObservedLedger(Nowhere(), metrics)
    codes = [f"made-up-{n}" for n in range(MOST_REASONS + 50)]
    outcomes = [Rejected(Record(HERE, n, None, b""), Reason(code, "")) for n, code in enumerate(codes)]
    await ledger.settle(HERE, outcomes, len(outcomes), b"")
    await ledger.settle(HERE, outcomes[:1], len(outcomes), b"")
    counts = {
        sample.labels["reason"]: sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "entity_stream_rejected_total"
    }
    assert len(counts) == MOST_REASONS + 1
    assert counts["made-up-0"] == 2
    assert counts["other"] == 50
