"""What is written to the input topic: an endless row of documents, chosen by a seed.

Each has a name that no other has, in the header `judge-name` and, as a mark, in its text: the judge knows it by
that, and does to it what its mark asks for. Whether a record deserves entities or a dead letter shows in its name
and mark alone; nothing about it is kept beside the topic.
"""

import json
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

NAME: Final = "judge-name"

PARTITIONS: Final = 6
KEYS: Final = 240
"""So few that a key comes again while its last document is still in a job."""

WITHOUT_KEY: Final = 0.15

MARKS: Final = {
    "": 10_000,
    # passing: a document deserves its entities all the same
    "missing*1": 60, "missing*2": 30, "fails*1": 20, "partial*1": 20, "cancelled*1": 10, "expired*1": 10,
    "vanishes*1": 4, "status-500*2": 20, "status-503*1": 20, "reset*1": 20, "hang*1": 2, "accepted-reset*1": 6,
    "accepted-500*1": 6, "poll-500*2": 20, "poll-reset*1": 20, "not-json*1": 20, "cut-short*1": 20, "broken-off*1": 20,
    "slow*1": 4, "deep*1": 4, "repeated": 40, "stranger": 40,
    # lasting: a dead letter
    "refused": 12, "too-large": 6, "error": 40, "missing": 6, "fails": 2,
}  # fmt: skip
"""What marks ask for (the judge's names of faults; `*n`: so many times), and how often."""

TOMBSTONES: Final = 0.04
INVALID: Final = 0.02
UNREADABLE: Final = (b"{", b"not JSON", b"\xff\xfe{}", b"[]", b'{"text": 7}', b'{"body": "none"}', b'{"text": "  "}')

BULK: Final = 30_000
"""Bytes that a bulky document carries besides its text."""

WORDS: Final = (
    "pump",
    "valve",
    "🚨",
    "since",
    "night",
    "São",
    "Łódź",
    "pressure",
    "12:04",
    "web-7",
    "ß",
    "naïve",
    "👩‍🚒",
)


class Written(Struct, frozen=True):
    """One record of the input topic."""

    name: str
    partition: int
    key: bytes | None
    value: bytes | None


class How(Enum):
    """How records are written."""

    PLAINLY = "plainly"
    COMMITTED = "in a transaction that is committed"
    ABORTED = "in a transaction that is aborted"


class Sheaf(Struct, frozen=True):
    """Records that are written together."""

    how: How
    records: Sequence[Written]


def sheaves(seed: int, marks: Mapping[str, int] = MARKS, bulky: float = 0.0) -> Iterator[Sheaf]:
    """Write documents without end, some of them in transactions; a part is bulky: its entities are, too."""
    dice = random.Random(f"documents {seed}")
    number = 0
    while True:
        how = dice.choices(list(How), (96, 2, 2))[0]
        size = 1 if how is How.PLAINLY else dice.randint(2, 8)
        yield Sheaf(how, [_record(dice, f"doc-{n}", marks, bulky) for n in range(number, number + size)])
        number += size


def _record(dice: random.Random, name: str, marks: Mapping[str, int], bulky: float) -> Written:
    key = None if dice.random() < WITHOUT_KEY else f"key-{min(dice.randrange(KEYS), dice.randrange(KEYS))}".encode()
    partition = dice.randrange(PARTITIONS) if key is None else zlib.crc32(key) % PARTITIONS
    kind = dice.random()
    if kind < TOMBSTONES and key is not None:
        return Written(name, partition, key, None)
    if kind < TOMBSTONES + INVALID:
        return Written(name, partition, key, dice.choice(UNREADABLE))
    [fault] = dice.choices(list(marks), list(marks.values()))
    document: dict[str, object] = {"text": _text(dice, name, fault)}
    if dice.random() < bulky:
        document["metadata"] = {"filler": "x" * BULK}  # handed on untouched
    return Written(name, partition, key, json.dumps(document, ensure_ascii=False).encode())


def _text(dice: random.Random, name: str, fault: str) -> str:
    """Put the mark somewhere between words."""
    words = dice.choices(WORDS, k=dice.randint(4, 60))
    words.insert(dice.randrange(len(words)), f"<<{name} {fault}>>" if fault else f"<<{name}>>")
    return " ".join(words)
