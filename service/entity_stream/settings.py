"""The settings, and the only reader of the environment. Every mistake in them is told at once; no secret is ever shown.

Adding a setting is adding a field with its docstring: `.env.example` and the README's table are made from the model.
"""

import os
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from entity_stream.core.batching import Limits
from entity_stream.core.messages import MAX_CHARACTERS, Topics
from entity_stream.core.mistake import Mistake
from entity_stream.core.ordering import Order
from entity_stream.plan import KafkaConnection, LanguageEndpoint, Plan, Watch

T = TypeVar("T", str, SecretStr)

PREFIX: Final = "ENTITY_STREAM_"
EARLIEST_API: Final = "2022-05-01"
"""The first version of the dialect that core/wire speaks."""


class Mistakes(ExceptionGroup[Mistake]):
    """All that is wrong with the settings."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Each on its own."""
        return tuple(each for each in self.exceptions if isinstance(each, Mistake))

    def __str__(self) -> str:
        return "\n".join(map(str, self.mistakes))


class Kind(NamedTuple):
    """What a value has to be, in words: a noun, and what it takes to be one."""

    noun: str
    details: str = ""

    def words(self) -> str:
        """Say it in full."""
        return f"{self.noun}: {self.details}" if self.details else self.noun


class _Wrong(ValueError):
    """Says in our own words what is wrong. Any other ValueError of a check means: not of its kind."""

    def __init__(self, complaint: str, fix: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self.fix = fix


def _fitting(fits: Callable[[str], object]) -> AfterValidator:
    def check(value: T) -> T:
        if not fits(value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ValueError
        return value

    return AfterValidator(check)


def _is_a_line(text: str) -> bool:
    return text != "" and text.isprintable()


def _servers(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    for server in servers:
        found = re.fullmatch(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", server)
        if not found or not 1 <= int(found[1]) <= 65_535:
            raise ValueError
    return ",".join(servers)


def _url(value: str) -> str:
    parts = urlsplit(value)
    whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0  # to read the port checks it
    if not whole or not VISIBLE.fullmatch(value):
        raise ValueError
    if {"@", "?", "#"} & set(value):
        raise _Wrong("which holds more than a place", "Leave out what is before @ and behind ? or #; the key is apart.")
    if "/language/" in value:
        raise _Wrong("which is one address of the API", "Leave out /language and what follows it.")
    return value.rstrip("/")


def _api_version(value: str) -> str:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?", value):
        raise ValueError
    date.fromisoformat(value[:10])
    if value < EARLIEST_API:
        raise _Wrong("which is a version with other messages", f"Give {EARLIEST_API} or a later one.")
    return value


def _pem(value: str) -> str:
    try:
        content = Path(value).read_bytes()
    except OSError as error:
        raise _Wrong(f"which cannot be read: {error.strerror}", "Name a file that this user may read.") from None
    if b"-----BEGIN " not in content:
        raise _Wrong("which is not in PEM format", "Convert it: a PEM file has a line with -----BEGIN in it.")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})", value):
        ip_address(value)
    return value


def _size(value: object) -> object:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) *(?:([kmg])(i?))?b?", str(value).lower())
    if not found:
        return value
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** (" kmg".index(unit) if unit else 0))


ONE_OF = Kind("one of its values")
BYTES = Kind("a size", "bytes, or with a unit as in 500kB, 32MB and 64MiB")
UPPER, LOWER = BeforeValidator(str.upper), BeforeValidator(str.lower)
VISIBLE = re.compile("[!-~]+")
GROUP = re.compile("[!-~]{1,249}")
NAME = re.compile("[a-zA-Z0-9_.-]{1,50}")
TOPIC = re.compile(r"(?!\.{1,2}\Z)[a-zA-Z0-9._-]{1,249}")

