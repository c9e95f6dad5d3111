"""The workers: what they cannot do, and what they do without."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pytest

from entity_stream.engine.jobs import Job
from entity_stream.engine.work import Worker

LOAD = "import sys, entity_stream.engine.work; print(*sys.modules)"


@pytest.mark.asyncio
async def test_what_a_worker_cannot_do_fails_and_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """A job at which the code of the worker fails has no result, and the log names the error without its words."""
    worker = Worker(partial(ThreadPoolExecutor, 1))  # it has no model
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    job = Job("the-id", "running", moment, moment, None, (), work=b"")
    assert await worker.read(job) is None
    await worker.close()
    assert [record.getMessage() for record in caplog.records] == ["job the-id failed: AttributeError"]


def test_a_worker_loads_nothing_that_serves_http() -> None:
    """A process that begins as a worker has the model's library in memory, and not those of the server."""
    loaded = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True).stdout.split()
    assert "pycrfsuite" in loaded
    assert not {"starlette", "uvicorn", "entity_stream.engine.server"} & set(loaded)
