"""What is written: names that are never given twice, marks that the judge knows, keys that stay in their partition."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import islice

from tests.chaos.documents import BULK, MARKS, PARTITIONS, UNREADABLE, How, Written, sheaves
from tests.judge.conditions import FAULTS
from tests.judge.fates import mark_in

COUNT = 4_000


def records(seed: int, marks: Mapping[str, int] = MARKS) -> list[Written]:
    return [record for sheaf in islice(sheaves(seed, marks), COUNT) for record in sheaf.records]


def test_a_seed_tells_every_document() -> None:
    """The same seed writes the same documents, another seed others."""
    assert records(1) == records(1) != records(2)


def test_no_name_is_given_twice() -> None:
    """Each record has a name of its own."""
    names = [record.name for record in records(1)]
    assert len(set(names)) == len(names)


def test_every_mark_is_read_by_the_judge() -> None:
    """The text of a document holds its own name and a trouble that exists, once and nowhere else."""
    troubles = Counter[str]()
    for record in records(1, dict.fromkeys(MARKS, 1)):
        if record.value and record.value not in UNREADABLE:
            text = record.value.decode()
            mark = mark_in(text)
            assert mark
            assert mark.name == record.name
            assert len(re.findall("<<", text)) == 1
            troubles[mark.trouble or ""] += 1
    assert set(troubles) == {fault.partition("*")[0] for fault in MARKS}
    assert troubles.keys() - {""} <= FAULTS


def test_a_key_stays_in_its_partition() -> None:
    """All records of a key are in one partition; keys come again, and all partitions get records."""
    places, times = defaultdict[bytes | None, set[int]](set), Counter[bytes | None]()
    for record in records(1):
        places[record.key].add(record.partition)
        times[record.key] += 1
    assert places.pop(None) == set(range(PARTITIONS))
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(times) < sum(times.values()) / 10


def test_some_are_bulky_where_that_is_asked_for() -> None:
    """A part of the documents carries so much that no message of that size holds what comes of it; usually none."""
    some = [record.value or b"" for sheaf in islice(sheaves(1, bulky=0.1), COUNT) for record in sheaf.records]
    bulky = [value for value in some if len(value) > BULK]
    assert 0.07 < len(bulky) / len(some) < 0.13
    assert all(json.loads(value)["metadata"] for value in bulky)
    assert all(len(record.value or b"") < BULK for record in records(1))


def test_every_kind_of_record_is_written() -> None:
    """There are documents, tombstones with keys, values that are no documents, and transactions that are aborted."""
    some = records(1)
    tombstones = [record for record in some if record.value is None]
    assert tombstones
    assert all(record.key for record in tombstones)
    assert {record.value for record in some} >= set(UNREADABLE)
    assert {sheaf.how for sheaf in islice(sheaves(1), COUNT)} == set(How)
