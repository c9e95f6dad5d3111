"""Measuring from outside, on figures that are known and on this very process."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.watching import Look, Unsound, check_work, cpu_for_a_thousand, cpu_seconds, rate, resident


def messages(
    *keys: bytes, value: bytes = b'{"entities":[{"category":"Word"}]}'
) -> Sequence[ConsumerRecord[bytes, bytes]]:
    return [ConsumerRecord("t", 0, n, 0, 0, key, value, None, 0, 0, ()) for n, key in enumerate(keys)]


@given(st.integers(2, 30), st.integers(1, 100), st.integers(1, 5_000))
def test_the_rate_of_a_loop_in_lock_step_is_exact(rounds: int, window: int, takes: int) -> None:
    """A loop that publishes a whole window at the end of each round has the rate of window by round, no more."""
    stamps = [takes * number for number in range(1, rounds + 1) for _ in range(window)]
    assert rate(stamps, unseen=window) == pytest.approx(1000 * window / takes)


@given(st.permutations(range(0, 1_000, 10)))
def test_the_rate_does_not_ask_in_which_order_messages_are_read(stamps: list[int]) -> None:
    """Partitions are read one by one; the rate is that of time."""
    assert rate(stamps, unseen=1) == pytest.approx(100)


def test_cpu_counts_between_two_looks() -> None:
    """What was used before the first look, and what came out before it, do not count."""
    assert cpu_for_a_thousand(Look(1_600, 3.0, 0), Look(11_600, 4.5, 0)) == pytest.approx(0.15)


def test_too_little_work_is_no_run() -> None:
    """Where nothing came out between two looks, there is nothing to divide by, and that is said."""
    with pytest.raises(Unsound, match="more documents"):
        cpu_for_a_thousand(Look(1_600, 3.0, 0), Look(1_600, 4.5, 0))


@pytest.mark.parametrize(
    ("out", "documents"),
    [
        (messages(b"a"), 2),
        (messages(b"a", b"b", b"b"), 2),
        (messages(b"a", b"a"), 2),
        (messages(b"a", b"b", value=b'{"entities":[]}'), 2),
    ],
    ids=["lost", "twice", "one for another", "empty"],
)
def test_work_that_was_not_done_is_no_run(out: Sequence[ConsumerRecord[bytes, bytes]], documents: int) -> None:
    """A run whose documents did not come out once each, with entities, is unsound."""
    with pytest.raises(Unsound):
        check_work(out, documents)


def test_work_that_was_done_is_a_run() -> None:
    """One message a document, with entities, is what is asked for."""
    check_work(messages(b"a", b"b"), 2)


def test_linux_tells_of_a_process() -> None:
    """CPU only grows, and no moment has more memory than the most."""
    before = cpu_seconds(os.getpid())
    assert sum(range(3_000_000)) > 0
    assert cpu_seconds(os.getpid()) > before
    assert 0 < resident(os.getpid()) <= resident(os.getpid(), "VmHWM")


def test_a_process_that_has_ended_is_unsound() -> None:
    """Nothing is measured of a process that has ended, whether or not somebody has waited for it."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays in the table
        for look in (cpu_seconds, resident):
            with pytest.raises(Unsound, match="has ended"):
                look(process.pid)
    for look in (cpu_seconds, resident):
        with pytest.raises(Unsound, match="has ended"):
            look(process.pid)
