"""Marks, dice and durations: what strikes is what the mark or the conditions say, as often as they say."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge.conditions import FAULTS, ON_SUBMIT, Conditions, Duration, Fault, decode_conditions
from tests.judge.fates import Fates, Mark, lasting, mark_in

names = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="<>"), min_size=1, max_size=20)
around = st.text(max_size=30).filter(lambda text: "<" not in text)


def fates(*faults: Fault, seed: int = 1) -> Fates:
    return Fates(Conditions(faults=faults, seed=seed), 0.0)


@given(around, names, st.none() | st.sampled_from(sorted(FAULTS)), st.none() | st.integers(0, 99), around)
def test_a_mark_is_found_wherever_it_stands(
    before: str, name: str, trouble: str | None, times: int | None, after: str
) -> None:
    """Name, trouble and number of times are read, and the name is where the mark says."""
    times = times if trouble else None
    said = "".join([name, f" {trouble}" if trouble else "", f"*{times}" if times is not None else ""])
    text = f"{before}<<{said}>>{after}"
    mark = mark_in(text)
    assert mark == Mark(name, len(before) + 2, len(before) + len(said) + 4, trouble, times)
    assert text[mark.at : mark.at + len(name)] == name


@pytest.mark.parametrize("text", ["", "<<", "a << b", "<<a b", "<<doc-1 misspelt>>", "<<doc-1 missing*>>", "<doc-1>"])
def test_what_is_no_mark_is_none(text: str) -> None:
    """A trouble that does not exist makes no mark either: its document would not be found by its name."""
    assert mark_in(text) is None


def test_a_misspelt_fault_is_refused() -> None:
    """Conditions with a fault, a field or a rate that cannot be are not read."""
    for wrong in (
        b'{"faults": [{"what": "trottled"}]}',
        b'{"fault": []}',
        b'{"faults": [{"what": "reset", "rate": 2}]}',
    ):
        with pytest.raises(msgspec.ValidationError):
            decode_conditions(wrong)


def test_conditions_are_read_as_they_were_written() -> None:
    """What is sent as JSON holds at the other side, field by field."""
    sent = Conditions(keys=["a", "b"], faults=[Fault("missing", 0.5, 3, "a")], duration=Duration(per_document=0.1))
    read = decode_conditions(msgspec.json.encode(sent))
    assert msgspec.json.encode(read) == msgspec.json.encode(sent)
    assert b'"perDocument":0.1' in msgspec.json.encode(sent)


def test_a_document_meets_its_trouble_as_often_as_its_mark_says() -> None:
    """`*2` strikes twice; each document counts for itself, and other conditions do not begin it anew."""
    first, second = Mark("a", 0, 0, "hang", 2), Mark("b", 0, 0, "hang")
    there = fates()
    assert [there.strike(ON_SUBMIT, [first], "key") for _ in range(3)] == ["hang", "hang", None]
    there.renew(Conditions())
    assert there.strike(ON_SUBMIT, [first], "key") is None
    assert [there.strike(ON_SUBMIT, [first, second], "key") for _ in range(3)] == ["hang"] * 3


def test_a_trouble_strikes_only_where_it_can() -> None:
    """What strikes polls does not strike submits, by mark or by dice."""
    there = fates(Fault("slow"))
    assert there.strike(ON_SUBMIT, [Mark("a", 0, 0, "slow")], "key") is None


def test_a_fault_is_spent_after_its_times_until_conditions_are_renewed() -> None:
    """Faults strike the calls of the key they name, no more often than they say."""
    fault = Fault("reset", times=2, who="blue")
    there = fates(fault)
    assert [there.strike(ON_SUBMIT, [], who) for who in ("red", "blue", "blue", "blue")] == [
        None,
        "reset",
        "reset",
        None,
    ]
    there.renew(Conditions(faults=[fault]))
    assert there.strike(ON_SUBMIT, [], "blue") == "reset"


@given(st.floats(0, 1), st.integers(0, 1000))
def test_a_rate_is_the_part_that_is_struck(rate: float, seed: int) -> None:
    """Of many calls about the rate is struck, and the same ones with the same seed."""
    runs = [[fates(Fault("hang", rate), seed=seed).thrown(ON_SUBMIT, "key")] for _ in range(2)]
    assert runs[0] == runs[1]
    there = fates(Fault("hang", rate), seed=seed)
    struck = sum(there.thrown(ON_SUBMIT, "key") is not None for _ in range(400))
    assert abs(struck / 400 - rate) < 0.15


@given(st.integers(1, 25), st.floats(0, 60), st.floats(0, 0.9), st.integers(0, 1000))
def test_a_duration_is_what_its_parts_say(documents: int, minutes: float, jitter: float, seed: int) -> None:
    """Fixed and per document, longer by the drift, more or less by the jitter, and seldom by the tail."""
    duration = Duration(1.0, 0.1, jitter, 0.5, 100.0, drift=0.5)
    plain = (1.0 + 0.1 * documents) * (1 + 0.5 * minutes)
    seconds = lasting(duration, documents, minutes, Random(seed))
    tail = 100.0 if seconds > plain * (1 + jitter) + 1e-6 else 0.0
    assert plain * (1 - jitter) - 1e-6 <= seconds - tail <= plain * (1 + jitter) + 1e-6


def test_tails_come_as_often_as_they_should() -> None:
    """Of a thousand jobs about a tenth has the tail that a tenth shall have."""
    dice, duration = Random(3), Duration(0.0, tail_rate=0.1, tail_seconds=5.0)
    assert 60 < sum(lasting(duration, 25, 0.0, dice) == 5.0 for _ in range(1000)) < 140
