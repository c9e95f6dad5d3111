"""A benchmark run as it should be: every bound is kept, and each figure can be spoilt alone."""

from collections.abc import Mapping

from msgspec.structs import replace

from tests.bench.figures import Delay, Grown, Held, Machine, Outcome, Report, Run, Spent, Tail
from tests.bench.plan import MOVING, Contender

MACHINE = Machine(cores=2, processor="any", python="3.11", kafka="Apache Kafka 4.1")
SERVICE = Run(
    documents=100_000, rate=9_000, cpu=0.1, peak=120_000_000, gets=1.05, throttled=0, late_rate=9_000, late_cpu=0.1
)
EXACTLY = Run(
    documents=100_000, rate=7_500, cpu=0.12, peak=130_000_000, gets=1.05, throttled=0, late_rate=7_500, late_cpu=0.12
)
PLAIN = Run(
    documents=25_600, rate=2_000, cpu=0.45, peak=75_000_000, gets=1.5, throttled=0, late_rate=3_000, late_cpu=0.25
)
FASTSTREAM, ARROYO = replace(PLAIN, rate=1_980, cpu=0.47), replace(PLAIN, rate=3_500, cpu=0.19)
CALM = Held("million", "1,000,000 records", (60_000_000, *[100_000_000] * 11), settling=2)

LATENCY: Mapping[Contender, Run] = {
    Contender.AT_LEAST_ONCE: replace(SERVICE, rate=1_500),
    Contender.EXACTLY_ONCE: replace(EXACTLY, rate=1_480),
    Contender.PLAIN: replace(PLAIN, rate=660),
    Contender.FASTSTREAM: replace(PLAIN, rate=680),
    Contender.ARROYO: replace(PLAIN, rate=765),
    Contender.SDK: replace(PLAIN, rate=5.4),
}
"""A round of A."""

USED = Spent(rate=249, used=0.998, gets=1.05, throttled=0.0)
MOVED = Spent(rate=1_000, used=0.97, gets=1.05, throttled=0.005, back=(1.0, 2.0), pace=(50, 50, 25))
TAIL = Tail(Delay(1.2, 2.0), Delay(1.2, 2.1), touched=50)
FLAT = (Grown(10_000, 6, (0.070, 0.072)), Grown(100_000, 6, (0.070, 0.074)), Grown(100_000, 60, (0.075, 0.076)))

DELAYS = Outcome(
    "L",
    "of another kind",
    ({Contender.AT_LEAST_ONCE: Delay(0.15, 0.2), Contender.EXACTLY_ONCE: Delay(0.18, 0.27)},) * 5,
)


def a_round(service: Run = SERVICE, exactly: Run = EXACTLY, plain: Run = PLAIN) -> dict[Contender, Run]:
    return {
        Contender.AT_LEAST_ONCE: service,
        Contender.EXACTLY_ONCE: exactly,
        Contender.PLAIN: plain,
        Contender.FASTSTREAM: FASTSTREAM,
        Contender.ARROYO: ARROYO,
    }


def outcome(
    name: str, service: Run = SERVICE, plain: Run = PLAIN, exactly: Run = EXACTLY, times: int = 5
) -> Outcome[Run]:
    return Outcome(name, "of some kind", (a_round(service, exactly, plain),) * times)


def latency(spoilt: Mapping[Contender, Run] = LATENCY) -> Outcome[Run]:
    return Outcome("A", "of some kind", ({**LATENCY, **spoilt},) * 5)


def spent(name: str, one: Spent) -> Outcome[Spent]:
    return Outcome(name, "of some kind", ({Contender.AT_LEAST_ONCE: one},) * 5)


def report(
    *,
    b: Outcome[Run] | None = None,
    a: Outcome[Run] | None = None,
    bare: float = 20_000,
    held: Held = CALM,
    used: Spent = USED,
    moved: Spent = MOVED,
    tail: Tail = TAIL,
    grown: tuple[Grown, ...] = FLAT,
) -> Report:
    return Report(
        MACHINE,
        (b or outcome("B"), a or latency()),
        (spent("C token bucket", used), spent(MOVING.name, moved)),
        (Outcome("G", "of some kind", ({Contender.AT_LEAST_ONCE: tail},) * 5),),
        (DELAYS,),
        grown,
        (bare,) * 5,
        (held,),
    )
