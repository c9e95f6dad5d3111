"""What is wrong with a run: the rules, each a few lines, and nothing but values in and out.

No rule trusts the service: what a document deserves, its order and its price are told by the input topic and by
the endpoint's books alone. Whatever a rule excuses is counted under a name of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from tests.judge.billing import bills, brings, early
from tests.judge.books import Submit
from tests.judge.case import Evidence, Input, Kind, Outcome, Shocks
from tests.judge.deserts import REJECTED, deserved, excused
from tests.judge.excuses import Excuses

Mode = Literal["at_least_once", "exactly_once"]
Names = tuple[str, ...]

REPEATS: Final = 1.0
"""Seconds before a shock in which what was published may not have been committed."""
LATE: Final = 0.05
"""Seconds after the time of a shock in which what it struck may still have published."""

RULES: Final[Mapping[str, str]] = {
    "lost": "no outcome, and the committed position is beyond it",
    "unseen": "no outcome yet: the committed position has not passed it",
    "duplicate": "published more than once, and no shock may explain it",
    "aborted_read": "submitted or published, although its transaction was aborted",
    "reordered": "first published before an earlier record of its key",
    "mixed_up": "published with another's entities, key or source",
    "wronged": "an outcome that it does not deserve",
    "unfounded": "entities that no job in the books has brought",
    "unasked": "an outcome of no input",
    "double_billed": "accepted again while an earlier job was good",
    "early": "a call before its Retry-After had passed",
    "redelivered": "published again after a shock, where that may be",
    "rebilled_by_fault": "accepted again: the earlier job could not be known or asked",
    "billed_again_after_kill": "accepted again: whoever had the earlier job was killed before it could name it",
    "billed_again_after_stop": "accepted again: whoever had the earlier job was stopped before it could name it",
    "billed_again_in_outage": "accepted again: no broker could be told of the earlier job before it was lost",
}
"""What each finding means, in the order of a report."""

BILLED_AGAIN: Final = frozenset({"billed_again_after_kill", "billed_again_after_stop", "billed_again_in_outage"})
"""What a crash may cost."""
TOLERATED: Final = BILLED_AGAIN | {"redelivered", "rebilled_by_fault"}
"""What is counted and is no fault of the service. In exactly_once nothing is redelivered: there it is a duplicate."""


class Findings(Struct, frozen=True):
    """Names of the culprits of each kind; RULES says what the kinds mean."""

    mode: Mode
    lost: Names = ()
    unseen: Names = ()
    duplicate: Names = ()
    aborted_read: Names = ()
    reordered: Names = ()
    mixed_up: Names = ()
    wronged: Names = ()
    unfounded: Names = ()
    unasked: Names = ()
    double_billed: Names = ()
    early: Names = ()
    redelivered: Names = ()
    rebilled_by_fault: Names = ()
    billed_again_after_kill: Names = ()
    billed_again_after_stop: Names = ()
    billed_again_in_outage: Names = ()

    def faults(self) -> dict[str, Names]:
        """Return what is wrong, kind by kind; empty where nothing is."""
        return {kind: names for kind, names in self._found() if kind not in TOLERATED}

    def tolerated(self) -> dict[str, Names]:
        """Return what happened and is no fault."""
        return {kind: names for kind, names in self._found() if kind in TOLERATED}

    def billed_again(self) -> frozenset[str]:
        """Name whom a crash has cost a second bill, whatever the crash was."""
        return frozenset(name for kind in BILLED_AGAIN for name in getattr(self, kind))

    def _found(self) -> Iterator[tuple[str, Names]]:
        return ((kind, getattr(self, kind)) for kind in RULES if getattr(self, kind))


def check(evidence: Evidence, mode: Mode = "at_least_once") -> Findings:
    """Judge a run. Raises ValueError where it cannot be judged: two inputs of one name, a mark of no known trouble."""
    case = _Case(evidence)
    billed = bills(case.books, Excuses(evidence.shocks, evidence.session))
    explained, unexplained = _repeated(case, mode)
    return Findings(
        mode,
        lost=tuple(record.name for record in case.waiting if case.has_passed(record)),
        unseen=tuple(record.name for record in case.waiting if not case.has_passed(record)),
        duplicate=unexplained,
        aborted_read=_aborted_read(case),
        reordered=_reordered(case),
        mixed_up=_mixed_up(case),
        wronged=_wronged(case),
        unfounded=_unfounded(case),
        unasked=tuple(name for name in case.outcomes if name not in case.named),
        double_billed=billed.double,
        early=early(case.books, evidence.shocks),
        redelivered=explained,
        rebilled_by_fault=billed.by_fault,
        billed_again_after_kill=billed.after_kill,
        billed_again_after_stop=billed.after_stop,
        billed_again_in_outage=billed.in_outage,
    )


class _Case:
    """The evidence, sorted and indexed."""

    def __init__(self, evidence: Evidence) -> None:
        self.inputs = sorted(evidence.inputs, key=lambda record: (record.partition, record.offset))
        self.named = {record.name: record for record in self.inputs}
        if len(self.named) < len(self.inputs):
            twice = next(name for name, times in Counter(record.name for record in self.inputs).items() if times > 1)
            raise ValueError(f"two inputs have the same name: {twice}")
        self.outcomes: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in evidence.outcomes:
            self.outcomes[outcome.name].append(outcome)
        self.books = sorted(evidence.books, key=lambda event: event.at)  # a call that was held open is noted late
        self.submits = [event for event in self.books if isinstance(event, Submit)]
        self.shocks = Shocks(evidence.shocks)
        self.committed = [record for record in self.inputs if not record.aborted]
        self.waiting = [record for record in self.committed if record.name not in self.outcomes]
        self._positions = evidence.positions

    def has_passed(self, record: Input) -> bool:
        return self._positions.get(record.partition, 0) > record.offset

    def published(self) -> Iterator[tuple[Input, Sequence[Outcome]]]:
        """Go through the committed inputs that have outcomes, in the order of each partition."""
        return ((record, self.outcomes[record.name]) for record in self.committed if record.name in self.outcomes)


def _repeated(case: _Case, mode: Mode) -> tuple[Names, Names]:
    """Name what was published more than once: what a shock explains, and what none does."""
    may_repeat = mode == "at_least_once"
    names: dict[bool, list[str]] = {True: [], False: []}
    for record, outcomes in case.published():
        if len(outcomes) > 1:
            # the least: a process that was stopped may have made a copy before, and got it written after it woke
            first = min(outcome.at for outcome in outcomes)
            names[may_repeat and case.shocks.within(first - LATE, first + REPEATS)].append(record.name)
    return tuple(names[True]), tuple(names[False])


def _aborted_read(case: _Case) -> Names:
    submitted = {name for submit in case.submits for name in submit.documents}
    return tuple(
        record.name
        for record in case.inputs
        if record.aborted and (record.name in case.outcomes or record.name in submitted)
    )


def _reordered(case: _Case) -> Names:
    """Compare first publications within each place where the outcomes of a key meet; topics cannot be compared."""
    latest: dict[tuple[bytes, int, str, int], int] = {}
    culprits: dict[str, None] = {}
    for record, outcomes in case.published():
        if record.key is None:
            continue
        for (topic, partition), offset in _first_publications(outcomes).items():
            lane = (record.key, record.partition, topic, partition)
            if offset < latest.get(lane, offset):
                culprits[record.name] = None
            else:
                latest[lane] = offset
    return tuple(culprits)


def _first_publications(outcomes: Iterable[Outcome]) -> dict[tuple[str, int], int]:
    first: dict[tuple[str, int], int] = {}
    for outcome in outcomes:
        place = (outcome.topic, outcome.partition)
        first[place] = min(outcome.offset, first.get(place, outcome.offset))
    return first


def _mixed_up(case: _Case) -> Names:
    return tuple(
        record.name for record, outcomes in case.published() if any(_is_anothers(each, record) for each in outcomes)
    )


def _is_anothers(outcome: Outcome, record: Input) -> bool:
    return (
        (outcome.source is not None and outcome.source != (record.partition, record.offset))
        or (outcome.kind == "annotated" and outcome.found != (record.name,))
        # a dead letter may have a key of its own: a compacted topic takes none without one
        or (outcome.kind in {"annotated", "deleted"} and outcome.key != record.key)
    )


def _wronged(case: _Case) -> Names:
    wrong: dict[str, set[Kind]] = {}
    for record, outcomes in case.published():
        if undeserved := {outcome.kind for outcome in outcomes} - deserved(record):
            wrong[record.name] = undeserved
    rejected = [case.named[name] for name, kinds in wrong.items() if kinds == REJECTED]
    spared = excused(rejected, case.books) if rejected else ()
    return tuple(name for name in wrong if name not in spared)


def _unfounded(case: _Case) -> Names:
    """Where there are books: they are not complete, or the service has made something up."""
    if not case.submits:
        return ()
    brought = {name for submit in case.submits for name in submit.documents if brings(submit, name)}
    return tuple(
        record.name
        for record, outcomes in case.published()
        if record.name not in brought and any(outcome.kind == "annotated" for outcome in outcomes)
    )
