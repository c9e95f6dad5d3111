"""When the watchdog barks, whatever it has seen."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from entity_stream.core.polling import LATEST_FIRST
from entity_stream.core.watchdog import GLANCE, Sight, Watchdog, patience

PATIENCE = 120.0
QUIET = Sight(["records are read and not settled"], moved=7, causes=[])
"""Work, and nothing that moves or has a name."""

seconds = st.floats(0.1, GLANCE)
gaps = st.lists(seconds, max_size=60)
reprieves = st.sampled_from([{"causes": ["parked: 401"]}, {"moved": 8}, {"work": []}])
"""What makes a sight harmless."""


def looked(watchdog: Watchdog, gaps: list[float], sight: Sight = QUIET, start: float = 0.0) -> list[str | None]:
    """Look once at `start`, then after each gap."""
    told, now = [watchdog.look(sight, start)], start
    for gap in gaps:
        now += gap
        told.append(watchdog.look(sight, now))
    return told


@given(gaps)
def test_it_barks_after_its_patience_and_not_before(gaps: list[float]) -> None:
    """With work, no progress and no named cause it says so from the first look after the patience on."""
    told = looked(Watchdog(PATIENCE), gaps)
    for number, stall in enumerate(told):
        quiet = sum(gaps[:number])
        assert (stall is not None) == (quiet >= PATIENCE) or abs(quiet - PATIENCE) < 1e-6
        assert stall is None or QUIET.work[0] in stall


@given(st.lists(st.tuples(seconds, reprieves), max_size=60))
def test_it_never_barks_while_anything_explains_the_quiet(sights: list[tuple[float, dict[str, object]]]) -> None:
    """While each look shows a cause that has a name, something that moved, or no work, all is in order."""
    watchdog, now = Watchdog(PATIENCE), 0.0
    for number, (gap, change) in enumerate(sights):
        now += gap * 100
        moved = -number - 1 if "moved" in change else QUIET.moved
        assert watchdog.look(replace(QUIET, **change | {"moved": moved}), now) is None


@given(gaps, reprieves, gaps)
def test_one_reprieve_begins_the_patience_anew(
    before: list[float], change: dict[str, object], after: list[float]
) -> None:
    """Also of one that has barked: what was before a reprieve does not count."""
    watchdog = Watchdog(PATIENCE)
    looked(watchdog, before)
    now = sum(before)
    sight = replace(QUIET, **change)
    assert watchdog.look(sight, now + 1.0) is None
    fresh = Watchdog(PATIENCE)
    fresh.look(sight, now + 1.0)
    quiet = replace(QUIET, moved=sight.moved)
    assert looked(watchdog, after, quiet, now + 2.0) == looked(fresh, after, quiet, now + 2.0)


@given(st.floats(0.0, 1e6))
def test_waking_is_no_stall(asleep: float) -> None:
    """However long a process was stopped, it has been seen quiet for a glance when it wakes, and has time to move."""
    watchdog = Watchdog(PATIENCE)
    watchdog.look(QUIET, 0.0)
    assert watchdog.look(QUIET, asleep) is None
    awake = [GLANCE] * int(PATIENCE / GLANCE)
    assert looked(watchdog, awake, QUIET, asleep + 1.0)[-1] is not None, "but awake and quiet it is one"


@given(st.floats(1, 300), st.integers(1, 10_000), st.floats(1, 1e6))
def test_patience_outlasts_what_a_healthy_line_may_be_quiet(timeout: float, window: int, rate: float) -> None:
    """A job left alone, a slot behind every job of the window, and a call that goes unanswered are no stall."""
    assert patience(timeout, window, 60.0 / rate) > LATEST_FIRST + window * 60.0 / rate + timeout


def test_patience_of_the_defaults_is_minutes() -> None:
    """With the default settings a stall is found after three minutes or so."""
    assert 120 <= patience(timeout=30.0, window=64, slot=0.06) <= 200
