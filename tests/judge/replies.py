"""How answers look: the plain ones, and those that are wrong on purpose."""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from tests.judge import dialect, refusals
from tests.judge.books import NO_ANSWER
from tests.judge.refusals import Refusal

Delivery = Literal["whole", "hang", "reset", "broken-off", "huge", "slow"]
"""How an answer travels: as it is; never; its connection reset; half of it; forty times over; a byte now and then."""

DEPTH: Final = 100_000
"""Levels of what is nested too deep to be read."""
HUGE: Final = 40
"""How many times the body of a huge answer, a megabyte, is sent."""


class Reply(Struct, frozen=True):
    """An answer, and what the books say of it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    delivery: Delivery = "whole"
    fault: str | None = None
    """What made it as it is."""
    told: str = "none"
    """The status of a job that a client can read in it."""
    after: float = 0.0
    """Seconds that it is held before it is sent."""


def refused(refusal: Refusal, fault: str | None = None) -> Reply:
    """Answer with an error."""
    return Reply(refusal.status, refusal.body, fault=fault)


def _failed(status: int, fault: str) -> Reply:
    return refused(refusals.server_error(status), fault)


def _hanging(fault: str) -> Reply:
    return Reply(NO_ANSWER, delivery="hang", fault=fault)


def _reset(fault: str) -> Reply:
    return Reply(NO_ANSWER, delivery="reset", fault=fault)


OUTAGES: Final = {
    "status": _failed(503, "down"),
    "hang": _hanging("down"),
    "reset": _reset("down"),
    "refused": _reset("down"),  # of a connection that was open before
}

_WRONG: Final = (
    _failed(500, "status-500"),
    _failed(502, "status-502"),
    _failed(503, "status-503"),
    _failed(504, "status-504"),
    _failed(408, "status-408"),
    _hanging("hang"),
    _reset("reset"),
    refused(refusals.ALL_EMPTY, "refused"),
    refused(refusals.TOO_LARGE, "too-large"),
    Reply(307, headers={"Location": f"http://elsewhere.invalid{dialect.JOBS}"}, fault="redirect"),
    _hanging("accepted-hang"),
    _reset("accepted-reset"),
    _failed(500, "accepted-500"),
    _failed(500, "poll-500"),
    _failed(503, "poll-503"),
    _hanging("poll-hang"),
    _reset("poll-reset"),
    Reply(200, b"<html><body>Our services aren't available right now</body></html>", fault="not-json"),
    Reply(200, b"[" * DEPTH + b"]" * DEPTH, fault="deep"),
    Reply(200, b" " * 1_000_000, delivery="huge", fault="huge"),
)
WRONG: Final = {reply.fault: reply for reply in _WRONG}
"""The faults that look the same whatever they strike, by name."""


def spoiled(reply: Reply, fault: str) -> Reply:
    """Spoil a right answer: `cut-short`, `broken-off` or `slow`."""
    if fault == "cut-short":
        return Reply(reply.status, reply.body[: len(reply.body) // 2], fault=fault)
    delivery: Delivery = "slow" if fault == "slow" else "broken-off"
    return msgspec.structs.replace(reply, delivery=delivery, fault=fault, told="none")
