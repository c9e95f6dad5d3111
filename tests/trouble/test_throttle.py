"""429: nobody calls the operation before its Retry-After has passed, and no document pays for it."""

from typing import Final

import pytest
from msgspec import structs

from tests.judge.conditions import Fault, Limit, RetryAfter
from tests.judge.process import Judge
from tests.trouble.work import ALONE, CALM, at_work, good, log_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAP: Final = 0.5
"""Seconds of a Retry-After that are believed."""
MINE: Final = 0.125
"""Seconds that we pause of our own, at the least, where we are told nothing."""
A_TIMER: Final = 0.02
"""Seconds by which a timer may fire early, and one clock differ from another."""
LATE: Final = 8.0
"""Seconds by which busy cores may hold up a call."""


async def test_a_retry_after_is_honoured_by_all(endpoint: Judge) -> None:
    """Through a quota that is too small for them all documents come home, and no call is early."""
    limits = [Limit("slidingWindow", 6, 1.0, [operation]) for operation in ("submit", "poll")]
    await endpoint.set(structs.replace(CALM, limits=limits))
    async with at_work(endpoint, log_of(*good(12)), ALONE) as work:
        await work.done()
        tally = await endpoint.tally()
        assert tally.early == 0
        assert tally.throttled["submit"] == work.counted("throttled", operation="submit") > 0
        assert tally.throttled["poll"] == work.counted("throttled", operation="poll")
        assert not work.rejected()
        assert await work.faultless()


@pytest.mark.parametrize(
    ("told", "cap", "least"),
    [("date", 300.0, 1.0), ("absurd", CAP, ALONE.park_for), ("none", 300.0, MINE)],
)
async def test_however_it_is_told_it_is_waited_out(endpoint: Judge, told: RetryAfter, cap: float, least: float) -> None:
    """Also as a date; after fifteen days we try now and then; where nothing is said, after a pause of our own."""
    await endpoint.set(structs.replace(CALM, retry_after=told, faults=[Fault("throttled", times=1)]))
    async with at_work(endpoint, log_of("doc"), structs.replace(ALONE, longest_freeze=cap)) as work:
        await work.done()
        throttled, after = await work.submits()
        assert throttled.status == 429
        assert least - A_TIMER < after.at - throttled.at < least + LATE
        assert not work.rejected()
        assert await work.faultless()


async def test_a_throttle_holds_only_its_own_operation(endpoint: Judge) -> None:
    """While submits are frozen, for a second at least, the results of jobs in flight are asked for."""
    await endpoint.set(structs.replace(CALM, limits=[Limit("slidingWindow", 2, 1.5, ["submit"])]))
    async with at_work(endpoint, log_of(*good(4)), ALONE) as work:
        await work.done()
        frozen = [submit.at for submit in await work.submits() if submit.status == 429]
        polled = [poll.at for poll in await work.polls()]
        assert any(0.1 < at - since < 0.9 for since in frozen for at in polled)
        assert (await endpoint.tally()).early == 0
