"""How soon a killed static member is back: measured from its start, judged only where nothing else was wrong."""

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.chaos.recovery import AGAIN, LIMIT, Recovery, Return, Summary, recoveries, summary
from tests.chaos.shocks import Rebalance
from tests.judge.books import Change
from tests.judge.case import Evidence, Outcome, Shock
from tests.judge.conditions import Conditions, Fault

NOTHING = Evidence([], [], {}, [], [])
BACK = Return("worker-1.2", 100.0, 102.0, frozenset({1, 2}), inf)


def published(at: float, partition: int = 1) -> Outcome:
    return Outcome("doc", "annotated", None, "out", 0, 0, at, ("doc",), (partition, 0))


def recovered(
    *outcomes: Outcome, back: Return = BACK, evidence: Evidence = NOTHING, dealt: Sequence[Rebalance] = ()
) -> Recovery:
    [found] = recoveries([back], structs.replace(evidence, outcomes=outcomes), dealt)
    return found


@given(st.lists(st.tuples(st.floats(90, 120), st.integers(0, 3)), max_size=20))
def test_the_first_publication_of_its_partitions_counts(places: list[tuple[float, int]]) -> None:
    """What was published of other partitions, or before it was given its own, does not; nor does a dead letter."""
    counting = [at for at, partition in places if partition in {1, 2} and at >= 102]
    letter = structs.replace(published(102), kind="rejected")
    found = recovered(letter, *(published(at, partition) for at, partition in places))
    assert found.seconds == (min(counting) - 100 if counting else None)
    assert found.excuse is None
    assert found.slow is (not counting or min(counting) - 100 > LIMIT)


def test_what_was_struck_again_before_it_could_publish_is_not_judged() -> None:
    """It had no time to; who had all the time that is allowed, and was struck only then, is judged."""
    assert recovered(published(104), back=structs.replace(BACK, over=103.0)) == Recovery("worker-1.2", None, AGAIN)
    assert recovered(published(107), back=structs.replace(BACK, over=106.0)).slow
    assert recovered(back=structs.replace(BACK, assigned=inf, partitions=frozenset())).slow


OUTAGE = Shock(90, "SIGKILL broker 1", "brokers", until=98, blow="outage")
STORM = Change(101, Conditions(faults=[Fault("throttled")]))
JOINED = "Adding new member a member with group instance id null"


@pytest.mark.parametrize(
    "evidence",
    [
        structs.replace(NOTHING, shocks=[OUTAGE]),
        structs.replace(NOTHING, books=[STORM]),
        structs.replace(NOTHING, books=[structs.replace(STORM, at=80), Change(100.1, Conditions())]),
        structs.replace(NOTHING, books=[Change(101, Conditions(down="hang"))]),
        structs.replace(NOTHING, books=[Change(101, Conditions(refuse=401))]),
    ],
    ids=str,
)
def test_what_else_was_wrong_excuses(evidence: Evidence) -> None:
    """A broker that was away until a moment before the start, or trouble of the endpoint within the limit."""
    found = recovered(published(109), evidence=evidence)
    assert (found.seconds, found.slow) == (9.0, False)


@pytest.mark.parametrize(
    "evidence",
    [
        structs.replace(NOTHING, shocks=[structs.replace(OUTAGE, until=96)]),
        structs.replace(NOTHING, shocks=[structs.replace(OUTAGE, at=100, blow="kill")]),
        structs.replace(NOTHING, books=[structs.replace(STORM, at=105.1)]),
        structs.replace(NOTHING, books=[structs.replace(STORM, at=80), Change(99.9, Conditions())]),
        structs.replace(NOTHING, books=[Change(80, Conditions())]),
    ],
    ids=str,
)
def test_what_is_long_over_or_came_too_late_excuses_nothing(evidence: Evidence) -> None:
    """Nor does a kill of somebody, or fair weather."""
    assert recovered(published(109), evidence=evidence).slow


@pytest.mark.parametrize(
    ("dealt", "slow"),
    [
        (Rebalance(99, 101, JOINED), False),
        (Rebalance(104, None, "removing member a member on heartbeat expiration."), False),
        (Rebalance(90, 99, JOINED), True),
        (Rebalance(106, 107, JOINED), True),
        (Rebalance(101, 107, "Static member rejoined"), True),
    ],
    ids=str,
)
def test_others_that_come_and_go_excuse_but_its_own_return_does_not(dealt: Rebalance, slow: bool) -> None:
    """While partitions are dealt anew for others nobody publishes."""
    assert recovered(published(109), dealt=[dealt]).slow is slow


def test_all_are_told_in_figures() -> None:
    """Excused ones are counted, those in time apart, and no part of the rest; one that never published is judged."""
    found = [Recovery("a", 1.0, None), Recovery("b", 3.0, None), Recovery("c", None, None), Recovery("d", 9.0, "x")]
    found.append(Recovery("e", 4.0, "x"))
    assert summary(found) == Summary(judged=3, median=2.0, longest=3.0, excused=2, in_time=1)
    assert summary(found[3:]) == Summary(judged=0, median=None, longest=None, excused=2, in_time=1)
    assert str(found[2]) == "c, a static member, published for its partitions never"
