"""The yardstick: it measures what it is laid beside, and takes out how fast the cores were."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.watching import Look, Unsound
from tests.bench.yardstick import Yardstick, evened, laid_beside

seconds = st.floats(0.001, 1.0)


def look(at: float) -> Look:
    return Look({}, 0.0, 0, at)


def test_pieces_are_done_and_told(tmp_path: Path) -> None:
    """A process beside ours measures pieces, of milliseconds each."""
    with laid_beside(tmp_path / "log") as yardstick:
        first, deadline = look(time.monotonic()), time.monotonic() + 30
        while (tmp_path / "log").read_bytes().count(b"\n") < 5:
            assert time.monotonic() < deadline
        assert 0.0001 < yardstick.between(first, look(time.monotonic())) < 0.1


def test_only_what_was_done_between_two_looks_counts(tmp_path: Path) -> None:
    """Neither what was before or after, nor a line that is being written."""
    log = tmp_path / "log"
    log.write_text("1.0 0.5\n2.0 0.002\n3.0 0.004\n4.0 0.5\n3.0 0", encoding="utf-8")
    assert Yardstick(log).between(look(1.5), look(3.5)) == pytest.approx(0.003)
    with pytest.raises(Unsound, match="nothing was measured"):
        Yardstick(log).between(look(5.0), look(6.0))


@given(seconds, st.lists(st.lists(seconds, min_size=1), min_size=1))
def test_the_pace_of_the_cores_is_taken_out(work: float, paces: list[list[float]]) -> None:
    """The same work is the same in the end, however slow the cores were, and costs what it did in the mean."""
    mean = sum(map(sum, paces)) / sum(map(len, paces))
    for some in evened([[(work * pace, pace) for pace in some] for some in paces]):
        assert some == pytest.approx([work * mean] * len(some))
