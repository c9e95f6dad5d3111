"""Trouble that passes: whatever it is, the document is annotated in the end, and the table says what it cost."""

from typing import Final, NamedTuple

import pytest
from msgspec import structs

from tests.integration.stage import eventually
from tests.judge.conditions import FAULTS, Duration
from tests.judge.process import Judge
from tests.trouble.work import CALM, PATIENCE, PLAN, at_work, good, log_of, side_by_side

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Cost(NamedTuple):
    """What a trouble of one document costs its batch of three."""

    submits: int
    """Of the batch, or of what is left of it."""
    perhaps: int = 0
    """Documents of submits without an answer, which may have been billed for all that we know."""
    again: int = 0
    """Documents that are paid again, although there was a result."""


COSTS: Final = {
    # a submit that is not accepted
    "throttled*1": Cost(2),
    "status-503*1": Cost(2),
    "status-408*1": Cost(2),
    "redirect*1": Cost(2),
    "status-500*1": Cost(2, perhaps=3),
    "status-502*1": Cost(2, perhaps=3),
    "status-504*1": Cost(2, perhaps=3),
    "hang*1": Cost(2, perhaps=3),
    "reset*1": Cost(2, perhaps=3),
    # one that is refused: divided, until each is taken alone
    "refused*1": Cost(4),
    "too-large*1": Cost(4),
    # one that is accepted, and nobody is told
    "accepted-hang*1": Cost(2, perhaps=3, again=3),
    "accepted-reset*1": Cost(2, perhaps=3, again=3),
    "accepted-500*1": Cost(2, perhaps=3, again=3),
    # a poll without an answer of use
    "poll-throttled*1": Cost(1),
    "poll-500*2": Cost(1),
    "poll-503*2": Cost(1),
    "poll-hang*1": Cost(1),
    "poll-reset*2": Cost(1),  # at the first our HTTP client asks again by itself
    "broken-off*2": Cost(1),
    "slow*1": Cost(1),
    # an answer that is whole and cannot be read: once is nothing, the second one is believed
    "cut-short*1": Cost(1),
    "not-json*1": Cost(1),
    "huge*1": Cost(1),
    "deep*1": Cost(1),
    "cut-short*2": Cost(2, again=3),
    "not-json*2": Cost(2, again=3),
    "huge*2": Cost(2, again=3),
    "deep*2": Cost(2, again=3),
    # a job that brings nothing
    "fails*2": Cost(3),
    "cancelled*2": Cost(3),
    "expired*2": Cost(3),
    "vanishes*1": Cost(2),
    # a job that brings all but one, who is submitted again alone
    "partial*2": Cost(3),
    "missing*2": Cost(3),
    # a result that says too much
    "repeated": Cost(1),
    "stranger": Cost(1),
}
"""Each trouble, and how often it strikes."""
FINAL: Final = {"error"}
"""The API's own word on a document is believed at once: it has no row."""


async def test_what_passes_costs_no_document_its_entities(endpoint: Judge) -> None:
    """All are annotated once; what is submitted, may have been billed and is paid again is what the table says."""

    async def passing(what: str, key: str) -> None:
        names = [*good(2), f"bad-{key}"]  # the judge counts by name how often a trouble has struck
        async with at_work(endpoint, log_of(*names[:2], f"{names[2]} {what}"), key=key) as work:
            await work.done()
            assert not work.rejected()
            again = len((await work.findings()).rebilled_by_fault)
            assert Cost(len(await work.submits()), work.counted("possibly_billed"), again) == COSTS[what]
            assert work.counted("missing_results") == (2 if what in {"partial*2", "missing*2"} else 0)
            assert await work.faultless()

    await side_by_side(passing, COSTS)


async def test_every_trouble_has_its_row() -> None:
    """There is no fault that the judge can do and the table above leaves out."""
    assert {what.partition("*")[0] for what in COSTS} | FINAL == FAULTS


async def test_a_job_that_is_overdue_is_submitted_again(endpoint: Judge) -> None:
    """One that runs on is given up at its age; that it will be paid for, too, is all that can be said against it."""
    await endpoint.set(structs.replace(CALM, duration=Duration(PATIENCE)))
    async with at_work(endpoint, log_of(*good(3)), structs.replace(PLAN, overdue=3.0)) as work:
        await eventually(lambda: work.line.vitals().in_flight == 1, PATIENCE)
        await endpoint.set(CALM)
        await work.done()
        assert not work.rejected()
        assert [submit.documents for submit in await work.submits()] == [good(3)] * 2
        assert (await work.findings()).faults() == {"double_billed": tuple(good(3))}
