"""The report as a reader sees it: one Markdown table, then what was checked, then the verdict.

The rule that keeps it honest: a median stands with its range, a ratio with its bound.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from tests.bench.figures import Figure, Held, Outcome, Report, Spread, of_plain, of_service, ratio, spread
from tests.bench.verdict import Check, verdict

Row = tuple[str, ...]


class _Line(Struct, frozen=True):
    """What of a run is shown, how it is written, and whether a ratio of it tells anything."""

    title: str
    figure: Figure
    form: str
    compared: bool = True


LINES = (
    _Line("documents/s", lambda run: run.rate, ",.0f"),
    _Line("CPU s for 1,000 documents", lambda run: run.cpu, ".3f"),
    _Line("second half: documents/s", lambda run: run.late_rate, ",.0f"),
    _Line("second half: CPU s for 1,000 documents", lambda run: run.late_cpu, ".3f"),
    _Line("polls a job", lambda run: run.gets, ".2f"),
    _Line("calls answered 429", lambda run: run.throttled, ",.0f", compared=False),
    _Line("most memory, MB", lambda run: run.peak / 1e6, ",.0f"),
)


def table(report: Report) -> Iterator[str]:
    """Lay out what was measured: medians, in brackets the range of the rounds."""
    return markdown([("", "service", "plain loop", "service / plain"), *rows(report)])


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
    """Write the table's rows."""
    for outcome in report.scenarios:
        yield from _scenario(outcome)
    if report.bare:
        yield "bare client: documents/s", _written(spread(report.bare), ",.0f"), "", ""
    for held in report.held:
        yield from _memory(held)


def ending(report: Report, found: Sequence[Check]) -> Iterator[str]:
    """Say where and how it was measured, what did not hold, and what that makes of the run."""
    rounds = max((len(one.rounds) for one in report.scenarios), default=len(report.bare))
    where = report.machine
    yield f"{where.cores} cores ({where.processor}), Python {where.python}, {where.kafka}, {rounds or 'no'} rounds"
    for check in found:
        yield f"  {'holds ' if check.holds else 'BROKEN'} {check}"
    if found:
        yield f"{verdict(found)}{' (short run, loose bounds)' if report.short else ''}"


def _scenario(outcome: Outcome) -> Iterator[Row]:
    yield f"**{outcome.name}** {outcome.title}", "", "", ""
    for line in LINES:
        ours, theirs = of_service(outcome, line.figure), of_plain(outcome, line.figure)
        compared = _written(ratio(outcome, line.figure), ".2f") if line.compared else ""
        yield line.title, _written(ours, line.form), _written(theirs, line.form), compared


def _memory(held: Held) -> Iterator[Row]:
    yield f"**memory** {held.title}, endpoint away for {len(held.resident)} s", "", "", ""
    yield "resident in the first half, MB, at most", f"{held.first_half / 1e6:,.0f}", "", ""
    yield "resident in the second half, MB, at most", f"{held.second_half / 1e6:,.0f}", "", ""


def _written(found: Spread, form: str) -> str:
    middle, low, high = (format(value, form) for value in (found.middle, found.low, found.high))
    return middle if low == high else f"{middle} ({low} to {high})"
