"""`python -m tests.bench`: the service beside its peers, on a real Kafka; exit code 0 only when every target is met.

The rule that keeps it honest: what the README quotes is what this prints, and it prints what it found, also when that
is not what we hoped for.
"""

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import msgspec
from rich.console import Console

from entity_stream.core.mistake import Mistake
from tests.bench.arena import Arena
from tests.bench.figures import Machine, Report, merged, read
from tests.bench.growth import grow
from tests.bench.memory import hold
from tests.bench.plan import DOCUMENTS, MODES, PARTS, ROUNDS, Contender, Plan, ceiling, plan
from tests.bench.profiling import profile
from tests.bench.scenarios import play, run_bare
from tests.bench.steady import keep_coming
from tests.bench.table import ending, table
from tests.bench.tails import swing
from tests.bench.throttles import throttle
from tests.bench.verdict import LOOSE, STRICT, Verdict, checks, verdict
from tests.bench.watching import Unsound
from tests.integration.brokers import Broker, broker
from tests.integration.node import NoBroker
from tests.judge.process import judge

FROM = "measure nothing: take what --out has written, of several runs put together"

INTERRUPTED = 130
"""As a shell has it for a command that SIGINT ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge."""
    grammar = parser()
    options = grammar.parse_args(arguments)
    if options.mode and not options.profile:
        grammar.error("--mode goes with --profile; all else measures both")
    progress = Console(stderr=True)
    try:
        if options.from_:
            return _tell(merged([read(path) for path in options.from_]), options)
        return _measured(options, progress)
    except (NoBroker, Mistake, Unsound) as reason:
        progress.print(f"{Verdict.INVALID}: {reason}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _measured(options: argparse.Namespace, progress: Console) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever was started is ended in order
    with tempfile.TemporaryDirectory(prefix="entity-stream-bench-") as folder:
        kafka_folder = Path(folder, "kafka")
        kafka_folder.mkdir()
        with broker(kafka_folder) as kafka:
            progress.print(str(kafka))
            return asyncio.run(_run(options, kafka, Path(folder), progress))


async def _run(options: argparse.Namespace, kafka: Broker, folder: Path, progress: Console) -> int:
    laid = plan(rounds=options.rounds, documents=options.documents, only=options.only, short=options.short)
    async with judge(folder) as endpoint:
        arena = Arena(kafka.bootstrap, endpoint, folder, progress)
        if options.profile:
            print(*await profile(arena, ceiling(options.documents or DOCUMENTS), options.mode or MODES[0]), sep="\n")
            return 0
        report = await measure(arena, laid, _machine(kafka))
    return _tell(report, options)


async def measure(arena: Arena, laid: Plan, machine: Machine) -> Report:
    """Do all that is planned."""
    bare: list[float] = []
    scenarios = [await play(arena, laid, scenario, bare) for scenario in laid.scenarios]
    if not laid.scenarios and laid.bare_documents:
        bare += [await run_bare(arena, laid.bare_documents) for _ in range(laid.rounds)]
    return Report(
        machine,
        tuple(scenarios),
        spent=tuple([await throttle(arena, each, laid.rounds) for each in laid.throttles]),
        tails=tuple([await swing(arena, load, laid.rounds) for load in laid.tails]),
        delays=tuple([await keep_coming(arena, load, laid.rounds) for load in laid.loads]),
        grown=await grow(arena, laid.sizes, laid.rounds),
        bare=tuple(bare),
        held=tuple([await hold(arena, waiting) for waiting in laid.waiting]),
        short=laid.short,
    )


def _tell(report: Report, options: argparse.Namespace) -> int:
    found = checks(report, LOOSE if report.short else STRICT)
    judged = {
        "verdict": verdict(found) if found else None,
        "checks": [msgspec.to_builtins(check) | {"holds": check.holds} for check in found],
        "report": report,
    }
    encoded = msgspec.json.format(msgspec.json.encode(judged))
    if options.chart:
        draw = import_module("tests.bench.chart").draw  # with it comes a drawing library, which measuring does not need
        draw(report, options.chart)
    if options.out:
        options.out.write_bytes(encoded + b"\n")
    if options.json:
        print(encoded.decode())
    else:
        print(*table(report), "", *ending(report, found), sep="\n")
    return 0 if verdict(found) is Verdict.PASSED else 1


def _machine(kafka: Broker) -> Machine:
    return Machine(os.cpu_count() or 0, _processor(), platform.python_version(), f"Apache Kafka {kafka.version}")


def _processor() -> str:
    """Name the processor as Linux does; elsewhere by its architecture."""
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in told if line.startswith("model name")), platform.machine())


def parser() -> argparse.ArgumentParser:
    """Say what the command line takes."""
    grammar = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    grammar.add_argument("--rounds", type=_positive, metavar="N", help=f"of each scenario; default: {ROUNDS}")
    what = f"for the service in B, all else in proportion; default: {DOCUMENTS:,}"
    grammar.add_argument("--documents", type=_positive, metavar="N", help=what)
    grammar.add_argument("--only", choices=PARTS, help="one part of it")
    grammar.add_argument("--short", action="store_true", help="B, C and memory, little of each, loose bounds: for CI")
    grammar.add_argument(
        "--profile", action="store_true", help="where the service's CPU goes in B; measures nothing else"
    )
    grammar.add_argument(
        "--mode", type=Contender, choices=MODES, help=f"how the service delivers that is profiled; default: {MODES[0]}"
    )
    grammar.add_argument("--from", dest="from_", nargs="+", type=Path, metavar="FILE", help=FROM)
    grammar.add_argument("--chart", type=Path, metavar="FILE", help="a picture of it, as SVG")
    grammar.add_argument("--json", action="store_true", help="everything as JSON on stdout")
    grammar.add_argument("--out", type=Path, metavar="FILE", help="everything as JSON, to a file as well")
    return grammar


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
