"""Why a life may have lost a job that it was told of, so that its heir had to submit the documents again.

Jobs are handed over: whoever was answered names the job in his next commit. So nothing excuses but what keeps that
commit away, struck that very life, and struck it in time. A rebalance alone does not, nor does a SIGTERM.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Literal

from tests.judge.books import Submit
from tests.judge.case import Blow, Shock

Cause = Literal["after_kill", "after_stop", "in_outage"]

UNDER_WAY: Final = 1.0
"""Seconds in which a request that was sent before a shock may still be under way."""
NAMED: Final = 0.5
"""Seconds from the answer to a submit until a commit that names its job is acknowledged."""
AFTERMATH: Final = 3.0
"""Seconds after brokers are back until commits are acknowledged again."""


class Excuses:
    """All shocks of a run, to be asked what became of a submit."""

    def __init__(self, shocks: Iterable[Shock], session: float) -> None:
        self._session = session
        self._outages: list[Shock] = []
        self._times: dict[tuple[Blow, str | None], list[float]] = defaultdict(list)
        for shock in sorted(shocks, key=lambda shock: shock.at):
            if shock.blow == "outage":
                self._outages.append(shock)
            # a rebalance takes partitions from everybody; all else strikes one
            self._times[shock.blow, None if shock.blow == "rebalance" else shock.who].append(shock.at)

    def cause(self, submit: Submit, again: float) -> Cause | None:
        """Say why a job was lost to whoever submitted its documents again at that time; None: it was not."""
        begin, told = submit.at - UNDER_WAY, _told(submit)
        if self._struck("kill", submit.who, begin, min(told + NAMED, again)):
            return "after_kill"
        if self._struck("stop", submit.who, begin, min(told + NAMED, again)):
            return "after_stop"
        return "in_outage" if any(self._was_cut_off(submit, outage, again) for outage in self._outages) else None

    def _was_cut_off(self, submit: Submit, outage: Shock, again: float) -> bool:
        """Say whether no commit could name the job, and its owner had gone, or lost it, before one could.

        Who has heard of no broker for a whole session must not submit any more: that excuses nothing.
        """
        over = max(outage.at, outage.until or 0.0) + AFTERMATH
        if not outage.at - NAMED <= _told(submit) or submit.at > min(outage.at + self._session, over):
            return False
        lost: tuple[tuple[Blow, str | None], ...] = (
            ("kill", submit.who),
            ("stop", submit.who),
            ("restart", submit.who),
            ("rebalance", None),
        )
        return any(self._struck(blow, who, submit.at - UNDER_WAY, min(over, again)) for blow, who in lost)

    def _struck(self, blow: Blow, who: str | None, begin: float, end: float) -> bool:
        times = self._times.get((blow, who), ())
        place = bisect_left(times, begin)
        return place < len(times) and times[place] <= end


def _told(submit: Submit) -> float:
    return submit.at if submit.answered is None else submit.answered
