"""How tools print a published message: one line of JSON, whatever key, value and headers hold.

What was published is only read here, never judged; `schemas/` says the form of each line.
"""

from base64 import b64encode

import msgspec

from entity_stream.core.messages import DROPPED, WHY, Message, Source, Topics, moment

OURS = "entity-stream-"
"""What the names of a dead letter's own headers begin with."""

FIRST_OF_OURS = WHY[0]

SPACES = bytes.maketrans(b"\r\n", b"  ")
"""A line break of JSON stands between tokens, where a space says the same."""

Headers = tuple[tuple[str, bytes | None], ...]

_encoder = msgspec.json.Encoder()


def render(message: Message, topics: Topics) -> bytes:
    """Write a published message as one line of JSON, without a line break at its end."""
    if message.topic == topics.dead_letter:
        return _encoder.encode({"deadLetter": _dead_letter(message)})
    if message.value is None:
        return _encoder.encode({"deleted": {"topic": message.topic, **_readable("key", message.key)}})
    return message.value.translate(SPACES)


def _dead_letter(letter: Message) -> dict[str, object]:
    original, ours = _parted(letter.headers)
    rendering: dict[str, object] = {
        "reason": _reason(ours),
        "source": _source(ours),
        **_readable("key", letter.key),
        **_readable("value", letter.value),
        "headers": [{"name": name, **_readable("value", value)} for name, value in original],
    }
    if DROPPED in ours:
        rendering["valueDropped"] = _number(ours, DROPPED)
    return rendering


def _parted(headers: Headers) -> tuple[Headers, dict[str, str]]:
    """Part the original headers from ours behind them. A letter read again and refused again has ours of both times."""
    names = [name for name, _ in headers]
    start = len(names) - names[::-1].index(FIRST_OF_OURS) - 1 if FIRST_OF_OURS in names else len(names)
    behind = headers[start:]
    others = tuple((name, value) for name, value in behind if not name.startswith(OURS))
    ours = {name: (value or b"").decode("utf-8", "replace") for name, value in behind if name.startswith(OURS)}
    return headers[:start] + others, ours


def _reason(ours: dict[str, str]) -> dict[str, str] | None:
    if FIRST_OF_OURS not in ours:
        return None  # somebody else's message
    return {"code": ours[FIRST_OF_OURS], "message": ours.get("entity-stream-message", "")}


def _source(ours: dict[str, str]) -> Source | None:
    partition, offset, timestamp = (_number(ours, OURS + name) for name in ("partition", "offset", "timestamp"))
    topic = ours.get("entity-stream-topic")
    if topic is None or partition is None or offset is None or timestamp is None:
        return None  # somebody else's message
    return Source(topic, partition, offset, moment(timestamp))


def _number(ours: dict[str, str], name: str) -> int | None:
    try:
        return int(ours.get(name, ""))
    except ValueError:
        return None


def _readable(name: str, given: bytes | None) -> dict[str, str | None]:
    """Say bytes as text where they are UTF-8, else in Base64 under a name that says so."""
    if given is None:
        return {name: None}
    try:
        return {name: given.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}Base64": b64encode(given).decode("ascii")}
