"""The judge's verdict on a run: reads what was published and what the endpoint's books say, and tells what is wrong.

    python -m tests.judge.checker --bootstrap B --input T --output T --dead-letters T --group G --books FILE

Exit codes: 0 nothing is wrong, 1 something is, 2 it cannot be judged. Nothing to judge is never a clean verdict.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec
from aiokafka.errors import KafkaError
from msgspec import structs

from tests.judge.books import read_books
from tests.judge.case import SESSION, Evidence, Input, Outcome, Shock
from tests.judge.evidence import Scene, collect, read_shocks
from tests.judge.findings import Findings, Mode, check
from tests.judge.journeys import report

__all__ = ["Evidence", "Findings", "Input", "Mode", "Outcome", "Scene", "Shock", "check", "collect", "main", "report"]

CLEAN, FAULTY, NO_VERDICT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a run as the command line says, print the verdict and return the exit code."""
    asked = _parser().parse_args(arguments)
    scene = Scene(asked.bootstrap, asked.input, asked.output, asked.dead_letters, asked.group)
    try:
        evidence = asyncio.run(_gather(scene, asked.books, asked.shocks))
        evidence = structs.replace(evidence, session=asked.session)
        findings = check(evidence, asked.mode)
    except (KafkaError, OSError, msgspec.DecodeError, ValueError) as error:
        sys.stderr.write(f"no verdict: {error}\n")
        return NO_VERDICT
    if asked.json:
        said = {"mode": findings.mode, "faults": findings.faults(), "tolerated": findings.tolerated()}
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    else:
        sys.stdout.write(report(findings, evidence, colour=sys.stdout.isatty()))
    return FAULTY if findings.faults() else CLEAN


async def _gather(scene: Scene, books: Path, shocks: Path | None) -> Evidence:
    evidence = await collect(scene, (), read_shocks(shocks) if shocks else ())
    evidence = structs.replace(evidence, books=read_books(books))  # last: they hold the job behind each outcome
    if not evidence.inputs:
        raise ValueError(f"the input topic {scene.input} is empty")
    if not evidence.books:
        raise ValueError(f"the books {books} are empty")
    return evidence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.judge.checker", description="Judges a run of the service.")
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="the brokers")
    parser.add_argument("--input", required=True, metavar="TOPIC", help="where the documents are")
    parser.add_argument("--output", required=True, metavar="TOPIC", help="where the entities and tombstones are")
    parser.add_argument("--dead-letters", required=True, metavar="TOPIC", help="where the rejected are")
    parser.add_argument("--group", required=True, help="the consumer group of the service")
    parser.add_argument("--books", required=True, type=Path, metavar="FILE", help="what the endpoint noted")
    parser.add_argument("--shocks", type=Path, metavar="FILE", help="what was done to whom and when, as JSON lines")
    parser.add_argument("--session", type=float, default=SESSION, metavar="S", help="the group's session time-out")
    parser.add_argument("--mode", choices=get_args(Mode), default="at_least_once", help="what the service promises")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
