"""Records from a Kafka topic, through a consumer group; every assignment is a new epoch.

The rebalance callback only marks. Before a record of a new assignment is taken, the positions of all
its partitions are read, all are sought back to and named, with no await in between: what was fetched
before that is dropped, and only because it will be fetched again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition, errors
from aiokafka.client import ConnectionGroup
from aiokafka.consumer.fetcher import FetchError
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from entity_stream import moments
from entity_stream.core import journal
from entity_stream.core.model import Partition, Record
from entity_stream.core.progress import Begin, begin
from entity_stream.edges.kafka_connection import client_options
from entity_stream.edges.kafka_membership import Membership, Standing, heartbeat
from entity_stream.edges.telemetry import Metrics
from entity_stream.plan import KafkaConnection
from entity_stream.ports import Claim, Fetched, Release, StartAgain

log = structlog.get_logger("entity_stream.kafka")

ONE_READ = 500
"""Records of one read at the most; the rest waits in the client's buffer."""

READ_BYTES = 4_000_000
"""Bytes of one read, about: as many records as fit if they are no larger than the largest of the read before."""

PREFETCH = 1 << 20
"""Bytes the client fetches ahead, per partition."""

VOID = 0.1
"""Seconds until we look again whether the group has assigned anew."""

NEVER = 2**31 - 1
"""Milliseconds after which the client would leave the group for want of a poll: our own watchdog judges that."""


def new_consumer(connection: KafkaConnection) -> AIOKafkaConsumer:
    """Make the consumer that a source reads with and a ledger commits with."""
    session = int(connection.session_timeout * 1000)
    return AIOKafkaConsumer(
        group_id=connection.group,
        group_instance_id=connection.group_instance_id,
        enable_auto_commit=False,
        auto_offset_reset="none",  # 'earliest' would hide what retention deleted before we read it
        isolation_level="read_committed",
        max_poll_interval_ms=NEVER,
        session_timeout_ms=session,
        heartbeat_interval_ms=int(heartbeat(connection.session_timeout) * 1000),
        rebalance_timeout_ms=session,
        max_partition_fetch_bytes=PREFETCH,
        fetch_max_bytes=8 * PREFETCH,
        fetch_max_wait_ms=100,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        **client_options(connection),
    )


Commits = Mapping[TopicPartition, OffsetAndMetadata]
Offsets = Mapping[TopicPartition, int]

Fence = Callable[[Collection[TopicPartition]], Awaitable[None]]
"""Sees that no settle of an older owner can land once it has returned."""


class _Assignment(Struct, frozen=True, eq=False):
    """What the group gave us, and as whom; assigned again, it is another."""

    places: frozenset[TopicPartition]
    standing: Standing


