"""A line at work over HTTP, between a log in memory and the judge's endpoint: what goes in, what comes of it.

Whatever a test looks at, the judge looks at the whole: at its own books and at all that was published, by its rules.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from msgspec import json, structs

from entity_stream.core.batching import Limits
from entity_stream.core.model import Annotated, Outcome, Partition, Record, Rejected, Target
from entity_stream.core.quota import Rate
from entity_stream.edges.language_http import HttpLanguage, connect
from entity_stream.edges.telemetry import COUNTERS, Metrics
from entity_stream.pipeline import Line
from entity_stream.plan import LanguageEndpoint, Plan
from entity_stream.ports import Fetched
from tests.integration.stage import eventually
from tests.judge.books import Poll, Submit
from tests.judge.case import Evidence, Input, Kind
from tests.judge.case import Outcome as Published
from tests.judge.checker import Findings, check
from tests.judge.conditions import Conditions, Duration
from tests.judge.fates import mark_in
from tests.judge.process import Judge
from tests.pipeline.worlds import TOPIC, CheckingLedger, Faults, Log, LogSource

KEYS = ("key", *(f"key-{number}" for number in range(50)))
"""Lines that work side by side have a key each: faults can strike one of them, and the books tell them apart."""
CALM = Conditions(keys=KEYS, duration=Duration(0.02))

PLAN = Plan(
    limits=Limits(linger=0.01), window=8, quota=(Rate(600_000, 60.0),), park_for=0.1, drain_for=1.0, release_for=1.0
)
"""As in earnest, but for the pauses that a plan tells."""
ALONE = structs.replace(PLAN, limits=Limits(documents=1))
"""Each document is a job of its own."""
TIMEOUT = 5.0
"""Seconds that an answer may take: as few as two busy cores allow."""
PATIENCE = 60.0
"""Seconds after which whatever is waited for will not come."""


def document(offset: int, mark: str, key: bytes | None = None) -> Record:
    """Write a document whose text holds a mark."""
    return Record(Partition(TOPIC, 0), offset, key, json.encode({"text": f"<<{mark}>> the payments api is down"}))


def log_of(*marks: str) -> Log:
    """Write documents with these marks, in this order."""
    return Log([document(offset, mark) for offset, mark in enumerate(marks)])


def good(count: int, name: str = "good") -> list[str]:
    """Give marks that name no trouble."""
    return [f"{name}-{number}" for number in range(count)]


def append(log: Log, *marks: str) -> None:
    """Have more documents arrive."""
    log.records[0] += [document(offset, mark) for offset, mark in enumerate(marks, len(log.records[0]))]


class Brisk:
    """A source that looks again soon: what is appended to a log in memory wakes nobody."""

    def __init__(self, source: LogSource) -> None:
        self._source = source
        self.on_revoke = source.on_revoke

    async def read(self, wait: float, without: Collection[Partition] = ()) -> Fetched:
        """Pass on, with less patience."""
        return await self._source.read(min(wait, 0.02), without)


class Work:
    """A line at work, and ways to look at it."""

    def __init__(
        self, endpoint: Judge, log: Log, line: Line, language: HttpLanguage, metrics: Metrics, key: str
    ) -> None:
        self.log, self.line, self.language = log, line, language
        self.keys = {key}
        """Whose calls in the books are ours."""
        self._endpoint, self._metrics = endpoint, metrics

    async def done(self) -> None:
        """Wait until each record has its outcome and is committed."""
        await eventually(self.log.finished, PATIENCE)

    def outcomes(self) -> dict[str, Outcome]:
        """Give what is published, by the name of the document."""
        return {name_of(each.record): each for each in published(self.log)}

    def rejected(self) -> dict[str, str]:
        """Give the codes of the dead letters, by the name of the document."""
        return {name: each.reason.code for name, each in self.outcomes().items() if isinstance(each, Rejected)}

    def counted(self, name: str, **labels: str) -> int:
        """Read one of our counters."""
        of = labels | ({"resource": "default"} if "resource" in COUNTERS[name][1] else {})
        return int(self._metrics.registry.get_sample_value(f"entity_stream_{name}_total", of) or 0)

    def asked(self) -> int:
        """Count our calls so far, answered or not."""
        families = self._metrics.registry.collect()
        samples = [each for family in families if family.name == "entity_stream_calls" for each in family.samples]
        return int(sum(each.value for each in samples if each.name == "entity_stream_calls_total"))

    async def submits(self) -> list[Submit]:
        """Give our submits as the books have them, probes left out."""
        return [call for call in await self.calls() if isinstance(call, Submit) and not call.probe]

    async def probes(self) -> list[Submit]:
        """Give our probes as the books have them."""
        return [call for call in await self.calls() if isinstance(call, Submit) and call.probe]

    async def polls(self) -> list[Poll]:
        """Give our polls as the books have them."""
        return [call for call in await self.calls() if isinstance(call, Poll)]

    async def calls(self) -> list[Submit | Poll]:
        """Give all that we have asked as the books have it, in order."""
        events = await self._endpoint.events()
        return [event for event in events if isinstance(event, Submit | Poll) and event.who in self.keys]

    async def findings(self) -> Findings:
        """Have the judge say what is wrong, and what is not as it might be."""
        inputs = [_input(record) for records in self.log.records.values() for record in records]
        outcomes = [_published(outcome, place) for place, outcome in enumerate(published(self.log))]
        return check(Evidence(inputs, outcomes, self.log.committed, await self.calls(), ()))

    async def faultless(self) -> bool:
        """Tell whether nothing is lost, doubled, reordered, mixed up, undeserved, paid twice or early; say what is."""
        faults = (await self.findings()).faults()
        assert not faults, faults
        return True


@asynccontextmanager
async def at_work(endpoint: Judge, log: Log, plan: Plan = PLAN, **settings: str) -> AsyncIterator[Work]:
    """Work until the block ends, then drain. Settings are those of a LanguageEndpoint that are not the judge's."""
    resource = structs.replace(
        LanguageEndpoint(endpoint.url, "key", "project", "deployment", timeout=TIMEOUT), **settings
    )
    metrics, stop, dice = Metrics(), asyncio.Event(), random.Random(1)
    async with connect(resource, plan.window * 2) as transport, asyncio.TaskGroup() as group:
        source = Brisk(LogSource(log, dice, (1_000, 1_000)))
        ledger = CheckingLedger(log, dice, Faults(), plan.order)
        language = HttpLanguage(transport, resource, metrics)
        line = Line(source, {Target(): language}, ledger, plan, stop)
        group.create_task(line.run())
        try:
            yield Work(endpoint, log, line, language, metrics, resource.key)
        finally:
            stop.set()


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes; raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not await question():
            await asyncio.sleep(0.05)


