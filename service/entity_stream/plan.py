"""What the parts are told before they start, and what can be seen while they run. Times in seconds, sizes in bytes.

A key or password is in no repr: a plan may be logged.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct

from entity_stream.core.batching import Limits
from entity_stream.core.model import Partition, Route, Target
from entity_stream.core.ordering import Order
from entity_stream.core.quota import MINUTE, Operation, Rates
from entity_stream.core.routing import Routing


class Resource(Struct, frozen=True):
    """What a line knows of one Language endpoint."""

    name: str = "default"
    """What the journal calls it."""
    weight: float = 1.0
    """Its part of the work, compared with others, while quota is free at all of them."""
    draining: bool = False
    """It takes no new work; jobs in flight are asked for."""
    quota: Rates | None = None
    """How fast it may be called, by all replicas together; None: as the plan says."""


class Plan(Struct, frozen=True):
    """How to run a line."""

    limits: Limits = Limits()
    order: Order = Order.KEY
    window: int = 64
    """Jobs in flight at the most."""
    memory: int = 32_000_000
    """Records that are fetched and not settled, in bytes; one read may exceed it."""
    resources: tuple[Resource, ...] = (Resource(),)
    """Each with a name of its own: jobs in flight at any other resource are submitted again."""
    routing: Routing | None = None
    """Which records go by a route that is not the default; None: none."""
    quota: Rates = MINUTE
    """How fast each resource may be called, by all replicas together."""
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
    clear_within: float = 300.0
    """The time in which the wanted number of replicas would settle what the group has left."""


class Health(Struct, frozen=True):
    """How one resource is."""

    in_flight: int = 0
    """Jobs."""
    parked: str | None = None
    """What it refuses until an operator mends it, if only on one of its routes."""
    frozen: dict[Operation, float] = {}
    """Seconds until an operation may be called again."""
    shut: dict[Operation, str | None] = {}
    """Why an operation is tried by one caller at a time only, if it is, on some route."""
    rates: dict[Operation, float] = {}
    """Calls a second that we may make of each operation; infinite where nothing holds us."""
    load: float = 0.0
    """Which part of the calls that we may make was made of late: 1 while any waits for its slot."""
    share: float = 1.0
    """Which part of the quota is ours now, for the partitions that we own or that others lend us."""
    slowed: dict[Operation, bool] = {}
    """Whether an operation is called more slowly than its slots allow, since a 429."""


class Vitals(Struct, frozen=True):
    """What a line is doing right now."""

    unfinished: dict[Partition, int]
    """Records begun and not settled, of each partition that is ours."""
    in_flight: int
    """Jobs, of all resources."""
    bytes_held: int
    draining: bool
    parked: str | None
    """What every resource that could take it refuses until an operator mends it."""
    resources: dict[str, Health]
    """By name."""
    moved: int = 0
    """A number that grows with every sign of progress: records read, calls answered, outcomes settled."""
    superseded: int = 0
    """Documents of jobs in flight whose records the log did not have any more when they were to be read again."""
    full: Collection[Partition] = ()
    """Partitions that wait because their journal has no room: an older record holds back what is behind it."""
    oldest: Mapping[Partition, int] = {}
    """The timestamp of the oldest record that is begun and not settled, where there is one: milliseconds since 1970."""


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
    price: float | None = None
    """Of 1,000 text records, in whatever currency; None: nobody has said."""
    routes: tuple[Route | None, ...] = (None,)
    """What it serves; None: what records ask for that ask for nothing, its own project and deployment."""
    listed: bool = False
    """It stands in the settings' list of resources, not in settings of its own."""

    def __repr__(self) -> str:
        return _without_secret(self, "key")


def targets(endpoints: Iterable[LanguageEndpoint]) -> dict[Target, LanguageEndpoint]:
    """Spread endpoints over the routes that each serves."""
    return {
        Target(endpoint.resource, route): _by_way_of(route, endpoint)
        for endpoint in endpoints
        for route in endpoint.routes
    }


def _by_way_of(route: Route | None, endpoint: LanguageEndpoint) -> LanguageEndpoint:
    if route is None:
        return endpoint
    return msgspec.structs.replace(endpoint, project=route.project, deployment=route.deployment)


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
