"""What a contender is told, and nothing beside it: a value, the same for all of them."""

from msgspec import Struct

from tests.bench.plan import PARTITIONS


class Task(Struct, frozen=True):
    """Where to read, whom to ask, where to write."""

    bootstrap: str
    url: str
    input: str
    output: str
    dead_letters: str
    group: str
    poll_every: float = 1.0
    quota: int | None = None
    """Submits a second; None: more than anybody could use."""
    partitions: int = PARTITIONS
    """Of each topic."""
