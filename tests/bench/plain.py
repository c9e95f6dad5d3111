"""The plain loop: what a competent engineer writes in an afternoon with aiokafka and httpx, and would run.

The rule that keeps it honest: it imports nothing of the service, and nothing in it is slow on purpose. It reads
64 batches of 25, has their 64 jobs run at once, publishes all results, commits, and begins anew.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

JOBS, DOCUMENTS = 64, 25
"""Jobs at once, and documents in each."""

SUBMIT = "/language/analyze-text/jobs?api-version=2023-04-01"

Record: TypeAlias = ConsumerRecord
Json: TypeAlias = dict[str, Any]


class Endpoint:
    """The analyze API as its quickstart has it: submit, then ask every so often until the job has ended."""

    def __init__(self, client: httpx.AsyncClient, project: str, deployment: str, poll_every: float) -> None:
        self._client, self._poll_every = client, poll_every
        parameters = {"projectName": project, "deploymentName": deployment, "stringIndexType": "UnicodeCodePoint"}
        self._tasks = [{"kind": "CustomEntityRecognition", "parameters": parameters}]

    async def annotate(self, records: Sequence[Record]) -> list[Json]:
        """Run a job for some records; return a message for each."""
        documents = [json.loads(record.value) for record in records]
        texts = [{"id": str(n), "text": document["text"]} for n, document in enumerate(documents)]
        answer = await self._patiently(
            "POST", SUBMIT, json={"analysisInput": {"documents": texts}, "tasks": self._tasks}
        )
        results = await self._results(answer.headers["operation-location"])
        entities = {result["id"]: result["entities"] for result in results["documents"]}
        return [
            {
                "id": document["id"],
                "entities": entities[str(n)],
                "source": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
            }
            for n, (record, document) in enumerate(zip(records, documents, strict=True))
        ]

    async def _results(self, location: str) -> Json:
        """Ask until the job has ended. A pause comes first: no job ends at once."""
        while True:
            await asyncio.sleep(self._poll_every)
            job = (await self._patiently("GET", f"{location}&top={DOCUMENTS}")).json()
            if job["status"] == "succeeded":
                results: Json = job["tasks"]["items"][0]["results"]
                return results
            if job["status"] not in {"notStarted", "running"}:
                raise RuntimeError(f"a job is {job['status']}")

    async def _patiently(self, method: str, url: str, json: Json | None = None) -> httpx.Response:
        """Call; when throttled, wait as long as told and call again."""
        while True:
            answer = await self._client.request(method, url, json=json)
            if answer.status_code != 429:
                return answer.raise_for_status()
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))


async def read(consumer: AIOKafkaConsumer) -> list[Record]:
    """Wait for records: 64 batches of them, or fewer when no more have come for a while."""
    records: list[Record] = []
    while len(records) < JOBS * DOCUMENTS:
        fetched = await consumer.getmany(timeout_ms=200, max_records=JOBS * DOCUMENTS - len(records))
        if records and not fetched:
            break
        for some in fetched.values():
            records += some
    return records


async def annotate_all(endpoint: Endpoint, records: Sequence[Record]) -> list[Json]:
    """Run all jobs at once; return the messages in the order of the records."""
    batches = [records[start : start + DOCUMENTS] for start in range(0, len(records), DOCUMENTS)]
    annotated = await asyncio.gather(*map(endpoint.annotate, batches))
    return [message for batch in annotated for message in batch]


async def publish(producer: AIOKafkaProducer, topic: str, records: Sequence[Record], messages: Sequence[Json]) -> None:
    """Send each message under its record's key; return when all are acknowledged."""
    sending = []
    for record, message in zip(records, messages, strict=True):
        value = json.dumps(message, ensure_ascii=False).encode()
        sending.append(await producer.send(topic, value, key=record.key, headers=record.headers))
    await asyncio.gather(*sending)


async def run(options: argparse.Namespace) -> None:
    """Read, annotate, publish, commit, until killed."""
    consumer = AIOKafkaConsumer(
        options.input,
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=options.bootstrap, acks="all", linger_ms=5, max_batch_size=128 * 1024)
    client = httpx.AsyncClient(
        base_url=options.url,
        headers={"Ocp-Apim-Subscription-Key": options.key},
        # With each request httpx looks at every connection it holds. Those that are not needed are dropped after 5 s
        # idle, so the loop is slower in its first seconds than later: the table shows the second half of a run apart.
        limits=httpx.Limits(max_connections=JOBS, max_keepalive_connections=JOBS),
        timeout=30,
    )
    async with consumer, producer, client:
        endpoint = Endpoint(client, options.project, options.deployment, options.poll_every)
        while True:
            records = await read(consumer)
            messages = await annotate_all(endpoint, records)
            await publish(producer, options.output, records, messages)
            await consumer.commit()


def main() -> None:
    """Take everything from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plain", description="The plain loop.")
    for name in ("bootstrap", "input", "output", "group", "url", "key", "project", "deployment"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--poll-every", type=float, required=True, help="seconds")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
