"""429: nobody calls the operation before its Retry-After has passed, and no document pays for it."""

import pytest
from msgspec import structs

from tests.judge.conditions import Fault, Limit, RetryAfter
from tests.judge.process import Judge
from tests.trouble.work import ALONE, CALM, at_work, good, log_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAP = 0.5
"""Seconds of a Retry-After that are believed, where it is absurd."""
CAPPED = structs.replace(ALONE, longest_freeze=CAP)
MORE_THAN_A_TIMER = 0.02
"""Seconds by which a timer may fire early, and a clock differ from another."""


@pytest.mark.parametrize("told", ["seconds", "date"])
async def test_a_retry_after_is_honoured_by_all(endpoint: Judge, told: RetryAfter) -> None:
    """Through a quota that is too small for them all documents come home, and no call is early."""
    limits = [Limit("fixedWindow", 6, 1.0, [operation]) for operation in ("submit", "poll")]
    await endpoint.set(structs.replace(CALM, limits=limits, retry_after=told))
    async with at_work(endpoint, log_of(*good(12)), ALONE) as work:
        await work.done()
        tally = await endpoint.tally()
        assert tally.early == 0
        assert tally.throttled["submit"] == work.counted("throttled", operation="submit") > 0
        assert tally.throttled["poll"] == work.counted("throttled", operation="poll")
        assert not work.rejected()
        assert await work.faultless()


@pytest.mark.parametrize(("told", "least"), [("absurd", CAP), ("none", 0.125)])
async def test_what_cannot_be_honoured_is_waited_out(endpoint: Judge, told: RetryAfter, least: float) -> None:
    """Of fifteen days only so much is believed as the plan says; where nothing is said the pause is our own."""
    faults = [Fault("throttled", times=1), Fault("poll-throttled", times=1)]
    await endpoint.set(structs.replace(CALM, retry_after=told, faults=faults))
    async with at_work(endpoint, log_of("doc"), CAPPED) as work:
        await work.done()
        for operation in (await work.submits(), await work.polls()):
            throttled, after = operation[:2]
            assert throttled.status == 429
            assert least - MORE_THAN_A_TIMER < after.at - throttled.at < 20 * CAP
        assert not work.rejected()
        assert await work.faultless()


async def test_a_throttle_holds_only_its_own_operation(endpoint: Judge) -> None:
    """While submits are frozen, for a second at least, the results of jobs in flight are asked for."""
    await endpoint.set(structs.replace(CALM, limits=[Limit("fixedWindow", 2, 1.5, ["submit"])]))
    async with at_work(endpoint, log_of(*good(4)), ALONE) as work:
        await work.done()
        frozen = [submit.at for submit in await work.submits() if submit.status == 429]
        polled = [poll.at for poll in await work.polls()]
        assert any(0.1 < at - since < 0.9 for since in frozen for at in polled)
        assert (await endpoint.tally()).early == 0
