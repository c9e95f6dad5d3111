"""What is still to be paid for, before anything is sent: documents, text records, calls, price and time.

Documents are told from other records, and batches are filled, by the rules of the service itself. Of a large topic only
stretches are read, spread evenly over each partition; the rest is taken to be like them, and how far that may be off is
told by how much they differ.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence

from msgspec import Struct

from entity_stream.core import cost
from entity_stream.core.batching import Limits, Load, load
from entity_stream.core.inspection import Commit, Log, understood
from entity_stream.core.journal import Run, mark, offsets, without_strangers
from entity_stream.core.messages import decode
from entity_stream.core.model import Document, Record, Rejected, Route
from entity_stream.core.progress import begin
from entity_stream.core.quota import Operation, Rate, Rates
from entity_stream.core.routing import Routing

SURE = 2.3
"""Standard errors that a figure may be off: in 19 of 20 cases it is off by less, even where ten stretches are all."""

POLLS = 1
"""Of one job, at the least."""


class Count(Struct, frozen=True):
    """What some records come to. Parts of a batch count as such: 0.4 submits fill a request to two fifths."""

    documents: float = 0
    characters: float = 0
    text_records: float = 0
    invalid: float = 0
    """Records that are no documents, or ask for a route that they may not: they become dead letters, unpaid."""
    tombstones: float = 0
    submits: float = 0

    def __add__(self, other: "Count") -> "Count":
        """Count both together."""
        return Count(*(mine + theirs for mine, theirs in zip(_figures(self), _figures(other), strict=True)))

    def __mul__(self, factor: float) -> "Count":
        """Count so many times as much."""
        return Count(*(mine * factor for mine in _figures(self)))


def _figures(count: Count) -> tuple[float, ...]:
    return tuple(getattr(count, name) for name in Count.__struct_fields__)


class Tally:
    """Counts records as they come, one partition's in their order, and forgets them."""

    __slots__ = ("_count", "_limits", "_open", "_routing")

    def __init__(self, limits: Limits, routing: Routing | None = None) -> None:
        self._limits, self._routing, self._count = limits, routing, Count()
        self._open: dict[Route | None, Load] = {}

    def add(self, record: Record) -> None:
        """Count one record."""
        match decode(record, self._routing):
            case Document() as document:
                self._count += Count(
                    1, len(document.text), cost.text_records(document.text), submits=self._batch(document)
                )
            case Rejected():
                self._count += Count(invalid=1)
            case _:
                self._count += Count(tombstones=1)

    def _batch(self, document: Document) -> int:
        """Put a document into its route's open batch, or the next one; return how many batches are closed by that."""
        weighed, open_ = load(document), self._open.get(document.route, Load())
        closed = open_.documents > 0 and not (open_ + weighed).fits(self._limits)
        self._open[document.route] = weighed if closed else open_ + weighed
        return int(closed)

    @property
    def count(self) -> Count:
        """What it comes to so far; an open batch counts by how full it is."""
        return self._count + Count(submits=sum(self._fullness(each) for each in self._open.values()))

    def _fullness(self, open_: Load) -> float:
        limits = self._limits
        fullest = max(
            open_.documents / limits.documents, open_.characters / limits.characters, open_.bytes / limits.bytes
        )
        return min(1.0, fullest)


