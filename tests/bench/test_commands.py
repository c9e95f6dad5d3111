"""What the README says of the bench."""

import re
import shlex
from pathlib import Path

import pytest

from tests.bench.__main__ import main, parser
from tests.bench.plan import PARTS, Contender

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r'`make bench ARGS="(.+?)"`', README)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_bench_takes_what_the_readme_gives_it(command: str) -> None:
    """Every command of the README that measures or draws has options that exist."""
    assert parser().parse_args(shlex.split(command))


def test_the_readme_tells_of_everything() -> None:
    """Every contender and every part is described, and the picture is there."""
    assert all(f"| {contender} |" in README or f"`{contender}`" in README for contender in Contender)
    parts = re.findall(r"^\| \*{0,2}([A-Z]'?|growth|memory)\*{0,2} \|", README, re.MULTILINE)
    assert {part.lower().replace("c'", "moving") for part in parts} == {*PARTS} - {"bare"}
    assert (ROOT / "tests" / "bench" / "bench.svg").exists()
    assert "tests/bench/bench.svg)" in README


def test_a_file_that_is_no_report_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever hands over another file than --out has written gets a sentence, and no stack trace."""
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert main(["--from", str(tmp_path / "other.json")]) == 1
    assert "other.json" in capsys.readouterr().err
