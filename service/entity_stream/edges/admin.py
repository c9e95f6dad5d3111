"""Asking broker and endpoint whether they would let us work, without writing, reading or paying anything."""

from collections.abc import Collection

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from msgspec import Struct

from entity_stream.core.mistake import Mistake
from entity_stream.core.wire.errors import explain as explain_answer
from entity_stream.core.wire.runtime import job_path
from entity_stream.edges.kafka_connection import ask_to_write, client_options, connected, explain
from entity_stream.edges.kafka_transactions import require_transactions
from entity_stream.edges.language_http import UNANSWERED, headers_of, words
from entity_stream.plan import KafkaConnection, LanguageEndpoint, targets

NO_SUCH_JOB = "00000000-0000-0000-0000-000000000000"
"""Asked for to see whether the key is taken: 404 says it is."""


class Finding(Struct, frozen=True):
    """One thing that was asked, and what came of it."""

    asked: str
    mistake: Mistake | None = None

    @property
    def good(self) -> bool:
        """Tell whether it is as it should be."""
        return self.mistake is None


async def require_topics(connection: KafkaConnection, topics: Collection[str]) -> None:
    """Raise the Mistake that names the first topic which is not there, or not for us."""
    client = AIOKafkaClient(**client_options(connection))
    try:
        await connected(client.bootstrap(), connection)
        for topic in topics:
            if mistake := await _topic_mistake(client, connection, topic):
                raise mistake
    finally:
        await client.close()


async def _topic_mistake(client: AIOKafkaClient, connection: KafkaConnection, topic: str) -> Mistake | None:
    await client.add_topic(topic)
    await client.force_metadata_update()
    if topic in client.cluster.unauthorized_topics:
        return explain(errors.TopicAuthorizationFailedError(topic), connection)
    if not client.cluster.partitions_for_topic(topic):
        return explain(errors.UnknownTopicOrPartitionError(topic), connection)
    return None


async def ask_kafka(connection: KafkaConnection, reads: str, writes: Collection[str]) -> list[Finding]:
    """Log in; look for the topics; try to read, to commit and to write, in ways that change nothing."""
    client = AIOKafkaClient(**client_options(connection))
    try:
        await connected(client.bootstrap(), connection)
        findings = [
            Finding("Kafka: log in"),
            Finding(f"Kafka: read '{reads}'", await _may_read(client, connection, reads)),
        ]
        findings += [
            Finding(f"Kafka: write '{topic}'", await _may_write(client, connection, topic)) for topic in writes
        ]
    except Mistake as mistake:
        return [Finding("Kafka: log in", mistake)]
    finally:
        await client.close()
    return findings + await _ask_for_transactions(connection)


async def _ask_for_transactions(connection: KafkaConnection) -> list[Finding]:
    """Take a transactional id, where delivery is to be exactly once."""
    if connection.transactional_id_prefix is None:
        return []
    try:
        await require_transactions(connection)
    except Mistake as mistake:
        return [Finding("Kafka: transactions", mistake)]
    return [Finding("Kafka: transactions")]


async def _may_read(client: AIOKafkaClient, connection: KafkaConnection, topic: str) -> Mistake | None:
    """Fetch from the end of one partition, and look up the group's position there."""
    if mistake := await _topic_mistake(client, connection, topic):
        return mistake
    consumer = AIOKafkaConsumer(group_id=connection.group, enable_auto_commit=False, **client_options(connection))
    place = TopicPartition(topic, min(client.cluster.partitions_for_topic(topic)))
    try:
        await connected(consumer.start(), connection)
        consumer.assign([place])
        await consumer.committed(place)
        await consumer.seek_to_end(place)
        await consumer.getmany(timeout_ms=500)
    except errors.KafkaError as error:
        return explain(error, connection)
    except Mistake as mistake:
        return mistake
    finally:
        await consumer.stop()
    return None


async def _may_write(client: AIOKafkaClient, connection: KafkaConnection, topic: str) -> Mistake | None:
    """Offer one record that no broker takes."""
    if mistake := await _topic_mistake(client, connection, topic):
        return mistake
    try:
        await ask_to_write(client, topic)
    except errors.TopicAuthorizationFailedError as error:
        return explain(error, connection)
    return None


async def ask_language(transport: httpx.AsyncBaseTransport, endpoint: LanguageEndpoint) -> list[Finding]:
    """Ask for a job that cannot exist, then for the deployment of each route."""
    client = httpx.AsyncClient(
        transport=transport, base_url=endpoint.url, headers=headers_of(endpoint), timeout=endpoint.timeout
    )
    reached = await _ask(client, job_path(NO_SUCH_JOB, endpoint.api_version), endpoint)
    name = f"Language {endpoint.resource}" if endpoint.listed else "Language"
    if isinstance(reached, Mistake):
        return [Finding(f"{name}: reach {endpoint.url}", reached)]
    findings = [Finding(f"{name}: reach {endpoint.url}"), Finding(f"{name}: key", _key_mistake(reached, endpoint))]
    if findings[-1].good:
        for each in targets([endpoint]).values():
            asked = f"{name}: deployment '{each.deployment}' of project '{each.project}'"
            findings.append(Finding(asked, _deployment_mistake(await _ask(client, _deployment_path(each), each), each)))
    return findings


def _deployment_path(endpoint: LanguageEndpoint) -> str:
    return (
        f"/language/authoring/analyze-text/projects/{endpoint.project}/deployments/{endpoint.deployment}"
        f"?api-version={endpoint.api_version}"
    )


def _where(endpoint: LanguageEndpoint, *settings: str) -> str:
    """Name the settings of an endpoint, or its place in the list of resources."""
    if endpoint.listed:
        return f"ENTITY_STREAM_RESOURCES, '{endpoint.resource}': {', '.join(settings).lower()}"
    return ", ".join(f"ENTITY_STREAM_LANGUAGE_{each}" for each in settings)


async def _ask(client: httpx.AsyncClient, path: str, endpoint: LanguageEndpoint) -> httpx.Response | Mistake:
    try:
        return await client.get(path)
    except UNANSWERED as error:
        return Mistake(
            f"no answer: {words(error)}",
            f"{_where(endpoint, 'ENDPOINT')}={endpoint.url}",
            "Is the endpoint up, the address right, and the network open to it?",
        )


def _refusal(answer: httpx.Response) -> str:
    return f"HTTP {answer.status_code}: {explain_answer(answer.status_code, answer.content).message}"


def _key_mistake(answer: httpx.Response, endpoint: LanguageEndpoint) -> Mistake | None:
    if answer.status_code not in {401, 403}:
        return None
    return Mistake(
        _refusal(answer),
        _where(endpoint, "KEY"),
        f"Give a key of the resource at {endpoint.url}.",
    )


def _deployment_mistake(answer: httpx.Response | Mistake, endpoint: LanguageEndpoint) -> Mistake | None:
    if isinstance(answer, Mistake):
        return answer
    if answer.status_code == 200:
        return None
    return Mistake(
        _refusal(answer),
        _where(endpoint, "PROJECT", "DEPLOYMENT"),
        f"Deploy a model of project '{endpoint.project}' as '{endpoint.deployment}', or correct the names.",
    )
