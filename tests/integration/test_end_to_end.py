"""The whole line as processes: a real Kafka, the engine with its trained model, the service, killed and stopped."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from entity_stream.engine.commands import sample_model
from entity_stream.engine.crf import Model
from entity_stream.sample import DOCUMENTS
from tests.integration.brokers import Broker
from tests.integration.conftest import NewTopic
from tests.integration.processes import Running, running
from tests.integration.stage import Sent, everything, position, send
from tests.integration.topics import create_topic

pytestmark = pytest.mark.asyncio

PARTITIONS = 6
COUNT = 5_000


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[str]:
    """Run the engine with the model of the sample; give its address."""
    async with running("engine", "serve", "--port", "0", "--workers", "1") as process:
        yield (await process.says(r"engine (http://\S+)"))[1]


@asynccontextmanager
async def service(kafka: Broker, engine: str, topic: str, output: str, **changes: str) -> AsyncIterator[Running]:
    """Run the service between topics, configured as a user does it."""
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_GROUP": topic,
        "KAFKA_SESSION_TIMEOUT": "6",
        "INPUT_TOPIC": topic,
        "OUTPUT_TOPIC": output,
        "DEAD_LETTER_TOPIC": f"{output}-dead",
        "LANGUAGE_ENDPOINT": engine,
        "LANGUAGE_KEY": "any",
        "LANGUAGE_PROJECT": "incidents",
        "LANGUAGE_DEPLOYMENT": "production",
        "LANGUAGE_QUOTA": "60000/min",
        "HTTP_PORT": "0",
        "HTTP_HOST": "127.0.0.1",
        "DRAIN_FOR": "5",
    } | changes
    environment = {f"ENTITY_STREAM_{name}": value for name, value in settings.items()}
    async with running("serve", environment=environment) as process:
        yield process


async def topics(kafka: Broker, new_topic: NewTopic) -> tuple[str, str]:
    """Make an input topic, an output topic and its dead letters."""
    topic, output = await new_topic(PARTITIONS), await new_topic(PARTITIONS)
    await create_topic(kafka.bootstrap, f"{output}-dead")
    return topic, output


def texts() -> list[str]:
    """Collect reports with CRLF, emoji and accents; each also behind an emoji, and with its neighbour."""
    reports = [path.read_bytes().decode() for path in sorted(DOCUMENTS.iterdir())]
    return reports + [f"🚨 {text}" for text in reports] + [f"{a}\r\n\r\n{b}" for a, b in pairwise(reports)]


def documents(count: int) -> tuple[list[Sent], dict[str, str]]:
    """Make records, and tell the text of each id."""
    choice = texts()
    ids = {f"report-{n}": choice[n % len(choice)] for n in range(count)}
    return [(name.encode(), json.dumps({"text": text}).encode(), [("n", b"1")]) for name, text in ids.items()], ids


async def committed(kafka: Broker, topic: str) -> int:
    """Sum the positions of all partitions."""
    return sum([await position(kafka.bootstrap, topic, topic, index) or 0 for index in range(PARTITIONS)])


async def until_committed(kafka: Broker, topic: str, count: int, within: float = 120.0) -> None:
    """Wait until so many records are committed."""
    async with asyncio.timeout(within):
        while await committed(kafka, topic) < count:
            await asyncio.sleep(0.2)


def named(model: Model, text: str) -> list[tuple[str, str, int, int, float]]:
    return [
        (text[s.offset : s.offset + s.length], s.category, s.offset, s.length, s.confidence)
        for s in model.predict(text)
    ]


async def test_five_thousand_documents_come_out_once_with_what_the_model_says(
    kafka: Broker, new_topic: NewTopic, engine: str
) -> None:
    """Every id comes out exactly once with the entities that the model, called directly, finds in its text."""
    topic, output = await topics(kafka, new_topic)
    records, ids = documents(COUNT)
    async with service(kafka, engine, topic, output) as process:
        await send(kafka.bootstrap, topic, records)
        await until_committed(kafka, topic, COUNT)
        assert await process.end(signal.SIGTERM) == 0
    messages = [json.loads(record.value) for record in await everything(kafka.bootstrap, output)]
    assert Counter(message["id"] for message in messages) == dict.fromkeys(ids, 1)
    model = Model.load(sample_model(Path.home() / ".cache" / "entity-stream"))
    says = {text: named(model, text) for text in set(ids.values())}
    for message in messages:
        found = [
            (e["text"], e["category"], e["offset"], e["length"], e["confidenceScore"]) for e in message["entities"]
        ]
        assert found == says[ids[message["id"]]]
    assert await committed(kafka, topic) == COUNT
    assert await everything(kafka.bootstrap, f"{output}-dead") == []


async def test_a_service_killed_twice_loses_nothing(kafka: Broker, new_topic: NewTopic, engine: str) -> None:
    """After kill -9 in full work, the next process brings home whatever was not committed."""
    topic, output = await topics(kafka, new_topic)
    records, ids = documents(1_500)
    await send(kafka.bootstrap, topic, records)
    for count in (100, 500):
        async with service(kafka, engine, topic, output) as process:
            await until_committed(kafka, topic, count)
            assert await process.end(signal.SIGKILL) == -signal.SIGKILL
    async with service(kafka, engine, topic, output):
        await until_committed(kafka, topic, len(records))
    published = Counter(json.loads(record.value)["id"] for record in await everything(kafka.bootstrap, output))
    assert set(published) == set(ids)


async def test_a_service_told_to_stop_leaves_nothing_to_do_twice(
    kafka: Broker, new_topic: NewTopic, engine: str
) -> None:
    """SIGTERM settles what is in flight within the drain limit and exits 0; the next process repeats nothing."""
    topic, output = await topics(kafka, new_topic)
    records, ids = documents(1_500)
    await send(kafka.bootstrap, topic, records)
    async with service(kafka, engine, topic, output, WINDOW="4") as process:
        await until_committed(kafka, topic, 200)
        assert await process.end(signal.SIGTERM, within=15) == 0
    assert await committed(kafka, topic) < len(records)
    async with service(kafka, engine, topic, output) as process:
        await process.says("serve.started")
        await until_committed(kafka, topic, len(records))
        assert await process.end(signal.SIGTERM, within=15) == 0
    published = Counter(json.loads(record.value)["id"] for record in await everything(kafka.bootstrap, output))
    assert published == dict.fromkeys(ids, 1)


async def test_a_deployment_that_is_not_there_parks_the_service(
    kafka: Broker, new_topic: NewTopic, engine: str
) -> None:
    """With a wrong deployment nothing is rejected; /readyz says why; with the right one everything flows."""
    topic, output = await topics(kafka, new_topic)
    records, ids = documents(50)
    await send(kafka.bootstrap, topic, records)
    async with service(kafka, engine, topic, output, LANGUAGE_DEPLOYMENT="nowhere") as process:
        address = (await process.says(r"(http://\S+)/readyz"))[1]
        async with httpx.AsyncClient(base_url=address) as client, asyncio.timeout(30):
            while "parked" not in (answer := await client.get("/readyz")).text:
                await asyncio.sleep(0.1)
        assert answer.status_code == 503
        assert "404" in answer.text
    assert await everything(kafka.bootstrap, f"{output}-dead") == []
    async with service(kafka, engine, topic, output):
        await until_committed(kafka, topic, len(ids))
    assert len(await everything(kafka.bootstrap, output)) == len(ids)


async def test_no_document_text_and_no_key_is_logged(kafka: Broker, new_topic: NewTopic, engine: str) -> None:
    """At the most talkative level, neither a text nor the key appears in what the service prints."""
    topic, output = await topics(kafka, new_topic)
    await send(
        kafka.bootstrap, topic, [(b"k", b'{"text": "a-very-secret-text on web-1"}', []), (b"k", b'{"text": 7}', [])]
    )
    quiet = {"LOG_LEVEL": "debug", "LANGUAGE_KEY": "a-very-secret-key"}
    async with service(kafka, engine, topic, output, **quiet) as process:
        await until_committed(kafka, topic, 2)
        await process.end()
        assert "secret" not in process.said
        assert "serve.stopped" in process.said
