"""The moments at which at-least-once may publish twice: what we did ourselves, and what the brokers say of the group.

The service is not asked: a member that believes to have lost its partitions, and publishes again, is no excuse for
itself. Only a life that it ends because a broker of ours was away is taken from its log.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from tests.judge.case import Shock

BROKERS = "brokers"
"""Whom an outage of theirs struck."""

HEARD = 1.0
"""Seconds from the beginning of a rebalance until every live member has heard of it: its heartbeat is 0.6 s."""

RECOVERY = 45.0
"""Seconds after an outage of a broker in which a client may find that it lost what its run rests on."""

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
    begun = [(_moment(at), why) for at, name, why in BEGUN.findall(said) if name == group]
    ended = sorted(_moment(at) for at, *names in ENDED.findall(said) if group in names)
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
        yield Shock(each.began, f"rebalance: {each.why}", "group", until=min(heard, each.ended or heard))


def provoked(at: float, shocks: Iterable[Shock]) -> bool:
    """Tell whether a broker was away at that time, or had been a moment before."""
    return any(each.who == BROKERS and each.at <= at <= (each.until or each.at) + RECOVERY for each in shocks)


def _moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
