"""How to reach the brokers, and the real reason when they cannot be reached.

aiokafka says "Unable to bootstrap" for a wrong password, a wrong port and a wrong certificate alike;
so on failure each bootstrap server is asked once more, alone, and what it answers is told.
"""

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.helpers import create_ssl_context
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest

from entity_stream.core.mistake import Mistake
from entity_stream.moments import ended
from entity_stream.plan import KafkaConnection

T = TypeVar("T")

PREFIX = "ENTITY_STREAM_KAFKA"

NO_SUCH_ACKS = 2
"""A broker checks permission first, then refuses this number of acknowledgements: nothing is ever written."""

NO_LEADER = frozenset({None, -1})
"""What the client calls the leader of a partition that has none, as far as it has heard."""

LEFT_TO_START = 1.0
"""Seconds that a client has to end its start once nobody wants it any more."""


def client_options(connection: KafkaConnection) -> dict[str, Any]:
    """Return what every aiokafka client is made with."""
    return {
        "bootstrap_servers": connection.bootstrap,
        "client_id": "entity-stream",
        "security_protocol": connection.security_protocol,
        "ssl_context": _ssl_context(connection),
        "sasl_mechanism": connection.sasl_mechanism or "PLAIN",
        "sasl_plain_username": connection.username,
        "sasl_plain_password": connection.password,
    }


def _ssl_context(connection: KafkaConnection) -> ssl.SSLContext | None:
    if "SSL" not in connection.security_protocol:
        return None
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=connection.ca_file, certfile=connection.certificate_file, keyfile=connection.key_file
        )
    except (ssl.SSLError, OSError) as error:
        raise Mistake(
            f"the certificates cannot be used: {error}",
            f"{PREFIX}_SSL_CA_FILE, {PREFIX}_SSL_CERTIFICATE_FILE, {PREFIX}_SSL_KEY_FILE",
            "Give PEM files that belong together.",
        ) from error
    return context


async def uninterrupted(starting: Coroutine[Any, Any, T]) -> T:
    """Await the start of a client; cancelled, let it end first, for a moment.

    aiokafka forgets the connection that it asks for the first metadata where that is cut short.
    """
    task = asyncio.create_task(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=LEFT_TO_START)
        await ended(task)
        raise


async def connected(starting: Coroutine[Any, Any, T], connection: KafkaConnection) -> T:
    """Await the start of a client; when it fails, raise the Mistake that tells why."""
    try:
        return await uninterrupted(starting)
    except errors.KafkaError as error:
        raise await refusal(error, connection) from error


async def refusal(error: errors.KafkaError, connection: KafkaConnection) -> Mistake:
    """Tell why a client could not start: what it says itself, or what each server answers when asked alone."""
    if not isinstance(error, errors.KafkaConnectionError):
        return explain(error, connection)
    servers = connection.bootstrap.split(",")
    answers = [await _ask(server.strip(), connection) for server in servers]
    for answer in answers:
        if not isinstance(answer, OSError | errors.KafkaConnectionError):
            return explain(answer, connection)
    reasons = "; ".join(f"{server}: {_words(answer)}" for server, answer in zip(servers, answers, strict=True))
    return Mistake(
        f"no Kafka broker can be reached: {reasons}",
        f"{PREFIX}_BOOTSTRAP_SERVERS={connection.bootstrap}",
        "Is the broker up, the address right, and the security protocol "
        f"({PREFIX}_SECURITY_PROTOCOL={connection.security_protocol}) the one of that port?",
    )


async def _ask(server: str, connection: KafkaConnection) -> Exception:
    """Connect to one server, alone; return what goes wrong."""
    host, _, port = server.rpartition(":")
    options = client_options(connection)
    del options["bootstrap_servers"]
    try:
        conn: AIOKafkaConnection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=10_000, **options)
    except (errors.KafkaError, OSError, TimeoutError) as error:
        return error
    conn.close()
    return OSError("it answers now, but did not a moment ago")


async def ask_to_write(client: AIOKafkaClient, topic: str) -> None:
    """Offer a record with a number of acknowledgements that no broker takes. Raises what speaks against writing one."""
    await client._wait_on_metadata(topic)  # noqa: SLF001 (what `send` does first)
    place = TopicPartition(topic, min(client.cluster.partitions_for_topic(topic)))
    if client.cluster.leader_for_partition(place) in NO_LEADER:
        await client.force_metadata_update()  # of its own the client asks again in five minutes
    leader = client.cluster.leader_for_partition(place)
    if leader in NO_LEADER:
        raise errors.LeaderNotAvailableError(topic)
    batch = BatchBuilder(0, 0, is_transactional=False)
    batch.append(timestamp=None, key=None, value=b"")
    offer = [(topic, [(place.partition, bytes(batch._build()))])]  # noqa: SLF001
    answer = await client.send(leader, ProduceRequest(None, NO_SUCH_ACKS, 1_000, offer))
    error = errors.for_code(answer.topics[0][1][0][1])
    if error is errors.TopicAuthorizationFailedError:
        raise error(topic)


