"""Puts documents into the input topic at a steady pace, whatever happens to its brokers meanwhile.

It keeps no list of what it wrote: the checker reads that from the topic. Nothing is written a second time after a
failure, so no name is there twice.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.documents import NAME, How, Sheaf, Written

TICK = 0.1
"""Seconds between two handfuls: the documents of one may share a job."""

IN_HASTE = 400.0
"""Documents a second when there is nothing left to wait for."""

PATIENCE = 30.0
"""Seconds that a transaction may take, a restart of its broker included, before it is left to the broker's own."""


class Writer:
    """Two producers, one of them for transactions, and an endless row of sheaves."""

    def __init__(self, bootstrap: str, topic: str, sheaves: Iterator[Sheaf]) -> None:
        self._bootstrap, self._topic, self._sheaves = bootstrap, topic, sheaves
        self._transacting: AIOKafkaProducer | None = None
        self.written = 0
        """Documents handed to a producer, those of aborted transactions included."""
        self.untold = 0
        """Documents whose fate the brokers did not tell."""

    async def write(self, pace: float, least: int, enough: asyncio.Event) -> None:
        """Write so many documents a second until it is enough, then in haste what is missing to `least`."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._forget)
            plain = await stack.enter_async_context(
                AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True, acks="all")
            )
            sent = await self._write_evenly(plain, pace, math.inf, enough)
            sent += await self._write_evenly(plain, IN_HASTE, least - self.written, asyncio.Event())
            answers = await asyncio.gather(*sent, return_exceptions=True)
            self.untold += sum(isinstance(answer, BaseException) for answer in answers)

    async def _write_evenly(
        self, plain: AIOKafkaProducer, pace: float, most: float, enough: asyncio.Event
    ) -> list[asyncio.Future[object]]:
        """Write what is due each moment; return what the brokers have still to answer."""
        began, first = time.monotonic(), self.written
        sent: list[asyncio.Future[object]] = []
        while not enough.is_set() and self.written - first < most:
            while self.written - first < min(most, (time.monotonic() - began) * pace):
                sheaf = next(self._sheaves)
                self.written += len(sheaf.records)
                if sheaf.how is How.PLAINLY:
                    sent += await self._send(plain, sheaf.records)
                else:
                    await self._transact(sheaf)
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await enough.wait()
        return sent

    async def _transact(self, sheaf: Sheaf) -> None:
        """Write a sheaf in a transaction. One that fails is ended by the next one's beginning, or by the broker."""
        try:
            async with asyncio.timeout(PATIENCE):
                producer = await self._transactional()
                await producer.begin_transaction()
                await asyncio.gather(*await self._send(producer, sheaf.records))
                await (producer.commit_transaction() if sheaf.how is How.COMMITTED else producer.abort_transaction())
        except (KafkaError, TimeoutError):
            self.untold += len(sheaf.records)
            await self._forget()

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Written]) -> list[asyncio.Future[object]]:
        return [
            await producer.send(
                self._topic, each.value, each.key, partition=each.partition, headers=[(NAME, each.name.encode())]
            )
            for each in records
        ]

    async def _transactional(self) -> AIOKafkaProducer:
        if self._transacting is None:
            self._transacting = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                transactional_id=f"writer-of-{self._topic}",
                transaction_timeout_ms=10_000,
            )
            await self._transacting.start()
        return self._transacting

    async def _forget(self) -> None:
        """Let the producer of transactions go; what it left open is ended by its successor."""
        leaving, self._transacting = self._transacting, None
        if leaving is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(PATIENCE / 3):
                    await leaving.stop()
