"""One batch through one idempotent producer: acknowledged, refused, or taken back.

The broker knows a batch by the numbers of its records, and acknowledges what it has already without writing it. So the
client's count is kept right where batches are refused or given up; where nobody can know it, the run ends.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import AIOKafkaProducer, TopicPartition, errors
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch

from entity_stream.edges.chute import Refusal
from entity_stream.edges.kafka_connection import client_options
from entity_stream.edges.troubles import Troubles
from entity_stream.plan import KafkaConnection
from entity_stream.ports import StartAgain

BATCH = 1_000_000
"""Bytes of one produce batch; the broker's own limit (message.max.bytes) is 1 MiB by default."""

LARGEST = 100_000_000
"""Bytes of one record; the broker decides, not the client."""


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc]
    """What a broker says of a record that its topic cannot hold: without a key, where it is compacted."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker refused a record that does not fit its topic."


# aiokafka would take it for an error of the broker's own (-1), of which nobody knows whether it came after the write
errors.kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSALS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidMessageError,
    InvalidRecordError,
)
"""What a broker says of a record that it will never take."""


def new_producer(connection: KafkaConnection, **options: str | int) -> AIOKafkaProducer:
    """Make a producer of outcomes: what it took it sends for as long as it takes."""
    producer = AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH,
        max_request_size=LARGEST,
        **options,
        **client_options(connection),
    )
    producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 (a partition without leader would fail a batch in 40 s)
    return producer


class Outlet:
    """A producer, as the batches see it."""

    def __init__(self, producer: AIOKafkaProducer, troubles: Troubles) -> None:
        self._producer, self._troubles = producer, troubles

    async def send(self, place: TopicPartition, batch: BatchBuilder) -> Refusal:
        """Send a batch and await its acknowledgement, or why it is refused."""
        with _of_use(place):
            sent = await self._producer.send_batch(batch, place.topic, partition=place.partition)
        handed_over = self._producer._message_accumulator._batches[place][-1]  # noqa: SLF001 (`send_batch` returns less)
        try:
            with _of_use(place), self._troubles.telling(f"waiting for {place.topic}-{place.partition} to acknowledge"):
                await sent
        except asyncio.CancelledError:
            self._take_back(place, handed_over)
            raise
        except REFUSALS as refusal:
            self._count_back(place, handed_over)
            return refusal
        except errors.TopicAuthorizationFailedError:
            self._count_back(place, handed_over)
            raise
        return None

    def _count_back(self, place: TopicPartition, refused: MessageBatch) -> None:
        """Count no more what is refused: the client has counted it as it left, the broker expects those numbers next.

        Nobody else sends to the partition meanwhile. Too far back, and the broker would take the next batch for one
        that it has: what the client did not even take it has not counted, and what it sent twice may be written.
        """
        if refused.retry_count > 1:
            raise StartAgain(f"publish to {place.topic}-{place.partition}: refused when it was sent again")
        self._producer._txn_manager.increment_sequence_number(place, -refused.record_count)  # noqa: SLF001

    def _take_back(self, place: TopicPartition, left: MessageBatch) -> None:
        """Have a batch that nobody waits for any more not sent later, behind what its next owner has published.

        One that is under way cannot be called back, but its producer can be kept from sending it, or all else, again.
        """
        accumulator = self._producer._message_accumulator  # noqa: SLF001 (the client knows no way back)
        queue = accumulator._batches.get(place, ())  # noqa: SLF001
        if left in queue:
            queue.remove(left)
            if not queue:
                del accumulator._batches[place]  # noqa: SLF001
        elif not left.future.done():
            accumulator._exception = errors.ProducerClosed()  # noqa: SLF001
            self._producer._sender.sender_task.cancel()  # noqa: SLF001


@contextmanager
def _of_use(place: TopicPartition) -> Iterator[None]:
    """End the run where an error leaves the producer of no more use. That a partition is there, it asserts."""
    try:
        yield
    except (*REFUSALS, errors.TopicAuthorizationFailedError):
        raise
    except (errors.KafkaError, errors.IllegalOperation, AssertionError) as error:
        raise StartAgain(f"publish to {place.topic}-{place.partition}: {error!r}") from error
