"""What a commit carries beside the position, to bytes and back: what is finished behind it, and what is in flight.

Kafka keeps up to 4,096 bytes of metadata with each position, so position and journal are one act. Room for all that a
job will ever need is reserved before its submit (progress.py).

    base64 of: version, checksum of the rest, position, end - position, marks of the resources, jobs,
    then of each run of unfinished offsets: gap, length (all numbers are varints)

Of a job: kind, id (16 bytes of a UUID, else its text), its offsets from the last one backwards, because that one is
never behind the position, and one bit for each offset that nothing more is expected of.
"""

import binascii
import uuid
from base64 import b64decode, b64encode
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

from msgspec import Struct

VERSION = 2
WITHOUT_JOBS = 1
"""The version before: no checksum and no jobs."""

ROOM = 4_096
"""Bytes that brokers keep by default (offset.metadata.max.bytes)."""

RAW_ROOM = ROOM // 4 * 3
"""Bytes of which base64 makes that many."""

HEAD = 64
"""Bytes before the first job at the most, with up to eight resources."""

LARGEST = 2**63
"""Offsets are smaller."""

MOST = 10_000
"""Offsets of one job at the most: a broken journal must not name more than memory holds."""

Run = tuple[int, int]
"""Consecutive offsets: the first, and the one behind the last."""


class Unreadable(ValueError):
    """These bytes are no journal of ours; the message says why."""


class Trace(Struct, frozen=True):
    """What is kept of a job that was submitted, as far as it concerns one partition."""

    id: str
    mark: int
    """Of the resource that owns it."""
    attempts: int
    """How often its documents were submitted together, with this time."""
    runs: tuple[Run, ...]
    """Its offsets: at least one run, in order."""
    over: int = 0
    """A bit for each of its offsets, the lowest for the first: settled, or handed on to a later job."""

    def pending(self) -> Iterator[int]:
        """Go through the offsets that the job is still good for."""
        return (offset for place, offset in enumerate(offsets(self.runs)) if not self.over >> place & 1)


class Journal(Struct, frozen=True):
    """What is known of the records from `position` on.

    Those below `end` are finished, but for the unfinished runs and for what the jobs, also beyond it, are good for.
    """

    position: int
    end: int
    unfinished: tuple[Run, ...] = ()
    """In order, apart from each other, all within position and end."""
    jobs: tuple[Trace, ...] = ()

    def owed(self) -> set[int]:
        """Gather the offsets that are known to be unsettled: unfinished, or pending in a job."""
        return {*offsets(self.unfinished), *(offset for job in self.jobs for offset in job.pending())}


def mark(resource: str) -> int:
    """Mark a resource in four bytes: its name may be long."""
    return crc32(resource.encode())


def runs(offsets: Iterable[int]) -> Iterator[Run]:
    """Gather ascending offsets into runs."""
    start = end = -1
    for offset in offsets:
        if offset != end:
            if start >= 0:
                yield start, end
            start = offset
        end = offset + 1
    if start >= 0:
        yield start, end


def offsets(runs: Iterable[Run]) -> Iterator[int]:
    """Go through the offsets of runs."""
    return (offset for run in runs for offset in range(*run))


def without_strangers(journal: Journal, marks: Container[int]) -> Journal:
    """Give up the jobs of resources that are not ours any more: what they were good for is unfinished again."""
    strangers = [job for job in journal.jobs if job.mark not in marks]
    if not strangers:
        return journal
    owed = {offset for job in strangers for offset in job.pending()}
    unfinished = tuple(runs(sorted(owed.union(offsets(journal.unfinished)))))
    return Journal(journal.position, journal.end, unfinished, tuple(job for job in journal.jobs if job.mark in marks))


def unsettled(journal: Journal, stop: int) -> int:
    """Count the offsets from the position up to `stop` that nobody has settled, as far as the journal knows."""
    return sum(offset < stop for offset in journal.owed()) + max(0, stop - max(journal.position, journal.end))