Seconds = Annotated[float, Kind("a number of seconds")]
Count = Annotated[int, Kind("a whole number")]
Rate = Annotated[float, Kind("a number")]
Bytes = Annotated[int, BeforeValidator(_size), BYTES]
Switch = Annotated[bool, Kind("true or false")]
Servers = Annotated[str, AfterValidator(_servers), Kind("a list of brokers", "host:port, separated by commas")]
Topic = Annotated[
    str, _fitting(TOPIC.fullmatch), Kind("a topic name", "letters, digits, '.', '_' and '-', at most 249")
]
Member = Annotated[str, _fitting(TOPIC.fullmatch), Kind("a name", "letters, digits, '.', '_' and '-', at most 249")]
Name = Annotated[str, _fitting(NAME.fullmatch), Kind("a name", "letters, digits, '.', '_' and '-', at most 50")]
Group = Annotated[str, _fitting(GROUP.fullmatch), Kind("a group name", "visible ASCII characters, at most 249")]
User = Annotated[str, _fitting(_is_a_line), Kind("a user name", "one line")]
Url = Annotated[str, AfterValidator(_url), Kind("an address", "like https://name.cognitiveservices.azure.com")]
ApiVersion = Annotated[
    str, AfterValidator(_api_version), Kind("an API version", f"a date from {EARLIEST_API} on, also with -preview")
]
File = Annotated[str, AfterValidator(_pem), Kind("a file", "the path of one in PEM format")]
Host = Annotated[str, AfterValidator(_host), Kind("an address of this machine", "a name or an IP address, no port")]
Password = Annotated[SecretStr, _fitting(_is_a_line), Kind("a password", "one line")]
Key = Annotated[SecretStr, _fitting(VISIBLE.fullmatch), Kind("a key", "one word of visible ASCII")]
Protocol = Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], UPPER, ONE_OF]
Mechanism = Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], UPPER, ONE_OF]
Ordering = Annotated[Literal["key", "partition", "unordered"], LOWER, ONE_OF]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UPPER, ONE_OF]
Format = Annotated[Literal["auto", "json", "text"], LOWER, ONE_OF]


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
    """Makes membership static: a name of this replica's own that survives its restarts."""
    kafka_session_timeout: Annotated[Seconds, Field(ge=6, le=1_800)] = 45.0
    """Silence after which the broker gives a replica's partitions to others."""
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
    language_endpoint: Url
    """The Language resource, or the engine of this project."""
    language_key: Key
    """The key of the Language resource; an engine that was started without a key takes any."""
    language_project: Name
    """The project that the model belongs to."""
    language_deployment: Name
    """The deployment of the model."""
    language_api_version: ApiVersion = "2023-04-01"
    """The version of the REST API to speak."""
    language_resource: Name = "default"
    """What journal, logs and metrics call this endpoint. Rename it, and jobs in flight are submitted again."""
    language_timeout: Annotated[Seconds, Field(ge=1, le=300)] = 30.0
    """How long one request may take."""
    language_calls_per_minute: Annotated[Rate, Field(ge=1, le=1_000_000)] = 1_000.0
    """Submits and polls of one replica together: the quota of the resource, divided by the number of replicas."""
    language_ca_file: File | None = None
    """The authorities that may vouch for the endpoint; without it those that the system trusts."""

    order: Ordering = "key"
    """What keeps its order within an input partition."""
    window: Annotated[Count, Field(ge=1, le=10_000)] = 64
    """Jobs in flight at the most, per replica."""
    memory: Annotated[Bytes, Field(ge=1_000_000, le=64_000_000_000)] = 32_000_000
    """Records that are fetched and not settled; reading waits at this size."""
    batch_documents: Annotated[Count, Field(ge=1, le=25)] = 25
    """Documents in one job at the most."""
    batch_characters: Annotated[Count, Field(ge=1, le=MAX_CHARACTERS)] = MAX_CHARACTERS
    """Characters in one job at the most; a longer document goes alone."""
    batch_linger: Annotated[Seconds, Field(ge=0, le=60)] = 0.05
    """How long a document waits for others to share its job."""
    attempts: Annotated[Count, Field(ge=1, le=100)] = 3
    """How often what a job did not bring is submitted before it is halved or, alone, becomes a dead letter."""
    job_overdue: Annotated[Seconds, Field(ge=60, le=86_400)] = 3_600.0
    """Age at which a job is given up and submitted again."""
    longest_freeze: Annotated[Seconds, Field(ge=1, le=86_400)] = 300.0
    """The most that is believed when the endpoint says how long to keep away."""
    park_for: Annotated[Seconds, Field(ge=1, le=3_600)] = 60.0
    """Pause between two tries while the endpoint refuses key, project or deployment."""
    drain_for: Annotated[Seconds, Field(ge=0, le=3_600)] = 20.0
    """How long jobs in flight may take to end after the stop."""
    release_for: Annotated[Seconds, Field(ge=0.1, le=600)] = 5.0
    """How long the last settle of a partition may take when it is taken from us; less than the session timeout."""

    http_host: Host = "0.0.0.0"  # noqa: S104 (probes and Prometheus reach a container from outside)
    """Where metrics and probes are served; 127.0.0.1 keeps them to this machine."""
    http_port: Annotated[Count, Field(ge=0, le=65_535)] = 9_464
    """The port of metrics and probes; 0 takes any that is free."""
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

    @field_validator("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
    @classmethod
    def _goes_with_sasl(cls, value: object, others: ValidationInfo) -> object:
        protocol = others.data.get("kafka_security_protocol")
        if protocol in {"SASL_SSL", "SASL_PLAINTEXT"} and value is None:
            raise _Wrong(f"and {protocol} needs it", f"Set it, or choose another {PREFIX}KAFKA_SECURITY_PROTOCOL.")
        if protocol in {"PLAINTEXT", "SSL"} and value is not None:
            raise _Wrong(f"and {protocol} does not log in", f"Remove it, or set {PREFIX}KAFKA_SECURITY_PROTOCOL.")
        return value

    @field_validator("kafka_ssl_ca_file", "kafka_ssl_certificate_file", "kafka_ssl_key_file")
    @classmethod
    def _goes_with_ssl(cls, value: str | None, others: ValidationInfo) -> str | None:
        protocol = others.data.get("kafka_security_protocol")
        if protocol in {"PLAINTEXT", "SASL_PLAINTEXT"} and value is not None:
            raise _Wrong(f"and {protocol} does not encrypt", f"Remove it, or set {PREFIX}KAFKA_SECURITY_PROTOCOL.")
        return value

    @field_validator("kafka_ssl_key_file")
    @classmethod
    def _goes_with_its_certificate(cls, value: str | None, others: ValidationInfo) -> str | None:
        certificate = others.data.get("kafka_ssl_certificate_file", value)
        if (certificate is None) is not (value is None):
            given = "set" if certificate else "not set"
            raise _Wrong(f"and {PREFIX}KAFKA_SSL_CERTIFICATE_FILE is {given}", "Set both, or none.")
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
                raise _Wrong(f"so that it and {variable(other)} are both {value!r}", "Give each a topic of its own.")
        return value

    @field_validator("language_endpoint")
    @classmethod
    def _keeps_the_key_from_strangers(cls, value: str, others: ValidationInfo) -> str:
        parts = urlsplit(value)
        allowed = others.data.get("language_allow_http", True)  # not there: its own mistake is enough
        if parts.scheme == "http" and not allowed and not _is_loopback(parts.hostname or ""):
            raise _Wrong(
                "where the key would travel unencrypted", f"Use https, or set {PREFIX}LANGUAGE_ALLOW_HTTP=true."
            )
        return value

    @field_validator("release_for")
    @classmethod
    def _ends_within_the_session(cls, value: float, others: ValidationInfo) -> float:
        if value >= others.data.get("kafka_session_timeout", value + 1):
            raise _Wrong(
                f"and {PREFIX}KAFKA_SESSION_TIMEOUT is not longer", "Make it shorter than the session timeout."
            )
        return value

    def plan(self) -> Plan:
        """Say how to run a line."""
        return Plan(
            limits=Limits(documents=self.batch_documents, characters=self.batch_characters, linger=self.batch_linger),
            order=Order(self.order),
            window=self.window,
            memory=self.memory,
            calls_per_minute=self.language_calls_per_minute,
            attempts=self.attempts,
            overdue=self.job_overdue,
            longest_freeze=self.longest_freeze,
            park_for=self.park_for,
            drain_for=self.drain_for,
            release_for=self.release_for,
        )

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
        )

    def language(self) -> LanguageEndpoint:
        """Say which Language resource and model to ask."""
        return LanguageEndpoint(
            url=self.language_endpoint,
            key=self.language_key.get_secret_value(),
            project=self.language_project,
            deployment=self.language_deployment,
            api_version=self.language_api_version,
            resource=self.language_resource,
            timeout=self.language_timeout,
            ca_file=self.language_ca_file,
        )

    def watch(self) -> Watch:
        """Say where metrics and probes are served."""
        return Watch(self.http_host, self.http_port)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def variable(field: str) -> str:
    """Name the environment variable of a field."""
    return PREFIX + field.upper()


