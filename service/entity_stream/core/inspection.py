"""A partition seen from outside, by its commit and its log: where it stands and what its journal says, also in words.

Commit and journal are read by the rules of a claim, so what is told here is what the next owner would do.
"""

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from entity_stream.core import journal
from entity_stream.core.journal import LARGEST, ROOM, Journal, Run, Trace, Unreadable, mark, runs
from entity_stream.core.progress import Begin, begin

RUNS_TOLD = 8
"""Of one job, in words; a machine is told all."""


class Commit(Struct, frozen=True):
    """What a group keeps for a partition."""

    position: int
    metadata: bytes = b""


class Log(Struct, frozen=True):
    """What a partition holds: from its first offset to the one behind its last."""

    first: int
    end: int


class InFlight(Struct, frozen=True, rename="camel"):
    """A job that a journal names."""

    id: str
    resource: str | None
    """The name of its owner; None: one that is not configured here, so its records would be submitted again."""
    mark: str
    """Of its owner, in hex, as the journal has it."""
    attempts: int
    """How often its records were submitted together."""
    unsettled: int
    """Records of this partition that it is still good for."""
    offsets: tuple[tuple[int, int], ...]
    """Of these: the first and the last of each run."""


class Inspection(Struct, frozen=True, rename="camel"):
    """One partition of a group."""

    topic: str
    partition: int
    position: int | None
    """None: nothing is committed."""
    log_start: int | None
    """None, as end and lag: nobody can say now."""
    log_end: int | None
    lag: int | None
    trouble: str | None
    """Why reading would not simply go on at the position."""
    journal_bytes: int
    journal_ignored: str | None
    """Why the journal would mean nothing to the next owner."""
    finished: int
    """Offsets behind the position that nobody reads again; holes of the log are among them."""
    unfinished: int
    """Records from the position on that were begun and are not settled, those of jobs included."""
    jobs: tuple[InFlight, ...]


def inspect(
    topic: str, partition: int, commit: Commit | None, log: Log | None, resources: Collection[str]
) -> Inspection:
    """Tell where a partition stands, to one whose Language resources have these names."""
    start = begin(commit.position if commit else None, log.first, log.end) if log else None
    said, ignored = understood(commit or Commit(0), log, start)
    jobs = tuple(_in_flight(job, resources) for job in said.jobs)
    unfinished = _length(said.unfinished) + sum(job.unsettled for job in jobs)
    return Inspection(
        topic=topic,
        partition=partition,
        position=commit.position if commit else None,
        log_start=log.first if log else None,
        log_end=log.end if log else None,
        lag=max(0, log.end - (commit.position if commit else log.first)) if log else None,
        trouble=_trouble(commit, start),
        journal_bytes=len(commit.metadata) if commit else 0,
        journal_ignored=ignored,
        finished=said.end - said.position - unfinished,
        unfinished=unfinished,
        jobs=jobs,
    )


def understood(commit: Commit, log: Log | None, start: Begin | None) -> tuple[Journal, str | None]:
    """Read the journal of a commit, or say why it means nothing."""
    nothing = Journal(commit.position, commit.position)
    if not commit.metadata:
        return nothing, None
    if start and not start.trusted:
        return nothing, "it speaks of a log that is gone"
    try:
        return journal.read(commit.metadata, commit.position, log.end if log else LARGEST), None
    except Unreadable as why:
        return nothing, str(why)


def _trouble(commit: Commit | None, start: Begin | None) -> str | None:
    if start is None:
        return "there is no such partition any more, or no broker leads it now"
    if commit is None:
        return f"nothing is committed; reading would begin at the start of the log, {start.position}"
    if start.replaced:
        return f"the log ends before the position, it was replaced; reading would begin at its start, {start.position}"
    if start.lost:
        return f"{_count(start.lost, 'offset')} lost to retention; reading would begin at {start.position}"
    return None


def _in_flight(job: Trace, resources: Collection[str]) -> InFlight:
    unsettled = tuple(runs(job.pending()))
    return InFlight(
        id=job.id,
        resource=next((name for name in resources if job.mark == mark(name)), None),
        mark=f"{job.mark:08x}",
        attempts=job.attempts,
        unsettled=_length(unsettled),
        offsets=tuple((start, stop - 1) for start, stop in unsettled),
    )


def _length(some: Sequence[Run]) -> int:
    return sum(stop - start for start, stop in some)


# words


def headline(group: str, partitions: Sequence[Inspection]) -> str:
    """Sum up a group. A job with records of several partitions is one job."""
    jobs = {(job.mark, job.id) for each in partitions for job in each.jobs}
    known = [each.lag for each in partitions if each.lag is not None]
    lag = f"lag {'' if len(known) == len(partitions) else 'at least '}{sum(known):,}"
    return f"group {group}: {_count(len(partitions), 'partition')}, {lag}, {_count(len(jobs), 'job')} in flight"


def place_words(seen: Inspection) -> str:
    """Say where a partition stands. Offsets have no commas: one may want to search for them."""
    position = "none" if seen.position is None else seen.position
    log = "log end unknown" if seen.log_end is None else f"log end {seen.log_end}, lag {seen.lag:,}"
    return f"{seen.topic}-{seen.partition}: position {position}, {log}"


def journal_words(seen: Inspection) -> str:
    """Say what a journal says of the partition as a whole."""
    size = f"journal, {seen.journal_bytes:,} of {ROOM:,} bytes"
    if not seen.journal_bytes:
        return f"{size}: empty, so nothing is finished behind the position and no job is in flight"
    if seen.journal_ignored:
        begins = "" if seen.trouble else "; reading would begin at the position"
        return f"{size}: ignored, {seen.journal_ignored}{begins}"
    behind = f"{seen.finished:,} finished behind the position, {seen.unfinished:,} unfinished"
    return f"{size}: {behind}, {_count(len(seen.jobs), 'job')} in flight"


def job_words(job: InFlight) -> str:
    """Say whose a job is and what is still expected of it."""
    owner = f"at {job.resource}" if job.resource else f"at a resource not configured here (mark {job.mark})"
    times = "once" if job.attempts == 1 else f"{job.attempts} times"
    records = f"{_count(job.unsettled, 'record')} not settled"
    return f"job {job.id} {owner}, submitted {times}, {records}: {_ranges(job.offsets)}"


def _ranges(some: Sequence[tuple[int, int]]) -> str:
    told = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in some[:RUNS_TOLD])
    more = len(some) - RUNS_TOLD
    return f"{told} and {_count(more, 'range')} more" if more > 0 else told


def words(partitions: Sequence[Inspection]) -> Iterator[str]:
    """Tell of each partition: a line on where it stands, and what is known besides in lines that are set in."""
    for seen in partitions:
        yield place_words(seen)
        if seen.trouble:
            yield f"  {seen.trouble}"
        if seen.position is not None:
            yield f"  {journal_words(seen)}"
        yield from (f"    {job_words(job)}" for job in seen.jobs)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
