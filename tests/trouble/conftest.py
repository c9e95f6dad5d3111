"""The judge's endpoint as a process, one for each file of tests, as good as new for each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.judge.process import Judge, judge
from tests.trouble.work import CALM


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Judge]:
    """Run one endpoint for all tests of a file."""
    async with judge(tmp_path_factory.mktemp("judge")) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(loop_scope="module")
async def endpoint(running: Judge) -> Judge:
    """Give an endpoint that knows nobody yet and has no trouble."""
    await running.set(CALM)
    await running.clear()
    return running
