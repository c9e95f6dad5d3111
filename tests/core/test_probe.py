"""What an answer to the probe says of the API."""

import pytest

from entity_stream.core.model import Annotated, Job, Model, Reason, Rejected
from entity_stream.core.probe import PROBE, failure, passed
from entity_stream.core.verdict import (
    Again,
    Done,
    Freeze,
    Halve,
    Judged,
    Park,
    PollVerdict,
    Running,
    SubmitVerdict,
    Wait,
)
from entity_stream.core.wire.runtime import encode_submit

RECORD = PROBE[0].record
REFUSED = Reason("InvalidRequest", "no")


@pytest.mark.parametrize("verdict", [Done(Job("1", "x")), Running(), Wait("503"), Freeze("429"), Park("401")])
def test_what_is_no_judgement_neither_passes_nor_fails(verdict: SubmitVerdict | PollVerdict) -> None:
    """An accepted probe, a throttle, an outage: it is asked on."""
    assert not passed(verdict)
    assert failure(verdict) is None


@pytest.mark.parametrize(
    ("verdict", "cause"),
    [
        (Halve(REFUSED), "InvalidRequest: no"),
        (Again("job failed"), "job failed"),
        (Done(Judged((Rejected(RECORD, REFUSED),), ())), "InvalidRequest: no"),
        (Done(Judged((), PROBE)), "missing-result: its job ended without a result for it"),
    ],
)
def test_a_probe_without_entities_says_why(verdict: SubmitVerdict | PollVerdict, cause: str) -> None:
    """Refused, failed, at fault or forgotten: the API does to the probe what it does to documents."""
    assert not passed(verdict)
    assert failure(verdict) == cause


def test_an_annotated_probe_has_passed() -> None:
    """Entities or none: the model has read it."""
    verdict = Done(Judged((Annotated(RECORD, "probe", (), Model("p", "d")),), (), annotates=True))
    assert passed(verdict)
    assert failure(verdict) is None


def test_the_probe_is_a_document_like_any_other() -> None:
    """It can be submitted, says who it is, and costs one text record."""
    assert b'"id":"probe"' in encode_submit(PROBE, "p", "d")
    assert 0 < len(PROBE[0].text) <= 1_000
