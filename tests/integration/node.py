"""A Kafka node of our own, run by this machine's Java from the jars that pom.xml names.

The rule that keeps it honest: it is up once it has answered a consumer group, and never outlives its tests.
"""

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.integration.topics import answers, until

HOST = "127.0.0.1"
KAFKA = Path(__file__).parent / "kafka"
OLDEST_JAVA = 17
"""What a broker of Kafka 4 asks for."""

CLUSTER = "EntityStreamTestsKafkA"
"""Sixteen bytes in base64. A random one may begin with '-', which the formatter would take for an option."""

PORTS = range(20_000, 32_000)
"""Below those that outgoing connections get, so that none of them takes a port before its broker does."""

WORD_PATIENCE = 10.0
FETCH_PATIENCE = 120.0
START_PATIENCE = 180.0
"""Seconds for a short command, for a download, for a broker to start."""

SETTINGS = {
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "min.insync.replicas": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
}
"""One small broker that keeps nobody waiting."""


class NoBroker(Exception):
    """No Kafka can be had; the message says what is missing."""


@contextmanager
def node(folder: Path, plain: int, properties: Mapping[str, str], *format_options: str) -> Iterator[None]:
    """Start a broker that keeps all it has in a folder, where only its log stays. Raises NoBroker."""
    check_java()
    jars = fetched_jars()
    config, log = formatted(folder, jars, properties, *format_options), folder / "broker.log"
    try:
        with leashed(java(jars, "kafka.Kafka", str(config)), log) as process:
            try:
                wait_until(partial(_is_up, process, plain), START_PATIENCE)
            except (ChildProcessError, TimeoutError) as error:
                raise NoBroker(f"the broker did not start; {log} says why") from error
            yield
    finally:
        shutil.rmtree(properties["log.dirs"])


def formatted(folder: Path, jars: Path, properties: Mapping[str, str], *options: str) -> Path:
    """Make a broker's empty store; return the file that it is started with."""
    config = folder / "broker.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="utf-8")
    store = ("format", "--cluster-id", CLUSTER, "--config", str(config), *options)
    said(*java(jars, "kafka.tools.StorageTool", *store), patience=START_PATIENCE)
    return config


def node_properties(folder: Path, plain: int, controller: int) -> dict[str, str]:
    """Tell a broker that is its own controller where to listen and where to write."""
    return SETTINGS | {
        "advertised.listeners": f"PLAINTEXT://{HOST}:{plain}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
        "listeners": f"CONTROLLER://{HOST}:{controller},PLAINTEXT://{HOST}:{plain}",
        "log.dirs": str(folder / "data"),
        "node.id": "1",
        "process.roles": "broker,controller",
    }


def login_properties(properties: Mapping[str, str], address: str, mechanism: str, key_store: Path) -> dict[str, str]:
    """Add a door where users log in and may do what ACLs grant. By the first door one may still do all."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        **properties,
        "advertised.listeners": f"{properties['advertised.listeners']},SASL_SSL://{address}",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config": f"{module} required;",
        "listeners": f"{properties['listeners']},SASL_SSL://{address}",
        "sasl.enabled.mechanisms": mechanism,
        "ssl.keystore.location": str(key_store),
        "ssl.keystore.type": "PEM",
        "super.users": "User:ANONYMOUS",
    }


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself: what clients trust, and the same with the broker's key."""
    ca_file, key_file, key_store = (folder / name for name in ("ca.pem", "key.pem", "key-store.pem"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = ("-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}")
    files = ("-keyout", str(key_file), "-out", str(ca_file))
    said("openssl", "req", "-x509", "-days", "2", *curve, *names, *files, patience=WORD_PATIENCE)
    key_store.write_bytes(key_file.read_bytes() + ca_file.read_bytes())
    return ca_file, key_store


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    free: list[int] = []
    mine = PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2 :: 2]  # a broker takes its port much later
    while len(free) < count:
        port = random.choice(mine)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            free += {port}.difference(free)
    return free


def kafka_version() -> str:
    """Read the version of Kafka from the one place that tells it."""
    [version] = re.findall(r"<kafka.version>(.+)</kafka.version>", (KAFKA / "pom.xml").read_text(encoding="utf-8"))
    return str(version)


def fetched_jars() -> Path:
    """Fetch Kafka's jars once. A folder of that name is whole: it gets the name when all are there."""
    jars = Path.home() / ".cache" / "entity-stream" / f"kafka-{kafka_version()}"
    if jars.exists():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent) as unfinished:
        goal = (
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={unfinished}/jars",
        )
        said("mvn", "-q", "-B", "-f", str(KAFKA / "pom.xml"), *goal, patience=FETCH_PATIENCE)
        try:
            Path(unfinished, "jars").rename(jars)
        except OSError:
            if not jars.exists():  # it does where another run was quicker
                raise
    return jars


def check_java() -> None:
    """Raise NoBroker where Java is missing or too old."""
    told = re.search(r'version "(\d+)', said("java", "-version", patience=WORD_PATIENCE))
    if not told or int(told[1]) < OLDEST_JAVA:
        raise NoBroker(f"java is {told[1] if told else 'of unknown version'}, Kafka needs {OLDEST_JAVA}")


def java(jars: Path, *main: str) -> list[str]:
    """Tell the command that runs a class of Kafka's."""
    thrift = (
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    )  # quick to start, rather than fast for long
    return [
        "java",
        *thrift,
        f"-Dlog4j2.configurationFile={KAFKA / 'log4j2.properties'}",
        "-cp",
        f"{jars}/*",
        *main,
    ]


def leash(command: list[str]) -> list[str]:
    """Have Linux kill a command when the process that started it is killed."""
    return [*(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []), *command]


@contextmanager
def leashed(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; if this process is killed first, so is the command.

    It leads a process group of its own: Ctrl-C at a terminal reaches the tests alone; they end it in order.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(
            leash(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def said(*command: str, patience: float) -> str:
    """Return what a command says; raises NoBroker where it is missing, fails, or takes too long."""
    shown = " ".join(command[:2])
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience, check=False
        )
    except OSError:
        raise NoBroker(f"no {command[0]} on the PATH") from None
    except subprocess.TimeoutExpired:
        raise NoBroker(f"`{shown}` took more than {patience:.0f} s") from None
    if done.returncode:
        raise NoBroker(f"`{shown}` failed: {first_line(done.stderr.strip() or done.stdout)}")
    return done.stdout + done.stderr


def first_line(text: str) -> str:
    """Tell the part of an error message that fits a line."""
    return text.strip().partition("\n")[0]


def wait_until(question: Callable[[], Awaitable[bool]], patience: float) -> None:
    """Wait for a yes, in a loop of its own; raises TimeoutError."""

    async def asking() -> None:
        async with asyncio.timeout(patience):
            await until(question)

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(asking())


async def _is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    if process.poll() is not None:
        raise ChildProcessError(process.returncode)
    return await is_at_work(port)


async def is_at_work(port: int) -> bool:
    """Whether a broker takes connections there and answers for consumer groups."""
    return await _is_open(port) and await answers(f"{HOST}:{port}")


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
