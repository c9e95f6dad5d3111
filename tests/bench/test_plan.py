"""What the command line makes of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.plan import DOCUMENTS, ONE_WINDOW, PARTS, half, in_windows, latency, plan


@given(st.floats(1, 1e6))
def test_work_comes_in_whole_windows(documents: float) -> None:
    """Documents are rounded to whole windows, and there are two at least: in the first nothing is measured."""
    assert in_windows(documents) % ONE_WINDOW == 0
    assert in_windows(documents) >= 2 * ONE_WINDOW


@given(st.floats(1, 1e6))
def test_the_first_half_is_whole_windows_too(documents: float) -> None:
    """The second half begins with a window, after one at the least, and is no smaller than the first."""
    count = in_windows(documents)
    assert half(count) % ONE_WINDOW == 0
    assert ONE_WINDOW <= half(count) <= count - half(count)


def test_a_full_run_measures_everything() -> None:
    """Without options every part is there, with five rounds of full size."""
    full = plan()
    assert [scenario.name for scenario in full.scenarios] == ["B", "A"]
    assert (full.rounds, len(full.waiting)) == (5, 2)
    assert abs(full.scenarios[0].service_documents - DOCUMENTS) < ONE_WINDOW
    assert full.bare_documents
    assert [load.name for load in full.loads] == ["L"]


@pytest.mark.parametrize(
    ("only", "played", "bare", "waits"),
    [
        ("b", ["B"], True, 0),
        ("a", ["A"], False, 0),
        ("l", ["L"], False, 0),
        ("bare", [], True, 0),
        ("memory", [], False, 2),
    ],
)
def test_one_part_brings_only_what_it_needs(only: str, played: list[str], *, bare: bool, waits: int) -> None:
    """A part is measured alone, B with the bare client that makes it count."""
    assert only in PARTS
    laid = plan(only=only)
    assert [scenario.name for scenario in laid.scenarios] + [load.name for load in laid.loads] == played
    assert bool(laid.bare_documents) is bare
    assert len(laid.waiting) == waits


def test_a_short_run_has_no_long_jobs() -> None:
    """A short run is one round of B and one short wait."""
    short = plan(short=True)
    assert not short.loads
    assert [scenario.name for scenario in short.scenarios] == ["B"]
    assert short.rounds == 1
    assert sum(waiting.seconds for waiting in short.waiting) == 15


def test_jobs_of_a_take_longer_than_the_plain_loop_waits() -> None:
    """In A most jobs outlast the plain loop's first pause, so that it asks twice, as measured for its peers."""
    scenario = latency(100_000)
    assert scenario.poll_every < scenario.whole_job_takes < 2 * scenario.poll_every
