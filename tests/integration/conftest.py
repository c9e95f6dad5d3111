"""The brokers of a test run, and a test's own topics. The run says in one line which it met, or why none."""

import re
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar
from uuid import uuid4

import pytest
import pytest_asyncio

from entity_stream.core.mistake import Mistake
from tests.integration.brokers import Broker, SecureBroker, broker, required, secure_broker
from tests.integration.met import is_one_of_several, note
from tests.integration.node import NoBroker
from tests.integration.topics import create_topic, delete_topics

T = TypeVar("T")


class NewTopic(Protocol):
    """Creates a topic and returns its name, which no other test uses: good for a group as well."""

    async def __call__(self, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str: ...


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Find or start a real Kafka: brokers.py says where."""
    with _met(pytestconfig, "broker", broker(tmp_path_factory.mktemp("kafka"))) as found:
        yield found


@pytest.fixture(scope="session")
def secure_kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """Start a Kafka that asks who is there and what they may do."""
    with _met(pytestconfig, "secure broker", secure_broker(tmp_path_factory.mktemp("secure-kafka"))) as found:
        yield found


@pytest_asyncio.fixture
async def new_topic(request: pytest.FixtureRequest, kafka: Broker) -> AsyncIterator[NewTopic]:
    """Create topics for one test and delete them after it."""
    created: list[str] = []

    async def create(partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        name = f"{re.sub(r'[^A-Za-z0-9]+', '-', request.node.name)[:100]}-{uuid4().hex[:8]}"
        await create_topic(kafka.bootstrap, name, partitions, configs)
        created.append(name)
        return name

    yield create
    await delete_topics(kafka.bootstrap, created)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what needs a broker, so that `-m "not kafka"` leaves it out."""
    if {"kafka", "secure_kafka"}.intersection(getattr(item, "fixturenames", ())):
        item.add_marker("kafka")


@contextmanager
def _met(config: pytest.Config, role: str, door: AbstractContextManager[T]) -> Iterator[T]:
    """Open a door to a broker and note what is behind it; if nothing is, the test skips or the run fails."""
    with ExitStack() as until_the_end:
        # SIGTERM ends the run as Ctrl-C does, so that whatever was started is ended in order
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        until_the_end.callback(signal.signal, signal.SIGTERM, before)
        try:
            found = until_the_end.enter_context(door)
        except (NoBroker, Mistake) as reason:
            note(config, role, reason)
            if (required() or isinstance(reason, Mistake)) and is_one_of_several(config):
                pytest.fail(str(reason), pytrace=False)  # only the one that has started this process can end the run
            if required() or isinstance(reason, Mistake):
                pytest.exit(str(reason), pytest.ExitCode.TESTS_FAILED)
            pytest.skip(f"no Kafka: the line that begins with '{role}:' says why")
        note(config, role, found)
        yield found
