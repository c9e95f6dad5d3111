"""Who was billed twice, and who called too early: what the endpoint's books say of the service.

A document is paid for twice when it is accepted although an earlier acceptance still runs or has its result ready.
Three excuses are counted apart, so that none can hide the fault itself: the client could not know of the earlier
one, it could not get at its result, or a shock came between.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from tests.judge.books import Change, Event, Poll, Submit
from tests.judge.case import Shock, Shocks
from tests.judge.conditions import ON_POLL

UNDER_WAY: Final = 1.0
"""Seconds in which a request, or its answer, that was sent before a shock may still be under way."""
UNREADABLE: Final = frozenset({"cut-short", "not-json", "huge", "deep"})
"""Whole answers that are no result. Whoever gets two of one job may give it up; so may he who is told a 404."""
TWICE: Final = 2
FAILED: Final = ON_POLL - UNREADABLE - {"poll-throttled"}
"""Answers that did not come as they were sent. Of these it takes so many in a row."""
ENOUGH: Final = 5


class Bills(Struct, frozen=True):
    """Names of documents that were billed again."""

    double: tuple[str, ...]
    by_fault: tuple[str, ...]
    after_shock: tuple[str, ...]


def bills(books: Iterable[Event], shocks: Shocks) -> Bills:
    """Go through events in order of time and judge every acceptance of a document that was accepted before."""
    account = _Account(shocks)
    for event in books:
        if isinstance(event, Poll):
            account.hear(event)
        elif isinstance(event, Submit) and event.job is not None and not event.probe:
            account.accept(event)
    return Bills(tuple(account.double), tuple(account.by_fault), tuple(account.after_shock))


def brings(submit: Submit, name: str) -> bool:
    """Say whether a submit has a job whose result speaks of a document, once it has ended."""
    return submit.fate in {"succeeded", "partial"} and name not in submit.without


class _Account:
    def __init__(self, shocks: Shocks) -> None:
        self._shocks = shocks
        self._accepted: dict[str, list[Submit]] = defaultdict(list)
        self._gone: set[str] = set()  # jobs of which a 404 was told
        self._unreadable: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()  # polls in a row
        self.double: dict[str, None] = {}
        self.by_fault: dict[str, None] = {}
        self.after_shock: dict[str, None] = {}

    def hear(self, poll: Poll) -> None:
        if poll.status == 404:
            self._gone.add(poll.job)
        elif poll.fault in UNREADABLE:
            self._unreadable[poll.job] += 1
        elif poll.fault in FAILED:
            self._failed[poll.job] += 1
        elif poll.job in self._failed:
            del self._failed[poll.job]

    def accept(self, submit: Submit) -> None:
        for name in submit.documents:
            earlier = self._accepted[name]
            if earlier and (spared := [one for one in earlier if _is_of_use(one, name, submit.at)]):
                self._verdict(spared, submit.at).setdefault(name)
            earlier.append(submit)

    def _verdict(self, spared: Sequence[Submit], now: float) -> dict[str, None]:
        known = [one.at for one in spared if one.status == 202 and not self._given_up(one.job)]
        if not known:
            return self.by_fault
        # of several the last: what came before it excuses no more
        return self.after_shock if self._shocks.within(max(known) - UNDER_WAY, now) else self.double

    def _given_up(self, job: str | None) -> bool:
        return job is not None and (job in self._gone or self._unreadable[job] >= TWICE or self._failed[job] >= ENOUGH)


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
    """Who may have forgotten: the one whom a shock names, where it names a key; else everybody."""

    def __init__(self, books: Iterable[Event], shocks: Iterable[Shock]) -> None:
        keys = {event.who for event in books if not isinstance(event, Change)}
        named: dict[str | None, list[Shock]] = defaultdict(list)
        for shock in shocks:
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
