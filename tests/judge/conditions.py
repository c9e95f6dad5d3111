"""What the endpoint does: everything about it that a test may change while it runs, as values of JSON.

Names of faults are grouped by where they strike. A name that is in no group, or a field that is none, is
refused where conditions are read: a misspelled fault would never strike, and its test would prove nothing.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

Operation = Literal["submit", "poll"]
RetryAfter = Literal["seconds", "date", "none", "absurd"]

SubmitFault = Literal[
    "throttled", "status-500", "status-502", "status-503", "status-504", "status-408",
    "hang", "reset", "refused", "too-large", "redirect",
]  # fmt: skip
"""A submit is not accepted."""
LostAnswer = Literal["accepted-hang", "accepted-reset", "accepted-500"]
"""A submit is accepted, but its answer does not name the job."""
PollFault = Literal[
    "poll-throttled", "poll-500", "poll-503", "poll-hang", "poll-reset",
    "cut-short", "broken-off", "not-json", "huge", "deep", "slow",
]  # fmt: skip
"""A poll is not answered as it should be; the next one may be."""
JobFault = Literal["fails", "partial", "cancelled", "expired", "vanishes"]
"""The job does not end well."""
ResultFault = Literal["missing", "error", "repeated", "stranger"]
"""The job ends well, but its result speaks wrongly of a document."""

FaultName = SubmitFault | LostAnswer | PollFault | JobFault | ResultFault

ON_SUBMIT: Final[frozenset[str]] = frozenset(get_args(SubmitFault))
LOST_ANSWERS: Final[frozenset[str]] = frozenset(get_args(LostAnswer))
ON_POLL: Final[frozenset[str]] = frozenset(get_args(PollFault))
ON_JOB: Final[frozenset[str]] = frozenset(get_args(JobFault))
IN_RESULT: Final[frozenset[str]] = frozenset(get_args(ResultFault))
FAULTS: Final = ON_SUBMIT | LOST_ANSWERS | ON_POLL | ON_JOB | IN_RESULT

Part = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


class Duration(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How long a job takes, in seconds from its acceptance."""

    fixed: Seconds = 0.05
    per_document: Seconds = 0.0
    jitter: Part = 0.0
    """The part by which a job may take longer or shorter."""
    tail_rate: Part = 0.0
    """Of so many jobs each takes `tail_seconds` longer."""
    tail_seconds: Seconds = 0.0
    drift: float = 0.0
    """The part by which jobs get longer with each minute since the endpoint started or was cleared."""


class Limit(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """So many calls in so many seconds, of each key, its operations counted together."""

    kind: Literal["tokenBucket", "fixedWindow", "slidingWindow"]
    calls: Annotated[int, Meta(gt=0)]
    seconds: Annotated[float, Meta(gt=0)]
    operations: Sequence[Operation] = ("submit", "poll")
    burst: Annotated[int, Meta(gt=0)] | None = None
    """What a token bucket holds when it is full; `calls` where it is not said."""


class Fault(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A trouble that strikes a part of all calls, jobs or documents that it can strike."""

    what: FaultName
    rate: Part = 1.0
    times: Count | None = None
    """At most so often, then it is spent."""
    who: str | None = None
    """Only calls with this key."""


class Conditions(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """All of it; replaced whole. Faults and dice begin anew with it, limits only if they are others."""

    keys: Sequence[str] = ("key",)
    """Whoever sends another one gets 401. Each has a quota of its own; any may poll all jobs."""
    project: str = "project"
    deployment: str = "deployment"
    duration: Duration = Duration()
    answers_after: Seconds = 0.0
    """A submit that is accepted is told so that much later; its job begins at once."""
    limits: Sequence[Limit] = ()
    retry_after: RetryAfter = "seconds"
    """How a 429 says when to return; what is absurd (fifteen days) is not meant."""
    faults: Sequence[Fault] = ()
    entities: Annotated[int, Meta(ge=1)] = 5
    """Of each document, the one that is its name included."""
    seed: int = 1
    refuse: Literal[401, 403, 404] | None = None
    """Every call gets this status."""
    down: Literal["status", "hang", "reset", "refused"] | None = None
    """An outage: 503 for all, no answer, a connection reset, no connection at all."""
    elsewhere: str | None = None
    """The base of the URLs in answers, where it is not our own."""


_decoder = msgspec.json.Decoder(Conditions)


def decode_conditions(body: bytes) -> Conditions:
    """Read conditions. Raises msgspec.ValidationError or DecodeError, which say what is wrong and where."""
    return _decoder.decode(body)
