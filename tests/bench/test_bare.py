"""The bare client, against the endpoint it is there to measure."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.bench import contenders
from tests.judge.conditions import Conditions, Duration
from tests.judge.process import judge

JOB = 0.05


@pytest.mark.asyncio
async def test_a_job_counts_when_the_endpoint_says_so(tmp_path: Path) -> None:
    """Every document that the bare client counts was accepted, and polled for until its job had succeeded."""
    async with judge(tmp_path, Conditions(duration=Duration(fixed=JOB))) as endpoint:
        command = contenders.bare(endpoint.url, 1_000, JOB)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        tally, flights = await endpoint.tally(), await endpoint.flights()
    assert json.loads(said)["documents_per_second"] > 0
    assert (tally.accepted, tally.documents) == (40, 1_000)
    assert not any(flights.values())
    assert tally.polls >= 40
