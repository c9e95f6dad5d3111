"""An endpoint that is dead for a while: it is waited for, spared meanwhile, and nobody pays for it."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import pytest
from msgspec import structs

from entity_stream.core.gate import TRIPS
from tests.integration.stage import eventually
from tests.judge.conditions import Conditions, Duration, Fault, FaultName
from tests.judge.process import Judge
from tests.trouble.work import ALONE, CALM, KEYS, PATIENCE, Work, append, at_work, good, log_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAN: Final = structs.replace(ALONE, window=2 * TRIPS)
MOST_CALLS: Final = 2 * (TRIPS + 4)
"""In 2 s, of submits and polls each: those that shut the gate, and what it lets through then, ever more seldom."""
TROUBLES: Final[Sequence[tuple[FaultName, FaultName]]] = (
    ("status-503", "poll-503"),
    ("hang", "poll-hang"),
    ("reset", "poll-reset"),
)


async def outlive(endpoint: Judge, outage: Conditions, seconds: float, keys: Sequence[str]) -> list[Work]:
    """Have lines with these keys go through an outage: jobs are in flight when it begins, others wait for a submit."""
    await endpoint.set(structs.replace(CALM, duration=Duration(2.0)))
    async with AsyncExitStack() as until_the_end:
        lines = [at_work(endpoint, log_of(*good(TRIPS)), PLAN, key=key) for key in keys]
        works = [await until_the_end.enter_async_context(line) for line in lines]
        await eventually(lambda: all(work.line.vitals().in_flight == TRIPS for work in works), PATIENCE)
        await endpoint.set(outage)
        before = [work.asked() for work in works]
        for work in works:
            append(work.log, *good(TRIPS, "later"))
        await asyncio.sleep(seconds)
        assert all(work.asked() - asked <= MOST_CALLS for work, asked in zip(works, before, strict=True))
        await endpoint.set(CALM)
        for work in works:
            await work.done()
            assert set(work.line.vitals().resources["default"].shut.values()) == {None}
            assert not work.rejected()
            assert await work.faultless()
    return works


async def test_an_outage_costs_few_calls_and_no_document(endpoint: Judge) -> None:
    """After some failures in a row one caller at a time tries for all; then everything comes home, and is paid once."""
    struck = dict(zip(KEYS, TROUBLES, strict=False))
    faults = [Fault(what, who=key) for key, both in struck.items() for what in both]
    await outlive(endpoint, structs.replace(CALM, faults=faults), 2.0, [*struck])


async def test_what_was_not_sent_does_not_count_as_possibly_billed(endpoint: Judge) -> None:
    """An endpoint that takes no connection is waited for like any other, and cannot have billed anybody."""
    [work] = await outlive(endpoint, structs.replace(CALM, down="refused"), 1.0, ["key"])
    assert work.counted("possibly_billed") == 0
