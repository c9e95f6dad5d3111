"""The service as a process between a real Kafka and two endpoints, one of which dies under it and comes back."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.integration.brokers import Broker
from tests.integration.conftest import NewTopic
from tests.integration.processes import running
from tests.integration.stage import everything, position, send
from tests.integration.topics import create_topic
from tests.judge.books import Submit
from tests.judge.conditions import Conditions, Duration
from tests.judge.process import judge

pytestmark = pytest.mark.asyncio

PARTITIONS, COUNT, WINDOW = 3, 1_500, 8
SLOW = Conditions(duration=Duration(0.5))


async def committed(kafka: Broker, topic: str) -> int:
    return sum([await position(kafka.bootstrap, topic, topic, index) or 0 for index in range(PARTITIONS)])


async def until_still(kafka: Broker, output: str, least: int) -> int:
    """Wait until so much has come out, and nothing more does; tell how much did."""
    before, out = -1, 0
    async with asyncio.timeout(90):
        while out != before or out < least:
            before = out
            await asyncio.sleep(2)
            out = len(await everything(kafka.bootstrap, output))
    return out


async def test_when_one_of_two_endpoints_dies_the_other_does_the_work(
    kafka: Broker, new_topic: NewTopic, tmp_path: Path
) -> None:
    """All but what the dead one had in hand comes out, and the service stays ready; the rest when it is back."""
    topic, output = await new_topic(PARTITIONS), await new_topic(PARTITIONS)
    await create_topic(kafka.bootstrap, f"{output}-dead")
    async with judge(tmp_path / "west", SLOW) as west, judge(tmp_path / "east", SLOW) as east:
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "KAFKA_GROUP": topic,
            "INPUT_TOPIC": topic,
            "OUTPUT_TOPIC": output,
            "DEAD_LETTER_TOPIC": f"{output}-dead",
            "RESOURCES": json.dumps([{"name": "west", "endpoint": west.url}, {"name": "east", "endpoint": east.url}]),
            "LANGUAGE_KEY": "key",
            "LANGUAGE_PROJECT": "project",
            "LANGUAGE_DEPLOYMENT": "deployment",
            "WINDOW": str(WINDOW),
            "HTTP_PORT": "0",
            "HTTP_HOST": "127.0.0.1",
            "DRAIN_FOR": "5",
            "LANGUAGE_QUOTA": "6000/min",
        }
        records = [(b"%d" % n, json.dumps({"text": f"<<n-{n}>> is down"}).encode(), ()) for n in range(COUNT)]
        await send(kafka.bootstrap, topic, records)
        environment = {f"ENTITY_STREAM_{name}": value for name, value in settings.items()}
        async with running("serve", environment=environment) as process:
            ready = (await process.says(r"(http://\S+/readyz)"))[1]
            async with asyncio.timeout(60):
                while min((await west.tally()).accepted, (await east.tally()).accepted) < 8:
                    await asyncio.sleep(0.1)
            os.kill(west.pid, signal.SIGKILL)
            assert await until_still(kafka, output, COUNT - 25 * WINDOW) < COUNT
            async with httpx.AsyncClient() as client:
                assert (await client.get(ready)).status_code == 200
                metrics = (await client.get(ready.replace("readyz", "metrics"))).text
            assert 'entity_stream_shut{operation="submit",resource="east"} 0.0' in metrics
            assert 'entity_stream_jobs_in_flight{resource="east"} 0.0' in metrics
            port = int(west.url.rpartition(":")[2])
            async with judge(tmp_path / "west-again", SLOW, port), asyncio.timeout(90):
                while await committed(kafka, topic) < COUNT:
                    await asyncio.sleep(0.5)
                assert await process.end(signal.SIGTERM) == 0
        events = await east.events()
    paid = Counter(name for each in events if isinstance(each, Submit) and each.job for name in each.documents)
    assert set(paid.values()) == {1}
    assert Counter(record.key for record in await everything(kafka.bootstrap, output)) == dict.fromkeys(
        [key for key, _, _ in records], 1
    )
    assert await everything(kafka.bootstrap, f"{output}-dead") == []
