"""What the probes are told of a line: with real lines in virtual time, and with lines that say what a test wants."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from entity_stream.board import LOOK, Board
from entity_stream.core.model import Outcome, Partition, Record, Target
from entity_stream.core.quota import Operation, Rate, slowest
from entity_stream.core.watchdog import patience
from entity_stream.pipeline import Line
from entity_stream.plan import Health, Plan, Vitals
from entity_stream.ports import Lease, unlimited
from tests import virtual_time
from tests.pipeline.worlds import Endpoint, Faults, Log, LogSource

PLAN = Plan(window=8, quota=(Rate(6_000, 60.0),), overdue=36_000)
PATIENCE = patience(30.0, PLAN.window, slowest(PLAN.quota))
HOURS = 20_000.0
SECRET = "what a document says"  # noqa: S105 (of these tests)
HERE = Partition("in", 0, 1)
VITALS = Vitals(
    {HERE: 12},
    in_flight=4,
    bytes_held=12_000,
    draining=False,
    parked=None,
    resources={"west": Health(4, shut={Operation.SUBMIT: None}), "east": Health()},
)


def health(**says: Any) -> Vitals:  # noqa: ANN401 (as they come)
    """Have one of two resources be as a test wants."""
    return replace(VITALS, resources=VITALS.resources | {"east": replace(Health(), **says)})


class Edge:
    """A ledger, a language or a source as the board sees it; it tells what a test has it tell."""

    trouble: str | None = None
    joined = True
    away = False
    unread = range(0)

    def readable(self) -> Mapping[Partition, range]:
        return {HERE: self.unread}


class Hanging(Edge):
    """A ledger whose settles do not return until they are let go, and that names no trouble."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def settle(self, partition: Partition, outcomes: Sequence[Outcome], position: int, journal: bytes) -> bool:
        await self.go.wait()
        return True

    async def prove(self) -> Lease | None:
        return unlimited


def told(logs: Sequence[Mapping[str, Any]], event: str) -> list[Mapping[str, Any]]:
    return [each for each in logs if each["event"] == event]


@contextmanager
def looking_out(board: Board) -> Iterator[list[Any]]:
    """Have the board look out; yield what it logs."""
    looking = asyncio.create_task(board.look_out())
    with capture_logs() as logs:
        yield logs
    looking.cancel()


async def lived(ledger: Hanging, duration: Callable[[], float], seconds: float) -> tuple[list[str], list[Any]]:
    """Run a line on some records; return what the board says after `seconds`, and what was logged."""
    rng, stop, board = random.Random(1), asyncio.Event(), Board(Edge(), PATIENCE)
    value = json.dumps({"text": SECRET}).encode()
    log = Log([Record(Partition("in", 0), offset, SECRET.encode(), value) for offset in range(60)])
    line = Line(LogSource(log, rng, (0, 40)), {Target(): Endpoint(rng, Faults(), duration)}, ledger, PLAN, stop)
    board.live(line.vitals, ledger, Edge())
    running = asyncio.create_task(line.run())
    with looking_out(board) as logs:
        await asyncio.sleep(seconds)
    stalled = board.stalled()
    stop.set()
    await running
    return stalled, logs


def test_a_settle_that_never_returns_is_a_stall_and_the_log_says_where() -> None:
    """After the patience liveness fails in words; the stacks are logged once, with the line that hangs, no values."""

    async def scenario() -> None:
        stalled, logs = await lived(Hanging(), lambda: 1.0, seconds=10 * PATIENCE)
        assert "stalled: records are read and not settled, nothing has moved" in stalled[0]
        assert len(told(logs, "serve.stalled")) == 1
        stacks = [frame for each in told(logs, "serve.stalled_tasks") for frame in each["frames"]]
        assert any(frame.endswith("in Hanging.settle") for frame in stacks)
        assert any(frame.endswith("in Line.run") for frame in stacks)
        assert SECRET not in json.dumps(logs)

    virtual_time.run(scenario())


def test_before_the_patience_ends_nothing_is_said() -> None:
    """A settle may take a while."""

    async def scenario() -> None:
        assert await lived(Hanging(), lambda: 1.0, seconds=PATIENCE / 2) == ([], [])

    virtual_time.run(scenario())


def test_jobs_that_take_hours_are_no_stall() -> None:
    """Each poll is answered: that a job still runs is a sign of life."""

    async def scenario() -> None:
        ledger = Hanging()
        ledger.go.set()
        assert await lived(ledger, lambda: 7_200.0, seconds=7_000.0) == ([], [])

    virtual_time.run(scenario())


def looked(vitals: Vitals = VITALS, language: Edge | None = None, edge: Edge | None = None) -> list[str]:
    """Look at a line that shows the same for hours; return what the board says then."""

    async def scenario() -> list[str]:
        board = Board(language or Edge(), PATIENCE)
        board.live(lambda: vitals, edge or Edge(), edge or Edge())
        with looking_out(board) as logs:
            await asyncio.sleep(HOURS)
        assert bool(logs) == bool(board.stalled())
        return board.stalled()

    return virtual_time.run(scenario())


