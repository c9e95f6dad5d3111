"""Virtual time is what the other tests of this folder stand on: it jumps, it keeps order, it never hangs."""

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import virtual_time
from tests.virtual_time import TICK, Deadlock, NotInVirtualTime

HOUR = 3600.0
A_FEW_TURNS = 100 * TICK


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.asyncio
async def test_async_tests_here_run_in_virtual_time() -> None:
    """A week passes in a test of this folder without being waited for, and is a week by the loop's clock."""
    began, really_began = now(), time.monotonic()
    await asyncio.sleep(7 * 24 * HOUR)
    assert now() - began == pytest.approx(7 * 24 * HOUR, abs=A_FEW_TURNS)
    assert time.monotonic() - really_began < 5


@given(st.lists(st.floats(0, HOUR), max_size=20))
def test_timers_fire_in_order_and_on_time(delays: list[float]) -> None:
    """Whoever sleeps wakes when its time has come, not before it, and earlier sleepers wake first."""
    woken: list[tuple[float, float]] = []

    async def sleeper(delay: float) -> None:
        due = now() + delay
        await asyncio.sleep(delay)
        woken.append((due, now()))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for delay in delays:
                tasks.create_task(sleeper(delay))

    virtual_time.run(main())
    assert len(woken) == len(delays)
    assert all(due - 1e-9 <= at <= due + A_FEW_TURNS for due, at in woken)
    assert all(one <= other + 1e-9 for (one, _), (other, _) in pairwise(woken))


@given(st.lists(st.floats(0, HOUR), max_size=20))
def test_the_same_program_passes_the_same_moments(delays: list[float]) -> None:
    """Two runs of a program agree to the last bit on when everything happened."""

    async def woken(delay: float) -> float:
        await asyncio.sleep(delay)
        return now()

    async def main() -> list[float]:
        return [await moment for moment in asyncio.as_completed([woken(delay) for delay in delays])]

    assert virtual_time.run(main()) == virtual_time.run(main())


def test_who_spins_grows_older() -> None:
    """A task that never waits does not stop the clock: a timer ends it."""

    async def main() -> None:
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(1_000 * TICK, done.set)
        while not done.is_set():
            await asyncio.sleep(0)

    virtual_time.run(main())


def test_a_limit_of_time_is_no_deadlock() -> None:
    """Waiting for ever under a time-out ends at the time-out."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR):
                await asyncio.Event().wait()
        return now()

    assert virtual_time.run(main()) == pytest.approx(HOUR, abs=A_FEW_TURNS)


def test_a_deadlock_fails_at_once_and_names_who_waits_where() -> None:
    """Where all wait and no timer is set, the error names every task and its line, and all of them are cleaned up."""
    cleaned: list[str] = []

    async def wait_for(never: asyncio.Event) -> None:
        try:
            await never.wait()
        finally:
            cleaned.append("up")

    async def main() -> None:
        await asyncio.sleep(HOUR)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait_for(asyncio.Event()), name="reader")
            tasks.create_task(wait_for(asyncio.Event()), name="settler")

    with pytest.raises(Deadlock) as raised:
        virtual_time.run(main())
    headline, *waiting = str(raised.value).splitlines()
    assert headline.startswith("after 3600.0")
    assert [line.split()[0] for line in waiting if line.endswith("wait_for")] == ["reader:", "settler:"]
    assert [line for line in waiting if line.endswith("main")]
    assert cleaned == ["up", "up"]


@pytest.mark.asyncio
async def test_what_takes_real_time_is_refused() -> None:
    """A thread and a socket, whose ends no timer knows, are refused where they are asked for."""
    with pytest.raises(NotInVirtualTime, match="thread"):
        await asyncio.to_thread(int)
    with pytest.raises(NotInVirtualTime, match="socket"):
        await asyncio.open_connection("127.0.0.1", 1)


def test_run_hands_on_what_comes_out() -> None:
    """A coroutine's result is returned, and its exception raised."""

    async def main(*, fail: bool) -> str:
        if fail:
            raise LookupError
        return "result"

    assert virtual_time.run(main(fail=False)) == "result"
    with pytest.raises(LookupError):
        virtual_time.run(main(fail=True))
