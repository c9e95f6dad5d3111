"""What the endpoint saw and did, one event a line: the evidence that the checker rests on.

Books are written as they happen and never corrected; a line is complete or not there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from tests.judge.conditions import Conditions

Fate = Literal["succeeded", "failed", "partial", "cancelled", "expired", "vanished"]
"""How a job ends; known when it is accepted."""

NO_ANSWER = 0
"""The status of a call that got none."""


class Submit(Struct, frozen=True, tag="submit", tag_field="event"):
    """A call to submit documents, and what became of it."""

    at: float
    """Seconds since 1970, as everywhere in the books."""
    who: str
    """The key that was sent."""
    status: int
    job: str | None = None
    """Set whenever the submit was accepted, also when its answer was lost."""
    documents: Sequence[str] = ()
    """Names, in the order of the request: of the mark in the text, else the wire id."""
    ids: Sequence[str] = ()
    """Wire ids, in the same order."""
    probe: bool = False
    """A document alone whose id is `probe`: billed, but never billed twice."""
    ends: float | None = None
    """When the job ends; None where there is no job."""
    fate: Fate | None = None
    without: Sequence[str] = ()
    """Names that the job's result will never bring; all of them where it brings none."""
    early: bool = False
    """Sent before a Retry-After had passed."""
    fault: str | None = None
    """The fault that made the answer what it is."""
    answered: float | None = None
    """When the answer was sent, where that was not at once."""
    barren: bool = False
    """The job's result has entities for nobody: who inherits it need not believe that the model was whole."""


class Poll(Struct, frozen=True, tag="poll", tag_field="event"):
    """A call for the status of a job."""

    at: float
    who: str
    """The key that was sent: not always that of the submit."""
    status: int
    job: str
    told: str = "none"
    """The job's status, as the answer says it; `none` where it says no status that a client could read."""
    early: bool = False
    fault: str | None = None


class Change(Struct, frozen=True, tag="conditions", tag_field="event"):
    """From here on these conditions hold."""

    at: float
    conditions: Conditions


Event = Submit | Poll | Change


class Tally(Struct):
    """The books in figures."""

    submits: int = 0
    accepted: int = 0
    documents: int = 0
    """In accepted submits, probes left out."""
    polls: int = 0
    throttled: dict[str, int] = field(default_factory=lambda: {"submit": 0, "poll": 0})
    early: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    by_status: dict[int, int] = field(default_factory=dict)

    def count(self, call: Submit | Poll) -> None:
        """Add a call."""
        if isinstance(call, Submit):
            self.submits += 1
            self._count_accepted(call)
        else:
            self.polls += 1
        if call.status == 429:
            self.throttled["submit" if isinstance(call, Submit) else "poll"] += 1
        self.early += call.early
        self.first_at = self.first_at or call.at
        self.last_at = call.at
        self.by_status[call.status] = self.by_status.get(call.status, 0) + 1

    def _count_accepted(self, call: Submit) -> None:
        if call.job is not None:
            self.accepted += 1
            self.documents += 0 if call.probe else len(call.documents)


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def write_event(event: Event) -> bytes:
    """Write an event as a line, its end included."""
    return _encoder.encode(event) + b"\n"


def read_events(lines: bytes) -> list[Event]:
    """Read events from lines. Raises msgspec's errors on what is none."""
    return _decoder.decode_lines(lines)


def read_books(path: Path) -> list[Event]:
    """Read all events of a file, in the order they happened."""
    return read_events(path.read_bytes())


class Books:
    """The open books: events gather in memory until `write`."""

    def __init__(self, path: Path) -> None:
        self.path, self.tally = path, Tally()
        self._lines: list[bytes] = []
        self._file = path.open("wb")

    def note(self, event: Event) -> None:
        """Add an event."""
        self._lines.append(write_event(event))
        if not isinstance(event, Change):
            self.tally.count(event)

    def write(self) -> None:
        """Put on disk what has gathered."""
        lines, self._lines = self._lines, []
        self._file.writelines(lines)
        self._file.flush()

    def clear(self) -> None:
        """Forget everything, on disk too."""
        self._lines, self.tally = [], Tally()
        self._file.seek(0)
        self._file.truncate()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.write()
        self._file.close()