# writing


def write(journal: Journal) -> bytes:
    """Make the metadata of a commit; nothing where the position says it all.

    Room is reserved, so all of it fits, but for what was inherited and has grown since (compaction has split its runs,
    its version was denser). Then it knows less than there is, from the far end on; never more.
    """
    if journal.end <= journal.position and not journal.jobs:
        return b""
    jobs = _jobs_written(journal)
    room = RAW_ROOM - HEAD - len(jobs)
    runs, end, behind = bytearray(), journal.end, journal.position
    for start, stop in journal.unfinished:
        run = _varint(start - behind) + _varint(stop - start)
        if len(runs) + len(run) > room:
            end = start
            break
        runs += run
        behind = stop
    body = _varint(journal.position) + _varint(max(0, end - journal.position)) + jobs + runs
    return b64encode(bytes([VERSION]) + crc32(body).to_bytes(4) + body)


def _jobs_written(journal: Journal) -> bytes:
    marks = sorted({job.mark for job in journal.jobs})
    written, room = [], RAW_ROOM - HEAD
    for job in journal.jobs:
        kind = job.attempts * len(marks) + marks.index(job.mark)
        last, head, tail = _kept(job.id, kind, job.runs)
        one = head + _varint(last - journal.position) + tail + job.over.to_bytes(_bits(job.runs), "little")
        if len(one) > room:
            break
        room -= len(one)
        written.append(one)
    return b"".join([_varint(len(marks)), *(each.to_bytes(4) for each in marks), _varint(len(written)), *written])


@lru_cache(maxsize=4_096)
def _kept(job_id: str, kind: int, runs: tuple[Run, ...]) -> tuple[int, bytes, bytes]:
    """Write what of a job is the same in each commit: its last offset, what stands before that, and behind it."""
    packed = _uuid(job_id)
    name = packed or _varint(len(job_id)) + job_id.encode("ascii")
    backwards, above = bytearray(_varint(len(runs))), runs[-1][1]
    for start, stop in reversed(runs):
        if stop != runs[-1][1]:
            backwards += _varint(above - stop)
        backwards += _varint(stop - start)
        above = start
    return runs[-1][1] - 1, _varint(kind * 2 + (packed is not None)) + name, bytes(backwards)


def _uuid(job_id: str) -> bytes | None:
    try:
        parsed = uuid.UUID(job_id)
    except ValueError:
        return None
    return parsed.bytes if str(parsed) == job_id else None


def _bits(runs: Sequence[Run]) -> int:
    """Count the bytes that hold a bit for each offset."""
    return (sum(stop - start for start, stop in runs) + 7) // 8


UUID = 16
"""Bytes of a job id that is a UUID, as Azure's and the engine's are."""


def id_size(job_id: str) -> int:
    """Count the bytes of a job id in a journal."""
    return UUID if _uuid(job_id) else 1 + len(job_id)


def job_size(runs: Sequence[Run], position: int, id_size: int) -> int:
    """Count the bytes of a job at the most, now and later, as the position only moves towards its last offset."""
    gaps = sum(_length(start) for start in _gaps(runs))
    lengths = sum(_length(stop - start) for start, stop in runs)
    distance = _length(max(0, runs[-1][1] - 1 - position))
    return KIND + id_size + distance + _length(len(runs)) + gaps + lengths + _bits(runs)


KIND = 2
"""Bytes that say of a job its resource and attempts."""


def runs_size(runs: Iterable[Run], position: int) -> int:
    """Count the bytes of unfinished runs."""
    size, behind = 0, position
    for start, stop in runs:
        size += _length(start - behind) + _length(stop - start)
        behind = stop
    return size


