"""The report as a reader sees it: one Markdown table, then what was checked, then the verdict.

The rule that keeps it honest: a median stands with its range, a ratio with its bound.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Generic

from msgspec import Struct

from tests.bench.figures import (
    Delay,
    Figure,
    Found,
    Held,
    Outcome,
    Report,
    Run,
    Spent,
    Spread,
    Tail,
    of,
    ratio,
    spread,
)
from tests.bench.plan import MOVING, Contender
from tests.bench.verdict import Check, verdict

Row = tuple[str, ...]

COMPARED = (
    (Contender.AT_LEAST_ONCE, Contender.PLAIN),
    (Contender.EXACTLY_ONCE, Contender.AT_LEAST_ONCE),
)
"""Whose figures are divided by whose."""

COLUMNS = (*Contender, *(f"{above} / {below}" for above, below in COMPARED))


class _Line(Struct, Generic[Found], frozen=True):
    """What of a run is shown, how it is written, and whether a ratio of it tells anything."""

    title: str
    figure: Figure[Found]
    form: str
    compared: bool = True


LINES: tuple[_Line[Run], ...] = (
    _Line("documents/s", lambda run: run.rate, ",.0f"),
    _Line("CPU s for 1,000 documents", lambda run: run.cpu, ".3f"),
    _Line("second half: documents/s", lambda run: run.late_rate, ",.0f"),
    _Line("second half: CPU s for 1,000 documents", lambda run: run.late_cpu, ".3f"),
    _Line("polls a job", lambda run: run.gets, ".2f"),
    _Line("calls answered 429", lambda run: run.throttled, ",.0f", compared=False),
    _Line("most memory, MB", lambda run: run.peak / 1e6, ",.0f"),
)
SPENT: tuple[_Line[Spent], ...] = (
    _Line("documents/s that are accepted", lambda one: one.rate, ",.0f"),
    _Line("part of the quota that is used", lambda one: one.used, ".1%", compared=False),
    _Line("part of all calls answered 429", lambda one: one.throttled, ".2%", compared=False),
    _Line("polls a job", lambda one: one.gets, ".2f"),
)
BACK: tuple[_Line[Spent], ...] = (
    _Line("s until 95 % of the quota is used again: halved", lambda one: one.seconds_back(0), ".1f", compared=False),
    _Line("doubled", lambda one: one.seconds_back(1), ".1f", compared=False),
)
TAILS: tuple[_Line[Tail], ...] = (
    _Line("without: s from record to readable entities, median", lambda one: one.calm.p50, ".2f"),
    _Line("without: 99 of 100", lambda one: one.calm.p99, ".2f"),
    _Line("with, the untouched: median", lambda one: one.tailed.p50, ".2f"),
    _Line("with, the untouched: 99 of 100", lambda one: one.tailed.p99, ".2f"),
    _Line("with / without, 99 of 100", lambda one: one.stretch, ".2f", compared=False),
)
DELAYS: tuple[_Line[Delay], ...] = (
    _Line("ms from record to readable entities, median", lambda delay: delay.p50 * 1000, ",.0f"),
    _Line("ms from record to readable entities, 99 of 100", lambda delay: delay.p99 * 1000, ",.0f"),
)


def table(report: Report) -> Iterator[str]:
    """Lay out what was measured: medians, in brackets the range of the rounds."""
    return markdown([("", *COLUMNS), *map(_filled, rows(report))])


def markdown(written: Sequence[Row]) -> Iterator[str]:
    """Write rows as a Markdown table whose first column is words and whose others are figures."""
    widths = [max(map(len, column)) for column in zip(*written, strict=True)]
    for number, row in enumerate(written):
        first, *others = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"| {' | '.join([first, *others])} |"
        if number == 0:
            first, *others = ("-" * width for width in widths)
            yield f"|-{first}-|{'|'.join(f'-{line}:' for line in others)}|"


def rows(report: Report) -> Iterator[Row]:
    """Write the table's rows, as far as there is something in them."""
    for outcome in report.scenarios:
        yield from _scenario(outcome, LINES)
    if report.bare:
        yield "bare client: documents/s", _written(spread(report.bare), ",.0f")
    for spent in report.spent:
        yield from _scenario(spent, (*SPENT, *(BACK if spent.name == MOVING.name else ())))
    for tail in report.tails:
        yield from _scenario(tail, TAILS)
    for delays in report.delays:
        yield from _scenario(delays, DELAYS)
    if report.grown:
        yield ("**growth** CPU s for 1,000 documents, warm",)
    for one in report.grown:
        yield f"{one.documents:,} waiting in {one.partitions} partitions", _written(spread(one.cpu), ".4f")
    for held in report.held:
        yield from _memory(held)


def ending(report: Report, found: Sequence[Check]) -> Iterator[str]:
    """Say where and how it was measured, what did not hold, and what that makes of the run."""
    parts = report.scenarios, report.spent, report.tails, report.delays
    played = [len(one.rounds) for part in parts for one in part]
    grown = min([len(one.cpu) for one in report.grown], default=0)  # the usual is measured more often
    rounds = max([*played, grown, len(report.bare)])
    where = report.machine
    yield f"{where.cores} cores ({where.processor}), Python {where.python}, {where.kafka}, {rounds or 'no'} rounds"
    for check in found:
        yield f"  {'holds ' if check.holds else 'BROKEN'} {check}"
    if found:
        yield f"{verdict(found)}{' (short run, loose bounds)' if report.short else ''}"


def _scenario(outcome: Outcome[Found], lines: Sequence[_Line[Found]]) -> Iterator[Row]:
    yield (f"**{outcome.name}** {outcome.title}",)
    for line in lines:
        alone = [_alone(outcome, line, contender) for contender in Contender]
        yield line.title, *alone, *(_compared(outcome, line, *pair) for pair in COMPARED)


def _alone(outcome: Outcome[Found], line: _Line[Found], contender: Contender) -> str:
    """Write a contender's figure; nothing when it was not there."""
    if contender not in outcome.rounds[0]:
        return ""
    return _written(of(outcome, contender, line.figure), line.form)


def _compared(outcome: Outcome[Found], line: _Line[Found], above: Contender, below: Contender) -> str:
    """Write one contender's figure in those of another; nothing when one was not there, or it would tell nothing."""
    if not line.compared or not {above, below} <= outcome.rounds[0].keys():
        return ""
    return _written(ratio(outcome, line.figure, above, below), ".2f")


def _memory(held: Held) -> Iterator[Row]:
    yield (f"**memory** {held.title}, endpoint away for {len(held.resident)} s",)
    yield "resident in the first half, MB, at most", f"{held.first_half / 1e6:,.0f}"
    yield "resident in the second half, MB, at most", f"{held.second_half / 1e6:,.0f}"


def _filled(row: Row) -> Row:
    return row + ("",) * (1 + len(COLUMNS) - len(row))


def _written(found: Spread, form: str) -> str:
    values = found.middle, found.low, found.high
    middle, low, high = (format(value, form) if math.isfinite(value) else "never" for value in values)
    return middle if low == high else f"{middle} ({low} to {high})"
