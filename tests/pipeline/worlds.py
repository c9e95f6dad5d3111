"""The outside of the pipeline, in memory: a log, an endpoint and a ledger that asserts at every commit.

Faults come from a seed. The ledger keeps the promises by checking them when they could first be broken:
nothing is committed that is not published, no key is published out of order, nothing of an old epoch counts.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct, json

from entity_stream.core import journal
from entity_stream.core.model import (
    Annotated,
    Batch,
    Deleted,
    Job,
    Model,
    Outcome,
    Partition,
    Reason,
    Record,
    Rejected,
    Route,
)
from entity_stream.core.ordering import Order
from entity_stream.core.probe import PROBE
from entity_stream.core.verdict import (
    Again,
    Done,
    Freeze,
    Halve,
    Judged,
    Park,
    PollVerdict,
    Running,
    SubmitVerdict,
    Wait,
)
from entity_stream.ports import Claim, Fetched, Lease, Release, StartAgain

TOPIC = "in"
MODEL = Model("project", "deployment")
NAMES = ("default", "another", "west", "east", "north")
"""What resources are called in these worlds."""
SKEW = 1_700_000_000.25
"""Seconds by which the endpoint's clock is ahead; of the moment a job began it tells whole ones only."""


def now() -> float:
    return asyncio.get_running_loop().time()


class Faults(Struct, frozen=True):
    """How often what goes wrong; each a probability per call unless it says otherwise."""

    trouble: float = 0.0  # 429, 5xx or silence, on submit and on poll
    job: float = 0.0  # a job that fails, vanishes or is cancelled
    missing: float = 0.0  # a result without one of its ids, per document
    acknowledgement: float = 0.0  # a settle that is done but whose answer is lost: the ledger does it again
    lost: float = 0.0  # a settle whose end nobody learns: it is done, or half done, or not at all, and the run ends
    silence: float = 0.0  # a submit that is taken, but whose answer never comes
    outage: tuple[float, float] = (0.0, 0.0)  # seconds from and until nothing answers
    parked: tuple[float, float] = (0.0, 0.0)  # seconds from and until the key is refused


class Log:
    """The input topic: what every reader of it shares, and what survives a crash."""

    def __init__(self, records: Sequence[Record], marks: int = 0) -> None:
        """Hold these records, and so many marks of transactions behind the last one of each partition."""
        self.marks = marks
        self.records: dict[int, list[Record]] = defaultdict(list)
        for record in records:
            self.records[record.partition.index].append(record)
        self.committed: dict[int, int] = dict.fromkeys(self.records, 0)
        self.journals: dict[int, bytes] = dict.fromkeys(self.records, b"")
        self.published: dict[tuple[int, int], list[Outcome]] = defaultdict(list)
        self.epochs: dict[int, int] = dict.fromkeys(self.records, 0)
        self.highest: dict[tuple[object, bytes | None], int] = {}  # offset published, per lane
        self.barrier: dict[tuple[object, bytes | None], int] = {}  # offset of the tombstone published last

    def end(self) -> dict[int, int]:
        """The position of each partition once all of it is finished."""
        return {index: records[-1].offset + 1 + self.marks for index, records in self.records.items()}

    def finished(self) -> bool:
        return self.committed == self.end()

    def settled(self, index: int) -> Callable[[int], bool]:
        """Tell of an offset whether the last commit says that it is finished."""
        position, metadata = self.committed[index], self.journals[index]
        said = journal.read(metadata, position) if metadata else journal.Journal(position, position)
        open_ = said.owed()
        return lambda offset: offset < said.end and offset not in open_

    def named(self, index: int) -> dict[int, str]:
        """Tell which job the last commit names for which offset, and whose it is."""
        metadata = self.journals[index]
        jobs = journal.read(metadata).jobs if metadata else ()
        names = {journal.mark(name): name for name in NAMES}
        return {offset: f"{names[job.mark]} {job.id}" for job in jobs for offset in job.pending()}