async def unsupported(client: AIOKafkaClient, requests: Mapping[str, tuple[int, int]]) -> list[str]:
    """Name those of some requests, told by key and version, that a broker does not know."""
    if not (broker := await client._get_conn(client.get_random_node())):  # noqa: SLF001 (it asked when it connected)
        raise errors.KafkaConnectionError
    known = broker._versions  # noqa: SLF001
    return [name for name, (key, version) in requests.items() if not known.get(key, (0, -1))[1] >= version]


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return " ".join(str(error).split()) or type(error).__name__


def explain(error: Exception, connection: KafkaConnection) -> Mistake:
    """Tell the user of a refusal by the broker which setting or which ACL it is about."""
    who = f"user '{connection.username}'" if connection.username else "this client"
    for kind, (what, where, fix) in REFUSALS.items():
        if isinstance(error, kind):
            told = {
                "who": who,
                "group": connection.group,
                "topic": _topics(error),
                "protocol": connection.security_protocol,
                "ids": connection.transactional_id_prefix,
            }
            return Mistake(what.format(**told, words=_words(error)), where.format(**told), fix.format(**told))
    return Mistake(
        f"the broker refused: {_words(error)}", f"{PREFIX}_BOOTSTRAP_SERVERS={connection.bootstrap}", "See above."
    )


LOGIN = (
    "the broker refused the login of {who}: {words}",
    f"{PREFIX}_SASL_USERNAME, {PREFIX}_SASL_PASSWORD",
    "Check user and password, and that the user was made for the mechanism in use.",
)

REFUSALS: dict[type[Exception], tuple[str, str, str]] = {
    errors.TopicAuthorizationFailedError: (
        "{who} may not use topic {topic}",
        "ACLs of the Kafka cluster",
        "Grant {who} READ and DESCRIBE on the input topic, WRITE and DESCRIBE on the output and dead-letter topics.",
    ),
    errors.GroupAuthorizationFailedError: (
        "{who} may not use the consumer group '{group}'",
        f"ACLs of the Kafka cluster; {PREFIX}_GROUP",
        "Grant {who} READ on group '{group}'.",
    ),
    errors.ClusterAuthorizationFailedError: (
        "{who} may not produce idempotently",
        "ACLs of the Kafka cluster",
        "Grant {who} WRITE on the output topics, or IDEMPOTENT_WRITE on the cluster where brokers are older than 3.0.",
    ),
    errors.TransactionalIdAuthorizationFailed: (
        "{who} may not use transactional ids that begin with '{ids}:{group}:'",
        f"ACLs of the Kafka cluster; ENTITY_STREAM_DELIVERY=exactly_once, {PREFIX}_TRANSACTIONAL_ID_PREFIX={{ids}}",
        "Grant {who} WRITE and DESCRIBE on transactional id '{ids}:{group}:', with resource pattern type PREFIXED.",
    ),
    errors.InvalidTransactionTimeout: (
        "the brokers do not let a transaction take a minute",
        "transaction.max.timeout.ms of the brokers",
        "Set it to 60000 or more.",
    ),
    errors.SaslAuthenticationFailed: LOGIN,
    errors.AuthenticationFailedError: LOGIN,
    errors.UnsupportedSaslMechanismError: (
        "the broker does not offer this SASL mechanism: {words}",
        f"{PREFIX}_SASL_MECHANISM",
        "Choose one of those that the broker lists.",
    ),
    errors.UnknownTopicOrPartitionError: (
        "topic {topic} does not exist",
        "ENTITY_STREAM_INPUT_TOPIC, ENTITY_STREAM_OUTPUT_TOPIC, ENTITY_STREAM_DEAD_LETTER_TOPIC",
        "Create it, or correct its name.",
    ),
    ssl.SSLError: (
        "the encrypted connection failed: {words}",
        f"{PREFIX}_SECURITY_PROTOCOL={{protocol}}, {PREFIX}_SSL_CA_FILE",
        "Give the CA that signed the brokers' certificates; is TLS spoken on that port at all?",
    ),
}


def _topics(error: Exception) -> str:
    """Name the topics that an error names, if it does."""
    named = error.args[0] if error.args else None
    names = [named] if isinstance(named, str) else sorted(named) if isinstance(named, set | frozenset | list) else []
    return ", ".join(f"'{name}'" for name in names) or "(the broker does not say which)"
