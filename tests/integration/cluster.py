"""Kafka nodes of our own that can be killed and started again on what they kept: one, or several with replicas.

The rule that keeps it honest: a node that is told to be up has answered a consumer group, and none outlives its block.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.integration.node import (
    HOST,
    START_PATIENCE,
    NoBroker,
    check_java,
    fetched_jars,
    formatted,
    free_ports,
    is_at_work,
    java,
    leash,
    node_properties,
)
from tests.integration.topics import admin, until

STOP_PATIENCE = 60.0
"""Seconds that a broker told to stop may take: it hands its leaderships over and writes its logs."""

REPLICATED = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
)
AT_LEAST = ("min.insync.replicas", "transaction.state.log.min.isr")
MISSED = 3.0
"""Seconds until a killed broker is missed: so long its leaderships stay, and it may not come back. Nine by default."""
SOON_MISSED = {"broker.heartbeat.interval.ms": "500", "broker.session.timeout.ms": str(int(MISSED * 1000))}


class Node:
    """One broker: a folder that stays, and a process that comes and goes."""

    def __init__(self, number: int, folder: Path, port: int) -> None:
        self.number, self.folder, self.port = number, folder, port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """What it has said in all its lives."""
        return self.folder / "broker.log"

    async def start(self, jars: Path) -> None:
        """Start it on what it kept; return once it answers. Raises NoBroker."""
        command = leash(java(jars, "kafka.Kafka", str(self.folder / "broker.properties")))
        with self.log.open("ab") as said:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        try:
            async with asyncio.timeout(START_PATIENCE):
                await until(self._is_up)
        except (ChildProcessError, TimeoutError) as error:
            raise NoBroker(f"broker {self.number} did not start; {self.log} says why") from error

    async def _is_up(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise ChildProcessError("it ended")
        return await is_at_work(self.port)

    async def end(self, how: signal.Signals) -> None:
        """Signal it, and return when it is gone; one that does not go when told is killed."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, how)
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._process = None


class Cluster:
    """Some nodes that know each other."""

    def __init__(self, nodes: Sequence[Node], jars: Path) -> None:
        self.nodes, self._jars = tuple(nodes), jars

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    async def start(self, *nodes: Node) -> None:
        """Start nodes together; a cluster of three answers only when two of them do. Raises NoBroker."""
        await asyncio.gather(*[node.start(self._jars) for node in nodes])

    async def leader(self, topic: str, index: int) -> Node:
        """Say which node leads a partition now; any one while none does, or there is no such partition yet."""
        async with admin(self.bootstrap) as client:
            [described] = await client.describe_topics([topic])
        leaders = {each["leader"] for each in described["partitions"] if each["partition"] == index}
        return next((node for node in self.nodes if node.number in leaders), self.nodes[0])


@asynccontextmanager
async def cluster(folder: Path, size: int = 1) -> AsyncIterator[Cluster]:
    """Run brokers until the block ends; their logs stay in the folder. Raises NoBroker."""
    check_java()
    jars, ports = fetched_jars(), free_ports(2 * size)
    nodes = [Node(number, folder / f"broker-{number}", ports[number - 1]) for number in range(1, size + 1)]
    for node in nodes:
        node.folder.mkdir(parents=True)
        formatted(node.folder, jars, _properties(node, ports[size:]))
    found = Cluster(nodes, jars)
    try:
        await found.start(*nodes)
        yield found
    finally:
        for node in nodes:
            await node.end(signal.SIGKILL)
            shutil.rmtree(node.folder / "data", ignore_errors=True)


def _properties(node: Node, controllers: Sequence[int]) -> Mapping[str, str]:
    """Tell a node who votes with it, and how many copies there are of everything: one of each node, one may be away."""
    voters = ",".join(f"{number}@{HOST}:{port}" for number, port in enumerate(controllers, 1))
    size = len(controllers)
    return (
        node_properties(node.folder, node.port, controllers[node.number - 1])
        | SOON_MISSED
        | {"node.id": str(node.number), "controller.quorum.voters": voters}
        | dict.fromkeys(REPLICATED, str(size))
        | dict.fromkeys(AT_LEAST, str(size // 2 + 1))
    )