class LogSource:
    """Reads the log in chunks; partitions can be taken away and given back."""

    def __init__(self, log: Log, rng: random.Random, chunks: tuple[int, int]) -> None:
        self.log, self._rng, self.chunks = log, rng, chunks
        self.held: dict[Partition, int] = {}  # the index in records of what is read next
        self._unclaimed = list(log.records)
        self._release: Release | None = None
        self.reads = 0

    def on_revoke(self, release: Release) -> None:
        self._release = release

    async def rebalance(self, indexes: Collection[int]) -> None:
        """Take partitions away and give them back, as a new epoch, at what was committed."""
        gone = [partition for partition in self.held if partition.index in indexes]
        assert self._release
        await self._release(gone)
        for partition in gone:
            self.log.epochs[partition.index] += 1
            del self.held[partition]
        self._unclaimed += [partition.index for partition in gone]

    async def read(self, wait: float, without: Collection[Partition] = ()) -> Fetched:
        await asyncio.sleep(0.01)
        claims = []
        while self._unclaimed:
            index = self._unclaimed.pop()
            partition = Partition(TOPIC, index, self.log.epochs[index])
            position = self.log.committed[index]
            self.held[partition] = sum(record.offset < position for record in self.log.records[index])
            claims.append(Claim(partition, position, self.log.journals[index]))
        records = [record for partition in self.held if partition not in without for record in self._some(partition)]
        if not records:
            await asyncio.sleep(wait)
        self.reads += len(records)
        return Fetched(claims, records, {partition: self._reached(partition) for partition in self.held})

    def _reached(self, partition: Partition) -> int:
        """Say below which offset of a partition all is read."""
        records, index = self.log.records[partition.index], self.held[partition]
        return records[index].offset if index < len(records) else self.log.end()[partition.index]

    def _some(self, partition: Partition) -> list[Record]:
        start = self.held[partition]
        self.held[partition] = start + self._rng.randint(*self.chunks)
        some = self.log.records[partition.index][start : self.held[partition]]
        self.held[partition] = start + len(some)
        return [Record(partition, r.offset, r.key, r.value, r.headers, r.timestamp) for r in some]


