"""How a report is told."""

from tests.bench.figures import Report
from tests.bench.samples import DELAYS, MACHINE, PLAIN, SERVICE, outcome, report
from tests.bench.table import ending, markdown, table
from tests.bench.verdict import STRICT, checks


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
