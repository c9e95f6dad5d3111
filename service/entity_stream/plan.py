"""What the parts are told before they start, and what can be seen while they run. Times in seconds, sizes in bytes.

A key or password is in no repr: a plan may be logged.
"""

from collections.abc import Collection

import msgspec
from msgspec import Struct

from entity_stream.core.batching import Limits
from entity_stream.core.model import Partition
from entity_stream.core.ordering import Order
from entity_stream.core.quota import MINUTE, Operation, Rates


class Plan(Struct, frozen=True):
    """How to run a line."""

    limits: Limits = Limits()
    order: Order = Order.KEY
    window: int = 64
    """Jobs in flight at the most."""
    memory: int = 32_000_000
    """Records that are fetched and not settled, in bytes; one read may exceed it."""
    resource: str = "default"
    """The endpoint's name in the journal: jobs in flight at any other are submitted again."""
    quota: Rates = MINUTE
    """How fast the endpoint may be called, by all replicas together."""
    attempts: int = 3
    """How often what a job did not bring is submitted before it is tried part by part."""
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
    """What the API refuses until an operator mends it."""
    frozen: dict[Operation, float]
    """Seconds until an operation may be called again."""
    shut: dict[Operation, str | None]
    """Why an operation is tried by one caller at a time only, if it is."""
    rates: dict[Operation, float] = {}
    """Calls a second that we may make of each operation; infinite where nothing holds us."""
    load: float = 0.0
    """Which part of the calls that we may make was made of late: 1 while any waits for its slot."""
    share: float = 1.0
    """Which part of the quota is ours now, for the partitions that we own or that others lend us."""
    moved: int = 0
    """A number that grows with every sign of progress: records read, calls answered, outcomes settled."""
    superseded: int = 0
    """Documents of jobs in flight whose records the log did not have any more when they were to be read again."""
    full: Collection[Partition] = ()
    """Partitions that wait because their journal has no room: an older record holds back what is behind it."""


class KafkaConnection(Struct, frozen=True):
    """How to reach the brokers, and as whom."""

    bootstrap: str
    """host:port of some brokers, separated by commas."""
    group: str
    group_instance_id: str | None = None
    """The name of this member, where the group's membership is static."""
    security_protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    sasl_mechanism: str | None = None
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; with it come username and password."""
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    """PEM; without it the authorities that the system trusts."""
    certificate_file: str | None = None
    """PEM, ours; with it comes its key."""
    key_file: str | None = None
    session_timeout: float = 45.0
    """Silence after which the broker gives this member's partitions to others."""
    transactional_id_prefix: str | None = None
    """Exactly once, in transactions whose ids begin so; without it at least once."""

    def __repr__(self) -> str:
        return _without_secret(self, "password")


class LanguageEndpoint(Struct, frozen=True):
    """One Language resource: where it is, its key, and the deployed model to ask for."""

    url: str
    """Where /language/... begins, with no slash at the end."""
    key: str
    project: str
    deployment: str
    api_version: str = "2023-04-01"
    resource: str = "default"
    """The name by which journal, logs and metrics call it."""
    timeout: float = 30.0
    """Of one request."""
    ca_file: str | None = None
    """PEM; without it the authorities that the system trusts."""

    def __repr__(self) -> str:
        return _without_secret(self, "key")


class Watch(Struct, frozen=True):
    """Where metrics and probes are served."""

    host: str
    port: int
    """0: any that is free."""


def _without_secret(plan: Struct, secret: str) -> str:
    shown = (
        f"{name}={'***' if name == secret and value is not None else repr(value)}"
        for name, value in msgspec.structs.asdict(plan).items()
    )
    return f"{type(plan).__name__}({', '.join(shown)})"
