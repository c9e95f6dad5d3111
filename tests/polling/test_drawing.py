"""The plots can be drawn."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from tests.polling.scenario import scenarios

pytest.importorskip("matplotlib", reason="matplotlib comes with what the bench needs: make plots")


def test_each_scenario_is_drawn_and_all_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes a readable picture of every scenario it is given, one of all, and a line for each."""
    from tests.polling.__main__ import draw  # noqa: PLC0415 - imports matplotlib

    few = {name: replace(scenario, jobs=60) for name, scenario in list(scenarios().items())[:2]}
    draw(few, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"polling.svg", *(f"{name}.svg" for name in few)}
    for path in tmp_path.iterdir():
        assert ET.fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")  # noqa: S314 - our own
    told = capsys.readouterr().out
    assert all(f"\n{name}" in told for name in few)
