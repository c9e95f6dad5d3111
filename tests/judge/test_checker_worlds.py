"""Random runs: one without a flaw is acquitted, one with a single flaw is convicted of just that."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import TypeVar, get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.judge.books import Event, Poll, Submit
from tests.judge.case import Blow, Evidence, Outcome, Shock
from tests.judge.checker import Mode, check
from tests.judge.excuses import AFTERMATH
from tests.judge.findings import TOLERATED
from tests.judge.worlds import World, random_inputs

T = TypeVar("T")
Planted = tuple[Evidence, str]
"""A world with one flaw, and its culprit."""

seeds = st.integers(0, 2**32)
sizes = st.integers(1, 40)
modes: st.SearchStrategy[Mode] = st.sampled_from(get_args(Mode))


def world(dice: Random, size: int, mode: Mode) -> Evidence:
    """Make a run in which nothing is wrong."""
    return World(dice, mode).run(random_inputs(dice, dice.randint(1, 3), size))


def choose(dice: Random, candidates: Sequence[T]) -> T:
    """Choose one; where there is none, this world is not for this flaw."""
    assume(candidates)
    return dice.choice(candidates)


def outcomes_of(evidence: Evidence) -> dict[str, list[Outcome]]:
    """Sort the outcomes by name."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in evidence.outcomes:
        found[outcome.name].append(outcome)
    return found


def is_calm(evidence: Evidence, begin: float, end: float) -> bool:
    """Say whether no shock is anywhere near a span of time."""
    return not any(
        begin - 1.1 <= max(shock.at, shock.until or 0) and shock.at <= end + 1.1 for shock in evidence.shocks
    )


def without(evidence: Evidence, name: str) -> Evidence:
    """Take the outcomes of one input away."""
    return structs.replace(evidence, outcomes=[each for each in evidence.outcomes if each.name != name])


def swapped(evidence: Evidence, old: Outcome, new: Outcome) -> Evidence:
    """Exchange one outcome for another."""
    return structs.replace(evidence, outcomes=[new if each is old else each for each in evidence.outcomes])


def added(evidence: Evidence, outcome: Outcome) -> Evidence:
    """Publish one outcome more, behind all others."""
    return structs.replace(evidence, outcomes=[*evidence.outcomes, structs.replace(outcome, offset=1_000_000)])


def noted(evidence: Evidence, event: Event) -> Evidence:
    """Note one event more in the books."""
    return structs.replace(evidence, books=[*evidence.books, event])


# the flaws, each called as the finding


def lost(evidence: Evidence, dice: Random) -> Planted:
    """Forget what was published for one input."""
    record = choose(dice, [record for record in evidence.inputs if not record.aborted])
    return without(evidence, record.name), record.name


def unseen(evidence: Evidence, dice: Random) -> Planted:
    """Forget one input and all that was committed since."""
    record = choose(dice, [record for record in evidence.inputs if not record.aborted])
    positions = evidence.positions | {record.partition: record.offset}
    return structs.replace(without(evidence, record.name), positions=positions), record.name


def duplicate(evidence: Evidence, dice: Random) -> Planted:
    """Publish once more what no shock had touched."""
    firsts = [min(some, key=lambda outcome: outcome.at) for some in outcomes_of(evidence).values()]
    outcome = choose(dice, [first for first in firsts if is_calm(evidence, first.at, first.at)])
    return added(evidence, structs.replace(outcome, at=outcome.at + dice.uniform(0, 50))), outcome.name


def aborted_read(evidence: Evidence, dice: Random) -> Planted:
    """Publish something for a record whose transaction was aborted."""
    record = choose(dice, [record for record in evidence.inputs if record.aborted])
    outcome = Outcome(record.name, "annotated", record.key, "output", 0, 0, record.at + 1, (record.name,))
    return added(evidence, outcome), record.name


def reordered(evidence: Evidence, dice: Random) -> Planted:
    """Exchange the places of two outcomes of a key that stand next to each other."""
    outcomes = outcomes_of(evidence)
    lanes: dict[tuple[bytes, int, str], list[Sequence[Outcome]]] = defaultdict(list)
    for record in sorted(evidence.inputs, key=lambda record: record.offset):
        for topic in {outcome.topic for outcome in outcomes[record.name]}:
            if record.key is not None:
                lanes[record.key, record.partition, topic].append(outcomes[record.name])
    pairs = [pair for lane in lanes.values() for pair in pairwise(lane) if [len(each) for each in pair] == [1, 1]]
    [first], [second] = choose(dice, pairs)
    evidence = swapped(evidence, first, structs.replace(first, offset=second.offset))
    return swapped(evidence, second, structs.replace(second, offset=first.offset)), second.name


