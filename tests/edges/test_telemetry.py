"""The wrappers that measure the ports: what they count, and that what they hold is bounded."""

from collections.abc import Sequence

import pytest

from entity_stream.core.model import Outcome, Partition, Reason, Record, Rejected
from entity_stream.edges.telemetry import MOST_REASONS, Metrics, ObservedLedger
from entity_stream.ports import Lease, unlimited

pytestmark = pytest.mark.asyncio

HERE = Partition("in", 0, 1)


class Nowhere:
    """A ledger that takes everything, or nothing."""

    def __init__(self, *, settles: bool = True) -> None:
        self._settles = settles

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> bool:
        return self._settles

    async def prove(self) -> Lease | None:
        return unlimited


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


async def test_what_is_not_settled_is_counted_as_that_and_no_outcome() -> None:
    """An outcome counts once it is committed; a settle that came to nothing is one for whoever reads next."""
    metrics = Metrics()
    ledger = ObservedLedger(Nowhere(settles=False), metrics)
    assert await ledger.settle(HERE, [Rejected(Record(HERE, 0, None, b""), Reason("code", ""))], 1, b"") is False
    assert metrics.registry.get_sample_value("entity_stream_commits_refused_total") == 1
    assert metrics.registry.get_sample_value("entity_stream_rejected_total", {"reason": "code"}) is None
