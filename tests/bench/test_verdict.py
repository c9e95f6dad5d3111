"""The verdict of a benchmark run: what makes it count, and what it then has to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.bench.figures import Outcome, Report
from tests.bench.plan import Contender
from tests.bench.samples import (
    ARROYO,
    CALM,
    EXACTLY,
    FLAT,
    LATENCY,
    MACHINE,
    MOVED,
    PLAIN,
    SERVICE,
    TAIL,
    USED,
    a_round,
    latency,
    outcome,
    report,
)
from tests.bench.verdict import LOOSE, STRICT, Verdict, checks, verdict

AT_LEAST_ONCE, OUR_LATENCY = Contender.AT_LEAST_ONCE, LATENCY[Contender.AT_LEAST_ONCE]


def judged(measured: Report) -> Verdict:
    return verdict(checks(measured, STRICT))


def test_a_run_that_keeps_every_bound_passes() -> None:
    """With a fit plain loop, a fast endpoint and every target met, a run passes."""
    assert judged(report()) is Verdict.PASSED


@pytest.mark.parametrize(
    "measured",
    [
        report(b=outcome("B", replace(SERVICE, rate=7_999), exactly=replace(EXACTLY, rate=7_000))),
        report(b=outcome("B", replace(SERVICE, rate=9_900), exactly=replace(EXACTLY, rate=6_900))),
        report(b=outcome("B", replace(SERVICE, cpu=0.113))),
        report(b=outcome("B", replace(SERVICE, peak=150_000_001))),
        report(a=latency({AT_LEAST_ONCE: replace(OUR_LATENCY, rate=1_440)})),
        report(a=latency({Contender.ARROYO: replace(ARROYO, rate=815)})),
        report(a=latency({AT_LEAST_ONCE: replace(OUR_LATENCY, gets=1.09)})),
        report(a=latency({AT_LEAST_ONCE: replace(OUR_LATENCY, peak=150_000_001)})),
        report(a=latency({Contender.EXACTLY_ONCE: replace(OUR_LATENCY, peak=150_000_001)})),
        report(held=replace(CALM, resident=(0, 0, 100_000_000, 105_000_001))),
        report(held=replace(CALM, resident=(150_000_001, *CALM.resident))),
        report(used=replace(USED, used=0.989)),
        report(used=replace(USED, throttled=0.005)),
        report(moved=replace(MOVED, back=(3.05, 1.0))),
        report(moved=replace(MOVED, back=(1.0, None))),
        report(moved=replace(MOVED, throttled=0.01)),
        report(tail=replace(TAIL, tailed=replace(TAIL.tailed, p99=2.21))),
        report(grown=(*FLAT, replace(FLAT[0], documents=1_000_000, cpu=(0.08,)))),
        report(grown=(*FLAT, replace(FLAT[2], cpu=(0.064,)))),
    ],
    ids=[
        "throughput",
        "exactly once",
        "cpu",
        "peak in B",
        "window",
        "best peer",
        "polls",
        "peak in A",
        "exactly once: peak",
        "growth of memory",
        "most",
        "quota",
        "throttled",
        "back late",
        "never back",
        "throttled as it moves",
        "tail",
        "grows with documents",
        "shrinks with partitions",
    ],
)
def test_one_missed_target_fails_the_run(measured: Report) -> None:
    """Each target alone can fail a run, and is the one that is named."""
    broken = [check for check in checks(measured, STRICT) if not check.holds]
    assert judged(measured) is Verdict.FAILED
    assert len(broken) == 1


def test_exactly_once_is_held_against_the_plain_loop_too() -> None:
    """Below 2.8 plain loops exactly-once fails, though a service as slow at least once would make it look good."""
    slow = outcome("B", replace(SERVICE, rate=6_000), exactly=replace(EXACTLY, rate=5_599))
    broken = [check.what for check in checks(report(b=slow), STRICT) if not check.holds]
    assert broken == ["B: documents a second, in plain loops", "B: documents a second exactly once, in plain loops"]


def test_one_peer_that_is_better_fails_the_run() -> None:
    """A peer ahead of the service in B, in throughput or in CPU, is named; whether it is known to be so or not."""
    b = outcome("B")
    for better in (replace(ARROYO, rate=9_001), replace(ARROYO, cpu=0.099)):
        ahead = Outcome("B", "", tuple({**each, Contender.ARROYO: better} for each in b.rounds))
        broken = [check.what for check in checks(report(b=ahead), STRICT) if not check.holds]
        assert any("in the best peer" in what for what in broken)


@pytest.mark.parametrize("part", [0.7, 1.3])
@pytest.mark.parametrize("peer", [Contender.FASTSTREAM, Contender.ARROYO, Contender.SDK])
def test_a_peer_that_is_not_itself_makes_a_run_invalid(peer: Contender, part: float) -> None:
    """A peer a quarter off its known ratio to the plain loop, to either side, makes the run mean nothing."""
    strange = replace(LATENCY[peer], rate=LATENCY[peer].rate * part)
    assert judged(report(a=latency({peer: strange}))) is Verdict.INVALID


@given(st.floats(0.5501, 10), st.floats(1, 100_000), st.floats(0.001, 1))
def test_a_tired_plain_loop_makes_a_run_invalid(plain_cpu: float, rate: float, cpu: float) -> None:
    """However good the service looks, a plain loop over its bound makes the run mean nothing."""
    b = outcome("B", replace(SERVICE, rate=rate, cpu=cpu), replace(PLAIN, cpu=plain_cpu))
    assert judged(report(b=b, bare=1e6)) is Verdict.INVALID


@given(st.floats(1, 17_999))
def test_a_slow_endpoint_makes_a_run_invalid(bare: float) -> None:
    """Where the bare client is not twice as fast as the service, the endpoint may be what was measured."""
    assert judged(report(bare=bare)) is Verdict.INVALID


def test_what_is_no_number_holds_nothing() -> None:
    """A figure that is not a number keeps to no bound, on neither side."""
    nothing = replace(SERVICE, rate=float("nan"), cpu=float("nan"))
    broken = [check.what for check in checks(report(b=outcome("B", nothing)), STRICT) if not check.holds]
    assert len(broken) == 6


def test_medians_decide_not_single_rounds() -> None:
    """Two bad rounds of five do not fail a run."""
    bad = a_round(replace(SERVICE, rate=100))
    b = Outcome("B", "", (bad, bad, *outcome("B").rounds[:3]))
    assert judged(report(b=b)) is Verdict.PASSED


def test_what_was_not_measured_is_not_judged() -> None:
    """A run of one part is judged by the checks of that part."""
    assert checks(Report(MACHINE), STRICT) == []
    assert all(check.what.startswith("A") for check in checks(Report(MACHINE, (latency(),)), STRICT))


def test_loose_bounds_are_nowhere_stricter() -> None:
    """Whatever passes a full run passes a short one."""
    assert verdict(checks(report(), LOOSE)) is Verdict.PASSED
    strict, loose = checks(report(), STRICT), checks(report(), LOOSE)
    for one, other in zip(strict, loose, strict=True):
        assert (other.bound <= one.bound) if one.relation == "at least" else (other.bound >= one.bound)
