"""What the judge is told of a run: what went in, what came out, what the endpoint saw, what was done to whom.

Values only. Whoever collects them leaves nothing out and explains nothing away: that is for the rules.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Literal

from msgspec import Struct

from tests.judge.books import Event

Kind = Literal["annotated", "rejected", "deleted", "garbled"]
"""What an outcome is: entities, a dead letter, a tombstone; garbled is what no reader of the topic could read."""

Blow = Literal["kill", "stop", "outage", "rebalance", "restart", "other"]
"""What a shock is: SIGKILL, SIGSTOP, brokers away, partitions dealt anew, a run that began again, or none of these."""

SESSION: Final = 45.0
"""Seconds of silence after which the group gives a member up, where nothing else is said: the service's default."""


class Input(Struct, frozen=True, gc=False):
    """A record of the input topic."""

    name: str
    partition: int
    offset: int
    key: bytes | None
    fate: str
    """The trouble of its mark, as `missing` or `missing*2`; empty where it has none."""
    aborted: bool
    """No reader of committed records sees it."""
    tombstone: bool
    valid: bool
    """It is a document, or a tombstone."""
    at: float
    """CreateTime, in seconds since 1970, as all times here."""
    unwelcome: bool = False
    """The output topic may refuse its entities: it wants keys, or smaller messages."""


class Outcome(Struct, frozen=True, gc=False):
    """A message of the output topic or of the dead-letter topic, as a reader of committed records sees it."""

    name: str
    """Of the input it claims to be the outcome of."""
    kind: Kind
    key: bytes | None
    topic: str
    partition: int
    offset: int
    at: float
    """CreateTime: when the publisher made it, which may be long before it was written."""
    found: tuple[str, ...] = ()
    """The texts of its entities of category Name."""
    source: tuple[int, int] | None = None
    """Partition and offset of the input, as the message says them."""
    reason: str | None = None
    """Why it is a dead letter."""


class Shock(Struct, frozen=True):
    """Something done to the service or the brokers, after which the service may repeat itself."""

    at: float
    """When it struck, to some hundredths of a second."""
    what: str
    who: str
    """Whom it struck: the key of a worker's life, where each has its own."""
    until: float | None = None
    """When it was over, of what lasts and keeps everybody from committing (a broker is away). None: at once, and
    so it stays for a process that is stopped: what it publishes after it woke is judged."""
    blow: Blow = "other"
    """What may excuse that a document was billed again."""


class Evidence(Struct, frozen=True):
    """All of it."""

    inputs: Sequence[Input]
    outcomes: Sequence[Outcome]
    positions: dict[int, int]
    """What the group has committed, of each input partition that it has committed anything of."""
    books: Sequence[Event]
    shocks: Sequence[Shock]
    session: float = SESSION
    """Seconds of silence after which the group gives a member up."""


class Shocks:
    """Answers whether any shock lasted into a span of time."""

    def __init__(self, shocks: Iterable[Shock]) -> None:
        ordered = sorted(shocks, key=lambda shock: shock.at)
        self._begins = [shock.at for shock in ordered]
        self._over = list(accumulate((max(shock.at, shock.until or 0.0) for shock in ordered), max))

    def within(self, begin: float, end: float) -> bool:
        """Say whether a shock that began by `end` was not over before `begin`."""
        begun = bisect_right(self._begins, end)
        return begun > 0 and self._over[begun - 1] >= begin
