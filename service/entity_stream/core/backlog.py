"""What the whole group still has to do, partition by partition, as one look at its commits and logs shows it.

A look is a value: it says when it was taken, and whoever acts on it judges by that whether it is still good.
"""

from collections.abc import Mapping

from msgspec import Struct

from entity_stream.core.inspection import Commit, Log, understood
from entity_stream.core.model import Place
from entity_stream.core.progress import begin


class Part(Struct, frozen=True):
    """One partition."""

    start: int
    """The first offset that the log still has."""
    end: int
    """The offset up to which it can be read now: open transactions are beyond it."""
    committed: int | None
    """The group's position; None: it has committed nothing here."""
    open_jobs: int = 0
    """Jobs in flight that the journal names."""
    finished: int = 0
    """Offsets behind the position that nobody will read again."""

    @property
    def position(self) -> int:
        """Where whoever reads it next begins."""
        return begin(self.committed, self.start, self.end).position

    @property
    def left(self) -> int:
        """Records that are not settled; offsets, where the log has holes."""
        return max(0, self.end - self.position - self.finished)

    @property
    def busy(self) -> bool:
        """Tell whether there is anything to call the API for."""
        return self.position < self.end or self.open_jobs > 0


class Look(Struct, frozen=True):
    """The whole group at one time."""

    taken_at: float
    """In seconds of the looker's own clock: all of it is at least as new as that."""
    parts: Mapping[Place, Part]
    """Every partition of the topics that the group reads."""
    members: int | None = None
    """Replicas in the group; None: the brokers do not tell."""
    ahead: float = 0.0
    """Seconds by which the clock on the wall was ahead of the looker's own."""

    @property
    def left(self) -> int:
        """Records of the group that are not settled."""
        return sum(part.left for part in self.parts.values())

    @property
    def busy(self) -> frozenset[Place]:
        """Partitions that there is anything to call the API for."""
        return frozenset(place for place, part in self.parts.items() if part.busy)


def part(commit: Commit | None, log: Log) -> Part:
    """Make out a partition from what was committed for it and from what its log holds."""
    position = commit.position if commit else None
    start = begin(position, log.first, log.end)
    said, _ = understood(commit or Commit(log.first), log, start)
    unfinished = sum(stop - max(first, start.position) for first, stop in said.unfinished if stop > start.position)
    pending = [[offset for offset in job.pending() if offset >= start.position] for job in said.jobs]
    return Part(
        start=log.first,
        end=log.end,
        committed=position,
        open_jobs=sum(map(bool, pending)),
        finished=max(0, said.end - max(said.position, start.position) - unfinished - sum(map(len, pending))),
    )


def parts(commits: Mapping[Place, Commit], logs: Mapping[Place, Log]) -> dict[Place, Part]:
    """Make out every partition that has a log."""
    return {place: part(commits.get(place), log) for place, log in logs.items()}
