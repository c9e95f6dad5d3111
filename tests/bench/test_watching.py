"""Measuring from outside, on figures that are known and on this very process."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.plan import Contender
from tests.bench.watching import (
    Look,
    Unsound,
    check_delivery,
    check_work,
    cpu_between,
    cpu_for_a_thousand,
    cpu_seconds,
    rate,
    resident,
)


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
    """What was used before the first look, and what came out before it or after the second, do not count."""
    found = cpu_for_a_thousand(Look({0: 10}, 3.0, 0), Look({0: 110}, 4.5, 0), messages(*[b"a"] * 200))
    assert found == pytest.approx(15)


def test_what_is_used_without_work_is_left_out() -> None:
    """By the seconds between two looks, whatever came out between them."""
    first, last = Look({0: 100}, cpu=1.0, peak=0, at=10.0), Look({0: 2_100}, cpu=3.0, peak=0, at=20.0)
    assert cpu_between(first, last) == pytest.approx(1.0)
    assert cpu_between(first, last, idle=0.05) == pytest.approx(0.75)


@given(st.integers(1, 500), st.integers(0, 500))
def test_cpu_between_looks_counts_all_partitions(one: int, other: int) -> None:
    """What came out in any partition between two looks shares the CPU that was used between them."""
    found = cpu_between(Look({0: 10, 1: 20}, 1.0, 0), Look({0: 10 + one, 1: 20 + other}, 3.0, 0))
    assert found == pytest.approx(2000 / (one + other))


@given(st.sets(st.integers(0, 999), min_size=1), st.integers(0, 400), st.integers(600, 1_000))
def test_the_ends_of_transactions_are_not_counted(offsets: set[int], first: int, last: int) -> None:
    """Offsets that hold no message, wherever they lie, change nothing but where the messages are."""
    out = [message for message in messages(*[b"a"] * 1_000) if message.offset in offsets]
    between = sum(first <= offset < last for offset in offsets)
    if between:
        assert cpu_for_a_thousand(Look({0: first}, 0, 0), Look({0: last}, 1, 0), out) == pytest.approx(1000 / between)
    else:
        with pytest.raises(Unsound, match="more documents"):
            cpu_for_a_thousand(Look({0: first}, 0, 0), Look({0: last}, 1, 0), out)


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


@pytest.mark.parametrize(
    ("offsets", "contender"),
    [((0, 1, 2), Contender.EXACTLY_ONCE), ((0, 1, 3), Contender.AT_LEAST_ONCE), ((1, 2, 3), Contender.PLAIN)],
)
def test_who_delivers_otherwise_than_it_claims_is_no_run(offsets: tuple[int, ...], contender: Contender) -> None:
    """Transactions leave holes between the messages, and nothing else does: both ways it is found out."""
    out = [message for message in messages(*[b"a"] * 4) if message.offset in offsets]
    with pytest.raises(Unsound, match="ends of transactions"):
        check_delivery(out, contender)


def test_who_delivers_as_it_claims_is_a_run() -> None:
    """Holes in the output of transactions, none in any other."""
    whole = messages(*[b"a"] * 4)
    check_delivery([whole[0], whole[3]], Contender.EXACTLY_ONCE)
    check_delivery(whole, Contender.AT_LEAST_ONCE)


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