def mixed_up(evidence: Evidence, dice: Random) -> Planted:
    """Give one input the entities of another."""
    outcome = choose(dice, [outcome for outcome in evidence.outcomes if outcome.kind == "annotated"])
    return swapped(evidence, outcome, structs.replace(outcome, found=("doc-of-somebody-else",))), outcome.name


def wronged(evidence: Evidence, dice: Random) -> Planted:
    """Publish a tombstone in the place of a document's entities."""
    outcome = choose(dice, [outcome for outcome in evidence.outcomes if outcome.kind == "annotated"])
    deleted = structs.replace(outcome, kind="deleted", found=(), source=None)
    return swapped(evidence, outcome, deleted), outcome.name


def unfounded(evidence: Evidence, dice: Random) -> Planted:
    """Strike a document out of the books."""
    name = choose(dice, [outcome.name for outcome in evidence.outcomes if outcome.kind == "annotated"])

    def struck(event: Event) -> Event:
        if not isinstance(event, Submit) or name not in event.documents:
            return event
        somebody = f"somebody at {event.at}"  # in its place, so that nobody stands more alone than he did
        return structs.replace(event, documents=[somebody if each == name else each for each in event.documents])

    return structs.replace(evidence, books=[struck(event) for event in evidence.books]), name


def unasked(evidence: Evidence, dice: Random) -> Planted:
    """Publish something for a record that there is not."""
    outcome = choose(dice, evidence.outcomes)
    return added(evidence, structs.replace(outcome, name="doc-of-nobody")), "doc-of-nobody"


def double_billed(evidence: Evidence, dice: Random) -> Planted:
    """Submit a document again that has just been accepted; what is done to others, or to the group, excuses nothing."""
    submit, name = calm_submit(evidence, dice)
    planted = again(evidence, submit, name)
    who = dice.choice(["nobody", "group", "brokers"])
    blow = dice.choice(get_args(Blow))
    shock = Shock(submit.at + 0.0005, f"{blow} of {who}", who, blow=blow)
    if any(each.at <= submit.at <= (each.until or each.at) + AFTERMATH for each in evidence.shocks):
        return planted, name  # brokers are just back: who loses partitions now could not commit what it was told
    return dice.choice([planted, shaken(planted, shock)]), name


def calm_submit(evidence: Evidence, dice: Random) -> tuple[Submit, str]:
    """Choose a submit that was accepted and told so, with no shock about, and a document that it alone has carried."""
    accepted = [event for event in evidence.books if isinstance(event, Submit) and event.job]
    times = Counter(name for submit in accepted for name in submit.documents)
    candidates = [
        (submit, name)
        for submit in accepted
        if submit.status == 202 and is_calm(evidence, submit.at, submit.at)
        for name in submit.documents
        if times[name] == 1
    ]
    return choose(dice, candidates)


def again(evidence: Evidence, submit: Submit, name: str) -> Evidence:
    """Submit one document of a job again, just after it was accepted."""
    second = structs.replace(submit, at=submit.at + 0.001, job="again", who="heir", documents=[name], without=[])
    return noted(evidence, second)


def shaken(evidence: Evidence, *shocks: Shock) -> Evidence:
    """Let something more be done to somebody."""
    return structs.replace(evidence, shocks=[*evidence.shocks, *shocks])


def early(evidence: Evidence, dice: Random) -> Planted:
    """Poll once before it was time."""
    poll = choose(dice, [event for event in evidence.books if isinstance(event, Poll)])
    calls = [event for event in evidence.books if isinstance(event, Submit) and event.job == poll.job]
    return noted(evidence, structs.replace(poll, early=True, status=429, told="none")), calls[0].documents[0]


# what is no flaw: second bills with a cause, each called as the finding that is tolerated


def billed_again_after_kill(evidence: Evidence, dice: Random) -> Planted:
    """Kill whoever has just been told of a job, and have its heir submit a document again."""
    submit, name = calm_submit(evidence, dice)
    return shaken(again(evidence, submit, name), struck(submit, "kill", dice)), name


def billed_again_after_stop(evidence: Evidence, dice: Random) -> Planted:
    """Stop whoever has just been told of a job, and have its heir submit a document again."""
    submit, name = calm_submit(evidence, dice)
    return shaken(again(evidence, submit, name), struck(submit, "stop", dice)), name


