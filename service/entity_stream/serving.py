"""Putting the service together: edges around a line, one life after another until the stop.

A life ends early only when its producer or a settle is lost; the next one begins from what is committed.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import structlog
from msgspec import Struct

from entity_stream.board import Board
from entity_stream.core.messages import Topics
from entity_stream.core.mistake import Mistake, leaves
from entity_stream.core.model import Target
from entity_stream.core.polling import backoff
from entity_stream.core.quota import slowest
from entity_stream.core.watchdog import patience
from entity_stream.edges import admin, language_http
from entity_stream.edges.health import serve_health
from entity_stream.edges.kafka_backlog import KafkaBacklog
from entity_stream.edges.kafka_connection import connected
from entity_stream.edges.kafka_ledger import KafkaLedger
from entity_stream.edges.kafka_membership import Membership
from entity_stream.edges.kafka_source import KafkaSource, new_consumer
from entity_stream.edges.kafka_transactions import TransactionalLedger
from entity_stream.edges.language_http import HttpLanguage
from entity_stream.edges.producing import new_producer
from entity_stream.edges.telemetry import Gauges, Metrics, ObservedLanguage, ObservedLedger, ObservedSource
from entity_stream.edges.watched_language import WatchedLanguage, WatchedLanguages
from entity_stream.moments import ended, heard, now
from entity_stream.pipeline import Line
from entity_stream.plan import KafkaConnection, LanguageEndpoint, Plan, Watch, targets
from entity_stream.ports import Language, StartAgain
from entity_stream.settings.model import Settings

T = TypeVar("T")
Languages = Mapping[Target, Language]

log = structlog.get_logger("entity_stream")

FAREWELL = 5.0
"""Seconds that a client may take to say goodbye to the brokers once we were told to stop."""

BREATH = 2.0
"""Seconds between two lives; after each short one the pause doubles, up to half a minute."""

LONG_LIFE = 300.0
"""Seconds after which a life that ends counts as the first to do so."""


class Stopped(Exception):
    """The stop came before there was a line."""


class Setup(Struct, frozen=True):
    """Everything a service is made of."""

    plan: Plan
    input_topic: str
    topics: Topics
    kafka: KafkaConnection
    languages: Sequence[LanguageEndpoint]
    """One for each resource of the plan."""
    watch: Watch

    def patience(self) -> float:
        """Seconds of unexplained quiet that a healthy line may need, at its slowest resource."""
        slot = max(slowest(each.quota or self.plan.quota) for each in self.plan.resources)
        return patience(max(each.timeout for each in self.languages), self.plan.window, slot)


def setup_of(settings: Settings) -> Setup:
    """Take a service's parts out of its settings."""
    return Setup(
        plan=settings.plan(),
        input_topic=settings.input_topic,
        topics=settings.topics(),
        kafka=settings.kafka(),
        languages=settings.languages(),
        watch=settings.watch(),
    )


def log_address(address: str) -> None:
    """Say in the log where metrics and probes are."""
    log.info("serve.listening", metrics=f"{address}/metrics", ready=f"{address}/readyz", live=f"{address}/livez")


async def serve(setup: Setup, stop: asyncio.Event, announce: Callable[[str], None] = log_address) -> None:
    """Serve until the stop; `announce` is given the address of metrics and probes."""
    metrics = Metrics()
    async with _languages(setup, metrics) as watched:
        draining = {resource.name for resource in setup.plan.resources if resource.draining}
        taking = {target: each for target, each in watched.items() if target.resource not in draining}
        board = Board(WatchedLanguages(taking), setup.patience())
        where = setup.watch
        async with serve_health(where.host, where.port, metrics.registry, board.unready, board.stalled) as address:
            announce(address)
            observed = {target: ObservedLanguage(each, metrics) for target, each in watched.items()}
            await _live(setup, observed, metrics, board, stop)


@asynccontextmanager
async def _languages(setup: Setup, metrics: Metrics) -> AsyncIterator[dict[Target, WatchedLanguage]]:
    """Hold connections to each resource; its routes share them."""
    async with AsyncExitStack() as stack:
        transports = {
            endpoint.resource: await stack.enter_async_context(language_http.connect(endpoint, setup.plan.window * 2))
            for endpoint in setup.languages
        }
        yield {
            target: WatchedLanguage(
                HttpLanguage(transports[target.resource], endpoint, metrics), target, setup.plan.longest_freeze
            )
            for target, endpoint in targets(setup.languages).items()
        }