class Unpaid:
    """The offsets of a partition that are not settled, and not in a job of ours that is paid for already."""

    def __init__(self, commit: Commit | None, log: Log, resources: Collection[str]) -> None:
        """Judge by commit and log, as whoever reads next with these Language resources would."""
        start = begin(commit.position if commit else None, log.first, log.end)
        said, _ = understood(commit or Commit(log.first), log, start)
        said = without_strangers(said, {mark(each) for each in resources})
        self.start, self.end = start.position, log.end
        self._known = max(self.start, said.end) if start.trusted else self.start
        self._open = {offset for offset in offsets(said.unfinished) if offset >= self.start}
        self._in_jobs = {offset for job in said.jobs for offset in job.pending() if offset >= self._known}

    def __contains__(self, offset: int) -> bool:
        """Tell whether the record at an offset is still to be paid for."""
        return offset in self._open if offset < self._known else offset < self.end and offset not in self._in_jobs

    def __len__(self) -> int:
        """Count these offsets; where the log has holes, there are fewer records."""
        return self.within(self.start, self.end)

    def within(self, start: int, stop: int) -> int:
        """Count those from one offset up to another."""
        known = sum(start <= offset < stop for offset in self._open)
        in_jobs = sum(start <= offset < stop for offset in self._in_jobs)
        return known + max(0, stop - max(start, self._known)) - in_jobs

    def stretches(self, most: int | None, count: int) -> Iterator[Run]:
        """Say what to read for at most so many records: all as one, or the middles of as many parts as there should be.

        Of each, the first offset and the one that it ends before.
        """
        if most is None or len(self) <= most:
            yield self.start, self.end
            return
        for number in range(count):
            first, stop = (self.start + (self.end - self.start) * n // count for n in (number, number + 1))
            yield first + max(0, stop - first - most // count) // 2, stop


class Stretch(Struct, frozen=True):
    """What was read of a partition without a gap."""

    offsets: int
    """So many that are still to be paid for were passed."""
    count: Count


class Reading(Struct, frozen=True):
    """What was read of one partition."""

    offsets: int
    """So many are still to be paid for."""
    stretches: Sequence[Stretch]


class Estimate(Struct, frozen=True, rename="camel"):
    """What is to be expected, if every document is submitted once."""

    records: int
    """Offsets that are still to be paid for, whatever their records are."""
    read: int
    """Of these."""
    documents: int
    characters: int
    text_records: int
    invalid: int
    tombstones: int
    submits: int
    polls: int
    documents_off: int
    """By so much the documents may be more or fewer, in 19 of 20 cases; 0 where all was read."""
    text_records_off: int
    seconds: float
    """That these calls take at the quota alone."""
    price: float | None
    """Of the text records; None: nobody has said what a thousand of them cost."""


def estimate(readings: Sequence[Reading], seconds: Callable[[int, int], float], price: float | None) -> Estimate:
    """Add up what was read of each partition. `seconds` tells how long so many submits and polls take."""
    found = sum((_whole(each) for each in readings), Count())
    submits, records = math.ceil(round(found.submits, 6)), round(found.text_records)
    return Estimate(
        records=sum(each.offsets for each in readings),
        read=sum(stretch.offsets for each in readings for stretch in each.stretches),
        documents=round(found.documents),
        characters=round(found.characters),
        text_records=records,
        invalid=round(found.invalid),
        tombstones=round(found.tombstones),
        submits=submits,
        polls=submits * POLLS,
        documents_off=_off(readings, lambda count: count.documents),
        text_records_off=_off(readings, lambda count: count.text_records),
        seconds=seconds(submits, submits * POLLS),
        price=None if price is None else cost.price(records, price),
    )


def at_quotas(quotas: Sequence[Rates]) -> Callable[[int, int], float]:
    """Say how long calls take that are divided among resources with these quotas, evenly spaced."""

    def seconds(submits: int, polls: int) -> float:
        paces = [max((_seconds(rate, submits, polls) for rate in rates), default=0.0) for rates in quotas]
        return 0.0 if 0.0 in paces else 1 / sum(1 / pace for pace in paces)

    return seconds


def _seconds(rate: Rate, submits: int, polls: int) -> float:
    """Say how long a window lets calls take, if they are all its own."""
    wanted = {Operation.SUBMIT: submits, Operation.POLL: polls}
    calls = sum(wanted[operation] for operation in rate.operations)
    return calls * rate.seconds / rate.calls


def _passed(reading: Reading) -> int:
    return sum(stretch.offsets for stretch in reading.stretches)


def _whole(reading: Reading) -> Count:
    """Take a partition to be all like what was read of it."""
    read = sum((stretch.count for stretch in reading.stretches), Count())
    return read * (reading.offsets / _passed(reading)) if _passed(reading) else Count()


def _off(readings: Sequence[Reading], figure: Callable[[Count], float]) -> int:
    """Say by how much a sum may be off: as stretches differ among each other, so may what lies between them."""
    return math.ceil(SURE * math.sqrt(sum(_variance(each, figure) for each in readings)))


def _variance(reading: Reading, figure: Callable[[Count], float]) -> float:
    """Estimate the variance of a partition's sum: a ratio to the offsets passed, of stretches drawn without return."""
    passed, drawn = _passed(reading), len(reading.stretches)
    if drawn < 2 or not passed or passed >= reading.offsets:
        return 0.0
    ratio = sum(figure(each.count) for each in reading.stretches) / passed
    spread = sum((figure(each.count) - ratio * each.offsets) ** 2 for each in reading.stretches) / (drawn - 1)
    unread = 1 - passed / reading.offsets
    return (reading.offsets / passed) ** 2 * unread * drawn * spread


# words


def rows(found: Estimate, price: float | None) -> Iterator[tuple[str, str]]:
    """Tell an estimate to people: what, and how much. `price`: of 1,000 text records."""
    yield "documents", _about(found.documents, found.documents_off)
    yield "characters", f"{found.characters:,}"
    yield "text records", _about(found.text_records, found.text_records_off)
    if found.invalid:
        yield "no documents", f"{found.invalid:,}, which become dead letters and cost nothing"
    if found.tombstones:
        yield "tombstones", f"{found.tombstones:,}, which cost nothing"
    yield "calls", f"{found.submits:,} submits, and at least {found.polls:,} polls"
    yield "time at the quota", f"at least {span(found.seconds)}"
    yield "price", _priced(found, price)
    if found.read < found.records:
        yield "read", f"{found.read:,} of {found.records:,} records; in 19 of 20 cases ± holds"


def _about(figure: int, off: int) -> str:
    return f"{figure:,} ± {off:,}" if off else f"{figure:,}"


def _priced(found: Estimate, price: float | None) -> str:
    if found.price is None or price is None:
        return "not known: --price or ENTITY_STREAM_PRICE_PER_1000_TEXT_RECORDS says what 1,000 text records cost"
    off = f" ± {cost.price(found.text_records_off, price):,.2f}" if found.text_records_off else ""
    return f"{found.price:,.2f}{off}, at {price:g} for 1,000 text records"


SPANS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def span(seconds: float) -> str:
    """Say a time in the two units that matter, rounded up to whole seconds."""
    left, parts = math.ceil(seconds), list[tuple[int, str]]()
    for unit, size in SPANS:
        number, left = divmod(left, size)
        if number or parts or unit == "s":
            parts.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number or len(parts) == 1)
