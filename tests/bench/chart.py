"""The report as a picture: one panel for each thing that is compared.

The rule that keeps it honest: axes begin at nothing, bars are medians, and the line on each bar is the range of the
rounds. The picture of a report is the same to the byte whenever it is drawn.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.figures import Found, Grown, Outcome, Report, Spent, Spread, of, spread
from tests.bench.plan import MOVING, Contender, allowed

COLOURS = {
    Contender.AT_LEAST_ONCE: "#0b6e4f",
    Contender.EXACTLY_ONCE: "#6fb98f",
    Contender.PLAIN: "#8d99ae",
    Contender.FASTSTREAM: "#e09f3e",
    Contender.ARROYO: "#9e2a2b",
    Contender.SDK: "#540b0e",
}

SETTINGS = {"svg.hashsalt": "entity-stream", "svg.fonttype": "none", "font.size": 8.0, "axes.axisbelow": True}
"""Salt, so that ids in the picture are the same each time."""

Panel = Callable[[Axes], None]


def draw(report: Report, target: Path) -> None:
    """Write the picture as SVG."""
    panels = list(_panels(report))
    rows = -(-len(panels) // 2)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(10, 2.6 * rows), layout="constrained")
        for place, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, 2, place)
            panel(axes)
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(target, format="svg", metadata={"Date": None})


def _panels(report: Report) -> Sequence[Panel]:
    found: list[Panel] = []
    if a := report.scenario("A"):
        found.append(_bars("A: documents/s, jobs of 0.8 s + 10 ms a document", a, lambda run: run.rate, allowed()))
    if b := report.scenario("B"):
        found.append(_bars("B: documents/s, jobs of 50 ms", b, lambda run: run.rate))
        found.append(_bars("B: CPU ms a document", b, lambda run: run.cpu))
    for spent in report.spent:
        if spent.name == MOVING.name:
            found.append(_pace(spent))
        else:
            found.append(_bars(f"{spent.name}: part of the quota that is used", spent, lambda one: one.used, 1.0))
    for tail in report.tails:
        title = f"{tail.name}: p99 of untouched documents, slow jobs / none"
        found.append(_bars(title, tail, lambda one: one.stretch, 1.0))
    if report.grown:
        found.append(_growth(report.grown))
    return found


def _bars(title: str, outcome: Outcome[Found], figure: Callable[[Found], float], limit: float | None = None) -> Panel:
    """Draw a bar for each contender; at `limit` a line."""

    def panel(axes: Axes) -> None:
        there = [contender for contender in Contender if contender in outcome.rounds[0]]
        sums = [of(outcome, contender, figure) for contender in there]
        colours = [COLOURS[contender] for contender in there]
        middles = [one.middle for one in sums]
        bars = axes.barh([str(contender) for contender in there], middles, color=colours, xerr=_ranges(sums))
        axes.bar_label(bars, [_written(middle) for middle in middles], padding=6)
        axes.set_title(title, loc="left")
        axes.set_xlim(0, 1.15 * max([*(one.high for one in sums), limit or 0.0]))
        axes.invert_yaxis()
        if limit is not None:
            axes.axvline(limit, color="black", linewidth=0.8, linestyle=":")

    return panel


def _pace(spent: Outcome[Spent]) -> Panel:
    """Draw what is accepted second by second in the first round, and the quota above it."""

    def panel(axes: Axes) -> None:
        edges = [number * MOVING.each for number in range(len(MOVING.quotas) + 1)]
        axes.stairs(MOVING.quotas, edges, baseline=None, color="black", linestyle=":", label="quota")
        for contender, one in spent.rounds[0].items():
            axes.plot(range(1, len(one.pace) + 1), one.pace, color=COLOURS[contender], label=str(contender))
        axes.set_title(f"{spent.name}: submits/s that are accepted, first round, by second", loc="left")
        axes.set_xlim(0, edges[-1] + 10)
        axes.set_ylim(0, 1.3 * max(MOVING.quotas))
        axes.legend(ncols=3, fontsize=6, loc="lower center")

    return panel


def _growth(grown: Sequence[Grown]) -> Panel:
    def panel(axes: Axes) -> None:
        sums = [spread(one.cpu) for one in grown]
        names = [f"{one.documents:,}\nin {one.partitions}" for one in grown]
        middles = [one.middle for one in sums]
        bars = axes.bar(names, middles, color=COLOURS[Contender.AT_LEAST_ONCE], yerr=_ranges(sums))
        axes.bar_label(bars, [_written(middle) for middle in middles], padding=4)
        axes.set_title("growth: CPU ms a document, by documents waiting and partitions", loc="left")
        axes.set_ylim(0, 1.25 * max(one.high for one in sums))

    return panel


def _ranges(sums: Sequence[Spread]) -> list[list[float]]:
    """Say how far the range reaches to both sides of the median."""
    return [[one.middle - one.low for one in sums], [one.high - one.middle for one in sums]]


def _written(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
