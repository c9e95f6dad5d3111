"""The position is the first unfinished offset, whatever was finished first and whatever holes the log has."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from entity_stream.core.progress import Begin, Progress, begin


class Log(RuleBasedStateMachine):
    """A partition that is read with holes and finished in any order, beside a set that says what is unfinished."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(0)
        self.unfinished: set[int] = set()
        self.finished: set[int] = set()
        self.end = 0

    @initialize(position=st.integers(0, 2**62))
    def start(self, position: int) -> None:
        self.progress = Progress(position)
        self.end = position

    @rule(hole=st.sampled_from([0, 0, 0, 1, 2, 1_000_000]))
    def read(self, hole: int) -> None:
        self.progress.begin(self.end + hole)
        self.unfinished.add(self.end + hole)
        self.end += hole + 1

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.unfinished)))
        self.progress.finish(offset)
        self.unfinished.remove(offset)
        self.finished.add(offset)

    @precondition(lambda self: self.unfinished | self.finished)
    @rule(data=st.data())
    def read_again(self, data: st.DataObject) -> None:
        passed = data.draw(st.sampled_from(sorted(self.unfinished | self.finished)))
        with pytest.raises(ValueError, match="passed already"):
            self.progress.begin(passed)

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def finish_again(self, data: st.DataObject) -> None:
        with pytest.raises(KeyError):
            self.progress.finish(data.draw(st.sampled_from(sorted(self.finished))))

    @invariant()
    def position_is_the_first_unfinished_offset(self) -> None:
        assert self.progress.position == min(self.unfinished, default=self.end)
        assert len(self.progress) == len(self.unfinished)


def test_the_position_is_always_the_first_unfinished_offset() -> None:
    """With all finished it is the offset behind the last one read; nothing is begun or finished twice."""
    run_state_machine_as_test(Log, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_the_position_never_goes_back_and_ends_behind_the_last(offsets: set[int], random: Random) -> None:
    """Finished in any order, offsets only move it forward."""
    progress = Progress(0)
    for offset in sorted(offsets):
        progress.begin(offset)
    positions = [progress.position]
    for offset in random.sample(sorted(offsets), len(offsets)):
        progress.finish(offset)
        positions.append(progress.position)
    assert positions == sorted(positions)
    assert positions[-1] == max(offsets) + 1


@given(st.none() | st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
@example(7, 3, 4)
@example(8, 3, 4)
@example(3, 3, 0)
def test_reading_begins_where_it_was_left_or_where_the_log_is(committed: int | None, first: int, length: int) -> None:
    """It begins within the log, at what was committed if that is there, and tells whatever it had to pass over."""
    end = first + length
    where = begin(committed, first, end)
    assert first <= where.position <= end
    if committed is None:
        assert where == Begin(first)
    elif committed > end:
        assert where == Begin(first, replaced=True)
        assert not where.trusted
    else:
        assert where.trusted
        assert where.position - where.lost == committed
        assert where.lost == max(0, first - committed)
