"""The report as a picture."""

from pathlib import Path

import msgspec
import pytest

from tests.bench.figures import merged, read
from tests.bench.samples import report

chart = pytest.importorskip(
    "tests.bench.chart", reason="matplotlib is installed for the bench alone", exc_type=ImportError
)


def test_the_same_report_is_the_same_picture(tmp_path: Path) -> None:
    """Drawn twice a report gives the same bytes, with a panel for each part, whose titles can be read as text."""
    for name in ("one.svg", "other.svg"):
        chart.draw(report(), tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "other.svg").read_text(encoding="utf-8")
    assert all(
        part in drawn for part in ("A: documents/s", "B: CPU ms", "C token bucket", "C': submits", "G: p99", "growth")
    )


def test_runs_of_several_parts_are_put_together(tmp_path: Path) -> None:
    """What --out has written is read as it was, and two of them make one report."""
    whole, files = report(), []
    for part in ("scenarios", "spent", "tails", "delays", "grown", "bare", "held"):
        files.append(tmp_path / f"{part}.json")
        others = {name: () for name in whole.__struct_fields__ if name not in {part, "machine", "short"}}
        files[-1].write_bytes(msgspec.json.encode({"report": msgspec.structs.replace(whole, **others)}))
    found = merged([read(path) for path in files])
    assert found == whole