class Endpoint:
    """Answers with verdicts. What a document's text says is what becomes of it."""

    def __init__(
        self, rng: random.Random, faults: Faults, duration: Callable[[], float] | None = None, name: str = "default"
    ) -> None:
        self._rng, self._faults, self.name = rng, faults, name
        self._duration = duration or (lambda: rng.uniform(0.1, 20.0))
        self.began: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self._frozen = {"submit": 0.0, "poll": 0.0}
        self._spared: dict[str, int] = defaultdict(int)  # faults that a document has suffered
        self.submits: list[tuple[float, Batch]] = []
        self.probes: list[tuple[float, Batch]] = []
        self._batches: dict[str, Batch] = {}
        self.polls: dict[str, int] = defaultdict(int)
        self.under_way = self.peak = 0
        self.good: dict[str, str] = {}  # the job that is paid for and may bring the result, per document
        self.billed_twice: list[tuple[str, str]] = []
        self._doubted: set[str] = set()
        self.epochs: dict[int, int] | None = None  # what may be submitted, where a test says so
        self.route: Route | None = None  # what is submitted here

    def beside(self, other: "Endpoint") -> "Endpoint":
        """Keep books together with another endpoint."""
        self.good, self.billed_twice, self._spared = other.good, other.billed_twice, other._spared
        return self

    def meet_a_new_process(self) -> None:
        """Forgive whoever was told to wait: a new process knows nothing of it."""
        self._frozen = {"submit": 0.0, "poll": 0.0}

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        assert batch
        assert len(batch) <= 25
        assert batch is PROBE or {document.route for document in batch} == {self.route}, "routes are mixed up"
        if not lease():
            return Wait("the lease has ended")
        if self.epochs is not None and batch is not PROBE:
            held = {d.record.partition for d in batch}
            assert all(self.epochs[p.index] == p.epoch for p in held), "submitted what is no longer ours"
        if trouble := await self._trouble("submit"):
            return trouble
        if any(document.text == "poison" for document in batch):
            return Halve(Reason("InvalidDocument", "poison"))
        told = self.probes if batch is PROBE else self.submits
        job = Job(f"{'probe' if batch is PROBE else 'job'}-{len(self.ends)}", self.name)  # others name theirs alike
        told.append((now(), batch))
        self.began[job.id], self.ends[job.id] = now(), now() + self._duration()
        self._batches[job.id] = batch
        if self._rng.random() < self._faults.silence:
            return Wait("silence")
        if batch is not PROBE:
            self._bill(job, batch)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        return Done(job)

    def _bill(self, job: Job, batch: Batch) -> None:
        for document in batch:
            if earlier := self.good.get(document.wire_id):
                self.billed_twice.append((document.wire_id, earlier))
            self.good[document.wire_id] = f"{job.resource} {job.id}"

    def _fail(self, batch: Batch) -> None:
        for document in batch:
            self.good.pop(document.wire_id, None)

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        assert job.resource == self.name, "asked for a job of another"
        assert (
            self.epochs is None
            or batch is PROBE
            or all(
                self.epochs[document.record.partition.index] == document.record.partition.epoch for document in batch
            )
        ), "asked for the result of what is no longer ours: it would count for the next owner, too"
        self.polls[job.id] += 1
        if trouble := await self._trouble("poll"):
            return trouble
        if now() < self.ends[job.id]:
            return Running()
        self.under_way -= 1
        if self._rng.random() < self._faults.job and self._spare(batch):
            certain = self._rng.random() < 0.5
            if certain or job.id in self._doubted:
                self._fail(batch)
            self._doubted.add(job.id)
            return Again("InternalServerError: failed", certain=certain)
        missing = tuple(d for d in batch if self._rng.random() < self._faults.missing and self._spare((d,)))
        self._fail(missing)
        annotates = any(d.text != "refused" for d in self._batches[job.id] if d not in missing)
        if not annotates:
            self._fail(batch)  # nobody need believe that
        outcomes = tuple(self._outcome(d.record, d.text, d.id) for d in batch if d not in missing)
        began = float(int(self.began[job.id] + SKEW))
        return Done(Judged(outcomes, missing, began, self.ends[job.id] + SKEW, annotates))

    def _outcome(self, record: Record, text: str, name: str) -> Outcome:
        if text == "refused":
            return Rejected(record, Reason("UnsupportedLanguageCode", "refused"))
        return Annotated(record, name, (), MODEL)

    def _spare(self, batch: Batch) -> bool:
        """Let no document suffer so often that it would be given up."""
        if any(self._spared[document.wire_id] >= 2 for document in batch):
            return False
        for document in batch:
            self._spared[document.wire_id] += 1
        return True

    async def _trouble(self, operation: str) -> Wait | Freeze | Park | None:
        assert now() >= self._frozen[operation], f"{operation} was called while it was frozen"
        await asyncio.sleep(0.05)
        if self._faults.outage[0] <= now() < self._faults.outage[1]:
            return Wait("outage")
        if self._faults.parked[0] <= now() < self._faults.parked[1]:
            return Park("401: the key is refused")
        if self._rng.random() >= self._faults.trouble:
            return None
        if self._rng.random() < 0.5:
            return Wait("503")
        if self._rng.random() < 0.5:
            return Freeze("429", None)
        seconds = self._rng.uniform(0.5, 5.0)
        self._frozen[operation] = max(self._frozen[operation], now() + seconds)
        return Freeze("429", seconds)


