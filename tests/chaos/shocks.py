"""The moments at which the service may repeat itself: what we did ourselves, and what the brokers say of the group.

The service is not asked: a member that believes to have lost its partitions, and publishes again, is no excuse for
itself. Only a run that it ends because a broker of ours was away, or because we had stopped it, is taken from its log.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from tests.judge.case import Shock

BROKERS, GROUP = "brokers", "group"
"""Whom an outage struck, and whom a rebalance."""

HEARD = 1.0
"""Seconds from the beginning of a rebalance until every live member has heard of it: its heartbeat is 0.6 s."""

RECOVERY = 45.0
"""Seconds after an outage of a broker in which a client may find that it lost what its run rests on."""

WOKEN = 25.0
"""Seconds after a SIGSTOP in which a process may find that: it sleeps for nearly half of them at the most."""

BEGUN = re.compile(
    r"^(\S+) .*Preparing to rebalance group (\S+) in state \w+ with .*?\(reason: (.*)\)\.$", re.MULTILINE
)
ENDED = re.compile(
    r"^(\S+) .*(?:Stabilized group (\S+) generation|Group (\S+) with generation \d+ is now empty)", re.MULTILINE
)
MEMBER = re.compile(r"[\w.-]+-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Rebalance(Struct, frozen=True):
    """The group deals its partitions anew; whatever its members held, they lose."""

    began: float
    ended: float | None
    """None: the broker did not live to say so."""
    why: str


def rebalances(said: str, group: str) -> list[Rebalance]:
    """Read from a broker's log when and why a group rebalanced."""
    begun = [(moment(at), why) for at, name, why in BEGUN.findall(said) if name == group]
    ended = sorted(moment(at) for at, *names in ENDED.findall(said) if group in names)
    found = []
    for number, (at, why) in enumerate(begun):
        before = begun[number + 1][0] if number + 1 < len(begun) else float("inf")
        end = next((each for each in ended if at <= each <= before), None)
        found.append(Rebalance(at, end, MEMBER.sub("a member", why.partition("; client reason")[0])))
    return found


def shocks(rebalances: Iterable[Rebalance]) -> Iterator[Shock]:
    """Tell when partitions are lost: from the beginning of a rebalance until the last has heard of it."""
    for each in rebalances:
        heard = each.began + HEARD
        until = min(heard, each.ended or heard)
        yield Shock(each.began, f"rebalance: {each.why}", GROUP, until, blow="rebalance")


def were_away(at: float, shocks: Iterable[Shock]) -> bool:
    """Tell whether a broker was away at that time, or had been a moment before."""
    return any(each.blow == "outage" and each.at <= at <= (each.until or each.at) + RECOVERY for each in shocks)


def provoked(restart: Shock, shocks: Iterable[Shock]) -> bool:
    """Tell whether we are to blame that a run began again: a broker was away, or we had stopped that very process."""
    done = list(shocks)
    slept = (each for each in done if each.blow == "stop" and each.who == restart.who)
    return were_away(restart.at, done) or any(each.at <= restart.at <= each.at + WOKEN for each in slept)


def moment(stamp: str) -> float:
    """Read a time as logs write it."""
    return datetime.fromisoformat(stamp).timestamp()
