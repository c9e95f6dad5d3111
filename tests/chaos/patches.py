"""Mutants of the service as files: a promise to break, the finding that must tell of it, and a unified diff.

A diff is applied by its text alone: what it takes out, with the lines around it, has to stand exactly once in the
file. So the lines that a diff names may move, but nothing is ever put in the wrong place. `git diff -U1` makes one.
"""

import re
import shutil
from pathlib import Path
from typing import Final

from msgspec import Struct

PACKAGE: Final = Path(__file__).parents[2] / "service" / "entity_stream"
MUTANTS: Final = Path(__file__).parent / "mutants"

HEADER: Final = re.compile(
    r"Breaks: (?P<promise>.+)\nFound by: (?P<finding>[a-z_]+(?: or [a-z_]+)*)\nTrouble: (?P<trouble>[a-z-]+)\n"
)
FILE: Final = re.compile(r"^--- a/service/entity_stream/(\S+).*\n\+\+\+ b/service/entity_stream/\1.*\n", re.MULTILINE)
HUNK: Final = re.compile(r"^@@ .*\n", re.MULTILINE)


class Unfit(Exception):
    """A mutant that cannot be read, or does not apply any more; the message says why."""


class Hunk(Struct, frozen=True):
    """Some lines of a file, and what becomes of them."""

    file: str
    old: str
    new: str


class Mutant(Struct, frozen=True):
    """A service that breaks a promise."""

    name: str
    promise: str
    """What it breaks, in words."""
    finding: str
    """What the checker must find of it; where it strikes differs from run to run, one of several."""
    trouble: str
    """What brings it to light: the name of a drill."""
    hunks: tuple[Hunk, ...]


def mutants() -> list[Mutant]:
    """Read all mutants. Raises Unfit."""
    return [read(path.stem, path.read_text(encoding="utf-8")) for path in sorted(MUTANTS.glob("*.patch"))]


def read(name: str, text: str) -> Mutant:
    """Read one mutant. Raises Unfit."""
    header = HEADER.match(text)
    if header is None:
        raise Unfit(f"{name} does not begin with the lines Breaks:, Found by: and Trouble:")
    _, *parts = FILE.split(text)
    hunks = [_hunk(file, lines) for file, diff in zip(parts[::2], parts[1::2], strict=True) for lines in _split(diff)]
    if not hunks or any(hunk.old == hunk.new for hunk in hunks):
        raise Unfit(f"{name} changes nothing")
    return Mutant(name, hunks=tuple(hunks), **header.groupdict())


def _split(diff: str) -> list[list[str]]:
    return [part.splitlines(keepends=True) for part in HUNK.split(diff)[1:]]


def _hunk(file: str, lines: list[str]) -> Hunk:
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    return Hunk(file, old, new)


def applied(mutant: Mutant, file: str, source: str) -> str:
    """Change the source of one file as the mutant wants it. Raises Unfit."""
    for hunk in mutant.hunks:
        if hunk.file == file:
            if (times := source.count(hunk.old)) != 1:
                raise Unfit(f"{mutant.name} does not apply: what it changes in {file} is there {times} times")
            source = source.replace(hunk.old, hunk.new)
    return source


def copied(mutant: Mutant, folder: Path) -> Path:
    """Copy the package into a folder and change it there; return what PYTHONPATH has to name. Raises Unfit."""
    package = folder / PACKAGE.name
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in {hunk.file for hunk in mutant.hunks}:
        path = package / file
        path.write_text(applied(mutant, file, path.read_text(encoding="utf-8")), encoding="utf-8")
    return folder
