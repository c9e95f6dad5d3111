"""Topics for tests, and the question a broker answers before they begin. What a broker refuses is raised."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest

BY_THE_BROKERS_DEFAULT = -1
"""A replication factor that suits a given cluster of three as well as a node of our own."""


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client; raises KafkaConnectionError."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def create_topic(
    bootstrap: str, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> None:
    """Create a topic; return once each of its partitions has a leader."""
    topic = NewTopic(name, partitions, BY_THE_BROKERS_DEFAULT, {}, topic_configs=dict(configs or {}))
    async with admin(bootstrap) as client:
        [(_, code, message)] = (await client.create_topics([topic])).topic_errors
        if code:
            raise for_code(code)(message)

        async def is_led() -> bool:
            [described] = await client.describe_topics([name])
            return [partition["leader"] >= 0 for partition in described["partitions"]] == [True] * partitions

        await until(is_led)


async def delete_topics(bootstrap: str, names: Sequence[str]) -> None:
    """Have topics deleted; one that is gone already is fine."""
    async with admin(bootstrap) as client:
        await client.delete_topics(list(names))


class Right(IntEnum):
    """What an ACL is about, as the protocol counts it."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5
DENY, ALLOW = 2, 3
LITERALLY = 3


async def grant(bootstrap: str, user: str, right: Right, name: str, kind: int = TOPIC, permission: int = ALLOW) -> None:
    """Add an ACL for one user and one name; what is denied is denied, whatever else allows it."""
    async with admin(bootstrap) as client:
        request = CreateAclsRequest(kind, name, LITERALLY, f"User:{user}", "*", right, permission)
        [(code, message)] = (await client._send_request(request)).creation_responses
        if code:
            raise for_code(code)(message)


async def answers(bootstrap: str) -> bool:
    """Whether a broker answers for a consumer group: up to some seconds later than it takes connections."""
    try:
        async with admin(bootstrap) as client:
            [response] = await client.describe_consumer_groups(["is-anybody-there"])
    except KafkaError:
        return False
    return not any(code for code, *_ in response.groups)


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the answer is yes."""
    while not await question():
        await asyncio.sleep(0.05)
