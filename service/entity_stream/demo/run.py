"""Running the demo: broker, engine, service, feeder and viewer in one event loop, ended in that order reversed."""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from msgspec import Struct
from rich.console import Console
from rich.status import Status
from rich.text import Text

from entity_stream.core.batching import Limits
from entity_stream.core.messages import Message, Topics
from entity_stream.core.mistake import Mistake
from entity_stream.core.quota import Rate
from entity_stream.core.rendering import render
from entity_stream.demo import documents, screen
from entity_stream.demo.broker import PARTITIONS, embedded_broker
from entity_stream.demo.feeder import LARGEST, Place, Tally, feed
from entity_stream.engine import commands
from entity_stream.engine.corpus import read_corpus, split
from entity_stream.plan import KafkaConnection, LanguageEndpoint, Plan, Watch
from entity_stream.sample import DOCUMENTS, LABELS
from entity_stream.serving import Setup, serve

INPUT, TOPICS = "documents", Topics("entities", "entities.dead-letter")
PROJECT, DEPLOYMENT, KEY = "incidents", "production", "demo"
SAMPLE_RATE = 4.0
"""Documents a second of the sample, so that a person can read along."""

STATUS_EVERY = 0.25
"""Seconds between two updates of the running line."""


class Options(Struct, frozen=True):
    """What the user asks of the demo."""

    documents: Path | None = None
    once: bool = False
    as_json: bool = False
    rate: float | None = None
    """Documents a second; None: as fast as they come out, or so that one can read along for the sample."""
    port: int = 0
    """Of metrics and probes; 0: any."""
    cache: Path = Path()
    """Where the model that the first run trains is kept for the next."""


class _Outcome(Struct):
    """The part of an entities message that says what it is about."""

    source: "_Source"


class _Source(Struct):
    partition: int
    offset: int


class Demo:
    """One run."""

    def __init__(self, options: Options, stop: asyncio.Event) -> None:
        self._options, self._stop = options, stop
        self._tally = Tally()
        self._palette = screen.Palette()
        self._console = Console(stderr=options.as_json, highlight=False)
        self._addresses: dict[str, str] = {}
        self._began = time.monotonic()

    async def run(self) -> int:
        """Run until the stop, or with `once` until all has an outcome; return the exit code."""
        fed, http_port = documents.begun(self._documents()), _free_port(self._options.port)
        with embedded_broker() as bootstrap, self._console.status(self._running_line()) as status:
            self._print(f"[bold]Kafka[/bold] {bootstrap}, topics {INPUT}, {TOPICS.output}, {TOPICS.dead_letter}")
            engine_port, engine_stop, service_stop = _free_port(0), asyncio.Event(), asyncio.Event()
            setup = _setup(bootstrap, engine_port, http_port)
            async with asyncio.TaskGroup() as group:
                service = group.create_task(serve(setup, service_stop, self._announce("metrics")))
                group.create_task(self._serve_engine(engine_port, engine_stop))
                async with _viewer(bootstrap) as viewer, asyncio.TaskGroup() as watching:
                    viewing = watching.create_task(self._view(viewer, status))
                    await self._feed_until_stopped(bootstrap, fed)
                    service_stop.set()
                    await service
                    await self._catch_up(viewer)
                    viewing.cancel()
                engine_stop.set()
        return self._conclude()

    async def _serve_engine(self, port: int, stop: asyncio.Event) -> None:
        """Serve the model of the sample: trained now unless it was before."""
        model = await asyncio.to_thread(commands.sample_model, self._options.cache)
        options = commands.ServeOptions(
            model=model, project=PROJECT, deployment=DEPLOYMENT, port=port, key=KEY, workers=1
        )
        await commands.serve(options, stop, self._announce("engine"))

    async def _feed_until_stopped(self, bootstrap: str, fed: Iterator[documents.Fed]) -> None:
        async with _producer(bootstrap) as producer, asyncio.TaskGroup() as group:
            feeding = group.create_task(feed(producer, INPUT, fed, self._tally, self._rate()))
            while not self._stop.is_set() and not (self._options.once and self._tally.complete):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self._stop.wait()
            feeding.cancel()

    def _documents(self) -> Iterator[documents.Fed]:
        if self._options.documents:
            return documents.read(self._options.documents)
        _, held_out = split(read_corpus(LABELS, DOCUMENTS))  # what the model has not seen comes first
        return documents.sample(DOCUMENTS, [each.location for each in held_out], endlessly=not self._options.once)

    def _rate(self) -> float | None:
        reading_along = not self._options.documents and not self._options.once
        return self._options.rate or (SAMPLE_RATE if reading_along else None)

    def _announce(self, what: str) -> Callable[[str], None]:
        def announce(address: str) -> None:
            self._addresses[what] = f"{address}/metrics" if what == "metrics" else address
            self._print(f"[bold]{what}[/bold] {self._addresses[what]}")

        return announce

    async def _view(self, viewer: AIOKafkaConsumer, status: Status) -> None:
        while True:
            fetched = await viewer.getmany(timeout_ms=int(STATUS_EVERY * 1000), max_records=200)
            for records in fetched.values():
                for record in records:
                    self._show(record)
            status.update(self._running_line())

    def _show(self, record: ConsumerRecord[bytes, bytes]) -> None:
        message = Message(record.topic, record.key, record.value, tuple(record.headers))
        is_letter = record.topic == TOPICS.dead_letter
        place = place_of(message, is_letter=is_letter)
        if place is None or (known := self._tally.settled(place, rejected=is_letter)) is None:
            return
        fed, seconds = known
        if self._options.as_json:
            self._write(render(message, TOPICS) + b"\n")
        elif is_letter:
            self._print(screen.rejected(message))
        else:
            text = msgspec.json.decode(fed.value)["text"]
            self._print(screen.annotated(message, text, seconds, self._palette, self._console.width))

    def _print(self, shown: str | Text) -> None:
        try:
            self._console.print(shown)
        except SystemExit:  # rich's word for a reader that has gone, as `head` does
            self._stop.set()

    def _write(self, line: bytes) -> None:
        """Write to stdout; a reader that goes away ends the run. Raises Mistake when there is no room."""
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the end of Python tries once more
            if not isinstance(error, BrokenPipeError):
                raise Mistake(
                    f"the messages cannot be written: {error.strerror}", "stdout", "Send them where there is room."
                ) from error
            self._stop.set()

    def _running_line(self) -> str:
        if "engine" not in self._addresses:
            return "starting the engine; the first run trains its model, which takes some seconds"
        tally, seconds = self._tally, time.monotonic() - self._began
        addresses = "  ".join(f"{what} {address}" for what, address in self._addresses.items())
        return (
            f"{tally.out} of {tally.fed} documents out, {tally.rejected} dead letters, "
            f"{tally.out / seconds:.0f} documents/s, lag {tally.pending}\n[dim]{addresses}[/dim]"
        )

    async def _catch_up(self, viewer: AIOKafkaConsumer) -> None:
        """Let the viewer see all that was published before it goes."""
        ends = await viewer.end_offsets(_everywhere())
        while [place for place, end in ends.items() if await viewer.position(place) < end]:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)

    def _conclude(self) -> int:
        tally = self._tally
        outcomes = +Counter(annotated=tally.out - tally.rejected, rejected=tally.rejected)  # those there are
        self._print(screen.summary(outcomes, time.monotonic() - self._began, left=tally.pending))
        for name, size in tally.too_large:
            self._print(screen.not_sent(name, size, LARGEST))
        return 1 if tally.too_large else 0


