"""Jobs as data: what may follow what, and how long each is kept. No clock is read here: time is an argument.

A job holds bytes only, its work until it has ended and its result from then on, so what is kept can be counted.
"""

import math
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from entity_stream.core.wire.errors import Fault
from entity_stream.core.wire.service_job import Faulty, Found, ServedJob, ServedTask, Status
from entity_stream.core.wire.service_submit import Submission, SubmittedTask
from entity_stream.core.wire.shapes import InputDocument

NEXT: Final[Mapping[Status, frozenset[Status]]] = {
    "notStarted": frozenset({"running", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""What may follow a status; a job that nothing may follow has ended."""
LIFETIME: Final = timedelta(hours=24)
"""From a job's submit until it is forgotten, as the service has it."""
FAILURE: Final = "Failed to process task after several retry"
"""What the service says of a task that failed."""
OVERHEAD: Final = 2_000
"""Bytes of a job beside its work, its result and its names (measured, rounded up)."""
SHORTEST_PAUSE: Final = 1
LONGEST_PAUSE: Final = 60
"""Seconds for which who is refused is sent away."""


class Work(Struct, frozen=True):
    """What a worker is handed: the texts, and the units in which offsets are asked for."""

    documents: tuple[InputDocument, ...]
    string_indexes: tuple[str, ...]


Answers = dict[str, tuple[Found | Faulty, ...]]
"""By string index: what was found in each text, in the order of the texts."""


class Limits(Struct, frozen=True):
    """How much is kept."""

    waiting: int = 256
    """Jobs that nobody works on yet."""
    memory: int = 256_000_000
    """Bytes of all jobs. Above it, ended ones are forgotten, the oldest first."""
    keep_for: timedelta = timedelta(minutes=10)
    """No ended job is forgotten sooner, whatever it costs: its client may be restarting."""


class Job(Struct, frozen=True):
    """A job as it stands."""

    id: str
    status: Status
    created: datetime
    last_updated: datetime
    display_name: str | None
    tasks: tuple[SubmittedTask, ...]
    work: bytes
    result: bytes = b""

    @property
    def expires(self) -> datetime:
        """When it is forgotten at the latest."""
        return self.created + LIFETIME

    @property
    def weight(self) -> int:
        """Bytes that it costs."""
        names = len(self.display_name or "") + sum(len(task.name or "") for task in self.tasks)
        return OVERHEAD + len(self.work) + len(self.result) + names


class Full(Exception):
    """There is no room for a job: try again in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"no room for a job within {retry_after} s")
        self.retry_after = retry_after


class Jobs:
    """All jobs there are. `now` never has to grow: a clock that is set back only delays what is forgotten."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: dict[str, Job] = {}  # in the order in which they were submitted
        self._waiting: dict[str, None] = {}  # a set that keeps its order, as the next one
        self._ended: dict[str, None] = {}
        self._memory = 0

    @property
    def memory(self) -> int:
        """Bytes that all jobs cost."""
        return self._memory

    def submit(self, job_id: str, submission: Submission, now: datetime) -> None:
        """Take a job in. Raises Full."""
        self._forget(now)
        job = _new(job_id, submission, now)
        if len(self._waiting) >= self._limits.waiting:
            raise Full(SHORTEST_PAUSE)
        if self._memory + job.weight > self._limits.memory:
            raise Full(self._pause(now))
        self._jobs[job_id] = job
        self._waiting[job_id] = None
        self._memory += job.weight

    def begin(self, now: datetime) -> Job | None:
        """Take the job that has waited longest: it runs from now on. None when nothing waits."""
        self._forget(now)
        job_id = next(iter(self._waiting), None)
        if job_id is None:
            return None
        self._move(job_id, "running", now)
        return self._jobs[job_id]

    def succeed(self, job_id: str, result: bytes, now: datetime) -> bool:
        """End a job with a result; False when it is gone, or has ended otherwise."""
        return self._move(job_id, "succeeded", now, result)

    def fail(self, job_id: str, now: datetime) -> bool:
        """End a job without a result; False when it is gone, or has ended otherwise."""
        return self._move(job_id, "failed", now)

    def cancel(self, job_id: str, now: datetime) -> bool:
        """End a job whose result nobody wants; False when it is gone, or has ended already."""
        return self._move(job_id, "cancelled", now)

    def find(self, job_id: str, now: datetime) -> Job | None:
        """Look a job up; None when there never was one, or is no more."""
        self._forget(now)
        job = self._jobs.get(job_id)
        return job if job and now < job.expires else None

    def _move(self, job_id: str, status: Status, now: datetime, result: bytes = b"") -> bool:
        job = self._jobs.get(job_id)
        if job is None or status not in NEXT[job.status]:
            return False
        ended = not NEXT[status]
        moved = msgspec.structs.replace(
            job, status=status, last_updated=now, work=b"" if ended else job.work, result=result
        )
        self._jobs[job_id] = moved  # in its old place: the order stays
        self._memory += moved.weight - job.weight
        self._waiting.pop(job_id, None)
        if ended:
            self._ended[job_id] = None
        return True

    def _drop(self, job: Job) -> None:
        del self._jobs[job.id]
        self._waiting.pop(job.id, None)
        self._ended.pop(job.id, None)
        self._memory -= job.weight

    def _forget(self, now: datetime) -> None:
        """Drop what has expired, and the oldest results while there is too much and they are not young."""
        while (job := self._first(self._jobs)) and job.expires <= now:
            self._drop(job)
        while self._memory > self._limits.memory and (job := self._first(self._ended)):
            if now < job.last_updated + self._limits.keep_for:
                break
            self._drop(job)

    def _first(self, ids: Mapping[str, object]) -> Job | None:
        job_id = next(iter(ids), None)
        return None if job_id is None else self._jobs[job_id]

    def _pause(self, now: datetime) -> int:
        """Seconds until a result may be forgotten, within reason."""
        oldest = self._first(self._ended)
        wait = (oldest.last_updated + self._limits.keep_for - now).total_seconds() if oldest else 0.0
        return min(max(math.ceil(wait), SHORTEST_PAUSE), LONGEST_PAUSE)


_packer = msgspec.msgpack.Encoder()
_work_unpacker = msgspec.msgpack.Decoder(Work)
_answers_unpacker = msgspec.msgpack.Decoder(Answers)


def _new(job_id: str, submission: Submission, now: datetime) -> Job:
    string_indexes = tuple(dict.fromkeys(task.string_index for task in submission.tasks))
    work = _packer.encode(Work(submission.documents, string_indexes))
    return Job(job_id, "notStarted", now, now, submission.display_name, submission.tasks, work)


def unpack_work(work: bytes) -> Work:
    """Read the work of a job."""
    return _work_unpacker.decode(work)


def pack_answers(answers: Answers) -> bytes:
    """Write the result of a job: entities are much alike, a quick compression saves most of them."""
    return zlib.compress(_packer.encode(answers), level=1)


def serve(job: Job) -> ServedJob:
    """Say of a job all that a poll may tell."""
    answers = _answers_unpacker.decode(zlib.decompress(job.result)) if job.result else {}
    return ServedJob(
        id=job.id,
        status=job.status,
        created=job.created,
        last_updated=job.last_updated,
        expires=job.expires,
        tasks=tuple(
            ServedTask(
                task.name,
                task.project,
                task.deployment,
                job.status,
                job.last_updated,
                answers.get(task.string_index, ()),
            )
            for task in job.tasks
        ),
        errors=_failures(job) if job.status == "failed" else (),
        display_name=job.display_name,
    )


def _failures(job: Job) -> tuple[Fault, ...]:
    return tuple(
        Fault("InternalServerError", FAILURE, target=f"#/tasks/items/{place}") for place in range(len(job.tasks))
    )
