"""The transactions of one input partition, one at a time: letters and position together, or nothing.

Nobody waits for an operator while a transaction is open, and one whose end is unknown has no other behind it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import OffsetAndMetadata

from entity_stream.core.messages import Message
from entity_stream.edges.chute import Outcast, Permitted
from entity_stream.edges.kafka_connection import ask_to_write, uninterrupted
from entity_stream.edges.producing import new_producer
from entity_stream.edges.publishing import Letter, Press
from entity_stream.edges.telemetry import Metrics
from entity_stream.moments import ended
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain

TRANSACTION = 60_000
"""Milliseconds after which the brokers abort a transaction that nobody ends, and fence whoever began it."""

AGAIN = 20
"""Milliseconds until a request is repeated: right after a transaction the next one's first are refused for a moment."""

BOOTSTRAP_PAUSE = 0.5
"""Seconds between two tries to connect while no broker can be reached."""

GRACE = 1.0
"""Seconds that a producer's requests may take to end when it is used no more."""

Positions = Mapping[TopicPartition, OffsetAndMetadata]


def new_transactional_producer(connection: KafkaConnection, name: str) -> AIOKafkaProducer:
    """Make the producer of one transactional id; its start fences every other of that id."""
    return new_producer(connection, transactional_id=name, transaction_timeout_ms=TRANSACTION, retry_backoff_ms=AGAIN)


class Blocked(Exception):
    """A topic takes nothing: there is nothing to settle until an operator has mended it."""

    def __init__(self, topic: str, error: errors.KafkaError) -> None:
        super().__init__(topic)
        self.topic, self.error = topic, error


async def refuse_to_wait(topic: str, error: errors.KafkaError) -> None:
    """Raise: nobody waits for an operator in the middle of a transaction.

    A right that was taken away leaves aiokafka in doubt about what is in it: it would have the broker abort nothing.
    """
    if isinstance(error, errors.TopicAuthorizationFailedError):
        raise StartAgain(f"publish to {topic}: {error!r}") from error
    raise Blocked(topic, error)


class Writer:
    """Writes the transactions of one input partition, one at a time."""

    def __init__(self, producer: AIOKafkaProducer, press: Press, group: str, metrics: Metrics) -> None:
        self._producer, self._press, self._group, self._metrics = producer, press, group, metrics
        self._open: set[str] = set()  # topics that may be written
        self._begun = False

    async def start(self) -> None:
        """Have the brokers end and fence what others have begun; wait as long as none can be reached."""
        while True:
            try:
                await uninterrupted(self._producer.start())
            except errors.KafkaConnectionError:
                await asyncio.sleep(BOOTSTRAP_PAUSE)
            else:
                return

    async def retire(self) -> None:
        """Write no more, and end nothing."""
        await retire(self._producer)

    async def settle(self, letters: Sequence[Letter], end: Positions, permitted: Permitted) -> Mapping[int, Message]:
        """Commit letters and position together; or, where one is refused, nothing, and return what to send instead.

        Cancelled in the middle it leaves the transaction open, for the next owner to abort, and never begins another.
        """
        if self._begun:
            raise Outcast
        await self._look_at({message.topic for message, _ in letters} - self._open)
        await self._producer.begin_transaction()
        self._begun = True
        try:
            with self._metrics.stage("publish"):
                instead = await self._press.publish(letters, permitted)
            if not instead:
                with self._metrics.stage("commit"):
                    await self._commit(end, permitted)
        except (Blocked, Outcast):
            await self._producer.abort_transaction()
            self._begun = False
            raise
        if instead:
            await self._producer.abort_transaction()
        self._begun = False
        return instead

    async def _commit(self, end: Positions, permitted: Permitted) -> None:
        await self._producer.send_offsets_to_transaction(end, self._group)
        if not await permitted():
            raise Outcast
        await self._producer.commit_transaction()

    async def _look_at(self, topics: Collection[str]) -> None:
        """See that topics are there and may be written, as long as no transaction waits for it."""
        for topic in topics:
            try:
                await ask_to_write(self._producer.client, topic)
            except errors.KafkaError as error:
                raise Blocked(topic, error) from error
            self._open.add(topic)


async def retire(producer: AIOKafkaProducer) -> None:
    """Use a producer no more: nothing is flushed or ended, and nothing waited for longer than a moment.

    (Its own `stop` would wait for what it took to be sent, however long the brokers are away.)
    """
    producer._closed = True  # noqa: SLF001
    sender = producer._sender.sender_task  # noqa: SLF001
    try:
        if sender:
            sender.cancel()
            await asyncio.wait([sender], timeout=GRACE)
    finally:
        _hang_up(producer.client)
        await producer.client.close()
        if sender:
            await ended(sender)  # a second time: of requests under way the first one waits for the end
        _hush(producer)


def _hang_up(client: AIOKafkaClient) -> None:
    """Close all connections at once: `close` would wait for what is written to arrive, at a host that may be gone."""
    for conn in client._conns.values():  # noqa: SLF001
        if conn._protocol and (transport := conn._protocol._transport):  # noqa: SLF001
            transport.abort()


def _hush(producer: AIOKafkaProducer) -> None:
    """Have asyncio not complain of errors that nobody asked for: whoever had to know them does."""
    waiting = producer._message_accumulator._batches.values()  # noqa: SLF001
    futures = [batch._drain_waiter for batches in waiting for batch in batches]  # noqa: SLF001
    futures.append(producer._txn_manager.wait_for_transaction_end())  # noqa: SLF001
    for future in futures:
        if future and future.done() and not future.cancelled():
            future.exception()
