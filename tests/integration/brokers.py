"""The Kafka that integration tests run against: a given one, one in Docker, or a node from Maven's jars.

The rule that keeps it honest: the first open road is taken and named; where none is, the message says what
each one lacks. No test meets a broker before it has answered a consumer group.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from docker.errors import DockerException  # type: ignore[import-untyped]
from msgspec import Struct
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.config import testcontainers_config

from entity_stream.core.mistake import Mistake
from tests.integration.node import (
    FETCH_PATIENCE,
    HOST,
    SETTINGS,
    START_PATIENCE,
    WORD_PATIENCE,
    NoBroker,
    certificate,
    first_line,
    free_ports,
    kafka_version,
    login_properties,
    node,
    node_properties,
    said,
    wait_until,
)
from tests.integration.topics import answers

IMAGE = "confluentinc/cp-kafka:8.1.1"
JAVA_REMEDY = "apt-get install openjdk-17-jre-headless maven"


class Broker(Struct, frozen=True):
    """A Kafka that has answered."""

    bootstrap: str
    road: str
    version: str

    def __str__(self) -> str:
        origin = {"given": "from KAFKA_BOOTSTRAP_SERVERS", "docker": "in Docker", "maven": "from Maven"}
        return f"Apache Kafka {self.version} {origin[self.road]} at {self.bootstrap}"


class SecureBroker(Struct, frozen=True):
    """A Kafka with a second door, SASL_SSL, for a user whom no ACL grants anything."""

    superuser: Broker
    """The same Kafka by its first door, PLAINTEXT: whoever comes in may do all."""
    bootstrap: str
    ca_file: Path
    mechanism: str = "SCRAM-SHA-512"
    user: str = "svc"
    password: str = "svc-secret"  # noqa: S105 - of a throw-away broker on loopback

    def __str__(self) -> str:
        return f"{self.superuser}, with logins at {self.bootstrap}"


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """Take the first open road, or the one that KAFKA_TEST_ROAD names; raises NoBroker or a Mistake."""
    closed: list[str] = []
    with ExitStack() as until_the_end:
        for road, start in _roads().items():
            with _forgiving_leaks():
                try:
                    found = until_the_end.enter_context(start(folder))
                except NoBroker as reason:
                    closed.append(f"{road}: {reason}")
                    continue
            yield found
            return
    raise NoBroker(
        f"no Kafka to test against ({'; '.join(closed)}). Mend it with KAFKA_BOOTSTRAP_SERVERS=host:9092, "
        f"or a running Docker and `docker pull {IMAGE}`, or `{JAVA_REMEDY}`"
    )


@contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Start a Kafka that knows one user; raises NoBroker. Only Maven's road leads to it."""
    with ExitStack() as until_the_end:
        try:
            found = until_the_end.enter_context(_maven_with_logins(folder))
        except NoBroker as reason:
            raise NoBroker(
                f"no Kafka with logins to test against ({reason}). Mend it with `{JAVA_REMEDY} openssl`"
            ) from None
        yield found


def required() -> bool:
    """Whether finding no broker is a failure: in CI, on demand, and where a road is asked for by name."""
    demands = (os.environ.get(name, "").lower() for name in ("CI", "ENTITY_STREAM_REQUIRE_KAFKA"))
    return bool(os.environ.get("KAFKA_TEST_ROAD")) or not {"1", "true"}.isdisjoint(demands)


@contextmanager
def _forgiving_leaks() -> Iterator[None]:
    """Close what Docker's client leaves open where it reaches no engine: else a test, later, is blamed for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@contextmanager
def _given(_: Path) -> Iterator[Broker]:
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not bootstrap:
        raise NoBroker("KAFKA_BOOTSTRAP_SERVERS is not set")
    try:
        wait_until(partial(answers, bootstrap), WORD_PATIENCE)
    except TimeoutError:
        where = f"KAFKA_BOOTSTRAP_SERVERS={bootstrap}"
        raise Mistake("No Kafka answers", where, "Start it, or unset the variable to have one started.") from None
    yield Broker(bootstrap, "given", "of unknown version")


@contextmanager
def _docker(_: Path) -> Iterator[Broker]:
    said("docker", "info", patience=WORD_PATIENCE)
    if not _is_pulled(IMAGE):
        said("docker", "pull", "--quiet", IMAGE, patience=FETCH_PATIENCE)
    if not _is_pulled(testcontainers_config.ryuk_image):
        # Ryuk removes the containers of a run that was killed; we do without, rather than wait for its image
        testcontainers_config.ryuk_disabled = True
    with ExitStack() as until_the_end:
        try:
            container = until_the_end.enter_context(_container())
            bootstrap = container.get_bootstrap_server()
            wait_until(partial(answers, bootstrap), START_PATIENCE)
        except (DockerException, OSError, RuntimeError) as error:
            raise NoBroker(f"{IMAGE} did not start: {first_line(str(error))}") from error
        yield Broker(bootstrap, "docker", f"4.1 ({IMAGE.rpartition('/')[2]})")


def _container() -> KafkaContainer:
    container = KafkaContainer(IMAGE).with_kraft()
    for name, value in SETTINGS.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    return container


def _is_pulled(image: str) -> bool:
    try:
        said("docker", "image", "inspect", image, patience=WORD_PATIENCE)
    except NoBroker:
        return False
    return True


@contextmanager
def _maven(folder: Path) -> Iterator[Broker]:
    plain, controller = free_ports(2)
    with node(folder, plain, node_properties(folder, plain, controller)):
        yield Broker(f"{HOST}:{plain}", "maven", kafka_version())


@contextmanager
def _maven_with_logins(folder: Path) -> Iterator[SecureBroker]:
    plain, controller, secure = free_ports(3)
    ca_file, key_store = certificate(folder)
    found = SecureBroker(Broker(f"{HOST}:{plain}", "maven", kafka_version()), f"{HOST}:{secure}", ca_file)
    properties = node_properties(folder, plain, controller)
    properties = login_properties(properties, found.bootstrap, found.mechanism, key_store)
    user = f"{found.mechanism}=[name={found.user},password={found.password}]"
    with node(folder, plain, properties, "--add-scram", user):
        yield found


def _roads() -> Mapping[str, Callable[[Path], AbstractContextManager[Broker]]]:
    roads = {"given": _given, "docker": _docker, "maven": _maven}
    named = os.environ.get("KAFKA_TEST_ROAD")
    if not named:
        return roads
    if named not in roads:
        raise Mistake("No road leads there", f"KAFKA_TEST_ROAD={named}", f"Name one of {', '.join(roads)}, or none.")
    return {named: roads[named]}
