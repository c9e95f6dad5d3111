"""Replicas as processes, which nothing but Kafka brings together, share the quota of one endpoint: its books tell."""

import asyncio
import re
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.bench.documents import reports, write
from tests.integration.brokers import Broker
from tests.integration.conftest import NewTopic
from tests.integration.processes import Running, running
from tests.integration.topics import create_topic
from tests.judge.books import Submit
from tests.judge.conditions import Conditions, Duration
from tests.judge.process import Judge, judge

pytestmark = [pytest.mark.asyncio, pytest.mark.alone]

REPLICAS, PARTITIONS, QUOTA = 3, 4, 20
EACH, MORE = 60, 360
"""Documents of each partition, and more of the first, for which the others have to lend. Each is a job of its own."""
LATE = 2
"""Calls that came later than their slot: processes that share two cores with a broker do not all wake in time."""
HELD = re.compile(r"^entity_stream_partitions (.+)$", re.MULTILINE)


def environment(kafka: Broker, endpoint: Judge, topic: str) -> dict[str, str]:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_GROUP": topic,
        "INPUT_TOPIC": topic,
        "OUTPUT_TOPIC": f"{topic}-out",
        "DEAD_LETTER_TOPIC": f"{topic}-dead",
        "LANGUAGE_ENDPOINT": endpoint.url,
        "LANGUAGE_KEY": "key",
        "LANGUAGE_PROJECT": "project",
        "LANGUAGE_DEPLOYMENT": "deployment",
        "LANGUAGE_QUOTA": f"submit {QUOTA}/s",
        "BATCH_DOCUMENTS": "1",
        "HTTP_PORT": "0",
        "HTTP_HOST": "127.0.0.1",
    }
    return {f"ENTITY_STREAM_{name}": value for name, value in settings.items()}


async def until_shared(replicas: Sequence[Running]) -> None:
    """Wait until each holds partitions, and all of them are held."""
    pages = [(await replica.says(r"(http://\S+/metrics)"))[1] for replica in replicas]
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        held: list[float] = []
        while 0 in held or sum(held) != PARTITIONS:
            await asyncio.sleep(0.2)
            texts = [(await client.get(page)).text for page in pages]
            held = [float(found[1]) for text in texts if (found := HELD.search(text))]


def most(times: Sequence[float], seconds: float) -> int:
    """Count the calls of the fullest window that long, wherever it begins."""
    return max(bisect_left(times, at + seconds) - number for number, at in enumerate(times))


def quickest(times: Sequence[float]) -> float:
    """Tell the calls a second of the quickest three seconds: at others the machine may have been busy elsewhere."""
    return max(bisect_left(times, at + 3.0) - number for number, at in enumerate(times)) / 3.0


async def test_three_replicas_never_exceed_a_quota_together_and_use_it(
    kafka: Broker, new_topic: NewTopic, tmp_path: Path
) -> None:
    """All have work, then one partition alone: the whole quota is used, and never more, also once the others lend."""
    topic = await new_topic(PARTITIONS)
    for output in (f"{topic}-out", f"{topic}-dead"):
        await create_topic(kafka.bootstrap, output)
    async with judge(tmp_path, Conditions(duration=Duration(0.2))) as endpoint, AsyncExitStack() as stack:
        started = [running("serve", environment=environment(kafka, endpoint, topic)) for _ in range(REPLICAS)]
        await until_shared([await stack.enter_async_context(each) for each in started])
        await write(kafka.bootstrap, topic, reports(EACH * PARTITIONS, 100), PARTITIONS)
        await write(kafka.bootstrap, topic, reports(MORE, 100), 1)
        async with asyncio.timeout(120):
            while (await endpoint.tally()).accepted < EACH * PARTITIONS + MORE:
                await asyncio.sleep(0.5)
        times = [event.at for event in await endpoint.events() if isinstance(event, Submit)]
    assert most(times, 1.0) <= QUOTA * 1.01 + 1 + LATE
    assert most(times, 10.0) <= 10 * QUOTA * 1.01 + 1
    assert quickest(times[: EACH * PARTITIONS]) >= 0.95 * QUOTA
    assert quickest(times[-EACH * PARTITIONS // 2 :]) >= 0.95 * QUOTA