def _setup(bootstrap: str, engine_port: int, http_port: int) -> Setup:
    return Setup(
        plan=Plan(limits=Limits(linger=0.05), window=16, quota=(Rate(1_000, 1.0),)),
        input_topic=INPUT,
        topics=TOPICS,
        kafka=KafkaConnection(bootstrap, group="demo"),
        languages=[LanguageEndpoint(f"http://127.0.0.1:{engine_port}", KEY, PROJECT, DEPLOYMENT)],
        watch=Watch("127.0.0.1", http_port),
    )


def place_of(message: Message, *, is_letter: bool) -> Place | None:
    """Tell which input an outcome is of; None for what is none of ours: any client may write into this broker."""
    try:
        if is_letter:
            headers = dict(message.headers)
            return Place(int(headers["entity-stream-partition"] or 0), int(headers["entity-stream-offset"] or 0))
        source = msgspec.json.decode(message.value or b"", type=_Outcome).source
    except (msgspec.DecodeError, KeyError, ValueError):
        return None
    return Place(source.partition, source.offset)


def _everywhere() -> list[TopicPartition]:
    return [
        TopicPartition(topic, index) for topic in (TOPICS.output, TOPICS.dead_letter) for index in range(PARTITIONS)
    ]


@asynccontextmanager
async def _viewer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Read both topics from their start."""
    viewer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50)
    try:
        await viewer.start()
        for topic in (TOPICS.output, TOPICS.dead_letter):
            await viewer._client._wait_on_metadata(topic)  # noqa: SLF001 (naming a topic makes it, in this broker)
        viewer.assign(_everywhere())
        yield viewer
    finally:
        await viewer.stop()


@asynccontextmanager
async def _producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 * LARGEST) as producer:
        yield producer


def _free_port(wanted: int) -> int:
    """Find a port that can be listened on: the wanted one, or any for 0. Raises Mistake."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: the last run's port is free at once
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise Mistake(
                f"cannot listen on 127.0.0.1:{wanted}: {error.strerror}",
                "--port",
                "Choose a port that is free, or 0 for any.",
            ) from error
        port: int = probe.getsockname()[1]
        return port
