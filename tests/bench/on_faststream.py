"""FastStream as its documentation has a user do it: a batch subscriber, whose records become jobs that run at once.

The rule that keeps it honest: it calls the endpoint with the very code of the plain loop, and the framework is told
what makes it quick: as many records in a batch as the plain loop reads, and the plain loop's producer.
"""

import argparse
import asyncio
import logging

from aiokafka import ConsumerRecord
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage

from tests.bench.plain import Endpoint, annotate_all, client
from tests.bench.rest import DOCUMENTS, JOBS, options


async def run(told: argparse.Namespace) -> None:
    """Read, annotate, publish; the framework commits once the subscriber has returned."""
    broker = KafkaBroker(
        told.bootstrap, acks="all", linger_ms=5, max_batch_size=128 * 1024, logger=None, log_level=logging.WARNING
    )
    async with client(told) as calls:
        endpoint = Endpoint(calls, told.project, told.deployment, told.poll_every)

        async def annotate(batch: KafkaMessage) -> None:
            records: tuple[ConsumerRecord, ...] = batch.raw_message
            messages = await annotate_all(endpoint, records)
            each = zip(records, messages, strict=True)
            await asyncio.gather(*(broker.publish(value, told.output, key=record.key) for record, value in each))

        subscriber = broker.subscriber(
            told.input,
            group_id=told.group,
            batch=True,
            max_records=JOBS * DOCUMENTS,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        subscriber(annotate)
        await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    asyncio.run(run(options("on_faststream", "FastStream.")))
