"""Both ends of a contender, with something between them that brings every record back."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from tests.bench.steady import Mailbox
from tests.bench.watching import Unsound

RECORDS = [(f"doc-{number}".encode(), b"{}") for number in range(20)]


class Echo:
    """Gives back the key of each record that is sent, after a while, or another one instead."""

    def __init__(self, takes: float, instead: Mapping[bytes, bytes]) -> None:
        self._takes, self._instead = takes, instead
        self._back: asyncio.Queue[bytes] = asyncio.Queue()
        self.partitions: list[int] = []

    async def send(self, topic: str, value: bytes, key: bytes, partition: int) -> None:
        self.partitions.append(partition)
        asyncio.get_running_loop().call_later(self._takes, self._back.put_nowait, self._instead.get(key, key))

    async def getmany(self, timeout_ms: int) -> Mapping[str, list[SimpleNamespace]]:
        return {"entities": [SimpleNamespace(key=await self._back.get())]}


@pytest.mark.asyncio
async def test_a_delay_is_from_writing_to_reading() -> None:
    """Each record has the delay of what is between the ends, whenever it was written, and partitions take turns."""
    echo = Echo(0.05, {})
    clock = asyncio.get_running_loop().time
    began = clock()
    delays = await Mailbox(echo, echo, "documents").carry(RECORDS, per_second=200)
    assert clock() - began >= 19 / 200 + 0.05
    assert len(delays) == len(RECORDS)
    assert min(delays.values()) >= 0.05
    assert echo.partitions[:8] == [0, 1, 2, 3, 4, 5, 0, 1]


@pytest.mark.asyncio
async def test_one_document_instead_of_another_is_no_run() -> None:
    """As many messages as records are not enough: their names must be the same."""
    echo = Echo(0.0, {b"doc-3": b"doc-2"})
    with pytest.raises(Unsound, match="came out"):
        await Mailbox(echo, echo, "documents").carry(RECORDS, per_second=1_000)
