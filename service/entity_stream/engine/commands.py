"""What the command line can ask of the engine: serve a model, train one, or have the one of the sample.

Nothing is printed here and no signal is caught: progress goes to a function of the caller, and an event of his ends.
"""

import asyncio
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import msgspec
import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from entity_stream.core.mistake import Mistake
from entity_stream.engine.corpus import LabelledDocument, read_corpus, split
from entity_stream.engine.crf import VERSION, Model
from entity_stream.engine.crf import train as learn
from entity_stream.engine.evaluation import Evaluation, evaluate
from entity_stream.engine.jobs import Limits
from entity_stream.engine.server import Deployment, Engine, utc_now
from entity_stream.engine.work import staffed
from entity_stream.sample import DOCUMENTS, LABELS

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open. Our client lets go after 60, so it never writes to a closed one."""
DRAIN_FOR = 5
"""Seconds that answers under way get when the engine stops."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (to be recognised, not to be bound)
"""Addresses that mean all of this machine's, and one that reaches it."""


def spare_cpus() -> int:
    """Count the CPUs that workers may have: one is for the HTTP side and whatever else is here."""
    return max((os.cpu_count() or 1) - 1, 1)


class ServeOptions(Struct, frozen=True, kw_only=True):
    """How to serve a model."""

    model: Path
    project: str
    deployment: str
    host: str = "127.0.0.1"
    port: int = 5000
    """0: any that is free."""
    key: str | None = None
    """None: who reaches the engine may use it."""
    workers: int = msgspec.field(default_factory=spare_cpus)
    """Processes; 0: a thread of this one."""
    limits: Limits = Limits()

    def __repr__(self) -> str:
        return f"ServeOptions({self.project}/{self.deployment} at {self.host}:{self.port}, {self.workers} workers)"


class Row(Struct, frozen=True):
    """How well one entity type was found, or all of them."""

    entity: str
    precision: float
    recall: float
    f1: float
    support: int
    """Entities that people labelled."""


class Scorecard(Struct, frozen=True):
    """How good a model is on documents that it was not trained on."""

    training: int
    """Documents that it was trained on."""
    testing: int
    """Documents that it was held against."""
    entities: tuple[Row, ...] = ()
    """By name."""
    averages: tuple[Row, ...] = ()
    """Micro: all entities count alike. Macro: all types count alike."""


async def serve(options: ServeOptions, stop: asyncio.Event, announce: Callable[[str], None]) -> None:
    """Serve a model until `stop` is set. Announces the URL as soon as jobs are done there. Raises Mistake."""
    _check(options)
    engine = Engine(_deployment(options), options.key, options.limits)
    with _listen(options.host, options.port) as listener:
        async with staffed(engine.work, options.model, options.workers):
            await _run(engine.application(), listener, stop, lambda: announce(_url(listener)))


def train(labels: Path, documents: Path, out: Path, report: Callable[[str], None]) -> Scorecard:
    """Train a model on labelled documents, hold it against those kept back, and save it. Raises Mistake."""
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise Mistake("The model cannot be saved", str(out), "Name a file in a folder that is there.")
    training, testing = split(read_corpus(labels, documents))
    model = learn(training, report)
    report(f"trained on {len(training)} documents, to be held against {len(testing)} others")
    evaluation = evaluate(testing, [model.predict(document.text) for document in testing])
    with _saving(out):
        model.save(out)
    return _scorecard(evaluation, training, testing)


def sample_model(cache: Path) -> Path:
    """Train a model on the Train part of the sample, unless the cache has it, and tell where it is."""
    path = cache / f"sample-{_sample_digest()[:16]}.model"
    if path.exists():
        return path
    with _saving(cache):
        cache.mkdir(parents=True, exist_ok=True)
    model = learn(split(read_corpus(LABELS, DOCUMENTS))[0])
    # two may train at once: each writes a file of its own, and either model is as good
    with _saving(cache), tempfile.TemporaryDirectory(dir=cache, prefix="training-") as own:
        model.save(Path(own) / "model")
        (Path(own) / "model").replace(path)
    return path


# serving


def _check(options: ServeOptions) -> None:
    if options.key is not None and not options.key.strip():
        raise Mistake("The key is empty", "the engine's key", "Give one, or none at all: then no key is asked for.")
    if options.workers < 0:
        raise Mistake(f"There cannot be {options.workers} workers", "workers", "Give 0 or more.")
    if not 0 <= options.port <= 65_535:
        raise Mistake(f"There is no port {options.port}", "port", "Give 0 to 65535; 0 is any that is free.")


def _deployment(options: ServeOptions) -> Deployment:
    Model.load(options.model)  # a mistake is told here and now, not by a worker that dies of it
    trained = datetime.fromtimestamp(options.model.stat().st_mtime, UTC)
    digest = hashlib.sha256(options.model.read_bytes()).hexdigest()
    return Deployment(options.project, options.deployment, str(UUID(digest[:32])), trained, utc_now())


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Mistake(
            f"The engine cannot listen there: {error.strerror}",
            f"{host}:{port}",
            "Choose another host or port; port 0 is any that is free.",
        ) from error
    # connections inherit it; asyncio sets it only where a socket names its protocol, and this one does not.
    # An answer is two writes: the second would wait 40 ms for the first to be acknowledged
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    reached = EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


async def _run(app: ASGIApp, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Run uvicorn step by step: as one, its steps would catch signals."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN_FOR,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.main_loop())
            ready()
            await stop.wait()
            server.should_exit = True
    finally:
        await server.shutdown(sockets=[listener])


# training


def _scorecard(
    evaluation: Evaluation, training: Sequence[LabelledDocument], testing: Sequence[LabelledDocument]
) -> Scorecard:
    rows = tuple(
        Row(name, score.precision, score.recall, score.f1, score.true_positives + score.false_negatives)
        for name, score in evaluation.entities.items()
    )
    support = sum(row.support for row in rows)
    averages = tuple(
        Row(name, figures.precision, figures.recall, figures.f1, support)
        for name, figures in (("micro", evaluation.micro), ("macro", evaluation.macro))
    )
    return Scorecard(len(training), len(testing), rows, averages if testing else ())


@contextmanager
def _saving(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Mistake(
            f"The model cannot be saved: {error.strerror}", str(path), "Choose a folder that may be written to."
        ) from error


def _sample_digest() -> str:
    """Name all that decides what the model will be: another name is another model."""
    digest = hashlib.sha256()
    for part in (VERSION, version("entity-stream"), version("python-crfsuite")):
        digest.update(f"{part}\n".encode())
    for path in (LABELS, *sorted(DOCUMENTS.iterdir())):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()
