"""Our place in the consumer group: as whom the group knows us, when it last said so, and what we hold by it.

What we hold, we hold under the standing it was assigned with. Nothing is said to the group for it under any other:
aiokafka repeats a commit under whatever generation it has by then, and so puts an old position over a new owner's.
"""

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from enum import Enum

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.api import Response
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from entity_stream.core.model import Partition
from entity_stream.moments import Errand
from entity_stream.ports import Lease, StartAgain

log = structlog.get_logger("entity_stream.kafka")

PAUSE = 0.2
"""Seconds between two questions while the group's coordinator is away."""

HEARTBEAT = 1.0
"""Seconds between two heartbeats: so soon a member learns that the group rebalances."""


def heartbeat(session: float) -> float:
    """Seconds between two heartbeats of a session."""
    return min(HEARTBEAT, session / 10)


def term(session: float) -> float:
    """Seconds for which a lease holds, from when we asked for the proof it rests on.

    The broker gives our partitions away a session after it last heard from us; or, when the group rebalances, a session
    after that began, which we learn one heartbeat later, two at the most.
    """
    return session - 2 * heartbeat(session)


def freshness(session: float) -> float:
    """Seconds after which a proof is renewed before anything is begun: half of its term is left to act in."""
    return term(session) / 2


def boot_time() -> float:
    """Seconds that also pass while the machine sleeps: the brokers' clock does not stop."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


RIVALRY = 60.0
"""Seconds within which a member that is ousted three times, although just heard from, has a rival by its name."""


class Standing(Struct, frozen=True):
    """As whom the group knows a member; once it is gone it never comes back."""

    generation: int
    member: str


NOBODY = Standing(-1, "")


class _Answer(Enum):
    """What the group's coordinator makes of what we say."""

    YES = "yes"
    REBALANCING = "we are a member, and have to join anew"
    NO = "we are no member, or not as whom we spoke"
    AWAY = "none"


ANSWERS: dict[type[Exception], _Answer] = {
    errors.NoError: _Answer.YES,
    errors.RebalanceInProgressError: _Answer.REBALANCING,
    errors.UnknownMemberIdError: _Answer.NO,
    errors.IllegalGenerationError: _Answer.NO,
}
MOVED = (errors.GroupCoordinatorNotAvailableError, errors.NotCoordinatorForGroupError, errors.RequestTimedOutError)


