"""Draws what the scenarios come to: the service's own way of polling beside every fixed interval.

The rule that keeps it honest: nothing is drawn that the tests do not measure, in the same runs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from msgspec import Struct

from tests.polling.scenario import Scenario
from tests.polling.search import Tried, best
from tests.polling.tally import Tally

OURS, THEIRS, BEST = "#c2410c", "#64748b", "#0f172a"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "polling",
    "font.size": 8.0,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
"""Text stays text, and the same figures make the same file."""


class Outcome(Struct, frozen=True):
    """A scenario, and what came of it."""

    scenario: Scenario
    ours: Tally
    tried: Sequence[Tried]


def draw_each(outcomes: Mapping[str, Outcome], folder: Path) -> None:
    """Draw one file for each scenario: polls against waiting, and how long each part of the jobs waits."""
    with rc_context(STYLE):
        for name, outcome in outcomes.items():
            figure = Figure(figsize=(8.0, 3.2), layout="constrained")
            left, right = figure.subplots(1, 2)
            _weigh(left, outcome)
            _spread(right, outcome)
            left.legend(loc="upper right")
            figure.suptitle(outcome.scenario.title)
            _save(figure, folder / f"{name}.svg")


def draw_all(outcomes: Mapping[str, Outcome], path: Path) -> None:
    """Draw polls against waiting of all scenarios in one file."""
    with rc_context(STYLE):
        rows = -(-len(outcomes) // 4)
        figure = Figure(figsize=(9.6, 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, 4, squeeze=False).flat
        for panel in panels:
            panel.set_visible(False)
        for panel, outcome in zip(figure.axes, outcomes.values(), strict=False):
            panel.set_visible(True)
            _weigh(panel, outcome)
            panel.set_title(outcome.scenario.title, fontsize=7)
        figure.axes[0].legend(fontsize=7)
        _save(figure, path)


def _weigh(panel: Axes, outcome: Outcome) -> None:
    """Draw polls against waiting: whatever is further down and further left is better."""
    intervals = [(each.tally.gets_per_job, each.tally.late(0.5)) for each in outcome.tried]
    panel.plot(*zip(*intervals, strict=True), ".-", color=THEIRS, linewidth=0.8, markersize=3, label="fixed intervals")
    chosen = best(outcome.tried).tally
    panel.plot(chosen.gets_per_job, chosen.late(0.5), "s", color=BEST, markersize=4, label="the best of them")
    panel.plot(outcome.ours.gets_per_job, outcome.ours.late(0.5), "*", color=OURS, markersize=9, label="learned")
    panel.set_xlabel("GETs for a job")
    panel.set_ylabel("median wait, s")
    panel.set_ylim(bottom=0)
    panel.locator_params(nbins=5)


def _spread(panel: Axes, outcome: Outcome) -> None:
    parts = [part / 100 for part in range(1, 100)]
    for tally, color in ((best(outcome.tried).tally, BEST), (outcome.ours, OURS)):
        panel.plot([tally.late(part) for part in parts], parts, color=color, linewidth=1)
    panel.set_xlabel("wait beyond the true end, s")
    panel.set_ylabel("part of the jobs")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
