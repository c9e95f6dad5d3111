"""Waiting for the end: every record that a reader of committed records sees is passed by the group's position.

Nobody is waited for who has ceased to get on; what is missing then is for the checker to name.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.chaos.documents import PARTITIONS
from tests.chaos.stage import Stage
from tests.chaos.telling import Teller

PATIENCE: Final = 60.0
"""Seconds without any progress after which nothing more is waited for."""

LOOK: Final = 1.0
"""Seconds between two looks at the positions."""


async def settled(stage: Stage, tell: Teller, patience: float = PATIENCE) -> bool:
    """Wait until all is passed; False when there was no progress for so long."""
    ends = await _ends(stage)
    seen, deadline = dict[int, int](), time.monotonic() + patience
    while time.monotonic() < deadline:
        positions = await stage.positions()
        if all(positions.get(index, 0) >= end for index, end in ends.items()):
            return True
        if positions != seen:
            seen, deadline = positions, time.monotonic() + patience
        missing = sum(max(0, end - positions.get(index, 0)) for index, end in ends.items())
        tell.progress(f"waiting for the last {missing} offsets")
        await asyncio.sleep(LOOK)
    return False


async def _ends(stage: Stage) -> dict[int, int]:
    """Find the offset behind the last record of each partition that a reader of committed records sees."""
    async with AIOKafkaConsumer(
        bootstrap_servers=stage.scene.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    ) as reader:
        places = [TopicPartition(stage.scene.input, index) for index in range(PARTITIONS)]
        reader.assign(places)
        stable = await reader.end_offsets(places)
        ends: dict[int, int] = {}
        while [place for place in places if await reader.position(place) < stable[place]]:
            for place, records in (await reader.getmany(timeout_ms=200)).items():
                ends[place.partition] = records[-1].offset + 1
        return ends


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have some works done beside the block; they are cancelled when it ends. What fails in one ends all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
