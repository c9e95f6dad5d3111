"""The demo's broker: librdkafka's mock cluster, which speaks the Kafka protocol on a loopback port.

It has four partitions a topic and keeps about 5 MB of each, forgetting silently what it has no room for;
so whoever feeds it stays at most AHEAD bytes in front of what has come out at the other end.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from entity_stream.core.mistake import Mistake

PARTITIONS = 4
"""Of every topic; the mock cluster makes topics by itself when they are first named."""

AHEAD = 2_000_000
"""Bytes per partition that may be fed before an outcome of them has come out."""


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a broker until the block ends; yield its host:port."""
    try:
        from confluent_kafka import Producer  # noqa: PLC0415 (an extra: only the demo needs it)
    except ImportError as error:
        raise Mistake(
            "the demo's broker is not installed", "extra 'demo'", "Run: pip install 'entity-stream[demo]'"
        ) from error
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused:1", "log_level": 0})
    [broker] = cluster.list_topics(timeout=10).brokers.values()
    try:
        yield f"{broker.host}:{broker.port}"
    finally:
        del cluster
