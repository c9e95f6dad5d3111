"""What is measured, with how much work: a value, so that the command line can scale it and a test can read it.

The rule that keeps it honest: all contenders get the same kind of documents and jobs, from the same endpoint. Only
their number differs, so that a round takes all about as long; what is compared is per second and per document.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tests.judge.conditions import Conditions, Duration, Limit

BATCH, WINDOW = 25, 64
"""Documents in a job, and jobs in flight, of any contender."""

PARTITIONS = 6

ONE_WINDOW = BATCH * WINDOW
"""Documents that are under way before there is any entity. Measuring begins when so many are out: until then a
contender has worked for them unseen, and a loop that publishes whole windows would be given the first for nothing."""


STRIKES_EVENLY = 995
"""A seed of the endpoint's dice: of its first 500 jobs those numbered 43, 112, 194, 397 and 450 are slow, so that some
of those are who have few jobs."""


class Contender(StrEnum):
    """Who is measured: the service, as it delivers, the plain loop, and what a user would pick from PyPI instead."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"
    PLAIN = "plain loop"
    FASTSTREAM = "FastStream"
    ARROYO = "sentry-arroyo"
    SDK = "Azure SDK"


MODES = (Contender.AT_LEAST_ONCE, Contender.EXACTLY_ONCE)
"""How the service delivers."""

FRAMEWORKS = (Contender.FASTSTREAM, Contender.ARROYO)
"""What runs as many jobs at once as the service. The SDK runs one after another: where jobs take no time it would
still wait for its first poll, so it is measured in A alone."""

OPPONENTS = (Contender.PLAIN, *FRAMEWORKS)


class Scenario(Struct, frozen=True):
    """Jobs of one kind, and what each contender is given of them."""

    name: str
    title: str
    job_takes: float
    """Seconds, whatever the job holds."""
    per_document: float
    """Seconds more for each of its documents."""
    poll_every: float
    """Seconds between two polls of the plain loop and the frameworks; the service and the SDK find their own."""
    documents: Mapping[Contender, int]
    """For each contender that takes part."""
    characters: int = 2_000

    @property
    def whole_job_takes(self) -> float:
        """Seconds that a full job takes."""
        return self.job_takes + BATCH * self.per_document

    @property
    def allowed(self) -> float:
        """Documents a second that the window allows, were each job replaced the moment it ends."""
        return ONE_WINDOW / self.whole_job_takes

    @property
    def conditions(self) -> Conditions:
        """How the endpoint behaves: quick or slow, and never in anybody's way."""
        return Conditions(duration=Duration(fixed=self.job_takes, per_document=self.per_document))


class Throttle(Struct, frozen=True):
    """Work that a quota bounds, and how the quota moves meanwhile."""

    name: str
    title: str
    kind: str
    """Of the endpoint's limiter."""
    told: int
    """Submits a second that the service is told."""
    quotas: tuple[int, ...]
    """Submits a second, one after another."""
    each: float
    """Seconds until the next quota holds."""
    job_takes: float
    per_document: float
    poll_every: float
    documents: Mapping[Contender, int]
    characters: int = 2_000

    def conditions(self, quota: int) -> Conditions:
        """How the endpoint behaves while a quota holds: it counts submits alone."""
        duration = Duration(fixed=self.job_takes, per_document=self.per_document)
        limit = Limit(kind=self.kind, calls=quota, seconds=1, operations=("submit",))  # type: ignore[arg-type]
        return Conditions(duration=duration, limits=(limit,))


class Load(Struct, frozen=True):
    """Documents that come one by one, far fewer than the service could take."""

    name: str
    title: str
    job_takes: float
    per_second: int
    seconds: int
    settling: int
    """Seconds before these that are not looked at: who has just started knows nothing of the jobs yet."""
    characters: int = 2_000
    per_document: float = 0.0
    tail_rate: float = 0.0
    """Of so many jobs each takes `tail_seconds` longer."""
    tail_seconds: float = 0.0
    contenders: tuple[Contender, ...] = MODES

    @property
    def conditions(self) -> Conditions:
        """How the endpoint behaves."""
        duration = Duration(
            fixed=self.job_takes,
            per_document=self.per_document,
            tail_rate=self.tail_rate,
            tail_seconds=self.tail_seconds,
        )
        return Conditions(duration=duration, seed=STRIKES_EVENLY)