def _gaps(runs: Sequence[Run]) -> Iterator[int]:
    return (later[0] - earlier[1] for earlier, later in pairwise(runs))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _length(number: int) -> int:
    """Count the bytes of a number."""
    return max(1, (number.bit_length() + 6) // 7)


# reading


def read(metadata: bytes, committed: int | None = None, log_end: int = LARGEST) -> Journal:
    """Read the metadata of a commit, in view of the position beside it and of the log. Raises Unreadable.

    Tools that copy a group to another cluster translate the position, but know nothing of what we say beside it. And a
    log that ends before what the journal knows has lost records: others will have their offsets.
    """
    try:
        raw = b64decode(metadata, validate=True)
    except binascii.Error:
        raise Unreadable("not the bytes of a journal") from None
    journal = _read(_Reader(raw))
    if committed not in {None, journal.position}:
        raise Unreadable(f"it speaks of position {journal.position}, the commit of {committed}")
    end = max([journal.end, *(job.runs[-1][1] for job in journal.jobs)])
    if end > log_end:
        raise Unreadable(f"it speaks of offset {end - 1}, the log ends at {log_end}")
    return journal


def _read(raw: "_Reader") -> Journal:
    version = raw.take(1)[0]
    if version not in {VERSION, WITHOUT_JOBS}:
        raise Unreadable(f"version {version}, this service reads up to {VERSION}")
    if version == VERSION and raw.take(4) != crc32(raw.rest()).to_bytes(4):
        raise Unreadable("its checksum is wrong")
    position = raw.number()
    end = position + raw.number()
    jobs = tuple(_jobs(raw, position)) if version == VERSION else ()
    return Journal(position, end, tuple(_unfinished(raw, position, end)), jobs)


def _jobs(raw: "_Reader", position: int) -> Iterator[Trace]:
    marks = [int.from_bytes(raw.take(4)) for _ in range(raw.number())]
    for _ in range(raw.number()):
        kind, is_uuid = divmod(raw.number(), 2)
        if not marks:
            raise Unreadable("it names a job of no resource")
        attempts, place = divmod(kind, len(marks))
        job_id = str(uuid.UUID(bytes=raw.take(UUID))) if is_uuid else raw.text()
        found = tuple(_backwards(raw, position + raw.number() + 1))
        yield Trace(job_id, marks[place], attempts, found, int.from_bytes(raw.take(_bits(found)), "little"))


def _backwards(raw: "_Reader", stop: int) -> Sequence[Run]:
    """Read the runs of a job, from the last one, which ends before `stop`, to the first."""
    found: list[Run] = []
    count = raw.number()
    while len(found) < count:
        if found:
            stop = found[-1][0] - raw.number()
        start = stop - raw.number()
        if not 0 <= start < stop or stop - start > MOST:
            raise Unreadable("the offsets of a job cannot be right")
        found.append((start, stop))
    if not found:
        raise Unreadable("it names a job of no offset")
    return found[::-1]


def _unfinished(raw: "_Reader", position: int, end: int) -> Iterator[Run]:
    stop = position
    while raw.left():
        start = stop + raw.number()
        stop = start + raw.number()
        if start == stop or stop > end:
            raise Unreadable("its runs do not fit into it")
        yield start, stop


class _Reader:
    """Bytes that are read from front to back."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def left(self) -> int:
        return len(self._raw) - self._at

    def rest(self) -> bytes:
        return self._raw[self._at :]

    def take(self, count: int) -> bytes:
        if count > self.left():
            raise Unreadable("it breaks off")
        self._at += count
        return self._raw[self._at - count : self._at]

    def number(self) -> int:
        number = shift = 0
        while (byte := self.take(1)[0]) > 0x7F:
            number |= (byte & 0x7F) << shift
            shift += 7
        number |= byte << shift
        if number >= LARGEST:
            raise Unreadable("no offset is as large as that")
        return number

    def text(self) -> str:
        try:
            return self.take(self.number()).decode("ascii")
        except UnicodeDecodeError:
            raise Unreadable("the name of a job is no text") from None
