"""What a commit carries beside the position, to bytes and back: which records behind it are finished.

Kafka keeps up to 4,096 bytes of metadata with each position, so position and journal are one act. What does
not fit is left out from the far end: a journal may know less than there is, never more.

    base64 of: version, position, end - position, then of each run of unfinished offsets: gap, length (all varints)
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator

from msgspec import Struct

VERSION = 1
ROOM = 4_096
"""Bytes that brokers keep by default (offset.metadata.max.bytes)."""

RAW_ROOM = ROOM // 4 * 3
"""Bytes of which base64 makes that many."""

LARGEST = 2**63
"""Offsets are smaller."""

Run = tuple[int, int]
"""Consecutive offsets: the first, and the one behind the last."""


class Unreadable(ValueError):
    """These bytes are no journal of ours; the message says why."""


class Journal(Struct, frozen=True):
    """What is known of the records from `position` on: those below `end` are finished, but for the runs."""

    position: int
    end: int
    unfinished: tuple[Run, ...] = ()
    """In order, apart from each other, all within position and end."""


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


def write(journal: Journal) -> bytes:
    """Make the metadata of a commit; nothing where the position says it all."""
    if journal.end <= journal.position:
        return b""
    body, end, behind = bytearray(), journal.end, journal.position
    head_room = RAW_ROOM - len(_head(journal.position, journal.end))
    for start, stop in journal.unfinished:
        run = _varint(start - behind) + _varint(stop - start)
        if len(body) + len(run) > head_room:
            end = start
            break
        body += run
        behind = stop
    return b64encode(_head(journal.position, end) + body)


def _head(position: int, end: int) -> bytes:
    return bytes([VERSION]) + _varint(position) + _varint(end - position)


def read(metadata: bytes, committed: int | None = None, log_end: int = LARGEST) -> Journal:
    """Read the metadata of a commit, in view of the position beside it and of the log. Raises Unreadable.

    Tools that copy a group to another cluster translate the position, but know nothing of what we say beside it. And a
    log that ends before what the journal knows has lost records: others will have their offsets.
    """
    try:
        numbers = _numbers(b64decode(metadata, validate=True))
        if (version := next(numbers)) != VERSION:
            raise Unreadable(f"version {version}, this service reads {VERSION}")
        position, length = next(numbers), next(numbers)
        if committed not in {None, position}:
            raise Unreadable(f"it speaks of position {position}, the commit of {committed}")
        if position + length > log_end:
            raise Unreadable(f"it speaks of offset {position + length - 1}, the log ends at {log_end}")
        found = tuple(_runs(list(numbers), position, position + length))
    except (binascii.Error, StopIteration):
        raise Unreadable("not the bytes of a journal") from None
    return Journal(position, position + length, found)


def _runs(numbers: list[int], position: int, end: int) -> Iterator[Run]:
    if len(numbers) % 2:
        raise Unreadable("it breaks off")
    stop = position
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        start = stop + gap
        stop = start + length
        if not length or stop > end:
            raise Unreadable("its runs do not fit into it")
        yield start, stop


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(raw: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte > 0x7F:
            continue
        if number >= LARGEST:
            raise Unreadable("no offset is as large as that")
        yield number
        number = shift = 0
    if shift:
        raise Unreadable("it breaks off")
