"""Chaos against the whole service: `python -m tests.chaos` from the repository's root.

Real Kafka, real processes, faults from a seed that is printed; the judge knows nothing of the service. Exit code 1
when it finds something, when the service did what it never should, and when too few kills struck in full work.
"""

import argparse
import asyncio
import logging
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, get_args

import msgspec
from rich.console import Console

from tests.chaos.drills import DRILLS, Play, drill
from tests.chaos.patches import Unfit, mutants
from tests.chaos.results import as_json, drills, is_good, keep, told
from tests.chaos.run import Wishes, run
from tests.chaos.script import SMALLEST_RUN
from tests.chaos.telling import Teller
from tests.integration.node import NoBroker
from tests.judge.findings import Mode

COMMAND: Final = "python -m tests.chaos"
LONG: Final = {"kills": 30, "documents": 20_000}
SHORT: Final = {"kills": SMALLEST_RUN, "documents": 6_000}


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    asked = _arguments().parse_args()
    console = Console(stderr=asked.json)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: all processes in order
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=folder / "clients.log", level=logging.WARNING)
    try:
        drilling = asked.mutants is not None or asked.drills is not None
        code: int = asyncio.run((_drill if drilling else _run)(asked, folder, console))
    except (NoBroker, Unfit) as reason:
        console.print(f"{reason}", style="bold red", markup=False)
        code = 1
    except KeyboardInterrupt:
        code = 130
    if code or asked.folder:
        console.print(f"The evidence stays in {folder}", style="bold", soft_wrap=True)
    else:
        shutil.rmtree(folder)
    return code


async def _run(asked: argparse.Namespace, folder: Path, console: Console) -> int:
    wishes = _wishes(asked)
    again = (
        f"{COMMAND} --seed {wishes.seed} --kills {wishes.kills} --documents {wishes.documents}"
        f" --nodes {wishes.nodes} --mode {wishes.mode}"
    )
    console.print(f"seed {wishes.seed}; the same again: {again}", highlight=False, soft_wrap=True)
    judgement = await run(wishes, folder, Teller(console))
    keep(judgement, wishes, folder)
    console.file.write(told(judgement, wishes, colour=console.is_terminal))
    if asked.json:
        sys.stdout.buffer.write(as_json(judgement, wishes))
    return 0 if is_good(judgement, wishes) else 1


async def _drill(asked: argparse.Namespace, folder: Path, console: Console) -> int:
    plays = _of_mutants(asked.mutants) if asked.drills is None else _of_the_unchanged(asked.drills)
    results = await drill(plays, folder, Teller(console))
    console.file.write(drills(results, colour=console.is_terminal))
    if asked.json:
        sys.stdout.buffer.write(msgspec.json.encode(results) + b"\n")
    return 0 if all(each.good for each in results) else 1


def _of_mutants(names: Sequence[str]) -> list[Play]:
    """Put each mutant through its drill, and the unchanged service through the same ones first."""
    chosen = [mutant for mutant in mutants() if not names or mutant.name in names]
    _refuse_unknown("mutant", set(names) - {mutant.name for mutant in chosen})
    return [*_of_the_unchanged([mutant.trouble for mutant in chosen]), *((mutant, mutant.trouble) for mutant in chosen)]


def _of_the_unchanged(names: Sequence[str]) -> list[Play]:
    _refuse_unknown("drill", set(names) - set(DRILLS))
    return [(None, name) for name in dict.fromkeys(names or DRILLS)]


def _refuse_unknown(what: str, names: Collection[str]) -> None:
    if names:
        raise Unfit(f"there is no {what} {', '.join(sorted(names))}")


def _wishes(asked: argparse.Namespace) -> Wishes:
    usual = SHORT if asked.short else LONG
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    return Wishes(seed, asked.kills or usual["kills"], asked.documents or usual["documents"], asked.nodes, asked.mode)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, metavar="N", help="kills in full work, 30 by default")
    parser.add_argument("--documents", type=int, metavar="N", help="documents at the least, 20000 by default")
    parser.add_argument("--seed", type=int, metavar="N", help="chooses everything; by default another each time")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers; with three, leaders are killed")
    parser.add_argument("--mode", choices=get_args(Mode), default="at_least_once", help="what the service promises")
    parser.add_argument("--short", action="store_true", help=f"{SMALLEST_RUN} kills in less than three minutes")
    parser.add_argument("--folder", type=Path, help="where the evidence goes, and stays whatever it says")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="are broken services found? all, or these")
    parser.add_argument(
        "--drills", nargs="*", metavar="NAME", help="the unchanged service through all drills, or these"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
