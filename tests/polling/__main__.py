"""`python -m tests.polling`: every scenario in figures, and drawn into a folder."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from entity_stream.core.polling import Polling
from tests.polling.drawing import Outcome, draw_all, draw_each
from tests.polling.scenario import Scenario, scenarios
from tests.polling.search import best, tried
from tests.polling.simulation import World
from tests.polling.tally import Tally

HEAD = f"{'':12}{'GETs/job':>9}{'p50, s':>8}{'p99, s':>8}{'quota':>7}{'429s':>6}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, tell and draw."""
    known = scenarios()
    parser = argparse.ArgumentParser(prog="python -m tests.polling", description=(__doc__ or "").strip())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("plots"), metavar="FOLDER", help="default: ./plots")
    options = parser.parse_args(arguments)
    if strange := set(options.names) - set(known):
        parser.error(f"there is no scenario {', '.join(sorted(strange))}")
    draw({name: known[name] for name in options.names or known}, options.out)
    return 0


def draw(chosen: Mapping[str, Scenario], folder: Path) -> None:
    """Run scenarios, print a line or two of each, and draw them into the folder: each, and all together."""
    folder.mkdir(parents=True, exist_ok=True)
    print(HEAD)
    outcomes = {}
    for name, scenario in chosen.items():
        outcomes[name] = outcome = Outcome(scenario, World(scenario, Polling()).run(), tried(scenario))
        interval = best(outcome.tried)
        print(line(name, outcome.ours), line(f"  each {interval.interval:.2f} s", interval.tally), sep="\n", flush=True)
    draw_each(outcomes, folder)
    draw_all(outcomes, folder / "polling.svg")


def line(name: str, tally: Tally) -> str:
    """Tell a run in a line."""
    return (
        f"{name:12}{tally.gets_per_job:9.2f}{tally.late(0.5):8.3f}{tally.late(0.99):8.2f}"
        f"{tally.used:7.0%}{tally.throttled:6}"
    )


if __name__ == "__main__":
    sys.exit(main())
