"""Trouble of the whole deployment: it is waited for, nobody is rejected for it, and it is asked now and then only."""

import asyncio
import time

import pytest
from msgspec import structs

from tests.integration.stage import eventually
from tests.judge.conditions import Duration, Fault, FaultName
from tests.judge.process import Judge
from tests.trouble.work import CALM, KEYS, PATIENCE, PLAN, Work, append, at_work, good, log_of, side_by_side, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIES, PROBES = 5, 3
"""So often is it asked in vain before it is back."""
BATCH = PLAN.limits.documents
DOCUMENTS = good(60)


async def refused(work: Work, cause: str) -> None:
    """Wait until the line has been parked for this cause through some tries."""
    status = cause.split()[1]
    before = work.counted("calls", operation="submit", status=status)
    await eventually(lambda: work.counted("calls", operation="submit", status=status) >= before + TRIES, PATIENCE)
    assert str(work.line.vitals().parked).startswith(cause)


def assert_spared(calls: int, since: float) -> None:
    """Whoever asks once in each pause has not asked more often than pauses have passed, but for those under way."""
    assert calls <= (time.monotonic() - since) / PLAN.park_for + PLAN.window


async def test_who_refuses_everybody_is_asked_once_in_a_pause(endpoint: Judge) -> None:
    """Refused for one cause after another the line is parked and says why; nobody is rejected, and then all flow."""
    since = time.monotonic()
    await endpoint.set(structs.replace(CALM, refuse=401))
    async with at_work(endpoint, log_of(*DOCUMENTS)) as work:
        await refused(work, "HTTP 401")
        await endpoint.set(structs.replace(CALM, refuse=403))
        await refused(work, "HTTP 403")
        await endpoint.set(structs.replace(CALM, refuse=404))
        await refused(work, "HTTP 404")
        assert_spared(len(await work.submits()), since)
        assert not work.outcomes()
        await endpoint.set(CALM)
        await work.done()
        assert work.line.vitals().parked is None
        assert not work.rejected()
        assert await work.faultless()


async def test_while_a_deployment_is_gone_jobs_in_flight_come_home(endpoint: Judge) -> None:
    """It stops submits and takes no result that is there; nothing is submitted again for it."""
    plan = structs.replace(PLAN, window=1)
    await endpoint.set(structs.replace(CALM, duration=Duration(2.0)))
    async with at_work(endpoint, log_of(*DOCUMENTS), plan) as work:
        await eventually(lambda: work.line.vitals().in_flight == 1)
        await endpoint.set(structs.replace(CALM, deployment="another"))
        await refused(work, "HTTP 404 ProjectNotFound")
        assert len(work.outcomes()) == BATCH
        await endpoint.set(CALM)
        await work.done()
        assert not work.rejected()
        assert await work.faultless()


BROKEN: tuple[FaultName, ...] = ("refused", "too-large", "fails", "cancelled", "missing", "error")
PAID_FOR_NOTHING = {"error": {"double_billed"}}
"""Errors are results, for the judge; but nobody is rejected for one while a probe has one too."""


async def test_a_deployment_that_rejects_everything_rejects_nobody(endpoint: Judge) -> None:
    """Be it by submits, by jobs or by results: only a probe is sent, now and then, and all flow once it passes."""
    together = asyncio.Barrier(len(BROKEN))
    faults = [Fault(what, who=key) for what, key in zip(BROKEN, KEYS, strict=False)]
    await endpoint.set(structs.replace(CALM, faults=faults))

    async def broken(what: str, key: str) -> None:
        since = time.monotonic()
        async with at_work(endpoint, log_of(*DOCUMENTS), structs.replace(PLAN, attempts=1), key=key) as work:
            await eventually(lambda: "rejects even a probe" in str(work.line.vitals().parked), PATIENCE)
            append(work.log, "later")
            await until(lambda: _probed(work))
            assert_spared(len(await work.probes()), since)
            assert not any("later" in submit.documents for submit in await work.submits())
            assert not work.outcomes()
            if await together.wait() == 0:
                await endpoint.set(CALM)
            await work.done()
            assert work.line.vitals().parked is None
            assert not work.rejected()
            assert (await work.findings()).faults().keys() == PAID_FOR_NOTHING.get(what, set())

    await side_by_side(broken, BROKEN)


async def _probed(work: Work) -> bool:
    return len(await work.probes()) >= PROBES


async def test_a_rotated_key_is_waited_for(endpoint: Judge) -> None:
    """Parked with the old key the line stops at once when told; the next one, with the new key, brings all home."""
    log = log_of(*DOCUMENTS[:BATCH])
    async with at_work(endpoint, log, key="key") as work:
        await work.done()
        await endpoint.rotate("key", "new")
        append(log, *DOCUMENTS[BATCH:])
        await refused(work, "HTTP 401")
        assert len(work.outcomes()) == BATCH
    async with at_work(endpoint, log, key="new") as work:
        work.keys.add("key")
        await work.done()
        assert not work.rejected()
        assert await work.faultless()


MISTAKES = {
    "key": ("of another resource", "HTTP 401"),
    "project": ("another", "HTTP 404"),
    "deployment": ("another", "HTTP 404"),
    "api_version": ("2021-10-01", "HTTP 400 InvalidParameterValue"),
}


async def test_a_mistake_in_the_settings_is_no_documents_fault(endpoint: Judge) -> None:
    """Whatever status tells it the line is parked with the cause; started again with the right one it goes on."""

    async def mistaken(setting: str, key: str) -> None:
        wrong, cause = MISTAKES[setting]
        log = log_of(*DOCUMENTS)
        async with at_work(endpoint, log, PLAN, **{"key": key, setting: wrong}) as work:
            await refused(work, cause)
            assert not work.outcomes()
        async with at_work(endpoint, log, key=key) as work:
            await work.done()
            assert not work.rejected()
            assert await work.faultless()

    await side_by_side(mistaken, MISTAKES)
