"""What the pipeline needs from the outside world, and nothing more."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from entity_stream.core.model import Batch, Job, Outcome, Partition, Record
from entity_stream.core.verdict import PollVerdict, SubmitVerdict


class StartAgain(Exception):
    """A port lost what the run rests on: it ends without another commit and starts again from what is committed."""


class Claim(Struct, frozen=True):
    """A partition that is ours now, and what its last commit says."""

    partition: Partition
    position: int
    """The first unfinished offset: the first record of the partition that will be read."""
    journal: bytes
    """What the commit carried beside the position, as core.journal reads it; empty where there was none."""


class Fetched(Struct, frozen=True):
    """What one read brought. A partition's claim comes before the first of its records."""

    claims: Sequence[Claim] = ()
    records: Sequence[Record] = ()
    reached: Mapping[Partition, int] = {}
    """Below which offset there is nothing more to read, once these records are taken: holes at the end of a log have no
    record behind them that would tell."""


Release = Callable[[Collection[Partition]], Awaitable[None]]
"""Lets partitions go: returns when each of their settles has ended or is cancelled."""


class Source(Protocol):
    """Where records come from."""

    def on_revoke(self, release: Release) -> None:
        """Have `release` awaited before partitions are handed to another reader."""

    async def read(self, wait: float, without: Collection[Partition] = ()) -> Fetched:
        """Return what has arrived, waiting up to `wait` seconds for something. Broker trouble is waited out.

        No records come of the partitions `without`; theirs come with a later read that does not name them.
        """
        ...


Lease = Callable[[], bool]
"""Tells whether what is ours is still ours, as far as the last proof goes: asked right before the bytes are sent."""


def unlimited() -> bool:
    """Be the lease of what is not anybody's."""
    return True


class Language(Protocol):
    """The analyze endpoint. Trouble is a verdict, never an exception."""

    async def submit(self, batch: Batch, lease: Lease) -> SubmitVerdict:
        """Hand a batch over as one job: one request, one answer. Nothing is sent once the lease has ended."""
        ...

    async def poll(self, job: Job, batch: Batch) -> PollVerdict:
        """Ask for the result of a job: one request per page."""
        ...


class Ledger(Protocol):
    """Where outcomes and progress are written."""

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> bool:
        """Publish the outcomes, commit position and journal: returns once all of it is acknowledged.

        False: the group goes on without us. Whatever of it was done, the next owner does it again, and no later settle
        of this partition may do anything. Broker trouble is waited out. Raises only what must end the run.
        """

    async def prove(self) -> Lease | None:
        """Prove that we are still a member of the group; None: what is ours is about to be taken from us.

        A fresh proof costs nothing; an old one is renewed, which waits for the brokers. What rests on it must not begin
        after the lease has ended: a process may be stopped at any time, and wake when the group has gone on.
        """
        ...
