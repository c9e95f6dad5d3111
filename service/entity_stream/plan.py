"""Every number the pipeline obeys, and what can be seen of it while it runs. Times in seconds, sizes in bytes."""

from msgspec import Struct

from entity_stream.core.batching import Limits
from entity_stream.core.model import Partition
from entity_stream.core.ordering import Order
from entity_stream.core.quota import Operation


class Plan(Struct, frozen=True):
    """How to run a line."""

    limits: Limits = Limits()
    order: Order = Order.KEY
    window: int = 64
    """Jobs in flight at the most."""
    memory: int = 32_000_000
    """Records that are fetched and not settled, in bytes; one read may exceed it."""
    calls_per_minute: float = 1_000.0
    """Submits and polls together."""
    attempts: int = 3
    """How often what a job did not bring is submitted before it is halved or, alone, rejected."""
    overdue: float = 3_600.0
    """Age at which a job is given up and submitted again."""
    longest_freeze: float = 300.0
    """The most of a Retry-After that is believed."""
    park_for: float = 60.0
    """Pause between two tries while the endpoint refuses key, project or deployment."""
    drain_for: float = 20.0
    """How long jobs in flight may take to end after the stop."""
    release_for: float = 5.0
    """How long the settles of a partition may take when it is revoked, or at the end."""


class Vitals(Struct, frozen=True):
    """What a line is doing right now."""

    unfinished: dict[Partition, int]
    """Records begun and not settled, of each partition that is ours."""
    in_flight: int
    """Jobs."""
    bytes_held: int
    draining: bool
    parked: str | None
    """Why nothing is called until an operator mends it."""
    frozen: dict[Operation, float]
    """Seconds until an operation may be called again."""
