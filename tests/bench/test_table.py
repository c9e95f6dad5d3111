"""How a report is told."""

import math
import re
from pathlib import Path

from msgspec.structs import replace

from tests.bench.figures import Delay, Found, Grown, Held, Outcome, Report
from tests.bench.plan import MOVING, Contender, Load, Scenario, Throttle, plan
from tests.bench.samples import DELAYS, MACHINE, MOVED, PLAIN, SERVICE, TAIL, outcome, report
from tests.bench.table import ending, markdown, table
from tests.bench.verdict import STRICT, checks

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_table_is_markdown() -> None:
    """Every line has the same columns, as wide as the widest, and the second is the ruler."""
    lines = list(markdown([("", "service"), ("documents/s", "9,000")]))
    assert lines == ["|             | service |", "|-------------|--------:|", "| documents/s | 9,000   |"]


def test_a_range_is_told_where_there_is_one() -> None:
    """One value for all rounds stands alone, several stand as median and range."""
    several = outcome("B", times=2)
    [alone] = [line for line in table(Report(MACHINE, (several,))) if line.startswith("| documents/s")]
    assert "9,000 " in alone
    assert " to " not in alone


def test_all_that_was_measured_is_told() -> None:
    """The table has a block for each thing that was measured; the checks follow, then the verdict."""
    told = "\n".join(table(report()))
    parts = (
        "**B**",
        "**A**",
        "**C token bucket**",
        "**C'**",
        "**G**",
        "**L**",
        "bare client",
        "**growth**",
        "**memory**",
    )
    assert all(part in told for part in parts)
    assert told.count(" 4.50 ") == 1
    assert f"{SERVICE.rate / PLAIN.rate:.2f}" == "4.50"
    *_, last = ending(report(), checks(report(), STRICT))
    assert last == "PASSED"


def test_who_was_not_there_has_an_empty_column() -> None:
    """A load has no plain loop: its column and the ratios to it are empty, that of the two modes is told."""
    [median] = [line for line in table(Report(MACHINE, delays=(DELAYS,))) if ", median" in line]
    assert [cell.strip() for cell in median.split("|")[2:-1]] == ["150", "180", "", "", "", "", "", "1.20"]


def test_what_never_comes_is_told_so() -> None:
    """Who is not back at the quota within a run has no seconds for it."""
    never = replace(MOVED, back=(math.inf, 2.0))
    told = list(
        table(Report(MACHINE, spent=(Outcome(MOVING.name, MOVING.title, ({Contender.AT_LEAST_ONCE: never},)),)))
    )
    [halved] = [line for line in told if "halved" in line]
    assert "never" in halved
    assert "inf" not in halved


def test_the_readme_has_the_table_as_it_is_printed() -> None:
    """Its columns and rows are those of a run of everything, in the same order."""
    written = README.split("<!-- bench -->")[1].split("<!-- /bench -->")[0]
    printed, shown = list(table(_everything())), re.findall(r"^\|.*\|$", written, re.MULTILINE)
    assert shown[0].split() == printed[0].split()
    assert [_title(line) for line in shown[2:]] == [_title(line) for line in printed[2:]]


def _title(line: str) -> str:
    return line.split("|")[1].strip()


def _everything() -> Report:
    """A report of all that is planned, of one round by the service alone."""
    laid = plan()
    sizes = {(size.documents, size.partitions) for size in laid.sizes}
    return Report(
        MACHINE,
        tuple(_alone(each, SERVICE) for each in laid.scenarios),
        tuple(_alone(each, MOVED) for each in laid.throttles),
        tuple(_alone(each, TAIL) for each in laid.tails),
        tuple(_alone(each, Delay(0.1, 0.2)) for each in laid.loads),
        tuple(Grown(*size, (0.1,)) for size in sorted(sizes, key=lambda size: size[::-1])),
        (1.0,),
        tuple(Held(each.name, each.title, (1,) * round(each.seconds), settling=2) for each in laid.waiting),
    )


def _alone(part: Scenario | Throttle | Load, found: Found) -> Outcome[Found]:
    return Outcome(part.name, part.title, ({Contender.AT_LEAST_ONCE: found},))