async def _live(setup: Setup, languages: Languages, metrics: Metrics, board: Board, stop: asyncio.Event) -> None:
    """Live until the stop, again and again. What is wrong at the first start is a mistake; later it may pass."""
    await _live_once(setup, languages, metrics, board, stop)
    attempt = 0
    while not await heard(stop, backoff(attempt, random.random(), BREATH)):  # noqa: S311 (jitter is no secret)
        metrics.count("restarts")
        began = now()
        try:
            await _live_once(setup, languages, metrics, board, stop)
        except Mistake as mistake:  # it was right when we started: the brokers are away
            board.wait(str(mistake))
            log.warning("serve.cannot_start_again", reason=str(mistake))
        attempt = attempt + 1 if now() - began < LONG_LIFE else 0


async def _live_once(setup: Setup, languages: Languages, metrics: Metrics, board: Board, stop: asyncio.Event) -> None:
    """Live until the stop, or until what the run rests on is lost."""
    try:
        async with _line(setup, languages, metrics, board, stop) as (line, backlog), asyncio.TaskGroup() as beside:
            log.info("serve.started", topic=setup.input_topic, group=setup.kafka.group)
            watching = (board.look_out(), backlog.watch(line.see, miss=line.miss))
            looking = [beside.create_task(each) for each in watching]
            left = await line.run()
            for each in looking:
                each.cancel()
            log.info("serve.stopped", records_left=left)
    except* Stopped:
        log.info("serve.stopped", records_left=0)
    except* StartAgain as lost:
        reasons = sorted({str(error) for error in leaves(lost)})
        board.wait(f"starting again: {'; '.join(reasons)}")
        log.warning("serve.starting_again", reasons=reasons)


@asynccontextmanager
async def _line(
    setup: Setup, languages: Languages, metrics: Metrics, board: Board, stop: asyncio.Event
) -> AsyncIterator[tuple[Line, KafkaBacklog]]:
    """Connect to the brokers and make a line, and what looks at the whole group; leave them when the block ends."""
    async with AsyncExitStack() as stack:
        topics = [setup.input_topic, *_outputs(setup.topics)]
        await _unless(stop, admin.require_topics(setup.kafka, topics))
        consumer = new_consumer(setup.kafka)
        membership = Membership(consumer, setup.kafka.session_timeout)
        ledger = new_ledger(membership, setup.kafka, setup.topics, metrics)
        stack.push_async_callback(farewell, ledger.close, stop)
        stack.push_async_callback(farewell, consumer.stop, stop)
        await _unless(stop, connected(ledger.start(), setup.kafka))
        source = KafkaSource(consumer, setup.input_topic, membership, ledger.fence, metrics)
        line = Line(ObservedSource(source, metrics), languages, ObservedLedger(ledger, metrics), setup.plan, stop)
        await _unless(stop, connected(consumer.start(), setup.kafka))
        gauges = Gauges(line.vitals, source.lags, line.forecast, setup.plan)
        metrics.registry.register(gauges)
        stack.callback(metrics.registry.unregister, gauges)
        board.live(line.vitals, ledger, source)
        stack.callback(board.wait, "leaving: the brokers are sent what the clients have taken, and goodbye")
        yield line, KafkaBacklog(consumer, setup.kafka.group, [setup.input_topic])


def new_ledger(
    membership: Membership, connection: KafkaConnection, topics: Topics, metrics: Metrics
) -> KafkaLedger | TransactionalLedger:
    """Choose how outcomes are delivered: exactly once where transactions have a name, else at least once."""
    if connection.transactional_id_prefix is None:
        return KafkaLedger(membership, new_producer(connection), topics, metrics)
    return TransactionalLedger(membership, connection, topics, metrics)


async def ask(setup: Setup) -> list[admin.Finding]:
    """Ask brokers and endpoints whether they would let this service work; nothing is written, read or paid."""
    findings = await admin.ask_kafka(setup.kafka, setup.input_topic, _outputs(setup.topics))
    for endpoint in setup.languages:
        async with language_http.connect(endpoint, connections=1) as transport:
            findings += await admin.ask_language(transport, endpoint)
    return findings


def _outputs(topics: Topics) -> list[str]:
    return [topics.output, topics.dead_letter]


async def _unless(stop: asyncio.Event, starting: Coroutine[Any, Any, T]) -> T:
    """Await a start, which may take as long as brokers like; the stop ends it."""
    task, stopped = asyncio.create_task(starting), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        await ended(task, stopped)


async def farewell(leave: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Have a client send what it has taken, and leave.

    Before the next life of this process it may take its time: what is sent after that would be out of order. What
    aiokafka cancels of its own on the way (its fetches, while a broker is away) must not look like our cancelling.
    """
    leaving, stopped = asyncio.create_task(leave()), asyncio.create_task(stop.wait())
    await asyncio.wait([leaving, stopped], return_when=asyncio.FIRST_COMPLETED)
    if (await asyncio.wait([leaving], timeout=FAREWELL))[1]:
        log.warning("serve.farewell_unanswered", seconds=FAREWELL)
    await ended(leaving, stopped)
