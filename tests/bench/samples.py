"""A benchmark run as it should be: every bound is kept, and each figure can be spoilt alone."""

from tests.bench.figures import Held, Machine, Outcome, Report, Round, Run

MACHINE = Machine(cores=2, processor="any", python="3.11", kafka="Apache Kafka 4.1")
SERVICE = Run(
    documents=100_000, rate=9_000, cpu=0.1, peak=120_000_000, gets=1.1, throttled=0, late_rate=9_000, late_cpu=0.1
)
PLAIN = Run(
    documents=25_600, rate=2_000, cpu=0.45, peak=75_000_000, gets=1.5, throttled=0, late_rate=3_000, late_cpu=0.25
)
CALM = Held("million", "1,000,000 records", (60_000_000, *[100_000_000] * 11), settling=2)


def outcome(name: str, service: Run = SERVICE, plain: Run = PLAIN, rounds: int = 5) -> Outcome:
    return Outcome(name, "of some kind", (Round(service, plain),) * rounds)


def report(b: Outcome | None = None, a: Outcome | None = None, bare: float = 20_000, held: Held = CALM) -> Report:
    return Report(MACHINE, (b or outcome("B"), a or outcome("A")), (bare,) * 5, (held,))
