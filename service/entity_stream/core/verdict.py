"""What an answer of the API means for us: Done, Wait, Freeze, Halve, Again or Park."""

from typing import Generic, TypeVar

from msgspec import Struct

from entity_stream.core.model import Document, Job, Outcome, Reason

T = TypeVar("T")


class Done(Struct, Generic[T], frozen=True):
    """The answer is there."""

    value: T


class Running(Struct, frozen=True):
    """The job has not ended: ask again when its result is likely there."""


class Wait(Struct, frozen=True):
    """Passing trouble (5xx, no connection, no answer in time): ask the same again after a pause."""

    cause: str


class Freeze(Struct, frozen=True):
    """Too fast (429): nobody calls this operation before `seconds` have passed."""

    cause: str
    seconds: float | None = None
    """What Retry-After says; None where it says nothing usable."""


class Halve(Struct, frozen=True):
    """This request would be refused again: submit its halves. A document alone is rejected."""

    reason: Reason


class Again(Struct, frozen=True):
    """The job will bring nothing more: submit what is missing again."""

    cause: str
    certain: bool = True
    """False: believe it only when a second answer, a little later, says the same."""


class Park(Struct, frozen=True):
    """Not the documents' fault (key, permission, project, deployment): nothing is called until an operator mends it."""

    cause: str


class Judged(Struct, frozen=True):
    """The result of a job, matched with its batch by id."""

    outcomes: tuple[Outcome, ...]
    missing: tuple[Document, ...]
    """Documents that the result does not speak of."""


SubmitVerdict = Done[Job] | Wait | Freeze | Halve | Park
PollVerdict = Done[Judged] | Running | Wait | Freeze | Again | Park
