"""What can be set, what goes together, and the plans that come of it. Each field's docstring is its documentation."""

from ipaddress import ip_address
from typing import Annotated, Final, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from entity_stream.core.batching import Limits
from entity_stream.core.messages import Topics
from entity_stream.core.model import Route
from entity_stream.core.ordering import Order
from entity_stream.core.quota import Rates
from entity_stream.core.rates import read
from entity_stream.core.routing import Routing
from entity_stream.core.wire.shapes import MOST_CHARACTERS, MOST_DOCUMENTS
from entity_stream.plan import KafkaConnection, LanguageEndpoint, Plan, Resource, Watch
from entity_stream.settings.kinds import (
    ApiVersion,
    Bytes,
    Count,
    Delivering,
    File,
    Format,
    Group,
    Header,
    Host,
    Key,
    Level,
    Mark,
    Mechanism,
    Member,
    Missing,
    Name,
    Ordering,
    Password,
    Price,
    Protocol,
    Quota,
    Rate,
    Routes,
    Seconds,
    Servers,
    Switch,
    Topic,
    Url,
    User,
    Wrong,
    routes_of,
)
from entity_stream.settings.resources import Listed, Resources, doubled

T = TypeVar("T")

PREFIX: Final = "ENTITY_STREAM_"
HTTPS: Final = f"Use https, or set {PREFIX}LANGUAGE_ALLOW_HTTP=true."
UNKNOWN: Final = (Listed.model_construct(name="", endpoint="", key="", project="", deployment=""),)
"""Stands for a list that is wrong itself: nothing need be there beside it."""


