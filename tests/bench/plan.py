"""What is measured, with how much work: a value, so that the command line can scale it and a test can read it.

The rule that keeps it honest: all contenders get the same kind of documents and jobs, from the same endpoint. Only
their number differs, so that a round takes all about as long; what is compared is per second and per document.
"""

from enum import StrEnum

from msgspec import Struct

BATCH, WINDOW = 25, 64
"""Documents in a job, and jobs in flight, of any contender."""

PARTITIONS = 6

ONE_WINDOW = BATCH * WINDOW
"""Documents that are under way before there is any entity. Measuring begins when so many are out: until then a
contender has worked for them unseen, and a loop that publishes whole windows would be given the first for nothing."""


class Contender(StrEnum):
    """Who is measured: the service, as it delivers, and the plain loop."""

    AT_LEAST_ONCE = "at_least_once"
    EXACTLY_ONCE = "exactly_once"
    PLAIN = "plain loop"


MODES = (Contender.AT_LEAST_ONCE, Contender.EXACTLY_ONCE)
"""How the service delivers."""


class Scenario(Struct, frozen=True):
    """Jobs of one kind, and what each contender is given of them."""

    name: str
    title: str
    job_takes: float
    """Seconds, whatever the job holds."""
    per_document: float
    """Seconds more for each of its documents."""
    poll_every: float
    """Seconds between two polls of the plain loop; the service finds its own."""
    service_documents: int
    plain_documents: int
    characters: int = 2_000

    @property
    def whole_job_takes(self) -> float:
        """Seconds that a full job takes."""
        return self.job_takes + BATCH * self.per_document

    def documents_for(self, contender: Contender) -> int:
        """Say how many documents a contender is given."""
        return self.plain_documents if contender is Contender.PLAIN else self.service_documents


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
    scenarios: tuple[Scenario, ...]
    bare_documents: int
    """For the bare client, in each round of B; 0 leaves it out."""
    loads: tuple[Load, ...]
    waiting: tuple[Waiting, ...]
    short: bool = False


PARTS = ("b", "a", "l", "bare", "memory")
DOCUMENTS, SHORT_DOCUMENTS = 100_000, 20_000
ROUNDS, SHORT_ROUNDS = 5, 1

STEADY = Load("L", "100 documents/s, 50 ms jobs: nothing is at its limit", 0.05, per_second=100, seconds=10, settling=3)
MILLION = Waiting("million", "1,000,000 records of 300 characters", 1_000_000)
GIANTS = Waiting("giants", "240 records of nearly 1 MB, three in four too long", 240, giants=True)
SHORT_WAIT = Waiting("waiting", "100,000 records of 300 characters", 100_000, seconds=15, settling=5)


def plan(
    *, rounds: int | None = None, documents: int | None = None, only: str | None = None, short: bool = False
) -> Plan:
    """Lay out a run: `documents` for the service in B, all else in proportion; `only` one of PARTS."""
    parts = {only} if only else {"b", "memory"} if short else {"b", "a", "l", "memory"}
    count = documents or (SHORT_DOCUMENTS if short else DOCUMENTS)
    scenarios = {"b": ceiling(count), "a": latency(count)}
    return Plan(
        rounds=rounds or (SHORT_ROUNDS if short else ROUNDS),
        scenarios=tuple(scenario for name, scenario in scenarios.items() if name in parts),
        bare_documents=in_windows(count / 2) if parts & {"b", "bare"} else 0,
        loads=(STEADY,) if "l" in parts else (),
        waiting=() if "memory" not in parts else (SHORT_WAIT,) if short else (MILLION, GIANTS),
        short=short,
    )


def ceiling(documents: int) -> Scenario:
    """B: jobs so short that the contender's own CPU is the limit."""
    title = "50 ms jobs: the limit is the contender's own CPU"
    return Scenario("B", title, 0.05, 0.0, 0.05, in_windows(documents), in_windows(documents / 4))


def latency(documents: int) -> Scenario:
    """A: jobs as long as recorded ones; the plain loop asks each second, first after one: twice for most jobs."""
    title = "0.8 s + 10 ms a document: the limit is how long jobs take"
    return Scenario("A", title, 0.8, 0.01, 1.0, in_windows(documents / 3), in_windows(documents / 6))


def half(documents: int) -> int:
    """Say how many of some whole windows are the first half of them, in whole windows as well."""
    return documents // ONE_WINDOW // 2 * ONE_WINDOW


def in_windows(documents: float) -> int:
    """Round to whole windows, two at least: in the first nothing is measured."""
    return max(2, round(documents / ONE_WINDOW)) * ONE_WINDOW
