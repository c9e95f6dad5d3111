"""Who was billed twice, and who called too early: what the endpoint's books say of the service.

A document is paid for twice when it is accepted although an earlier acceptance still runs or has its result ready.
Jobs are handed over from life to life, so the excuses are few, and each is counted under a name of its own, lest one
hide the fault itself: nobody was told of the earlier job, its result cannot be had, or `excuses` knows why it was lost.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from tests.judge.books import Change, Event, Poll, Submit
from tests.judge.case import Shock, Shocks
from tests.judge.conditions import ON_POLL
from tests.judge.excuses import Cause, Excuses

UNREADABLE: Final = frozenset({"cut-short", "not-json", "huge", "deep"})
"""Whole answers that are no result. A life that gets two of one job may give it up; so may one that is told a 404."""
TWICE: Final = 2
FAILED: Final = ON_POLL - UNREADABLE - {"poll-throttled"}
"""Answers that did not come as they were sent. Of these it takes so many in a row."""
ENOUGH: Final = 5


class Bills(Struct, frozen=True):
    """Names of documents that were billed again."""

    double: tuple[str, ...]
    by_fault: tuple[str, ...]
    after_kill: tuple[str, ...]
    after_stop: tuple[str, ...]
    in_outage: tuple[str, ...]


def bills(books: Iterable[Event], excuses: Excuses) -> Bills:
    """Go through events in order of time and judge every acceptance of a document that was accepted before."""
    account = _Account(excuses)
    for event in books:
        if isinstance(event, Poll):
            account.hear(event)
        elif isinstance(event, Submit) and event.job is not None and not event.probe:
            account.accept(event)
    return Bills(**{verdict: tuple(names) for verdict, names in account.found.items()})


def brings(submit: Submit, name: str) -> bool:
    """Say whether a submit has a job whose result speaks of a document, once it has ended."""
    return submit.fate in {"succeeded", "partial"} and name not in submit.without


_Verdict = Literal["double", "by_fault"] | Cause
"""A field of Bills."""


class _Tried(Struct):
    """What a life has met with that asked for a job."""

    gone: bool = False
    unreadable: int = 0
    failed: int = 0
    """In a row."""

    def hear(self, poll: Poll) -> None:
        if poll.status == 404:
            self.gone = True
        elif poll.fault in UNREADABLE:
            self.unreadable += 1
        elif poll.fault in FAILED:
            self.failed += 1
        else:
            self.failed = 0

    def may_give_up(self) -> bool:
        return self.gone or self.unreadable >= TWICE or self.failed >= ENOUGH


class _Account:
    def __init__(self, excuses: Excuses) -> None:
        self._excuses = excuses
        self._accepted: dict[str, list[Submit]] = defaultdict(list)
        self._tried: dict[str, dict[str, _Tried]] = defaultdict(lambda: defaultdict(_Tried))  # by job, by key
        self.found: dict[str, dict[str, None]] = {verdict: {} for verdict in Bills.__struct_fields__}

    def hear(self, poll: Poll) -> None:
        self._tried[poll.job][poll.who].hear(poll)

    def accept(self, submit: Submit) -> None:
        for name in submit.documents:
            earlier = self._accepted[name]
            if earlier and (spared := [one for one in earlier if _is_of_use(one, name, submit.at)]):
                # the last of them: why those before it were of no use was judged when it came
                self.found[self._verdict(spared[-1], submit.at)].setdefault(name)
            earlier.append(submit)

    def _verdict(self, spared: Submit, now: float) -> _Verdict:
        if spared.status != 202 or self._may_be_given_up(spared.job) or self._may_be_doubted(spared):
            return "by_fault"
        return self._excuses.cause(spared, now) or "double"

    def _may_be_given_up(self, job: str | None) -> bool:
        return job in self._tried and any(tried.may_give_up() for tried in self._tried[job].values())

    def _may_be_doubted(self, submit: Submit) -> bool:
        """Say whether a job that rejects everything was asked for by another life than the one that submitted it."""
        return submit.barren and any(who != submit.who for who in self._tried.get(submit.job or "", ()))


def _is_of_use(submit: Submit, name: str, now: float) -> bool:
    return submit.ends is None or submit.ends > now or brings(submit, name)


def early(books: Sequence[Event], shocks: Sequence[Shock]) -> tuple[str, ...]:
    """Go through events in order of time; name, for each call that came too early, a document that it was about.

    Whom a shock has struck since he was told may have forgotten it.
    """
    told: dict[tuple[type[Submit | Poll], str], float] = {}
    forgetful = _Forgetful(books, shocks)
    culprits: list[Submit | Poll] = []
    for call in books:
        if isinstance(call, Change):
            continue
        operation = (type(call), call.who)
        if call.early and not forgetful.since(told.get(operation, call.at), call):
            culprits.append(call)
        if call.status == 429:
            told[operation] = call.at
    return _subjects(culprits, books)


class _Forgetful:
    """Who may have forgotten: the one whom a shock names, where it names a key; else everybody.

    What happens among the brokers makes nobody forget what the endpoint said.
    """

    def __init__(self, books: Iterable[Event], shocks: Iterable[Shock]) -> None:
        keys = {event.who for event in books if not isinstance(event, Change)}
        named: dict[str | None, list[Shock]] = defaultdict(list)
        for shock in shocks:
            if shock.blow not in {"outage", "rebalance"}:
                named[shock.who if shock.who in keys else None].append(shock)
        self._shocks = {who: Shocks(some) for who, some in named.items()}

    def since(self, told: float, call: Submit | Poll) -> bool:
        return any(self._shocks[who].within(told, call.at) for who in (call.who, None) if who in self._shocks)


def _subjects(calls: Sequence[Submit | Poll], books: Iterable[Event]) -> tuple[str, ...]:
    if not calls:
        return ()
    of_job = {event.job: event for event in books if isinstance(event, Submit) and event.job is not None}
    submits = [call if isinstance(call, Submit) else of_job.get(call.job) for call in calls]
    return tuple(
        submit.documents[0] if submit and submit.documents else f"a call by {call.who}"
        for call, submit in zip(calls, submits, strict=True)
    )
