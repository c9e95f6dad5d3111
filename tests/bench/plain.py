"""The plain loop: what a competent engineer writes in an afternoon with aiokafka and httpx, and would run.

The rule that keeps it honest: it imports nothing of the service, and nothing in it is slow on purpose. It reads
64 batches of 25, has their 64 jobs run at once, publishes all results, commits, and begins anew.
"""

import argparse
import asyncio
import json
import math
from collections.abc import Sequence
from typing import TypeAlias

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from tests.bench.rest import DOCUMENTS, JOBS, SUBMIT, Json, message, options, request, results

FILLS_WITHIN = 0.5
"""Seconds that whoever has read something waits for the rest of 64 batches."""

Record: TypeAlias = ConsumerRecord


class Endpoint:
    """The analyze API as its quickstart has it: submit, then ask every so often until the job has ended."""

    def __init__(self, client: httpx.AsyncClient, project: str, deployment: str, poll_every: float) -> None:
        self._client, self._poll_every = client, poll_every
        self._project, self._deployment = project, deployment

    async def annotate(self, records: Sequence[Record]) -> list[bytes]:
        """Run a job for some records; return a message for each."""
        documents = [json.loads(record.value) for record in records]
        body = request(documents, self._project, self._deployment)
        answer = await self._patiently("POST", SUBMIT, json=body)
        entities = await self._results(answer.headers["operation-location"])
        return [
            message(document, entities[str(place)], record.topic, record.partition, record.offset)
            for place, (record, document) in enumerate(zip(records, documents, strict=True))
        ]

    async def _results(self, location: str) -> dict[str, Json]:
        """Ask until the job has ended. A pause comes first: no job ends at once."""
        while True:
            await asyncio.sleep(self._poll_every)
            answer = await self._patiently("GET", f"{location}&top={DOCUMENTS}")
            if (found := results(answer.json())) is not None:
                return found

    async def _patiently(self, method: str, url: str, json: Json | None = None) -> httpx.Response:
        """Call; when throttled, wait as long as told and call again."""
        while True:
            answer = await self._client.request(method, url, json=json)
            if answer.status_code != 429:
                return answer.raise_for_status()
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))


def client(told: argparse.Namespace) -> httpx.AsyncClient:
    """Make a client that may have 64 calls under way.

    With each request httpx looks at every connection it holds. Those that are not needed are dropped after 5 s idle, so
    it is slower in its first seconds than later: the table shows the second half of a run apart.
    """
    return httpx.AsyncClient(
        base_url=told.url,
        headers={"Ocp-Apim-Subscription-Key": told.key},
        limits=httpx.Limits(max_connections=JOBS, max_keepalive_connections=JOBS),
        timeout=30,
    )


async def read(consumer: AIOKafkaConsumer) -> list[Record]:
    """Wait for records: 64 batches of them, or what has come within a while of the first."""
    clock, until = asyncio.get_running_loop().time, math.inf
    records: list[Record] = []
    while len(records) < JOBS * DOCUMENTS and clock() < until:
        fetched = await consumer.getmany(timeout_ms=200, max_records=JOBS * DOCUMENTS - len(records))
        for some in fetched.values():
            records += some
        if fetched and until == math.inf:
            until = clock() + FILLS_WITHIN
    return records


async def annotate_all(endpoint: Endpoint, records: Sequence[Record]) -> list[bytes]:
    """Run all jobs at once; return the messages in the order of the records."""
    batches = [records[start : start + DOCUMENTS] for start in range(0, len(records), DOCUMENTS)]
    annotated = await asyncio.gather(*map(endpoint.annotate, batches))
    return [each for batch in annotated for each in batch]


async def publish(producer: AIOKafkaProducer, topic: str, records: Sequence[Record], messages: Sequence[bytes]) -> None:
    """Send each message under its record's key; return when all are acknowledged."""
    sending = []
    for record, value in zip(records, messages, strict=True):
        sending.append(await producer.send(topic, value, key=record.key, headers=record.headers))
    await asyncio.gather(*sending)


async def run(told: argparse.Namespace) -> None:
    """Read, annotate, publish, commit, until killed."""
    consumer = AIOKafkaConsumer(
        told.input,
        bootstrap_servers=told.bootstrap,
        group_id=told.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=told.bootstrap, acks="all", linger_ms=5, max_batch_size=128 * 1024)
    async with consumer, producer, client(told) as calls:
        endpoint = Endpoint(calls, told.project, told.deployment, told.poll_every)
        while True:
            records = await read(consumer)
            messages = await annotate_all(endpoint, records)
            await publish(producer, told.output, records, messages)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(run(options("plain", "The plain loop.")))
