"""Everything that a run takes place on: topics of its own, the judge's endpoint, three workers, a writer of documents.

What happens on it is noted as it happens: who was killed with how much in hand, and what may excuse a duplicate.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import aiohttp
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct, field

from tests.chaos.documents import PARTITIONS
from tests.chaos.script import SESSION, WORKERS
from tests.chaos.shocks import BROKERS, were_away
from tests.chaos.telling import Teller
from tests.chaos.weather import ATTEMPTS, FAIR
from tests.chaos.workers import Life, Worker, keys
from tests.integration.cluster import Cluster
from tests.integration.topics import admin, create_topic
from tests.judge.case import Blow, Shock
from tests.judge.conditions import Conditions, Duration
from tests.judge.evidence import Scene
from tests.judge.findings import Mode
from tests.judge.process import Judge, judge

GUESTS: Final = 2
"""Further members that come and go."""

MOST_LIVES: Final = 200
"""Of one worker, in one run: one that is started while the brokers are away ends soon, and is started again."""

NONE: Final[Mapping[str, str]] = {}

SCRAPE: Final = aiohttp.ClientTimeout(2)
"""A worker that is stopped does not answer; nobody waits for it."""

HEAD_START: Final = 5
"""Jobs that a victim has in flight at the least."""

PUBLISHED_AT: Final = {"message.timestamp.type": "LogAppendTime"}
"""The brokers say when an outcome was published, not the worker."""

SEATS: Final = range(1, WORKERS + 1)
"""Where somebody sits all the time."""

LOOK: Final = 0.2
"""Seconds between two looks at who is still there."""

A_MISTAKE: Final = 2
"""The exit code of a service that cannot begin; the README says so."""


SIGNALS: Final[Mapping[Blow, str]] = {"kill": "SIGKILL", "stop": "SIGSTOP"}


class Props(Struct, frozen=True):
    """What a run is played with."""

    mode: Mode = "at_least_once"
    static: frozenset[int] = frozenset()
    """Seats with a name of their own in the group."""
    duration: Duration = FAIR
    """Of jobs, in fair weather."""
    settings: Mapping[str, str] = NONE
    """Of the workers, where they are not as usual."""
    output: Mapping[str, str] = NONE
    """Configs of the output topic."""


class Killed(Struct, frozen=True):
    """A worker that was killed in full work."""

    at: float
    who: str
    in_flight: int
    """Jobs that it had submitted, or asked for last, and whose end nobody was told."""


class Notes(Struct):
    """What happened so far."""

    kills: list[Killed] = field(default_factory=list)
    shocks: list[Shock] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)
    """What the service did and never should, whatever is done to it."""
    away: bool = False
    """Whether a broker is away right now."""

    def shock(self, blow: Blow, who: str) -> None:
        """Note that what a process has not committed may now be done again by another."""
        self.shocks.append(Shock(time.time(), f"{SIGNALS[blow]} {who}", who, blow=blow))

    def outage(self, what: str, began: float, until: float) -> None:
        """Note that a broker was missing for so long: nobody could commit."""
        self.shocks.append(Shock(began, what, BROKERS, until, blow="outage"))

    def odd(self, what: str, tell: Teller) -> None:
        """Note something that never should happen."""
        self.oddities.append(what)
        tell.say(what, "bold red")


class Stage:
    """One run's surroundings."""

    def __init__(
        self,
        cluster: Cluster,
        endpoint: Judge,
        scene: Scene,
        mode: Mode,
        fair: Conditions,
        *,
        scraping: aiohttp.ClientSession,
        asking: AIOKafkaAdminClient,
    ) -> None:
        self.cluster, self.endpoint, self.scene, self.mode, self.fair = cluster, endpoint, scene, mode, fair
        self._scraping, self._asking = scraping, asking
        self.workers: dict[int, Worker] = {}
        self.notes = Notes()

    async def in_hand(self, number: int) -> int:
        """Count the jobs that a worker has in flight, as the judge says; 0 as long as it has settled nothing."""
        worker = self.workers[number]
        if not worker.alive:
            return 0
        figures = await worker.life.figures(self._scraping)
        if not figures.get("entity_stream_outcomes_total"):
            return 0
        flights = (await self.endpoint.flights()).get(worker.life.key, 0)
        # the judge cannot know that an answer which it gave never arrived: such a job is in nobody's hands
        return min(flights, int(figures.get("entity_stream_jobs_in_flight", 0)))

    async def positions(self) -> dict[int, int]:
        """Read what the group has committed, by partition. Raises KafkaError while the brokers are away."""
        offsets = await self._asking.list_consumer_group_offsets(self.scene.group)
        return {place.partition: each.offset for place, each in offsets.items() if place.topic == self.scene.input}

    async def start_workers(self) -> None:
        """Start those that stay; return once the group has spoken to each, or that takes too long."""
        for number in SEATS:
            await self.workers[number].start()
        for number in SEATS:
            await self.workers[number].assigned()

    async def nurse(self, tell: Teller) -> None:
        """Find workers that ended without being told to, note that, and start them again; until cancelled."""
        while True:
            for number in SEATS:
                worker = self.workers[number]
                if worker.lives and not worker.alive and not worker.life.condemned:
                    what = f"{worker.life.key} ended by itself with exit code {worker.life.code}"
                    tell.say(what, "yellow") if self._found_no_broker(worker.life) else self.notes.odd(what, tell)
                    await worker.start()
            await asyncio.sleep(LOOK)

    def _found_no_broker(self, life: Life) -> bool:
        """Tell whether a process ended as it should when brokers are away at its very start."""
        away = self.notes.away or were_away(time.time(), self.notes.shocks)
        return away and life.code == A_MISTAKE and not life.has_said("serve.started")