async def side_by_side(story: Callable[[str, str], Awaitable[None]], whats: Collection[str]) -> None:
    """Tell a story of each trouble, all at the same time: so they last as long as the longest. Each has its own key."""
    async with asyncio.TaskGroup() as group:
        for what, key in zip(whats, KEYS[: len(whats)], strict=True):
            group.create_task(_told(story, what, key))


async def _told(story: Callable[[str, str], Awaitable[None]], what: str, key: str) -> None:
    try:
        await story(what, key)
    except BaseException as error:
        error.add_note(f"in the story of {what}")
        raise


# what the judge is told


def name_of(record: Record) -> str:
    """Name a record as its mark does, else by its place."""
    mark = mark_in((record.value or b"").decode(errors="replace"))
    return mark.name if mark else f"{record.partition.index}-{record.offset}"


def published(log: Log) -> list[Outcome]:
    """Give what is published, in order of first publication."""
    return [outcome for outcomes in log.published.values() for outcome in outcomes]


def _input(record: Record) -> Input:
    mark = mark_in((record.value or b"").decode(errors="replace"))
    trouble = "" if mark is None or mark.trouble is None else mark.trouble
    return Input(
        name_of(record),
        record.partition.index,
        record.offset,
        record.key,
        fate=f"{trouble}*{mark.times}" if mark and mark.times else trouble,
        aborted=False,
        tombstone=record.value is None and record.key is not None,
        valid=mark is not None,  # in these tests whatever is a document has one
        at=0.0,
    )


def _published(outcome: Outcome, place: int) -> Published:
    record, entities = outcome.record, outcome.entities if isinstance(outcome, Annotated) else ()
    kind: Kind = (
        "annotated" if isinstance(outcome, Annotated) else "rejected" if isinstance(outcome, Rejected) else "deleted"
    )
    return Published(
        name_of(record),
        kind,
        record.key,
        topic="dead letters" if kind == "rejected" else "output",
        partition=0,
        offset=place,
        at=0.0,
        found=tuple(each.text for each in entities if each.category == "Name"),
        source=(record.partition.index, record.offset),
    )