class Membership:
    """What the group has given us, and under which standing; asks and commits in that name only."""

    def __init__(self, consumer: AIOKafkaConsumer, session: float, clock: Callable[[], float] = boot_time) -> None:
        """Take part as `consumer` does. `session`: seconds of silence after which the group goes on without us."""
        self._consumer, self._clock = consumer, clock
        self._fresh_for, self._term = freshness(session), term(session)
        self._under = NOBODY
        self._held: Collection[Partition] = ()
        self.positions: dict[Partition, int] = {}
        """What is committed, of what we hold."""
        self._proven, self._proven_at = NOBODY, -math.inf
        self._asking = Errand()
        self._ousted: deque[float] = deque(maxlen=3)

    @property
    def trouble(self) -> str | None:
        """Why we cannot keep what we are given, if that is so."""
        rival = len(self._ousted) == 3 and self._clock() - self._ousted[0] < RIVALRY
        return self._rival if rival else None

    @property
    def _rival(self) -> str:
        name = self._coordinator._group_instance_id  # noqa: SLF001 (the client has no other way to it)
        return f"another member of the group goes by the name '{name}': each takes the partitions from the other"

    def reason(self, error: errors.KafkaError) -> str:
        """Say why the client cannot read: it does not know the answer to who comes by a name that is taken."""
        fenced = errors.UnknownError.__name__ in str(error) and self._coordinator._group_instance_id  # noqa: SLF001
        return self._rival if fenced else repr(error)

    @property
    def _coordinator(self) -> GroupCoordinator:
        return self._consumer._coordinator  # noqa: SLF001 (the client tells nobody who it is in the group, nor when it heard from it)

    @property
    def group(self) -> str:
        """The group's name."""
        name: str = self._coordinator.group_id
        return name

    @property
    def standing(self) -> Standing:
        """As whom the group knows us now, as far as we have heard."""
        return Standing(self._coordinator.generation, self._coordinator.member_id)

    def hold(self, partitions: Collection[Partition], under: Standing) -> None:
        """Hold these partitions, and none but these, as long as that is our standing.

        Through rebalances a member keeps its id. Who is given another although the group has just heard from it was
        ousted by its own name: static members go by one.
        """
        ousted = self._under.member not in {NOBODY.member, under.member}
        if ousted and self._clock() - self._proven_at < self._fresh_for:
            self._ousted.append(self._clock())
        self._held, self._under, self.positions = frozenset(partitions), under, {}

    def holds(self, partition: Partition) -> bool:
        """Tell whether a partition is ours as far as we have heard; if it is not, it never will be again."""
        return partition in self._held and self.standing == self._under

    async def prove(self) -> bool:
        """Tell whether what we hold is ours: who was stopped, or cut off, may have been given up by the group.

        A commit is a proof, and there are many; after a lull we ask. No proof while the coordinator is away: wait.
        One asks for all who wait.
        """
        while not self._is_fresh():
            if await self._asking.seen_out():
                continue
            with self._asking.run():
                known = await self.confirm(self._under)
            if not known or self._leased()():  # or the answer came too late to act upon
                return known
        return True

    async def lease(self) -> Lease | None:
        """Prove it, and return how long that holds."""
        return self._leased() if await self.prove() else None

    def _leased(self) -> Lease:
        under, until = self._under, self._proven_at + self._term
        return lambda: self.standing == under and self._clock() <= until

    def _is_fresh(self) -> bool:
        same = self._proven == self._under == self.standing
        return same and self._clock() - self._proven_at <= self._fresh_for

    async def confirm(self, standing: Standing) -> bool:
        """Ask the group, now, whether it knows us by a standing; wait until it answers.

        While it rebalances it does: nobody else has what is ours before we have joined anew, or a session has passed.
        """
        while self.standing == standing and standing != NOBODY:
            said = HeartbeatRequest(self.group, standing.generation, standing.member)
            match await self._ask(standing, said, lambda answer: [answer.error_code]):
                case _Answer.AWAY:
                    await asyncio.sleep(PAUSE)
                case answer:
                    return answer is not _Answer.NO
        return False

    async def commit(self, positions: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit positions of what we hold; False when it was not ours any more, or nothing is left to commit.

        Sent again as long as our standing is the one it began with. That is right while the group rebalances, too: what
        we have published is ours to commit until the release, which cancels us, hands the partitions over.
        """
        standing = self._under
        while positions and self.standing == standing:
            said = _commit_request(self.group, standing, positions)
            match await self._ask(standing, said, _codes_of_commit):
                case _Answer.YES:
                    return True
                case _Answer.NO:
                    return False
                case _:
                    await asyncio.sleep(PAUSE)
        return False

    async def _ask(
        self, standing: Standing, said: HeartbeatRequest | OffsetCommitRequest, codes: Callable[[Response], list[int]]
    ) -> _Answer:
        """Say something to the coordinator under a standing; what it answers is news for the client, too."""
        sent = self._clock()
        try:
            answer = await self._coordinator._send_req(said)  # noqa: SLF001 (`commit` repeats under another generation)
        except errors.KafkaError:
            return _Answer.AWAY
        read = _read(self._coordinator, codes(answer))
        if read in {_Answer.YES, _Answer.REBALANCING}:
            self._proven, self._proven_at = standing, sent
        if self.standing == standing and read is _Answer.REBALANCING:
            self._coordinator.request_rejoin()
        if self.standing == standing and read is _Answer.NO:
            log.warning("group.lost", generation=standing.generation)
            self._coordinator.reset_generation()
        return read


def _commit_request(
    group: str, standing: Standing, positions: Mapping[TopicPartition, OffsetAndMetadata]
) -> OffsetCommitRequest:
    by_topic = defaultdict(list)
    for place, commit in positions.items():
        by_topic[place.topic].append((place.partition, commit.offset, commit.metadata))
    as_the_broker_likes = OffsetCommitRequest.DEFAULT_RETENTION_TIME
    return OffsetCommitRequest(group, standing.generation, standing.member, as_the_broker_likes, list(by_topic.items()))


def _codes_of_commit(answer: Response) -> list[int]:
    return [code for _, partitions in answer.topics for _, code in partitions]


def _read(coordinator: GroupCoordinator, codes: Collection[int]) -> _Answer:
    """Make one answer of several: all must say yes. Raises StartAgain for what waiting does not mend."""
    found = {errors.for_code(code) for code in codes}
    for error in found - ANSWERS.keys():
        if not error.retriable:
            raise StartAgain(f"the group's coordinator refuses: {error()!r}")
        if issubclass(error, MOVED):
            coordinator.coordinator_dead()
    if found - ANSWERS.keys():
        return _Answer.AWAY
    said = {ANSWERS[error] for error in found}
    return next((answer for answer in (_Answer.NO, _Answer.REBALANCING, _Answer.YES) if answer in said), _Answer.AWAY)
