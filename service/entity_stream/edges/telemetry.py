"""Every metric with its sentence, and the wrappers that measure the ports from outside.

What happens is counted here, what is is asked from the running line whenever somebody looks. The
README's table is checked against this file.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily

from entity_stream import moments
from entity_stream.core.forecast import Forecast
from entity_stream.core.model import Annotated, Batch, Job, Outcome, Partition, Rejected
from entity_stream.core.probe import PROBE, failure, passed
from entity_stream.core.verdict import Again, Done, PollVerdict, SubmitVerdict
from entity_stream.plan import Plan, Vitals
from entity_stream.ports import Fetched, Language, Lease, Ledger, Release, Source

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DOCUMENTS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 24.0, 25.0)

MOST_REASONS = 100
"""Codes of rejections that are counted apart: an endpoint may make up as many as it likes."""

COUNTERS = {
    "records_read": ("Records read from the input topic.", ()),
    "outcomes": ("Records whose outcome is published and committed.", ("outcome",)),
    "rejected": ("Records sent to the dead-letter topic.", ("reason",)),
    "calls": (
        "Requests to the API, by HTTP status, or 'silence' where no answer came.",
        ("resource", "operation", "status"),
    ),
    "throttled": ("Requests that the API answered with 429.", ("resource", "operation")),
    "jobs": ("Jobs that ended: done with results, or again without.", ("resource", "end")),
    "missing_results": ("Documents that the result of their job did not speak of.", ()),
    "possibly_billed": (
        "Documents of submits that may have been accepted although no answer says so.",
        ("resource",),
    ),
    "text_records": (
        "Text records billed: those of accepted submits by their characters, set right by what the results tell.",
        ("resource", "project"),
    ),
    "possibly_billed_text_records": (
        "Text records of submits that may have been accepted although no answer says so.",
        ("resource", "project"),
    ),
    "cost": (
        "Price of the text records, in the currency of PRICE_PER_1000_TEXT_RECORDS; none where no price is set.",
        ("resource", "project"),
    ),
    "probes": ("Probe documents that the API has judged: passed, or failed as all else does.", ("result",)),
    "refused_by_broker": ("Outcomes that the broker would not take; they became dead letters.", ()),
    "values_dropped": ("Dead letters too large for the broker, sent without their value.", ()),
    "commits_refused": ("Settles that came to nothing because the group had rebalanced.", ()),
    "lost_to_retention": ("Offsets deleted by the broker before they were read.", ("topic", "partition")),
    "logs_replaced": (
        "Partitions that ended below their committed position and are read anew.",
        ("topic", "partition"),
    ),
    "journals_ignored": (
        "Journals of a commit that were foreign, or of another log: reading begins at the position.",
        ("topic", "partition"),
    ),
    "restarts": ("Runs that lost their producer or a settle, and were started again from what is committed.", ()),
}
HISTOGRAMS = {
    "stage_seconds": (
        "Time that one act of a stage took; batch: from the read to the submit; commit: with the pause before it.",
        ("stage",),
        SECONDS,
    ),
    "latency_seconds": ("Time from a record's timestamp to the commit of its outcome.", (), SECONDS),
    "batch_documents": ("Documents in one submit.", (), DOCUMENTS),
}
GAUGES = {
    "jobs_in_flight": ("Jobs that the API accepted and that are not known to have ended.", ("resource",)),
    "window_jobs": ("Jobs that may be in flight.", ()),
    "held_bytes": ("Memory charged to records that are read and not settled.", ()),
    "memory_bytes": ("Memory at which reading stops.", ()),
    "partitions": ("Input partitions that are assigned to this replica.", ()),
    "parked": ("1 while a resource refuses key, project or deployment, or rejects even a probe.", ("resource",)),
    "shut": (
        "1 while an operation is tried by one caller at a time, because it brings no answer of use.",
        ("resource", "operation"),
    ),
    "draining": ("1 from the stop to the end.", ()),
    "frozen_seconds": ("Seconds until an operation may be called again.", ("resource", "operation")),
    "quota_calls_per_second": (
        "Calls a second that this replica may make now: its share of the quota, less after a 429.",
        ("resource", "operation"),
    ),
    "quota_load": (
        "Part of the calls that may be made that was made of late: 1 while any waits for its slot.",
        ("resource",),
    ),
    "quota_share": (
        "Part of the quota that is this replica's, by its partitions and what others lend.",
        ("resource",),
    ),
    "superseded_records": (
        "Records of inherited jobs that the log had no more when they were to be read again: compaction took them.",
        (),
    ),
    "journal_full": (
        "1 while a partition waits for room in its journal: an older record keeps it full.",
        ("topic", "partition"),
    ),
    "unfinished_records": ("Records that are read and not settled.", ("topic", "partition")),
    "lag_records": (
        "Offsets between the committed position and the last stable offset of the partition.",
        ("topic", "partition"),
    ),
    "lag_seconds": (
        "Age of the oldest record that is read and not settled; 0 where nothing waits.",
        ("topic", "partition"),
    ),
    "backlog_records": ("Records that the whole group has not settled; each replica says the same.", ()),
    "settled_per_second": ("Records that the whole group settles, over a minute.", ()),
    "arrived_per_second": ("Records that arrive in the group's topics, over a minute.", ()),
    "time_to_clear_seconds": (
        "Time until the backlog is gone if all goes on as it does; +Inf: it does not shrink.",
        (),
    ),
    "desired_replicas": (
        "Replicas that would clear the backlog in time; no more than there are while the quota is the limit.",
        (),
    ),
}

FORESEEN = ("backlog_records", "settled_per_second", "arrived_per_second", "time_to_clear_seconds", "desired_replicas")
"""Gauges that two looks at the group tell, and nobody before."""


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._counters = {
            name: Counter(f"entity_stream_{name}", sentence, labels, registry=self.registry)
            for name, (sentence, labels) in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(f"entity_stream_{name}", sentence, labels, buckets=buckets, registry=self.registry)
            for name, (sentence, labels, buckets) in HISTOGRAMS.items()
        }

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter of the table above."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram of the table above."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one act of a stage, also one that fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observe("stage_seconds", time.perf_counter() - began, stage=name)


class Gauges:
    """What a running line shows to whoever asks; a collector of prometheus-client."""

    def __init__(
        self,
        look: Callable[[], Vitals],
        lags: Callable[[], Mapping[tuple[str, int], int]],
        forecast: Callable[[], Forecast | None],
        plan: Plan,
    ) -> None:
        self._look, self._lags, self._forecast, self._plan = look, lags, forecast, plan

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read every gauge of the table above once."""
        values = self._values()
        for name, (sentence, labels) in GAUGES.items():
            family = GaugeMetricFamily(f"entity_stream_{name}", sentence, labels=labels)
            for label_values, value in values[name].items():
                family.add_metric(label_values, value)
            yield family

    def _values(self) -> dict[str, dict[tuple[str, ...], float]]:
        vitals, lags = self._look(), self._lags()
        resources = vitals.resources.items()
        return self._foreseen() | {
            "jobs_in_flight": {(name,): health.in_flight for name, health in resources},
            "window_jobs": {(): self._plan.window},
            "held_bytes": {(): vitals.bytes_held},
            "memory_bytes": {(): self._plan.memory},
            "partitions": {(): len(vitals.unfinished)},
            "parked": {(name,): health.parked is not None for name, health in resources},
            "shut": {(name, op): health.shut[op] is not None for name, health in resources for op in health.shut},
            "draining": {(): vitals.draining},
            "frozen_seconds": {(name, op): health.frozen[op] for name, health in resources for op in health.frozen},
            "quota_calls_per_second": {
                (name, op): rate for name, health in resources for op, rate in health.rates.items() if rate < math.inf
            },
            "quota_load": {(name,): health.load for name, health in resources},
            "quota_share": {(name,): health.share for name, health in resources},
            "superseded_records": {(): vitals.superseded},
            "journal_full": {(p.topic, str(p.index)): p in vitals.full for p in vitals.unfinished},
            "unfinished_records": {(p.topic, str(p.index)): count for p, count in vitals.unfinished.items()},
            "lag_records": {(topic, str(index)): lag for (topic, index), lag in lags.items()},
            "lag_seconds": dict(_ages(vitals, lags)),
        }

    def _foreseen(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Read what the looks at the group tell; nothing before there are two of them."""
        if (seen := self._forecast()) is None:
            return {name: {} for name in FORESEEN}
        wanted = seen.desired_replicas(self._plan.clear_within)
        values = (seen.backlog, seen.settled, seen.arrived, seen.time_to_clear, wanted)
        return {name: {} if value is None else {(): value} for name, value in zip(FORESEEN, values, strict=True)}


def _ages(vitals: Vitals, lags: Mapping[tuple[str, int], int]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Tell the age of what each partition has waited for longest; none where what waits has not been read yet."""
    now = time.time()
    for partition in vitals.unfinished:
        place = partition.topic, str(partition.index)
        if (oldest := vitals.oldest.get(partition)) is not None:
            yield place, max(0.0, now - oldest / 1000)
        elif not lags.get((partition.topic, partition.index)):
            yield place, 0.0


class ObservedSource:
    """Counts what a source brings and times what reads took that brought something."""

    def __init__(self, source: Source, metrics: Metrics) -> None:
        self._source, self._metrics = source, metrics

    def on_revoke(self, release: Release) -> None:
        """Pass on."""
        self._source.on_revoke(release)

    async def read(self, wait: float, without: Collection[Partition] = ()) -> Fetched:
        """Pass on, and count the records."""
        began = time.perf_counter()
        fetched = await self._source.read(wait, without)
        if fetched.records:
            self._metrics.observe("stage_seconds", time.perf_counter() - began, stage="read")
            self._metrics.count("records_read", len(fetched.records))
        return fetched


class ObservedLanguage:
    """Measures batches as they are taken, and counts how jobs end."""

    def __init__(self, language: Language, metrics: Metrics) -> None:
        self._language, self._metrics = language, metrics

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        """Pass on, and measure the batch that was taken."""
        now = moments.now()
        verdict = await self._language.submit(batch, lease)
        if batch is PROBE:
            self._count_probe(verdict)
        elif isinstance(verdict, Done):
            self._metrics.observe("stage_seconds", max(0.0, now - batch[0].record.read_at), stage="batch")
            self._metrics.observe("batch_documents", len(batch))
        return verdict

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        """Pass on, and count how the job ended."""
        verdict = await self._language.poll(job, batch)
        if batch is PROBE:
            self._count_probe(verdict)
        elif isinstance(verdict, Done | Again):
            self._metrics.count("jobs", resource=job.resource, end=type(verdict).__name__.lower())
        return verdict

    def _count_probe(self, verdict: SubmitVerdict | PollVerdict) -> None:
        if passed(verdict) or failure(verdict):
            self._metrics.count("probes", result="passed" if passed(verdict) else "failed")


class ObservedLedger:
    """Counts outcomes once they are committed, and how long they took from the record's timestamp."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger, self._metrics = ledger, metrics
        self._reasons: set[str] = set()

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> bool:
        """Pass on, and count what is settled; of what is not, that it was not."""
        settled = await self._ledger.settle(partition, outcomes, position, journal)
        if settled:
            self._count(outcomes)
        else:
            self._metrics.count("commits_refused")
        return settled

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        now = time.time()
        kinds = dict.fromkeys(("annotated", "rejected", "deleted"), 0)
        for outcome in outcomes:
            kinds[type(outcome).__name__.lower()] += 1
            if isinstance(outcome, Rejected):
                self._metrics.count("rejected", reason=self._counted(outcome.reason.code))
            elif isinstance(outcome, Annotated):
                self._metrics.observe("latency_seconds", max(0.0, now - outcome.record.timestamp / 1000))
        for kind, count in kinds.items():
            self._metrics.count("outcomes", count, outcome=kind)

    async def prove(self) -> Lease | None:
        """Pass on."""
        return await self._ledger.prove()

    def _counted(self, code: str) -> str:
        if len(self._reasons) < MOST_REASONS:
            self._reasons.add(code)
        return code if code in self._reasons else "other"


class Metric(Struct, frozen=True):
    """One row of the documentation."""

    name: str
    kind: str
    labels: tuple[str, ...]
    sentence: str


def catalogue() -> list[Metric]:
    """List every metric of ours, under the name that a scrape shows."""
    rows = [Metric(f"entity_stream_{name}_total", "counter", labels, text) for name, (text, labels) in COUNTERS.items()]
    rows += [
        Metric(f"entity_stream_{name}", "histogram", labels, text) for name, (text, labels, _) in HISTOGRAMS.items()
    ]
    rows += [Metric(f"entity_stream_{name}", "gauge", labels, text) for name, (text, labels) in GAUGES.items()]
    return rows