# ---- Loading: file and environment, every mistake at once ------------------------------------------------------------


class _Given(NamedTuple):
    value: str
    place: str


_Gathered = dict[str, _Given]

ENVIRONMENT: Final = "environment"

LINE = re.compile(r"""\s*(?:export\s+)?(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)"|(?!['"])(.*?))(?:\s+\#.*)?\s*""", re.ASCII)
"""NAME=value; quotes around the value are left out, what is in it is taken as it is."""

LOOKS_LIKE_OURS = re.compile(r"^ENTITY_?STREAMS?_?")

SERVICE_LINK = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)=.*|\w+_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*|\w+_PORT=\w+://.*")
"""What Kubernetes puts into every container for a service that is called entity-stream."""


def load(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from a file of NAME=value lines and from the environment, which wins. Raises Mistakes."""
    mistakes: list[Mistake] = []
    environment = {name: _Given(value, ENVIRONMENT) for name, value in environ.items()}
    layers = [_lines(config, mistakes) if config else {}, environment]
    given: _Gathered = {}
    for layer in layers:
        mistakes += _strangers(layer)
        _lay_over(given, layer)
    _open_secrets(given, mistakes)
    settings = _validated(given, mistakes)
    if settings is None or mistakes:
        raise Mistakes("the settings are wrong", mistakes)
    return settings


def _lines(config: Path, mistakes: list[Mistake]) -> _Gathered:
    """Read a file of NAME=value lines. A line that is none is told by its number: it may hold a secret."""
    try:
        text = config.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        mistakes.append(Mistake(f"cannot read {config}: {_why(error)}", "--config", "Name a text file that exists."))
        return {}
    found: _Gathered = {}
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{config}, line {number}"
        if match := LINE.fullmatch(line):
            found[match[1]] = _Given(match[2] or match[3] or match[4] or "", place)
        elif line.strip() and not line.lstrip().startswith("#"):
            mistakes.append(
                Mistake("not a setting", place, "Write NAME=value, close every quote, and put # before a comment.")
            )
    return found


def _why(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or "not the path of a text file"


def _strangers(layer: _Gathered) -> list[Mistake]:
    """Find variables that look like ours and are not. Their values are not shown: one may be a misspelled secret."""
    known = [each.name.removeprefix(PREFIX) for each in variables()]
    mistakes = []
    for name, (value, place) in layer.items():
        short = LOOKS_LIKE_OURS.sub("", name.upper())
        ours = short != name.upper() or (name in known and place != ENVIRONMENT)
        read = name.startswith(PREFIX) and name.removeprefix(PREFIX) in known
        if ours and not read and not SERVICE_LINK.fullmatch(f"{name}={value}"):
            close = get_close_matches(short, known, 1)
            fix = f"Did you mean {PREFIX}{close[0]}?" if close else "Remove it: nothing would read it."
            mistakes.append(Mistake(f"there is no setting {name}", place, fix))
    return mistakes


def _lay_over(given: _Gathered, layer: _Gathered) -> None:
    """Let a layer win over what is below it. An empty value counts as none, a secret and its file as one variable."""
    filled = {name: each for name, each in layer.items() if each.value}
    for secret in _secrets():
        if {secret, secret + "_FILE"} & filled.keys():
            given.pop(secret, None)
            given.pop(secret + "_FILE", None)
    given.update(filled)


def _open_secrets(given: _Gathered, mistakes: list[Mistake]) -> None:
    """Put what a secret's file holds in the secret's place."""
    for secret in _secrets():
        name = secret + "_FILE"
        if (file := given.pop(name, None)) is None:
            continue
        if secret in given:
            mistakes.append(Mistake(f"{secret} and {name} are both set", file.place, "Keep one of them."))
            continue
        try:
            given[secret] = _Given(Path(file.value).read_text("utf-8").rstrip("\r\n"), file.value)
        except (OSError, ValueError) as error:
            # the path is not told: one who mistakes a secret for its file gives the secret itself
            what = f"{name} names a file that cannot be read: {_why(error)}"
            mistakes.append(Mistake(what, file.place, "Name a text file that this user may read."))
            given[secret] = _Given("unknown", file.place)  # so that it does not count as missing, too


def _validated(given: _Gathered, mistakes: list[Mistake]) -> Settings | None:
    names = {field: variable(field) for field in Settings.model_fields}
    try:
        return Settings.model_validate({field: given[name].value for field, name in names.items() if name in given})
    except ValidationError as error:
        mistakes += [_translated(each, given) for each in error.errors(include_url=False, include_input=False)]
        return None


COMPLAINTS = {
    "missing": "and it is required",
    "greater_than_equal": "which is too small",
    "less_than_equal": "which is too large",
}
"""What pydantic's types of errors mean; all others mean: not of its kind."""


def _translated(error: Mapping[str, Any], given: _Gathered) -> Mistake:
    field = error["loc"][0]
    kind, found = _kind(Settings.model_fields[field]), given.get(variable(field))
    match error.get("ctx"):
        case {"error": _Wrong() as wrong}:
            complaint, fix = wrong.complaint, wrong.fix
        case _:
            complaint, fix = COMPLAINTS.get(error["type"], f"which is not {kind.noun}"), f"Give {kind.words()}."
    value, place = (_shown(field, found.value), found.place) if found else ("not set", ENVIRONMENT)
    return Mistake(f"{variable(field)} is {value}, {complaint}", place, fix)


def _shown(field: str, value: str) -> str:
    """Quote a value, unless it is a secret, or may hold or be one that went astray."""
    if not value:
        return "empty"
    astray = "@" in value or (field == "language_endpoint" and not re.fullmatch(r"https?://[^?#]*", value))
    return "'***'" if astray or variable(field) in _secrets() else _shortened(value)


def _shortened(value: str) -> str:
    return ascii(value if len(value) <= 60 else value[:57] + "...")


# ---- Documenting: what can be set, for people ------------------------------------------------------------------------


class Variable(NamedTuple):
    """One row of the documentation."""

    name: str
    type: str
    default: str
    description: str
    secret: bool = False
    required: bool = False


SECTIONS = {
    "kafka_bootstrap_servers": "Kafka",
    "input_topic": "Topics",
    "language_allow_http": "Language",
    "order": "Pipeline",
    "http_host": "Seen from outside",
}
"""The first field of each section, and its title."""

LOCAL = {
    "kafka_bootstrap_servers": "localhost:9092",
    "input_topic": "documents",
    "output_topic": "entities",
    "language_endpoint": "http://127.0.0.1:5000",
    "language_key": "any-key-will-do",
    "language_project": "incidents",
    "language_deployment": "production",
}
"""What is required, for a broker and an engine on this machine."""


def variables() -> list[Variable]:
    """List every variable that is read."""
    return [row for rows in _sections().values() for row in rows]


def example() -> str:
    """Write `.env.example`."""
    return EXAMPLE_HEAD + "".join(
        f"\n\n# {title}\n" + "".join(map(_example_of, rows)) for title, rows in _sections().items()
    )


def settings_table() -> str:
    """Write the README's tables, in Markdown."""
    return "\n".join(
        f"**{title}**\n\n| Variable | What it is | What it takes | Default |\n|---|---|---|---|\n"
        + "".join(map(_table_row, rows))
        for title, rows in _sections().items()
    )


EXAMPLE_HEAD = """\
# Every setting of Entity Stream. Copy this file to .env and hand it over with --config .env, or set the same variables
# in the environment, which wins. What is in comment shows the default. Quotes around a value are left out; there are
# no escapes and no ${...}. This file is made from service/entity_stream/settings.py, and a test compares them."""


def _example_of(row: Variable) -> str:
    comment = textwrap.fill(
        f"{row.description} Takes {row.type}.", 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    value = LOCAL.get(row.name.removeprefix(PREFIX).lower(), row.default)
    return f"\n{comment}\n{'' if row.required else '#'}{row.name}={value}\n"


def _table_row(row: Variable) -> str:
    default = "required" if row.required else f"`{row.default}`" if row.default else ""
    return f"| `{row.name}` | {row.description} | {row.type} | {default} |\n"


def _sections() -> dict[str, list[Variable]]:
    sections: dict[str, list[Variable]] = {}
    for name, field in Settings.model_fields.items():
        if title := SECTIONS.get(name):
            sections[title] = rows = []
        rows += _rows(name, field)
    return sections


def _rows(name: str, field: FieldInfo) -> list[Variable]:
    """Document a field; a secret can also be given by a file."""
    main = Variable(
        variable(name),
        _kind(field).words(),
        _spelled(field.default, field) if not field.is_required() else "",
        field.description or "",
        SecretStr in _marks(field),
        field.is_required(),
    )
    if not main.secret:
        return [main]
    instead = f"A file that holds it, instead of {main.name}; a line end behind it is left out."
    return [main, Variable(f"{main.name}_FILE", "the path of a text file", "", instead)]


def _secrets() -> list[str]:
    return [variable(name) for name, field in Settings.model_fields.items() if SecretStr in _marks(field)]


def _kind(field: FieldInfo) -> Kind:
    """Say what a field takes: its kind, completed by the choices and bounds that stand in its type."""
    marks = _marks(field)
    kind = next(mark for mark in marks if isinstance(mark, Kind))
    least, most = (next((getattr(mark, end) for mark in marks if hasattr(mark, end)), None) for end in ("ge", "le"))
    details = [kind.details] if kind.details else []
    if choices := [mark for mark in marks if isinstance(mark, str)]:
        details.append(", ".join(choices))
    if least is not None:
        details.append(f"{_spelled(least, field)} to {_spelled(most, field)}")
    return Kind(kind.noun, "; ".join(details))


def _marks(field: FieldInfo) -> list[object]:
    """List all that a field's type is made of: classes, choices, bounds, kinds."""
    return [*field.metadata, *_leaves(field.annotation)]


def _leaves(annotation: object) -> Iterator[object]:
    if parts := get_args(annotation):
        for part in parts:
            yield from _leaves(part)
    else:
        yield annotation


def _spelled(value: object, field: FieldInfo) -> str:
    """Write a value as it would be given."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() if BYTES in field.metadata:
            return f"{value // 1_000_000}MB"
        case float():
            return f"{value:g}"
    return str(value)
