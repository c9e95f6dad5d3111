"""Where the microseconds of a document go: from the stacks that a sampler saw to the stages of the path.

The rule that keeps it honest: one table decides, its first row that fits any frame of a stack; and what no row knows
is shown as such. What was sampled while modules were imported is left out: starting costs nothing a document.
"""

from collections import Counter
from collections.abc import Iterable

Stack = tuple[str, ...]
"""`module:function` of each frame, the innermost first."""

START = "start"
REST = "event loop, sockets, all else"

# beginning of module:function, stage. What calls stands below what is called
TABLE = (
    ("importlib.", START),
    ("entity_stream.core.messages:decode", "read: decode documents"),
    ("entity_stream.core.messages:encode", "publish: encode messages"),
    ("entity_stream.core.wire.runtime:encode_submit", "submit: encode"),
    ("entity_stream.core.wire.runtime:decode_job", "poll: decode and match"),
    ("entity_stream.core.verdict:judge", "poll: decode and match"),
    ("prometheus_client", "metrics"),
    ("aiohttp", "submit and poll: aiohttp"),
    ("httpx", "submit and poll: httpx"),
    ("entity_stream.edges.language_http", "submit and poll: httpx"),
    ("entity_stream.core.journal", "commit: write the journal"),
    ("entity_stream.edges.kafka_membership", "commit"),
    ("entity_stream.edges.kafka_ledger:_commit", "commit"),
    ("entity_stream.edges.kafka_writer:_commit", "commit"),
    ("aiokafka.producer.sender:_do_txn", "commit"),
    ("aiokafka.producer.sender:_do_add", "commit: what is in the transaction"),
    ("entity_stream.edges.kafka_ledger", "publish: produce"),
    ("entity_stream.edges.kafka_transactions", "publish: produce"),
    ("entity_stream.edges.kafka_writer", "publish: produce"),
    ("entity_stream.edges.publishing", "publish: produce"),
    ("aiokafka.producer", "publish: produce"),
    ("entity_stream.edges.kafka_source", "read: fetch"),
    ("aiokafka.consumer", "read: fetch"),
    ("aiokafka", "connections to Kafka"),
    ("asyncio.streams", "connections to Kafka"),
    ("entity_stream.core.batching", "batch"),
    ("entity_stream.core", "keep order, progress and quota"),
    ("entity_stream.tenure", "keep order, progress and quota"),
    ("entity_stream.calling", "keep order, progress and quota"),
    ("entity_stream.doubt", "keep order, progress and quota"),
    ("entity_stream.reading", "keep order, progress and quota"),
    ("entity_stream.window", "keep order, progress and quota"),
    ("entity_stream.pipeline", "keep order, progress and quota"),
    ("entity_stream.edges.telemetry", "metrics"),
)


def by_stage(samples: Iterable[tuple[Stack, int]]) -> list[tuple[str, float]]:
    """Say which part of the samples each stage has, the largest first."""
    counted: Counter[str] = Counter()
    for stack, times in samples:
        counted[stage_of(stack)] += times
    del counted[START]
    return [(stage, times / counted.total()) for stage, times in counted.most_common()]


def stage_of(stack: Stack) -> str:
    """Find the stage of a stack."""
    return next((stage for beginning, stage in TABLE if any(frame.startswith(beginning) for frame in stack)), REST)
