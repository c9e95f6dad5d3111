"""The bare client: submits and polls as fast as it can, with no Kafka and no JSON, to show how fast the endpoint is.

The rule that keeps it honest: a job counts when the endpoint has said that it succeeded, and prepared bytes are all
that is sent. It imports nothing of the service.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

import aiohttp

SUBMIT = "/language/analyze-text/jobs?api-version=2023-04-01"
TOO_EARLY = 0.005
"""Seconds until a job that still runs is asked for again."""


def body(documents: int, characters: int, project: str, deployment: str) -> bytes:
    """Write the one request that is submitted again and again."""
    text = ("the gateway of payments refuses every second call " * (characters // 50 + 1))[:characters]
    parameters = {"projectName": project, "deploymentName": deployment, "stringIndexType": "UnicodeCodePoint"}
    request = {
        "analysisInput": {"documents": [{"id": str(n), "text": text} for n in range(documents)]},
        "tasks": [{"kind": "CustomEntityRecognition", "parameters": parameters}],
    }
    return json.dumps(request).encode()


async def one_after_another(
    client: aiohttp.ClientSession, jobs: Iterator[int], submit: bytes, job_takes: float
) -> None:
    """Run jobs until there are no more."""
    for _ in jobs:
        async with client.post(SUBMIT, data=submit) as answer:
            answer.raise_for_status()
            location = answer.headers["operation-location"]
        await asyncio.sleep(job_takes)
        while not await has_succeeded(client, f"{location}&top=25"):
            await asyncio.sleep(TOO_EARLY)


async def has_succeeded(client: aiohttp.ClientSession, job: str) -> bool:
    """Ask for the whole result and look for nothing but the word."""
    async with client.get(job) as answer:
        answer.raise_for_status()
        return b'"status":"succeeded"' in await answer.read()


async def run(options: argparse.Namespace) -> None:
    """Keep so many jobs in flight; print how many documents a second that was."""
    submit = body(options.batch, options.characters, options.project, options.deployment)
    jobs = iter(range(options.documents // options.batch))  # shared by all who submit
    headers = {"Ocp-Apim-Subscription-Key": options.key, "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=options.in_flight)
    async with (
        aiohttp.ClientSession(options.url, headers=headers, connector=connector) as client,
        asyncio.TaskGroup() as group,
    ):
        began = time.perf_counter()
        for _ in range(options.in_flight):
            group.create_task(one_after_another(client, jobs, submit, options.job_takes))
    print(json.dumps({"documents_per_second": options.documents / (time.perf_counter() - began)}))


def main() -> None:
    """Take everything from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bare", description="The bare client.")
    for name in ("url", "key", "project", "deployment"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--documents", type=int, required=True)
    parser.add_argument("--batch", type=int, default=25, help="documents in a job")
    parser.add_argument("--characters", type=int, default=2_000, help="of each document")
    parser.add_argument("--in-flight", type=int, default=256, help="jobs")
    parser.add_argument("--job-takes", type=float, required=True, help="seconds")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