class KafkaSource:
    """One topic's partitions, as the group assigns them to this replica."""

    def __init__(
        self, consumer: AIOKafkaConsumer, topic: str, membership: Membership, fence: Fence, metrics: Metrics
    ) -> None:
        self._consumer, self._topic, self._metrics = consumer, topic, metrics
        self._membership, self._fence = membership, fence
        self._epoch = 0
        self._names: dict[TopicPartition, Partition] = {}
        self._begun: dict[Partition, int] = {}  # the position each was claimed at
        self._assigned: _Assignment | None = None  # marked by the callback, claimed by the next read
        self._one_read = ONE_READ
        self._release: Release | None = None
        self._releasing = asyncio.Lock()
        self._fencing: asyncio.Task[None] | None = None
        self.joined = False
        """The group has spoken, whether or not it gave us partitions."""

    @property
    def away(self) -> bool:
        """Tell whether the broker that leads the group is out of reach."""
        return self._consumer._coordinator.coordinator_id is None  # noqa: SLF001 (the client's only sign of health)

    def on_revoke(self, release: Release) -> None:
        """Join the group; `release` is awaited before partitions go to another member."""
        self._release = release
        self._consumer.subscribe([self._topic], listener=_Listener(self))

    async def read(self, wait: float, without: Collection[Partition] = ()) -> Fetched:
        """Return claims of a new assignment, then records; none of the partitions `without`."""
        try:
            if (assigned := self._assigned) is not None:
                return Fetched(claims=await self._claim(assigned))
            self._pause({tp for tp, name in self._names.items() if name in without})
            records = await self._fetch(wait)
            return Fetched(records=records, reached=self._reached())
        except (errors.OffsetOutOfRangeError, errors.NoOffsetForPartitionError) as error:
            await self._begin_again(error)
        except errors.KafkaTimeoutError as error:  # a leader is away: the partitions stay marked, the next read claims
            log.warning("read.waiting", error=repr(error))
        except errors.KafkaError as error:  # after most of these the client does not go on by itself
            raise StartAgain(f"read: {self._membership.reason(error)}") from error
        return Fetched()

    def _pause(self, unwanted: set[TopicPartition]) -> None:
        """Fetch nothing of these, and again what was paused before; the client lets go what it has fetched ahead."""
        paused = self._consumer.paused()
        self._consumer.pause(*unwanted - paused)
        self._consumer.resume(*paused - unwanted)

    async def _fetch(self, wait: float) -> Sequence[Record]:
        fetched = await self._consumer.getmany(timeout_ms=int(wait * 1000), max_records=self._one_read)
        if self._consumer._fetcher.error_future.done():  # noqa: SLF001 (nobody else would tell: nothing more would come)
            raise StartAgain("read: the client has ceased to fetch")
        if self._marked():
            return ()  # fetched before the seek: it comes again after it
        return self._records(fetched)

    def _reached(self) -> dict[Partition, int]:
        """Tell how far each partition is read; not where the client has an error to tell, as that passes a record."""
        fetched = self._consumer._fetcher._records  # noqa: SLF001 (errors are told only once nothing else is there)
        return {
            name: state.position for tp, name, state in self._states() if not isinstance(fetched.get(tp), FetchError)
        }

    def lags(self) -> dict[tuple[str, int], int]:
        """Offsets between the position of each partition and what can be read of its log, as far as it is known."""
        positions = self._membership.positions
        ends = ((name, self._consumer.last_stable_offset(tp)) for tp, name in self._names.items())
        return {
            (name.topic, name.index): max(0, end - positions.get(name, self._begun[name]))
            for name, end in ends
            if end is not None
        }

    def readable(self) -> dict[Partition, range]:
        """Offsets that could be read now: none behind an open transaction, and none while their leader is away."""
        return {
            name: range(state.position, (state.lso or 0) if self._led(tp) else state.position)
            for tp, name, state in self._states()
        }

    def _states(self) -> Iterator[tuple[TopicPartition, Partition, Any]]:
        """Go through what the client knows of each partition that has a name."""
        held = self._consumer._subscription.subscription  # noqa: SLF001 (the client's own `position` waits for one)
        return ((tp, name, held.assignment.state_value(tp)) for tp, name in self._names.items())

    def _led(self, tp: TopicPartition) -> bool:
        """Tell whether we are connected to the leader of a partition."""
        client = self._consumer._client  # noqa: SLF001 (the client tells nobody when a leader does not answer)
        conn = client._conns.get((client.cluster.leader_for_partition(tp), ConnectionGroup.DEFAULT))  # noqa: SLF001
        return conn is not None and conn.connected()

    async def revoked(self) -> None:
        """Let everything go: rebalancing is eager, what is kept is assigned anew."""
        await self._let_go(None)

    async def _let_go(self, assigned: _Assignment | None) -> None:
        """Forget all names at once and mark what is to be claimed instead; return when all settles have ended."""
        names, self._names, self._assigned, self.joined = list(self._names.values()), {}, assigned, False
        await self._cut_off_the_fence()
        async with self._releasing:  # a rebalance may come while we let go on our own account: it waits for that too
            if names and self._release:
                await self._release(names)

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Mark; no record is taken before the next read has claimed."""
        self._assigned = _Assignment(frozenset(partitions), self._membership.standing)

    async def _claim(self, assigned: _Assignment) -> Sequence[Claim]:
        """Fence, read positions and journals of all, then seek all and name the epoch, with no await in between.

        Whoever was stopped on the way must not fence a new owner, so we ask the group first. It also answers last: who
        is a member now has been one all the time, and what we read is what a fenced owner has left.
        """
        self._membership.hold((), assigned.standing)
        if not await self._membership.confirm(assigned.standing) or self._assigned is not assigned:
            return await self._void()
        places = list(assigned.places)
        if not await self._fenced(places):
            return await self._void()
        committed = await self._consumer._coordinator.fetch_committed_offsets(places)  # noqa: SLF001 (`committed` hides the journal)
        starts, ends = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        if not await self._membership.confirm(assigned.standing) or self._assigned is not assigned:
            return await self._void()
        self._assigned, self.joined = None, True
        claims = self._name(places, committed, starts, ends)
        self._membership.hold(self._begun, assigned.standing)
        log.info("read.assigned", topic=self._topic, partitions=[claim.partition.index for claim in claims])
        return claims

    async def _fenced(self, places: Collection[TopicPartition]) -> bool:
        """Fence older owners; False when the group took the partitions away meanwhile: we would fence their next."""
        fencing = self._fencing = asyncio.ensure_future(self._fence(places))
        try:
            await asyncio.wait([fencing])
        finally:
            await self._cut_off_the_fence()
        return not fencing.cancelled() and fencing.result() is None

    async def _cut_off_the_fence(self) -> None:
        if self._fencing:
            await moments.ended(self._fencing)

    async def _void(self) -> Sequence[Claim]:
        """Claim nothing: the group has assigned anew meanwhile, or is about to; the next read claims that."""
        await asyncio.sleep(VOID)
        return ()

    def _name(
        self, places: Collection[TopicPartition], committed: Commits, starts: Offsets, ends: Offsets
    ) -> list[Claim]:
        """Seek partitions back to their positions, and give them names of a new epoch."""
        self._epoch += 1
        self._begun, claims = {}, []
        for tp in sorted(places):
            commit = committed.get(tp)
            first = begin(commit.offset if commit else None, starts[tp], ends[tp])
            self._consumer.seek(tp, first.position)
            self._names[tp] = name = Partition(tp.topic, tp.partition, self._epoch)
            self._begun[name] = first.position
            metadata = self._journal(tp, commit, ends[tp]) if commit and first.trusted else b""
            self._tell(tp, first, metadata)
            claims.append(Claim(name, first.position, metadata))
        self._pause(set())
        return claims

    def _journal(self, tp: TopicPartition, commit: OffsetAndMetadata, end: int) -> bytes:
        """Take the journal of a commit. One that is foreign, or speaks of another log, means nothing."""
        metadata: bytes = (commit.metadata or "").encode()
        try:
            if metadata:
                journal.read(metadata, commit.offset, end)
        except journal.Unreadable as why:
            self._metrics.count("journals_ignored", topic=tp.topic, partition=str(tp.partition))
            log.warning("read.journal_ignored", topic=tp.topic, partition=tp.partition, reason=str(why))
            return b""
        return metadata

    def _tell(self, tp: TopicPartition, first: Begin, metadata: bytes) -> None:
        place = {"topic": tp.topic, "partition": str(tp.partition)}
        if lost := journal.unsettled(journal.read(metadata), first.position) if metadata else first.lost:
            self._metrics.count("lost_to_retention", lost, **place)
            log.error("read.lost_to_retention", offsets=lost, position=first.position, **place)
        if first.replaced:
            self._metrics.count("logs_replaced", **place)
            log.error("read.log_replaced", position=first.position, **place)

    def _marked(self) -> bool:
        return self._assigned is not None

    async def _begin_again(self, error: errors.KafkaError) -> None:
        """Claim anew: the broker deleted what we were about to read, or had no position for a partition."""
        if not self._marked():
            log.warning("read.out_of_range", error=str(error))
            await self._let_go(_Assignment(frozenset(self._consumer.assignment()), self._membership.standing))

    def _records(self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord[Any, Any]]]) -> list[Record]:
        now = moments.now()
        records = [
            Record(name, r.offset, r.key, r.value, tuple(r.headers), r.timestamp, now)
            for tp, some in fetched.items()
            if (name := self._names.get(tp))
            for r in some
        ]
        if records:
            largest = max(len(record.value or b"") for record in records)
            self._one_read = min(ONE_READ, READ_BYTES // (largest + 1) + 1)
        return records


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands the callbacks of the group on; aiokafka asks for a subclass."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002 (all go)
        await self._source.revoked()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._source.assigned(assigned)