def an_edge(**says: object) -> Edge:
    edge = Edge()
    for name, value in says.items():
        setattr(edge, name, value)
    return edge


IDLE = replace(VITALS, unfinished={}, in_flight=0, bytes_held=0)

NAMED: dict[str, Callable[[], list[str]]] = {
    "no work": lambda: looked(IDLE),
    "an open transaction upstream": lambda: looked(IDLE, edge=an_edge(unread=range(7, 7))),
    "a throttle": lambda: looked(health(frozen={Operation.POLL: 3.0})),
    "a slot after a 429": lambda: looked(health(slowed={Operation.SUBMIT: True}, load=1.0)),
    "a slot of our share": lambda: looked(health(share=0.1, load=1.0)),
    "a breaker": lambda: looked(health(shut={Operation.POLL: "HTTP 503"})),
    "a park": lambda: looked(replace(VITALS, parked="HTTP 401")),
    "a park of one resource": lambda: looked(health(parked="HTTP 401")),
    "a drain": lambda: looked(replace(VITALS, draining=True)),
    "an endpoint that does not answer": lambda: looked(language=an_edge(trouble="no connection")),
    "a ledger in trouble": lambda: looked(edge=an_edge(trouble="waiting for out-0 to acknowledge")),
    "a coordinator that is away": lambda: looked(edge=an_edge(away=True)),
    "a group that rebalances": lambda: looked(edge=an_edge(joined=False)),
}
UNNAMED: dict[str, Callable[[], list[str]]] = {
    "records that are begun": looked,
    "records that nobody reads": lambda: looked(IDLE, edge=an_edge(unread=range(7, 9))),
    "a full journal": lambda: looked(replace(VITALS, full=[HERE])),
    "a job that nobody polls": lambda: looked(replace(VITALS, in_flight=1)),
    "a slot of a quota that is all ours": lambda: looked(health(load=1.0)),
    "a throttle that is over": lambda: looked(health(frozen={Operation.POLL: 0.0})),
    "a 429 that slows nobody who waits": lambda: looked(health(slowed={Operation.SUBMIT: True}, load=0.5)),
    "a 429 that is long ago": lambda: looked(health(slowed={Operation.SUBMIT: False}, load=1.0)),
}


@pytest.mark.parametrize("cause", NAMED)
def test_to_wait_for_a_named_cause_is_no_stall(cause: str) -> None:
    """Hours of it are in order: a restart would not end it."""
    assert NAMED[cause]() == []


@pytest.mark.parametrize("work", UNNAMED)
def test_to_wait_for_nothing_is_a_stall(work: str) -> None:
    """Work that nothing moves is a stall; what is only a consequence of other work explains nothing."""
    assert len(UNNAMED[work]()) == 1


def test_a_stall_ends_when_something_moves_and_the_next_is_told_again() -> None:
    """Each stall is logged once, whoever looks how often; between two the service is alive."""

    async def scenario() -> None:
        board, vitals = Board(Edge(), PATIENCE), VITALS
        board.live(lambda: vitals, Edge(), Edge())
        with looking_out(board) as logs:
            for moved in (1, 2):
                vitals = replace(VITALS, moved=moved)
                await asyncio.sleep(2 * LOOK)
                assert board.stalled() == []
                await asyncio.sleep(2 * PATIENCE)
                assert board.stalled() == board.stalled() != []
                assert len(told(logs, "serve.stalled")) == moved

    virtual_time.run(scenario())


def test_what_only_reads_on_is_alive() -> None:
    """A log of nothing but aborted transactions brings no record, and its end comes nearer."""

    async def scenario() -> None:
        board, edge = Board(Edge(), PATIENCE), an_edge(unread=range(10**9))
        board.live(lambda: IDLE, edge, edge)
        for step in range(1_000):
            edge.unread = range(step, 10**9)
            await asyncio.sleep(LOOK)
            assert board.stalled() == []

    virtual_time.run(scenario())


def test_between_two_lives_there_is_no_stall() -> None:
    """Who waits for brokers or leaves them is not ready and says why, and is alive; a new life is looked at afresh."""

    async def scenario() -> None:
        board = Board(Edge(), PATIENCE)
        with looking_out(board) as logs:
            board.wait("starting again: the producer is lost")
            await asyncio.sleep(HOURS)
            assert board.unready() == ["starting again: the producer is lost"]
            board.live(lambda: VITALS, Edge(), Edge())
            await asyncio.sleep(PATIENCE / 2)
            board.live(lambda: VITALS, Edge(), Edge())
            await asyncio.sleep(PATIENCE * 3 / 4)
            assert board.stalled() == []
            assert not logs

    virtual_time.run(scenario())