class CheckingLedger:
    """Publishes and commits into the log, and checks every promise at every commit."""

    def __init__(
        self, log: Log, rng: random.Random, faults: Faults, order: Order, *, exactly_once: bool = False
    ) -> None:
        self._log, self._rng, self._faults, self._order = log, rng, faults, order
        self._exactly_once = exactly_once
        self._under_way: set[Partition] = set()
        self.away = False
        self.outcast = False
        self.lost = False
        self.settles = 0

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, metadata: bytes) -> bool:
        assert partition not in self._under_way, "two settles of one partition at once"
        assert len(metadata) <= journal.ROOM
        self._under_way.add(partition)
        try:
            while self.away:
                await asyncio.sleep(0.1)
            await self._settle(partition, outcomes, position, metadata)
            self.settles += 1
        finally:
            self._under_way.discard(partition)
        return True

    async def _settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, metadata: bytes) -> None:
        """Publish, then commit, or both at once; the run may be lost before, after, and, at least once, in between."""
        await asyncio.sleep(0.02)
        self._lose()
        if not self._exactly_once:
            self._publish(partition, outcomes)
            await asyncio.sleep(0.01)
            self._lose()
        if self._rng.random() < self._faults.acknowledgement:
            await asyncio.sleep(1.0)
        if self._exactly_once:
            self._publish(partition, outcomes)
        self._commit(partition, position, metadata)
        self._lose()

    def _lose(self) -> None:
        self.lost = self.lost or self._rng.random() < self._faults.lost
        if self.lost:
            raise StartAgain

    async def prove(self) -> Lease | None:
        """While it is away nobody can tell; an outcast is told."""
        while self.away:
            await asyncio.sleep(0.1)
        return None if self.outcast else lambda: not self.outcast

    def _publish(self, partition: Partition, outcomes: Sequence[Outcome]) -> None:
        settled = self._log.settled(partition.index)
        for outcome in outcomes:
            record = outcome.record
            assert record.partition == partition
            assert not settled(record.offset), f"{partition.index}:{record.offset} is published again"
            published = self._log.published[partition.index, record.offset]
            assert not (self._exactly_once and published), f"{partition.index}:{record.offset} is published twice"
            published.append(outcome)
            if record.key is not None or self._order is Order.PARTITION:
                place = partition.index if self._exactly_once else partition
                self._check_order(record, (place, None if self._order is Order.PARTITION else record.key))

    def _check_order(self, record: Record, lane: tuple[object, bytes | None]) -> None:
        alone = self._order is not Order.UNORDERED or record.value is None
        behind = self._log.highest if alone else self._log.barrier
        assert behind.get(lane, -1) < record.offset, f"{lane}: {record.offset} is out of order"
        self._log.highest[lane] = max(record.offset, self._log.highest.get(lane, -1))
        if record.value is None:
            self._log.barrier[lane] = record.offset

    def _commit(self, partition: Partition, position: int, metadata: bytes) -> None:
        index = partition.index
        assert partition.epoch == self._log.epochs[index], "a commit of an epoch that has ended"
        assert position >= self._log.committed[index], "the position went back"
        before = self._log.settled(index)
        self._log.committed[index], self._log.journals[index] = position, metadata
        settled = self._log.settled(index)
        for record in self._log.records[index]:
            assert settled(record.offset) or not before(record.offset), f"{index}:{record.offset} is forgotten"
            if settled(record.offset):
                assert self._log.published[index, record.offset], f"{index}:{record.offset} is not published"


def records(rng: random.Random, count: int, partitions: int = 3, keys: int = 8, odd: float = 0.1) -> list[Record]:
    """Documents in random places, with gaps; some poisoned, refused, broken or deleted, as their value says."""
    offsets = dict.fromkeys(range(partitions), 0)
    made = []
    for _ in range(count):
        index = rng.randrange(partitions)
        offsets[index] += rng.choice([1, 1, 1, 5])
        key = rng.choice([None, *(b"key-%d" % n for n in range(keys))])
        text = rng.choice(["poison", "refused"]) if rng.random() < odd else "all is well"
        value: bytes | None = json.encode({"text": text})
        if rng.random() < odd / 2:
            value = rng.choice([None, b"\xff", b"{}", b""])
        made.append(Record(Partition(TOPIC, index), offsets[index], key, value))
    return made


def fits(record: Record, outcome: Outcome) -> bool:
    """Tell whether an outcome is what the record deserves."""
    if record.value is None:
        return isinstance(outcome, Deleted if record.key is not None else Rejected)
    if record.value == json.encode({"text": "all is well"}):
        return isinstance(outcome, Annotated)
    return isinstance(outcome, Rejected)