class Size(Struct, frozen=True):
    """A backlog that a warm service clears."""

    documents: int
    """What waits at once."""
    partitions: int
    times: int = 1
    """How often so many wait, one backlog after another, in one turn."""


class Waiting(Struct, frozen=True):
    """Records that wait in Kafka while the endpoint refuses."""

    name: str
    title: str
    records: int
    giants: bool = False
    """Records of nearly 1 MB, a quarter of them documents, the others too long to be any."""
    seconds: int = 60
    settling: int = 10
    """Seconds after the start that are not looked at."""


class Plan(Struct, frozen=True):
    """All that a run of the benchmark does."""

    rounds: int
    scenarios: tuple[Scenario, ...] = ()
    bare_documents: int = 0
    """For the bare client, in each round of B; 0 leaves it out."""
    throttles: tuple[Throttle, ...] = ()
    loads: tuple[Load, ...] = ()
    tails: tuple[Load, ...] = ()
    sizes: tuple[Size, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    short: bool = False


PARTS = ("b", "a", "c", "moving", "g", "l", "growth", "bare", "memory")
SHORT_PARTS = ("b", "c", "memory")
DOCUMENTS, SHORT_DOCUMENTS = 60_000, 20_000
ROUNDS, SHORT_ROUNDS = 5, 1

STEADY = Load("L", "100 documents/s, 50 ms jobs: nothing is at its limit", 0.05, per_second=100, seconds=10, settling=3)
MILLION = Waiting("million", "1,000,000 records of 300 characters", 1_000_000)
GIANTS = Waiting("giants", "240 records of nearly 1 MB, three in four too long", 240, giants=True)
SHORT_WAIT = Waiting("waiting", "100,000 records of 300 characters", 100_000, seconds=15, settling=5)

LIMITERS: Final = {"tokenBucket": "token bucket", "fixedWindow": "fixed windows", "slidingWindow": "sliding window"}
QUOTA = 10
"""Submits a second in C: 250 documents a second."""
C_SECONDS, SHORT_C_SECONDS = 20, 8
"""What each is given takes a perfect client so long; those who are slower take longer."""
MOVING = Throttle(
    "C'",
    "a quota of 50 submits/s that halves after 20 s and doubles after 20 s more",
    kind="tokenBucket",
    told=50,
    quotas=(50, 25, 50),
    each=20.0,
    job_takes=0.4,
    per_document=0.0,
    poll_every=0.5,
    documents={
        Contender.AT_LEAST_ONCE: 64_000,
        Contender.PLAIN: 50_000,
        Contender.FASTSTREAM: 34_000,
        Contender.ARROYO: 62_000,
    },
)
"""Each is given a little more than it gets done in the minute."""

TAIL = Load(
    "G",
    "200 documents/s, jobs of 0.8 s + 10 ms a document, one in a hundred 20 s longer",
    job_takes=0.8,
    per_document=0.01,
    tail_rate=0.01,
    tail_seconds=20.0,
    per_second=200,
    seconds=30,
    settling=5,
    contenders=(Contender.AT_LEAST_ONCE, *OPPONENTS),
)

SDK_JOBS = 6
"""At five seconds each."""

WARM = 20_000
"""Documents that the service has done before it is measured."""
USUAL = Size(100_000, PARTITIONS)
"""What all else is held against."""
OTHERS = Size(1_000, PARTITIONS, times=60), Size(10_000, PARTITIONS, times=8), Size(100_000, 10 * PARTITIONS)
"""What is soon gone waits again and again, so that there is enough to measure."""
TURNS = 3
SIZES = (*(each for other in OTHERS * TURNS for each in (USUAL, other)), USUAL, Size(1_000_000, PARTITIONS), USUAL)
"""In turn, in each round."""


def plan(
    *, rounds: int | None = None, documents: int | None = None, only: str | None = None, short: bool = False
) -> Plan:
    """Lay out a run: `documents` for the service in B, A in proportion; `only` one of PARTS."""
    parts = {only} if only else set(SHORT_PARTS if short else PARTS) - {"bare"}
    count = documents or (SHORT_DOCUMENTS if short else DOCUMENTS)
    scenarios = {"b": ceiling(count), "a": latency(count)}
    return Plan(
        rounds=rounds or (SHORT_ROUNDS if short else ROUNDS),
        scenarios=tuple(scenario for name, scenario in scenarios.items() if name in parts),
        bare_documents=in_windows(count / 2) if parts & {"b", "bare"} else 0,
        throttles=_throttles(parts, short=short),
        loads=(STEADY,) if "l" in parts else (),
        tails=(TAIL,) if "g" in parts else (),
        sizes=SIZES if "growth" in parts else (),
        waiting=() if "memory" not in parts else (SHORT_WAIT,) if short else (MILLION, GIANTS),
        short=short,
    )


def _throttles(parts: set[str], *, short: bool) -> tuple[Throttle, ...]:
    bound = [quota_bound("tokenBucket", SHORT_C_SECONDS, ())] if short else []
    bound = bound or [quota_bound(kind, C_SECONDS, OPPONENTS) for kind in LIMITERS]
    return (*(bound if "c" in parts else ()), *([MOVING] if "moving" in parts else ()))


def ceiling(documents: int) -> Scenario:
    """B: jobs so short that the contender's own CPU is the limit."""
    title = "50 ms jobs: the limit is the contender's own CPU"
    given = dict.fromkeys(MODES, in_windows(documents)) | dict.fromkeys(OPPONENTS, in_windows(documents / 4))
    quick = {Contender.ARROYO: in_windows(documents / 2)}
    return Scenario("B", title, 0.05, 0.0, 0.05, given | quick)


def latency(documents: int) -> Scenario:
    """A: jobs as long as recorded ones; the plain loop asks each second, first after one: twice for most jobs."""
    title = "0.8 s + 10 ms a document: the limit is how long jobs take"
    given = dict.fromkeys(MODES, in_windows(documents / 2)) | dict.fromkeys(OPPONENTS, in_windows(documents / 5))
    return Scenario("A", title, 0.8, 0.01, 1.0, given | {Contender.SDK: SDK_JOBS * BATCH})


def allowed() -> float:
    """Documents a second that the window allows in A, whatever the number of documents."""
    return latency(DOCUMENTS).allowed


def quota_bound(kind: str, seconds: int, opponents: tuple[Contender, ...]) -> Throttle:
    """C: a quota far below what anybody could do, as one of the limiters counts it."""
    count = QUOTA * seconds * BATCH
    return Throttle(
        f"C {LIMITERS[kind]}",
        f"a quota of {QUOTA} submits/s, counted by {LIMITERS[kind]}; jobs as in A",
        kind,
        told=QUOTA,
        quotas=(QUOTA,),
        each=0.0,
        job_takes=0.8,
        per_document=0.01,
        poll_every=1.0,
        documents={Contender.AT_LEAST_ONCE: count, **dict.fromkeys(opponents, count)},
    )


def unseen(contender: Contender) -> int:
    """Say how many documents must be out before measuring begins: what the contender has under way at once."""
    return BATCH if contender is Contender.SDK else ONE_WINDOW


def half(documents: int, whole: int = ONE_WINDOW) -> int:
    """Say how many of some whole windows are the first half of them, in whole windows as well."""
    return documents // whole // 2 * whole


def in_windows(documents: float) -> int:
    """Round to whole windows, two at least: in the first nothing is measured."""
    return max(2, round(documents / ONE_WINDOW)) * ONE_WINDOW