def billed_again_in_outage(evidence: Evidence, dice: Random) -> Planted:
    """Take the brokers away, and the job's partitions from its owner before they are back."""
    submit, name = calm_submit(evidence, dice)
    began = submit.at - dice.uniform(0, 40)
    outage = Shock(began, "broker 1 killed", "brokers", submit.at + dice.uniform(0, 40), "outage")
    lost = Shock(submit.at, "rebalance", "group", blow="rebalance")
    return shaken(again(evidence, submit, name), outage, lost), name


def rebilled_by_fault(evidence: Evidence, dice: Random) -> Planted:
    """Lose the answer to a submit, and have it sent again."""
    submit, name = calm_submit(evidence, dice)
    books = [structs.replace(event, status=0) if event is submit else event for event in evidence.books]
    return again(structs.replace(evidence, books=books), submit, name), name


def struck(submit: Submit, blow: Blow, dice: Random) -> Shock:
    """Strike whoever submitted this, at about that time."""
    return Shock(submit.at + dice.uniform(-0.9, 0.001), f"{blow} {submit.who}", submit.who, blow=blow)


CAUSES = [billed_again_after_kill, billed_again_after_stop, billed_again_in_outage, rebilled_by_fault]

FLAWS = [
    lost,
    unseen,
    duplicate,
    aborted_read,
    reordered,
    mixed_up,
    wronged,
    unfounded,
    unasked,
    double_billed,
    early,
]


@given(seeds, sizes, modes)
@settings(deadline=None, max_examples=200)
def test_a_world_without_flaw_is_acquitted(seed: int, size: int, mode: Mode) -> None:
    """However rough the run of a service is, in whatever mode, no fault is found where none was made."""
    findings = check(world(Random(seed), size, mode), mode)
    assert findings.faults() == {}


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.__name__)
@given(seeds, sizes, modes)
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_flaw_is_found_and_nothing_else(
    flaw: Callable[[Evidence, Random], Planted], seed: int, size: int, mode: Mode
) -> None:
    """Whatever single flaw is planted in whatever world, it is found, by its name and its culprit's, and no other."""
    dice = Random(seed)
    planted, culprit = flaw(world(dice, size, mode), dice)
    assert check(planted, mode).faults() == {flaw.__name__: (culprit,)}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
@given(seeds, sizes, modes)
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_second_bill_is_counted_by_its_cause(
    cause: Callable[[Evidence, Random], Planted], seed: int, size: int, mode: Mode
) -> None:
    """A second bill with a cause is no fault, and named with just that cause."""
    dice = Random(seed)
    clean = world(dice, size, mode)
    planted, name = cause(clean, dice)
    before, after = (check(each, mode) for each in (clean, planted))
    assert after.faults() == {}
    causes = {each.__name__ for each in CAUSES}
    found = {kind: set(names) - set(before.tolerated().get(kind, ())) for kind, names in after.tolerated().items()}
    assert {kind: names for kind, names in found.items() if names and kind in causes} == {cause.__name__: {name}}


def test_the_worlds_are_rough() -> None:
    """The random worlds hold all that is tolerated, and records and outcomes of every kind."""
    worlds = [world(Random(seed), 40, "at_least_once") for seed in range(60)]
    tolerated = {kind for each in worlds for kind in check(each).tolerated()}
    assert tolerated == TOLERATED
    assert {outcome.kind for each in worlds for outcome in each.outcomes} == {"annotated", "rejected", "deleted"}
    records = [record for each in worlds for record in each.inputs]
    assert {(record.aborted, record.valid, record.tombstone) for record in records} >= {
        (True, True, False),
        (False, False, False),
        (False, True, True),
    }
    assert None in {record.key for record in records}


@pytest.mark.timeout(60)
def test_large_worlds_take_seconds() -> None:
    """Twenty thousand documents of one key, a shock for each tenth and 200,000 events are judged in a moment."""
    dice = Random(1)
    inputs = [structs.replace(record, key=b"k") for record in random_inputs(dice, 1, 20_000)]
    evidence = World(dice).run(inputs)
    polls = [event for event in evidence.books if isinstance(event, Poll)]
    books = [*evidence.books, *polls, *(structs.replace(poll, early=True) for poll in polls)]
    findings = check(structs.replace(evidence, books=books))
    assert findings.faults().keys() == {"early"}
