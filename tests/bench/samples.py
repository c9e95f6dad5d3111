"""A benchmark run as it should be: every bound is kept, and each figure can be spoilt alone."""

from tests.bench.figures import Delay, Held, Machine, Outcome, Report, Run
from tests.bench.plan import Contender

MACHINE = Machine(cores=2, processor="any", python="3.11", kafka="Apache Kafka 4.1")
SERVICE = Run(
    documents=100_000, rate=9_000, cpu=0.1, peak=120_000_000, gets=1.1, throttled=0, late_rate=9_000, late_cpu=0.1
)
EXACTLY = Run(
    documents=100_000, rate=7_500, cpu=0.12, peak=130_000_000, gets=1.1, throttled=0, late_rate=7_500, late_cpu=0.12
)
PLAIN = Run(
    documents=25_600, rate=2_000, cpu=0.45, peak=75_000_000, gets=1.5, throttled=0, late_rate=3_000, late_cpu=0.25
)
CALM = Held("million", "1,000,000 records", (60_000_000, *[100_000_000] * 11), settling=2)


DELAYS = Outcome(
    "L",
    "of another kind",
    ({Contender.AT_LEAST_ONCE: Delay(0.15, 0.2), Contender.EXACTLY_ONCE: Delay(0.18, 0.27)},) * 5,
)


def a_round(service: Run = SERVICE, exactly: Run = EXACTLY, plain: Run = PLAIN) -> dict[Contender, Run]:
    return {Contender.AT_LEAST_ONCE: service, Contender.EXACTLY_ONCE: exactly, Contender.PLAIN: plain}


def outcome(
    name: str, service: Run = SERVICE, plain: Run = PLAIN, exactly: Run = EXACTLY, times: int = 5
) -> Outcome[Run]:
    return Outcome(name, "of some kind", (a_round(service, exactly, plain),) * times)


def report(
    b: Outcome[Run] | None = None, a: Outcome[Run] | None = None, bare: float = 20_000, held: Held = CALM
) -> Report:
    return Report(MACHINE, (b or outcome("B"), a or outcome("A")), (DELAYS,), (bare,) * 5, (held,))