@asynccontextmanager
async def stage(folder: Path, cluster: Cluster, props: Props, package: Path | None = None) -> AsyncIterator[Stage]:
    """Make topics, start the endpoint; nobody works yet. All processes end with the block.

    `package` holds another `entity_stream` than the installed one.
    """
    scene = await _topics(cluster.bootstrap, props.output)
    seats = [f"worker-{number}" for number in range(1, WORKERS + GUESTS + 1)]
    fair = Conditions(keys=keys(seats, MOST_LIVES), duration=props.duration)
    async with (
        judge(folder, fair) as endpoint,
        aiohttp.ClientSession(timeout=SCRAPE) as scraping,
        admin(cluster.bootstrap) as asking,
    ):
        found = Stage(cluster, endpoint, scene, props.mode, fair, scraping=scraping, asking=asking)
        for number, seat in enumerate(seats, 1):
            own = {"KAFKA_GROUP_INSTANCE_ID": seat} if number in props.static else {}
            found.workers[number] = Worker(seat, {**_settings(found), **own, **props.settings}, folder, package)
        try:
            yield found
        finally:
            for worker in found.workers.values():
                await worker.kill()


async def _topics(bootstrap: str, output: Mapping[str, str]) -> Scene:
    own = f"chaos-{uuid4().hex[:8]}"
    scene = Scene(bootstrap, own, f"{own}-out", f"{own}-dead", own)
    await create_topic(bootstrap, scene.input, PARTITIONS)
    await create_topic(bootstrap, scene.output, PARTITIONS, {**PUBLISHED_AT, **output})
    await create_topic(bootstrap, scene.dead_letters, PARTITIONS, PUBLISHED_AT)
    return scene


def _settings(stage: Stage) -> Mapping[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": stage.scene.bootstrap,
        "KAFKA_GROUP": stage.scene.group,
        "KAFKA_SESSION_TIMEOUT": f"{SESSION:g}",
        "DELIVERY": stage.mode,
        "INPUT_TOPIC": stage.scene.input,
        "OUTPUT_TOPIC": stage.scene.output,
        "DEAD_LETTER_TOPIC": stage.scene.dead_letters,
        "LANGUAGE_ENDPOINT": stage.endpoint.url,
        "LANGUAGE_PROJECT": "project",
        "LANGUAGE_DEPLOYMENT": "deployment",
        "LANGUAGE_TIMEOUT": "3",
        "LANGUAGE_QUOTA": "60000/min",
        "BATCH_DOCUMENTS": "10",
        "BATCH_LINGER": "0.1",
        "ATTEMPTS": str(ATTEMPTS),
        "PARK_FOR": "1",
        "DRAIN_FOR": "5",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "LOG_FORMAT": "json",
    }
