"""The wrappers that measure the ports: what they count, and that what they hold is bounded."""

import math
import time
from collections.abc import Sequence

import msgspec
import pytest

from entity_stream.core.forecast import Forecast, Strain
from entity_stream.core.model import Outcome, Partition, Reason, Record, Rejected
from entity_stream.edges.telemetry import FORESEEN, MOST_REASONS, Gauges, Metrics, ObservedLedger
from entity_stream.plan import Plan, Vitals
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


VITALS = Vitals({}, in_flight=0, bytes_held=0, draining=False, parked=None, resources={})
FORESEEN_NOW = Forecast(1_200, 10.0, 12.0, 2, 6, Strain(window=1.0, quota=0.2))


def scraped(vitals: Vitals, lags: dict[tuple[str, int], int], forecast: Forecast | None) -> Metrics:
    """Show what a line would."""
    metrics = Metrics()
    metrics.registry.register(Gauges(lambda: vitals, lambda: lags, lambda: forecast, Plan()))
    return metrics


async def test_lag_in_seconds_is_the_age_of_what_has_waited_longest() -> None:
    """0 where nothing waits; nothing where records wait that were not read yet, as nobody knows how old they are."""
    busy, idle, unread = (Partition("in", index, 4) for index in range(3))
    oldest = {busy: int(time.time() * 1000) - 90_000}
    vitals = msgspec.structs.replace(VITALS, unfinished=dict.fromkeys((busy, idle, unread), 0), oldest=oldest)
    shown = scraped(vitals, {("in", 0): 7, ("in", 1): 0, ("in", 2): 5}, None).registry

    def seconds(index: int) -> float | None:
        return shown.get_sample_value("entity_stream_lag_seconds", {"topic": "in", "partition": str(index)})

    assert seconds(0) == pytest.approx(90, abs=5)
    assert (seconds(1), seconds(2)) == (0.0, None)


async def test_what_is_foreseen_is_shown_once_it_is_known() -> None:
    """Nothing before two looks at the group; after them its backlog, its rates, and that it will never be gone."""
    before, after = scraped(VITALS, {}, None).registry, scraped(VITALS, {}, FORESEEN_NOW).registry
    assert [before.get_sample_value(f"entity_stream_{name}") for name in FORESEEN] == [None] * 5
    wanted = FORESEEN_NOW.desired_replicas(Plan().clear_within)
    assert [after.get_sample_value(f"entity_stream_{name}") for name in FORESEEN] == [1_200, 10, 12, math.inf, wanted]