class Settings(BaseSettings):
    """What can be set. A check that spans two fields stands at the later one: it sees those before that are right.

    pydantic-settings validates defaults, too; so such a check also sees what was left out.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    kafka_bootstrap_servers: Servers
    """Some of the brokers; the others are learned from them."""
    kafka_group: Group = "entity-stream"
    """The consumer group. All replicas of one service share it."""
    kafka_group_instance_id: Member | None = None
    """A name that survives restarts makes membership static. In Kubernetes the pod's, unless this is the word none."""
    kafka_session_timeout: Annotated[Seconds, Field(ge=6, le=1_800)] = 45.0
    """Silence after which the broker gives a replica's partitions to others."""
    kafka_transactional_id_prefix: Member = "entity-stream"
    """What the ids of our transactions begin with, where delivery is exactly_once."""
    kafka_security_protocol: Protocol = "PLAINTEXT"
    """How to talk to the brokers: SSL encrypts, SASL logs in."""
    kafka_sasl_mechanism: Mechanism | None = None
    """How to log in; needed with SASL."""
    kafka_sasl_username: User | None = None
    """Whom to log in; needed with SASL."""
    kafka_sasl_password: Password | None = None
    """The user's password; needed with SASL."""
    kafka_ssl_ca_file: File | None = None
    """The authorities that may vouch for the brokers; without it those that the system trusts."""
    kafka_ssl_certificate_file: File | None = None
    """Our own certificate, where brokers ask for one."""
    kafka_ssl_key_file: File | None = None
    """The private key of our certificate."""

    input_topic: Topic
    """The topic that documents are read from."""
    output_topic: Topic
    """The topic that entities are written to."""
    dead_letter_topic: Topic = ""
    """The topic for records that cannot have entities; without it the output topic with .dead-letter behind it."""

    language_allow_http: Switch = False
    """Let the key travel unencrypted to an endpoint on another machine."""
    resources: Resources | None = None
    """Several Language resources, instead of one; what one of them leaves out is as these settings say for all."""
    language_endpoint: Annotated[Url | None, Mark.NEEDED] = None
    """The Language resource, or the engine of this project."""
    language_key: Annotated[Key | None, Mark.NEEDED] = None
    """The key of the Language resource; an engine that was started without a key takes any."""
    language_project: Annotated[Name | None, Mark.NEEDED] = None
    """The project that the model belongs to."""
    language_deployment: Annotated[Name | None, Mark.NEEDED] = None
    """The deployment of the model."""
    language_api_version: ApiVersion = "2023-04-01"
    """The version of the REST API to speak."""
    language_resource: Name = "default"
    """What journal, logs and metrics call this endpoint. Rename it, and jobs in flight are submitted again."""
    language_timeout: Annotated[Seconds, Field(ge=1, le=300)] = 30.0
    """How long one request may take."""
    language_quota: Quota = "1000/min"
    """How fast the resource may be called, by all replicas together; all windows hold at once."""
    language_quota_part: Annotated[Rate, Field(ge=0.001, le=1)] = 1.0
    """The part of the quota that is ours; the rest is left to others who use the same resource."""
    language_ca_file: File | None = None
    """The authorities that may vouch for the endpoint; without it those that the system trusts."""
    price_per_1000_text_records: Annotated[Price | None, Field(ge=0, le=1_000_000)] = None
    """What the API asks for a thousand text records, in your currency: metrics and estimates then tell the cost."""
    routes: Routes = ""
    """Other models that records may ask for by their headers; without it no header is looked at."""
    project_header: Header = "entity-stream-project"
    """The header of a record that names the project it asks for."""
    deployment_header: Header = "entity-stream-deployment"
    """The header of a record that names the deployment it asks for."""

    delivery: Delivering = "at_least_once"
    """What a crash may repeat: some outcomes (at_least_once), or none to readers of committed ones (exactly_once)."""
    order: Ordering = "key"
    """What keeps its order within an input partition."""
    window: Annotated[Count, Field(ge=1, le=10_000)] = 64
    """Jobs in flight at the most, per replica."""
    memory: Annotated[Bytes, Field(ge=1_000_000, le=64_000_000_000)] = 32_000_000
    """Records that are fetched and not settled; reading waits at this size."""
    batch_documents: Annotated[Count, Field(ge=1, le=MOST_DOCUMENTS)] = MOST_DOCUMENTS
    """Documents in one job at the most."""
    batch_characters: Annotated[Count, Field(ge=1, le=MOST_CHARACTERS)] = MOST_CHARACTERS
    """Characters in one job at the most; a longer document goes alone."""
    batch_linger: Annotated[Seconds, Field(ge=0, le=60)] = 0.05
    """How long a document waits for others to share its job."""
    attempts: Annotated[Count, Field(ge=1, le=100)] = 3
    """How often what a job did not bring is submitted before it is divided or, alone, becomes a dead letter."""
    job_overdue: Annotated[Seconds, Field(ge=60, le=86_400)] = 3_600.0
    """Age at which a job is given up and submitted again."""
    longest_freeze: Annotated[Seconds, Field(ge=1, le=86_400)] = 300.0
    """The most that is believed when the endpoint says how long to keep away."""
    park_for: Annotated[Seconds, Field(ge=1, le=3_600)] = 60.0
    """Pause between two tries while the endpoint refuses key, project or deployment."""
    drain_for: Annotated[Seconds, Field(ge=0, le=3_600)] = 20.0
    """How long jobs in flight may take to end after the stop."""
    release_for: Annotated[Seconds, Field(ge=0.5, le=600)] = 5.0
    """How long the last settle of a partition may take when it is taken from us; less than the session timeout."""

    http_host: Host = "0.0.0.0"  # noqa: S104 (probes and Prometheus reach a container from outside)
    """Where metrics and probes are served; 127.0.0.1 keeps them to this machine."""
    http_port: Annotated[Count, Field(ge=0, le=65_535)] = 9_464
    """The port of metrics and probes; 0 takes any that is free."""
    clear_within: Annotated[Seconds, Field(ge=1, le=604_800)] = 300.0
    """The time in which the wanted number of replicas (the metric desired_replicas) would clear the backlog."""
    log_level: Level = "INFO"
    """The least that is logged."""
    log_format: Format = "auto"
    """auto: text on a terminal, JSON elsewhere."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the signature is pydantic's)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` has gathered and nothing else, so that no value comes in past it."""
        return (init_settings,)

    @field_validator("kafka_group_instance_id", mode="before")
    @classmethod
    def _may_be_none(cls, value: str | None) -> str | None:
        return None if value is None or value.lower() == "none" else value

    @field_validator("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
    @classmethod
    def _goes_with_sasl(cls, value: object, others: ValidationInfo) -> object:
        protocol = others.data.get("kafka_security_protocol")
        if protocol in {"SASL_SSL", "SASL_PLAINTEXT"} and value is None:
            raise Wrong(f"and {protocol} needs it", f"Set it, or choose another {PREFIX}KAFKA_SECURITY_PROTOCOL.")
        if protocol in {"PLAINTEXT", "SSL"} and value is not None:
            raise Wrong(f"and {protocol} does not log in", f"Remove it, or set {PREFIX}KAFKA_SECURITY_PROTOCOL.")
        return value

    @field_validator("kafka_ssl_ca_file", "kafka_ssl_certificate_file", "kafka_ssl_key_file")
    @classmethod
    def _goes_with_ssl(cls, value: str | None, others: ValidationInfo) -> str | None:
        protocol = others.data.get("kafka_security_protocol")
        if protocol in {"PLAINTEXT", "SASL_PLAINTEXT"} and value is not None:
            raise Wrong(f"and {protocol} does not encrypt", f"Remove it, or set {PREFIX}KAFKA_SECURITY_PROTOCOL.")
        return value

    @field_validator("kafka_ssl_key_file")
    @classmethod
    def _goes_with_its_certificate(cls, value: str | None, others: ValidationInfo) -> str | None:
        certificate = others.data.get("kafka_ssl_certificate_file", value)
        if (certificate is None) is not (value is None):
            given = "set" if certificate else "not set"
            raise Wrong(f"and {PREFIX}KAFKA_SSL_CERTIFICATE_FILE is {given}", "Set both, or none.")
        return value

    @field_validator("dead_letter_topic", mode="before")
    @classmethod
    def _beside_the_output(cls, value: str, others: ValidationInfo) -> str:
        return value or f"{others.data.get('output_topic', '')}.dead-letter"

    @field_validator("output_topic", "dead_letter_topic")
    @classmethod
    def _is_no_other_topic(cls, value: str, others: ValidationInfo) -> str:
        for other in ("input_topic", "output_topic"):
            if others.data.get(other) == value:
                raise Wrong(f"so that it and {variable(other)} are both {value!r}", "Give each a topic of its own.")
        return value

    @field_validator("resources")
    @classmethod
    def _can_be_told_apart(cls, value: tuple[Listed, ...] | None, others: ValidationInfo) -> tuple[Listed, ...] | None:
        if name := doubled(value or ()):
            raise Wrong(f"where the journal could not tell {name!r} from another", "Give each a name of its own.")
        for each in value or ():
            if each.endpoint and _strays(each.endpoint, others):
                raise Wrong(f"where the key of {each.name!r} would travel unencrypted", HTTPS)
        return value

    @field_validator("language_endpoint", "language_key", "language_project", "language_deployment")
    @classmethod
    def _is_there_for_all(cls, value: T | None, others: ValidationInfo) -> T | None:
        member = str(others.field_name).removeprefix("language_")
        listed: tuple[Listed, ...] | None = others.data.get("resources", UNKNOWN)
        without = [each.name for each in listed or () if getattr(each, member) is None]
        if value is None and not listed:
            raise Missing
        if value is None and without:
            raise Wrong(f"and the resource {without[0]!r} has no {member} of its own", "Set it here or there.")
        return value

    @field_validator("language_endpoint")
    @classmethod
    def _keeps_the_key_from_strangers(cls, value: str | None, others: ValidationInfo) -> str | None:
        if value and _strays(value, others):
            raise Wrong("where the key would travel unencrypted", HTTPS)
        return value

    @field_validator("deployment_header")
    @classmethod
    def _is_another_header(cls, value: str, others: ValidationInfo) -> str:
        if value == others.data.get("project_header"):
            raise Wrong(f"as {PREFIX}PROJECT_HEADER is", "Give each a name of its own.")
        return value

    @field_validator("release_for")
    @classmethod
    def _ends_within_the_session(cls, value: float, others: ValidationInfo) -> float:
        if value >= others.data.get("kafka_session_timeout", value + 1):
            raise Wrong(f"and {PREFIX}KAFKA_SESSION_TIMEOUT is not longer", "Make it shorter than the session timeout.")
        return value

    @model_validator(mode="after")
    def _serves_every_route(self) -> Self:
        served = {route for each in self._listed() if not each.draining for route in self._routes_of(each)}
        if None not in served:
            raise Wrong("where nobody takes records that ask for no route", "Have one take them that is not draining.")
        if unserved := sorted(map(str, self._allowed() - served)):
            raise Wrong(f"where nobody takes {unserved[0]}", "Have one take it that is not draining.")
        for each in self._listed():
            known = {self._own_route(each), *routes_of(self.routes)}
            if unknown := [str(route) for route in routes_of(each.routes or "") if route not in known]:
                complaint = f"where {each.name!r} takes {unknown[0]}, which nobody may ask for"
                raise Wrong(complaint, f"Add it to {PREFIX}ROUTES.")
            if not self._routes_of(each):
                fix = f"List {self._own_route(each)}, its own, or one that records may ask for, or leave routes out."
                raise Wrong(f"where {each.name!r} takes no route at all", fix)
        return self

    def plan(self) -> Plan:
        """Say how to run a line."""
        return Plan(
            limits=Limits(documents=self.batch_documents, characters=self.batch_characters, linger=self.batch_linger),
            order=Order(self.order),
            resources=tuple(
                Resource(each.name, each.weight, each.draining, self._quota(each)) for each in self._listed()
            ),
            routing=self._routing(),
            window=self.window,
            memory=self.memory,
            quota=read(self.language_quota, self.language_quota_part),
            attempts=self.attempts,
            overdue=self.job_overdue,
            longest_freeze=self.longest_freeze,
            park_for=self.park_for,
            drain_for=self.drain_for,
            release_for=self.release_for,
            clear_within=self.clear_within,
        )

    def _quota(self, each: Listed) -> Rates | None:
        return None if each.quota is None else read(each.quota, self.language_quota_part)

    def topics(self) -> Topics:
        """Say where outcomes go."""
        return Topics(self.output_topic, self.dead_letter_topic)

    def kafka(self) -> KafkaConnection:
        """Say how to reach the brokers."""
        password = self.kafka_sasl_password
        return KafkaConnection(
            bootstrap=self.kafka_bootstrap_servers,
            group=self.kafka_group,
            group_instance_id=self.kafka_group_instance_id,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_sasl_username,
            password=password.get_secret_value() if password else None,
            ca_file=self.kafka_ssl_ca_file,
            certificate_file=self.kafka_ssl_certificate_file,
            key_file=self.kafka_ssl_key_file,
            session_timeout=self.kafka_session_timeout,
            transactional_id_prefix=self.kafka_transactional_id_prefix if self.delivery == "exactly_once" else None,
        )

    def languages(self) -> tuple[LanguageEndpoint, ...]:
        """Say which Language resources and models to ask."""
        return tuple(self._language(each) for each in self._listed())

    def resource_names(self) -> tuple[str, ...]:
        """Say what the journal calls them."""
        return tuple(each.name for each in self._listed())

    def _listed(self) -> tuple[Listed, ...]:
        return self.resources or (Listed(name=self.language_resource),)

    def _language(self, each: Listed) -> LanguageEndpoint:
        key = each.key or self.language_key or SecretStr("")  # one of the two is there: that is validated
        own = self._own_route(each)
        return LanguageEndpoint(
            url=each.endpoint or self.language_endpoint or "",
            key=key.get_secret_value(),
            project=own.project,
            deployment=own.deployment,
            api_version=self.language_api_version,
            resource=each.name,
            timeout=self.language_timeout,
            price=self.price_per_1000_text_records,
            ca_file=self.language_ca_file,
            routes=self._routes_of(each),
            listed=self.resources is not None,
        )

    def _own_route(self, each: Listed) -> Route:
        """Say what a resource has for records that ask for nothing."""
        return Route(each.project or self.language_project or "", each.deployment or self.language_deployment or "")

    def _default_route(self) -> Route | None:
        if self.language_project is None or self.language_deployment is None:
            return None
        return Route(self.language_project, self.language_deployment)

    def _allowed(self) -> frozenset[Route]:
        """Say which routes records may ask for, but for the default."""
        return frozenset(routes_of(self.routes)) - {self._default_route()}

    def _routes_of(self, each: Listed) -> tuple[Route | None, ...]:
        """Say which routes a resource serves: all, or those that it lists, the default by its own name."""
        if each.routes is None:
            return (None, *sorted(self._allowed()))
        has = routes_of(each.routes)
        default = (None,) if self._own_route(each) in has else ()
        return (*default, *sorted(self._allowed().intersection(has)))

    def _routing(self) -> Routing | None:
        if not self.routes:
            return None
        return Routing(self._allowed(), self._default_route(), self.project_header, self.deployment_header)

    def watch(self) -> Watch:
        """Say where metrics and probes are served."""
        return Watch(self.http_host, self.http_port)


def _strays(url: str, others: ValidationInfo) -> bool:
    """Tell whether a key would travel unencrypted to another machine, which is not allowed."""
    parts = urlsplit(url)
    allowed = others.data.get("language_allow_http", True)  # not there: its own mistake is enough
    return parts.scheme == "http" and not allowed and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def variable(field: str) -> str:
    """Name the environment variable of a field."""
    return PREFIX + field.upper()
