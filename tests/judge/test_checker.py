"""The checker convicts each fault that there is, and nobody else: by hand, one rule after the other."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest
from msgspec import structs

from tests.judge.books import Change, Event
from tests.judge.case import Evidence, Shock
from tests.judge.checker import Mode, check
from tests.judge.conditions import Conditions, Fault
from tests.judge.sketches import (
    NOON,
    accepted,
    annotated,
    counted,
    document,
    failed,
    judge,
    killed,
    polled,
    rejected,
    shaken,
)
from tests.judge.worlds import DEAD_LETTERS, OUTPUT

# delivery

DOC = document()


def test_a_run_without_fault_is_acquitted() -> None:
    """A document that was published once, a tombstone and a dead letter are no finding."""
    tombstone, poison = document("gone", 1, tombstone=True), document("poison", 2, valid=False)
    deleted = annotated(tombstone, kind="deleted", found=(), source=None)
    assert counted(judge([DOC, tombstone, poison], [annotated(DOC), deleted, rejected(poison)])) == {}


def test_a_document_without_outcome_is_lost_once_the_position_is_beyond_it() -> None:
    """Without an outcome a document is unseen as long as it may still be read, and lost from then on."""
    doc = document(offset=7)
    assert counted(judge([doc], [], position=8)) == {"lost": ("doc-1",)}
    assert counted(judge([doc], [], position=7)) == {"unseen": ("doc-1",)}
    assert counted(check(Evidence([doc], [], {}, [], []))) == {"unseen": ("doc-1",)}


def test_what_was_finished_beyond_the_position_is_neither_lost_nor_unseen() -> None:
    """An outcome counts wherever the position stands."""
    assert counted(judge([DOC], [annotated(DOC)], position=0)) == {}


@pytest.mark.parametrize(
    ("shock", "verdict"),
    [(4.9, "duplicate"), (4.96, "redelivered"), (5.9, "redelivered"), (6.1, "duplicate")],
)
def test_a_copy_is_explained_by_a_shock_right_after_the_first_publication(shock: float, verdict: str) -> None:
    """What is published twice is a fault, unless a shock came within a second after its first publication."""
    outcomes = [annotated(DOC), annotated(DOC, offset=9, at=20)]
    assert counted(judge([DOC], outcomes, shocks=[killed(shock)])) == {verdict: ("doc-1",)}


def test_without_a_shock_every_copy_is_a_fault() -> None:
    """A copy that no shock explains is a duplicate, also where it is of another kind or in another topic."""
    doc = document(fate="hang*9")
    assert counted(judge([doc], [annotated(doc), annotated(doc, offset=1)])) == {"duplicate": ("doc-1",)}
    assert counted(judge([doc], [annotated(doc), rejected(doc)])) == {"duplicate": ("doc-1",)}


def test_the_copy_of_a_process_that_slept_is_explained_by_its_sleep() -> None:
    """A copy made before a stop and written after the heir's own counts by the time it was made."""
    outcomes = [annotated(DOC, offset=0, at=17), annotated(DOC, offset=1, at=5)]
    assert counted(judge([DOC], outcomes, shocks=[killed(5.4)])) == {"redelivered": ("doc-1",)}


def test_a_process_that_publishes_anew_after_its_sleep_is_a_fault() -> None:
    """Who publishes what his heir has published has read nothing before he did: no stop explains that."""
    outcomes = [annotated(DOC, at=17), annotated(DOC, offset=1, at=30)]
    assert counted(judge([DOC], outcomes, shocks=[killed(5.4)])) == {"duplicate": ("doc-1",)}


def test_a_shock_that_lasts_explains_copies_until_it_is_over() -> None:
    """While a broker is away nobody can commit: what is published then may be published again, not later."""
    away = Shock(NOON + 3, "broker 1 killed", "broker-1", until=NOON + 9)
    for at, verdict in (8.9, "redelivered"), (9.1, "duplicate"):
        outcomes = [annotated(DOC, at=at), annotated(DOC, offset=1, at=40)]
        assert counted(judge([DOC], outcomes, shocks=[away])) == {verdict: ("doc-1",)}


def test_exactly_once_tolerates_no_copy() -> None:
    """In exactly_once what is published twice is a duplicate, whatever shock there was."""
    outcomes, shocks = [annotated(DOC), annotated(DOC, offset=9, at=20)], [killed(5.5)]
    once, twice = (judge([DOC], outcomes, shocks=shocks, mode=mode) for mode in get_args(Mode)[::-1])
    assert (once.faults(), once.tolerated()) == ({"duplicate": ("doc-1",)}, {})
    assert (twice.faults(), twice.tolerated()) == ({}, {"redelivered": ("doc-1",)})


@pytest.mark.parametrize("mode", get_args(Mode))
def test_what_excuses_a_second_bill_does_so_in_every_mode(mode: Mode) -> None:
    """A kill at the wrong moment and a lost answer cost the same, however outcomes are delivered."""
    lost = structs.replace(FIRST, status=0, fault="accepted-hang")
    for books, shocks, kind in (
        ([FIRST, LATER], [killed(3.3)], "billed_again_after_kill"),
        ([lost, LATER], [], "rebilled_by_fault"),
    ):
        findings = judge([DOC], [annotated(DOC, at=20)], books, shocks, mode=mode)
        assert (findings.faults(), findings.tolerated()) == ({}, {kind: ("doc-1",)})


def test_a_job_that_rejects_everything_need_not_be_believed_by_who_inherits_it() -> None:
    """Nobody knows how the model was when it ran; but whoever submitted it knows."""
    barren = structs.replace(FIRST, barren=True)
    own, others = polled(barren, 5.0), polled(barren, 5.0, who="another")
    assert counted(judge([DOC], [annotated(DOC, at=20)], [barren, own, LATER])) == {"double_billed": ("doc-1",)}
    assert counted(judge([DOC], [annotated(DOC, at=20)], [barren, others, LATER])) == {"rebilled_by_fault": ("doc-1",)}


def test_what_was_aborted_must_not_be_touched() -> None:
    """An aborted record needs no outcome; having one, or having been submitted, is a fault."""
    aborted = document(aborted=True)
    assert counted(judge([aborted], [], [accepted("doc-2")])) == {}
    assert counted(judge([aborted], [annotated(aborted)], [accepted("doc-2")])) == {"aborted_read": ("doc-1",)}
    assert counted(judge([aborted], [], [accepted("doc-1")])) == {"aborted_read": ("doc-1",)}


def test_an_outcome_of_nothing_is_a_fault() -> None:
    """An outcome that names no input is named."""
    assert counted(judge([DOC], [annotated(DOC), annotated(document("nobody"), 1)])) == {"unasked": ("nobody",)}


# order

ONE, TWO = document("one", 1), document("two", 2)


def test_a_key_that_overtakes_itself_is_named() -> None:
    """Within a key the later record must not be published first; the one that comes too soon is the culprit."""
    assert counted(judge([ONE, TWO], [annotated(ONE, 7), annotated(TWO, 6)])) == {"reordered": ("two",)}


def test_the_order_of_evidence_does_not_matter() -> None:
    """Order is told by offsets, not by the order in which records are handed to the checker."""
    assert counted(judge([TWO, ONE], [annotated(TWO, 7), annotated(ONE, 6)])) == {}
    assert counted(judge([TWO, ONE], [annotated(TWO, 6), annotated(ONE, 7)])) == {"reordered": ("two",)}


def test_a_tombstone_is_in_order_with_the_documents_of_its_key() -> None:
    """A tombstone that is published before an earlier document of its key is reordered."""
    gone = document("gone", 2, tombstone=True)
    deleted = annotated(gone, 6, kind="deleted", found=(), source=None)
    assert counted(judge([ONE, gone], [annotated(ONE, 7), deleted])) == {"reordered": ("gone",)}


def test_only_first_publications_are_in_order() -> None:
    """One, two, and after a shock one and two again: that is in order."""
    outcomes = [annotated(record, offset) for offset, record in enumerate([ONE, TWO, ONE, TWO])]
    assert counted(judge([ONE, TWO], outcomes, shocks=[killed(5.1)])) == {"redelivered": ("one", "two")}


def test_whoever_comes_before_an_earlier_record_is_named() -> None:
    """Two that have both overtaken a third are both culprits, although they are in order themselves."""
    three = document("three", 3)
    outcomes = [annotated(ONE, 9), annotated(TWO, 5), annotated(three, 7)]
    assert counted(judge([ONE, TWO, three], outcomes)) == {"reordered": ("two", "three")}


@pytest.mark.parametrize("apart", [{"key": None}, {"key": b"other"}, {"partition": 1}], ids=str)
def test_there_is_no_order_between_keys_and_partitions(apart: dict[str, Any]) -> None:
    """Records without a key, of different keys or of different input partitions have no order."""
    first = ONE if apart.get("key", b"k") else structs.replace(ONE, key=None)
    second = structs.replace(TWO, **apart)
    assert counted(judge([first, second], [annotated(first, 7), annotated(second, 6)])) == {}


def test_partitions_of_a_topic_cannot_be_compared() -> None:
    """Offsets of different partitions of the output topic tell no order."""
    assert counted(judge([ONE, TWO], [annotated(ONE, 7), annotated(TWO, 6, partition=1)])) == {}


def test_topics_cannot_be_compared() -> None:
    """A dead letter and the entities of one key are in no order, but two dead letters are."""
    poison, worse = document("poison", 1, valid=False), document("worse", 3, valid=False)
    assert counted(judge([poison, TWO], [rejected(poison, 90), annotated(TWO, 3)])) == {}
    letters = [rejected(poison, 90), rejected(worse, 89)]
    assert counted(judge([poison, worse], letters, [accepted("doc-9")])) == {"reordered": ("worse",)}


# whose outcome it is, and which it deserves


@pytest.mark.parametrize(
    "changes",
    [
        {"found": ("doc-2",)},
        {"found": ()},
        {"found": ("doc-1", "doc-1")},
        {"source": (0, 1)},
        {"key": b"l"},
        {"key": None},
    ],
    ids=str,
)
def test_what_is_anothers_is_mixed_up(changes: dict[str, Any]) -> None:
    """Entities, source and key of an outcome are those of its own input, and there once."""
    assert counted(judge([DOC], [annotated(DOC, **changes)])) == {"mixed_up": ("doc-1",)}


def test_a_tombstone_is_that_of_its_key() -> None:
    """A tombstone under another key deletes what nobody wanted deleted."""
    gone = document(tombstone=True)
    deleted = annotated(gone, kind="deleted", found=(), source=None, key=b"other")
    assert counted(judge([gone], [deleted])) == {"mixed_up": ("doc-1",)}


def test_a_dead_letter_may_have_a_key_of_its_own_but_no_other_source() -> None:
    """Only the source of a dead letter tells whose it is."""
    poison = document(valid=False)
    assert counted(judge([poison], [rejected(poison, key=b"topic-0-0")])) == {}
    assert counted(judge([poison], [rejected(poison, source=(0, 9))])) == {"mixed_up": ("doc-1",)}


PLAIN, POISON, TOMBSTONE = {"fate": ""}, {"valid": False}, {"tombstone": True}
A, R, D, G = "annotated", "rejected", "deleted", "garbled"


@pytest.mark.parametrize(
    ("record", "deserved"),
    [
        (PLAIN, {A}),
        (POISON, {R}),
        (TOMBSTONE, {D}),
        *(
            ({"fate": what}, {R})
            for what in ("refused", "too-large", "fails", "partial", "vanishes", "missing", "error")
        ),
        *(({"fate": f"{what}*2"}, {A}) for what in ("fails", "missing", "hang", "status-500", "not-json", "slow")),
        *(({"fate": what}, {A}) for what in ("repeated", "stranger")),
        *(({"unwelcome": True, "fate": what}, {A, R}) for what in ("", "missing*2", "repeated")),
        ({"unwelcome": True, "fate": "refused"}, {R}),
        ({"unwelcome": True, "tombstone": True}, {D}),
        *(({"fate": what}, {A, R}) for what in ("missing*3", "hang", "status-500", "not-json", "accepted-500")),
    ],
    ids=lambda each: str(sorted(each)) if isinstance(each, set) else str(each),
)
def test_each_input_gets_what_it_deserves(record: dict[str, Any], deserved: set[str]) -> None:
    """Who brings a lasting trouble of his own is rejected, nobody else; what no reader can read nobody deserves."""
    doc = document(**record)
    for kind in (A, R, D, G):
        found = ("doc-1",) if kind == A else ()
        topic = DEAD_LETTERS if kind == R else OUTPUT
        findings = judge([doc], [annotated(doc, kind=kind, found=found, topic=topic)], [accepted("doc-1")])
        assert counted(findings) == ({} if kind in deserved else {"wronged": ("doc-1",)}), kind


def convict(books: Sequence[Event], fate: str = "") -> bool:
    """Have a document rejected after what the books say, and say whether that is a fault."""
    doc = document(fate=fate)
    found = counted(judge([doc], [rejected(doc)], books))
    assert found in ({}, {"wronged": ("doc-1",)})
    return bool(found)


def test_a_refusal_excuses_only_whoever_stood_alone() -> None:
    """Nobody may be rejected for a refusal that he got in company; alone it is the API's own word."""
    refused = structs.replace(accepted("doc-1", "doc-2"), status=400, job=None, ends=None, fate=None)
    alone = structs.replace(refused, documents=("doc-1",))
    assert convict([refused, refused, refused, refused])
    assert not convict([refused, alone])
    assert not convict([refused, alone], "refused*1")
    assert convict([structs.replace(alone, status=503)])


def test_a_document_is_given_up_only_alone_and_not_at_once() -> None:
    """Jobs in vain excuse a rejection where the document was in one alone, after the first: any job may fail once."""
    company = [failed("doc-1", "doc-2", at=at) for at in range(1, 9)]
    assert convict(company)
    assert convict([*company, failed("doc-1", at=10)])
    assert not convict([*company, failed("doc-1", at=10), failed("doc-1", at=12)])
    missing = [accepted("doc-1", f"doc-{at}", at=at, without=("doc-1",)) for at in range(2, 5)]
    assert not convict([*missing[:1], failed("doc-1", at=10)])
    assert convict(missing)
    assert convict([failed("doc-1"), accepted("doc-1", at=10)])


def test_a_trouble_that_says_it_passes_has_to_be_borne() -> None:
    """Who bears a mark of up to two strikes is given up after the third job in vain, not before."""
    vain = [failed("doc-1", at=at) for at in range(1, 4)]
    assert convict(vain[:2], "fails*2")
    assert not convict(vain, "fails*2")


def test_an_error_in_a_result_is_the_last_word() -> None:
    """Where results may hold errors, by the mark or by the conditions, one that spoke of a document excuses."""
    errors = Change(NOON, Conditions(faults=[Fault("error", 0.1)]))
    assert not convict([accepted("doc-1")], "error*1")
    assert convict([failed("doc-1")], "error*1")
    assert not convict([errors, accepted("doc-1")])
    assert convict([Change(NOON, Conditions(faults=[Fault("missing", 0.1)])), accepted("doc-1")])


def test_entities_come_from_a_job_that_brought_them() -> None:
    """Entities that no job in the books can have brought are unfounded; without any books nothing is."""
    for books in [accepted("doc-2")], [failed("doc-1")], [accepted("doc-1", "doc-2", without=("doc-1",))]:
        assert counted(judge([DOC], [annotated(DOC)], books)) == {"unfounded": ("doc-1",)}
    assert counted(judge([DOC], [annotated(DOC)], [])) == {}


# bills


def bill(*books: Event, shocks: Sequence[Shock] = ()) -> dict[str, tuple[str, ...]]:
    """Judge what the books say of a document that was published in the end."""
    return counted(judge([DOC], [annotated(DOC, at=100)], books, shocks))


FIRST, LATER = accepted("doc-1", "doc-2"), accepted("doc-1", at=6)
DOUBLE = {"double_billed": ("doc-1",)}
BY_FAULT = {"rebilled_by_fault": ("doc-1",)}
AFTER_KILL = {"billed_again_after_kill": ("doc-1",)}
AFTER_STOP = {"billed_again_after_stop": ("doc-1",)}
IN_OUTAGE = {"billed_again_in_outage": ("doc-1",)}


def test_a_document_is_paid_for_once_while_its_job_is_good() -> None:
    """Accepted again while the job runs, whatever it brings, or after it brought the document: billed twice."""
    assert bill(FIRST) == {}
    assert bill(FIRST, LATER) == DOUBLE
    assert bill(FIRST, accepted("doc-1", at=3.5)) == DOUBLE
    assert bill(failed("doc-1"), accepted("doc-1", at=3.5)) == DOUBLE
    assert bill(accepted("doc-1", "doc-1")) == DOUBLE


def test_what_a_job_did_not_bring_may_be_asked_for_again() -> None:
    """A job that has ended without the document is no good for it any more."""
    assert bill(failed("doc-1"), LATER) == {}
    assert bill(structs.replace(failed("doc-1"), fate="vanished"), LATER) == {}
    assert bill(accepted("doc-1", "doc-2", without=("doc-1",), fate="partial"), LATER) == {}
    assert bill(accepted("doc-1", "doc-2", without=("doc-2",), fate="partial"), LATER) == DOUBLE


def test_a_call_that_was_held_open_is_noted_late_and_judged_in_time() -> None:
    """The order of lines in the books does not matter."""
    assert bill(LATER, failed("doc-1")) == {}
    assert bill(LATER, FIRST) == DOUBLE


def test_only_what_was_accepted_is_paid_for() -> None:
    """Refused submits and probes cost no document anything."""
    refused = structs.replace(FIRST, status=503, job=None, ends=None, fate=None)
    assert bill(refused, refused, LATER) == {}
    probes = [accepted("probe", at=at, probe=True) for at in (1, 2)]
    assert bill(FIRST, *probes) == {}


@pytest.mark.parametrize("status", [0, 500])
def test_a_job_that_was_never_named_is_nobodys_fault(status: int) -> None:
    """Accepted without an answer that says so: the second bill is the fault of the network."""
    assert bill(structs.replace(FIRST, status=status, fault="accepted-reset"), LATER) == BY_FAULT
    assert bill(structs.replace(FIRST, status=status), LATER, accepted("doc-1", at=9)) == BY_FAULT | DOUBLE


def test_a_job_that_cannot_be_asked_is_nobodys_fault() -> None:
    """A 404 lets a client give up a job, and so do five polls in a row that failed, if none was answered since."""
    failures = [polled(FIRST, 4 + n / 10, told="none", status=500, fault="poll-500") for n in range(5)]
    assert bill(FIRST, polled(FIRST, 5, status=404), LATER) == BY_FAULT
    assert bill(FIRST, LATER, polled(FIRST, 8, status=404)) == DOUBLE
    assert bill(FIRST, *failures, LATER) == BY_FAULT
    assert bill(FIRST, *failures[:4], LATER) == DOUBLE
    assert bill(FIRST, *failures[:3], polled(FIRST, 4.25, told="running"), *failures[3:], LATER) == DOUBLE
    for fault in "poll-throttled", "down":
        assert bill(FIRST, *(structs.replace(poll, fault=fault) for poll in failures), LATER) == DOUBLE


def test_a_result_that_cannot_be_read_is_nobodys_fault() -> None:
    """Two whole answers that are no result let a client give up a job, one does not, whatever comes between."""
    once, twice = (polled(FIRST, at, told="none", fault="not-json") for at in (4, 5))
    assert bill(FIRST, once, LATER) == DOUBLE
    assert bill(FIRST, once, polled(FIRST, 4.5, status=500, fault="poll-500"), twice, LATER) == BY_FAULT
    assert bill(FIRST, once, LATER, structs.replace(twice, at=NOON + 7)) == DOUBLE


@pytest.mark.parametrize(("at", "excused"), [(1.9, False), (2.1, True), (3.0, True), (3.4, True), (3.6, False)])
def test_a_kill_excuses_what_its_victim_could_not_name_yet(at: float, excused: bool) -> None:
    """The first job was accepted while its request was under way, or within half a second before the kill."""
    assert bill(FIRST, LATER, shocks=[killed(at)]) == (AFTER_KILL if excused else DOUBLE)
    assert bill(FIRST, LATER, shocks=[shaken(at, "stop")]) == (AFTER_STOP if excused else DOUBLE)


def test_an_answer_that_was_held_can_only_be_named_once_it_came() -> None:
    """The half second begins with the answer, not with the acceptance."""
    held = structs.replace(FIRST, answered=NOON + 4.5)
    assert bill(held, LATER, shocks=[killed(4.9)]) == AFTER_KILL
    assert bill(held, LATER, shocks=[killed(5.1)]) == DOUBLE


@pytest.mark.parametrize(
    "shock",
    [
        killed(3.1, "worker-2"),
        killed(6.1),
        shaken(3.1, "rebalance", "group"),
        shaken(3.1, "rebalance"),
        shaken(3.1, "restart"),
        shaken(3.1, "other"),
        shaken(3.1, "outage", "brokers", until=5.9),
    ],
    ids=lambda shock: shock.what,
)
def test_nothing_else_excuses_a_second_bill(shock: Shock) -> None:
    """A kill of another, or one that came later; a rebalance, a restart, an outage that all lived through."""
    assert bill(FIRST, LATER, shocks=[shock]) == DOUBLE


LOST_BY: Sequence[Shock] = [
    killed(5.5), shaken(5.5, "stop"), shaken(5.5, "restart"), shaken(5.5, "rebalance", "group"),
]  # fmt: skip


@pytest.mark.parametrize("lost_by", LOST_BY, ids=lambda shock: shock.blow)
def test_what_no_broker_could_be_told_is_counted_apart(lost_by: Shock) -> None:
    """Accepted while the brokers were away, and lost by its owner before they had been back for a moment."""
    for begin, end, verdict in (2.9, 5, IN_OUTAGE), (3.4, 5, IN_OUTAGE), (3.6, 5, DOUBLE), (-1, -0.2, DOUBLE):
        assert bill(FIRST, LATER, shocks=[shaken(begin, "outage", "brokers", until=end), lost_by]) == verdict
    over = shaken(2.9, "outage", "brokers", until=3.1)
    assert bill(FIRST, accepted("doc-1", at=9), shocks=[over, structs.replace(lost_by, at=NOON + 6.2)]) == DOUBLE


def test_nobody_may_submit_in_the_dark() -> None:
    """A job that was accepted a whole session after the brokers had gone was never to be submitted."""
    outage, late = shaken(-3, "outage", "brokers", until=30), accepted("doc-1", at=40)
    for session, expected in (7, IN_OUTAGE), (5, DOUBLE):
        evidence = Evidence([DOC], [annotated(DOC, at=50)], {0: 1}, [FIRST, late], [outage, killed(20)], session)
        assert counted(check(evidence)) == expected


def test_the_last_of_several_jobs_decides() -> None:
    """What is billed a third time is excused by what became of the second; why the first was lost was judged then."""
    third = accepted("doc-1", at=9)
    assert bill(FIRST, LATER, third, shocks=[killed(3.1)]) == AFTER_KILL | DOUBLE
    assert bill(FIRST, LATER, third, shocks=[killed(3.1), killed(6.1)]) == AFTER_KILL
    assert bill(FIRST, structs.replace(LATER, status=0), third, shocks=[killed(3.1)]) == AFTER_KILL | BY_FAULT
    assert bill(FIRST, failed("doc-1", at=6), third, shocks=[killed(3.1)]) == AFTER_KILL


def test_each_life_gives_a_job_up_for_what_it_has_met_itself() -> None:
    """What two lives have met with in their polls of one job does not add up."""
    failures = [polled(FIRST, 4 + n / 10, told="none", status=500, fault="poll-500") for n in range(5)]
    others = [structs.replace(poll, who="worker-2") for poll in failures]
    assert bill(FIRST, *failures[:3], *others[3:], LATER) == DOUBLE
    assert bill(FIRST, *others, polled(FIRST, 4.6, told="running"), LATER) == BY_FAULT


# calls that come too early


def test_a_call_before_its_time_is_named_by_a_document() -> None:
    """Each early call counts, by the first document of its submit or of its job."""
    early_poll, early_submit = polled(FIRST, 5, early=True), structs.replace(LATER, job=None, status=429, early=True)
    assert bill(FIRST, early_poll) == {"early": ("doc-1",)}
    assert bill(FIRST, early_submit, early_poll) == {"early": ("doc-1", "doc-1")}
    assert bill(FIRST, structs.replace(early_poll, job="unknown")) == {"early": ("a call by worker-1",)}


def test_who_was_struck_may_have_forgotten() -> None:
    """A shock since the 429 excuses the key it names, and everybody where it names none; a call later it is over."""
    told, early = polled(FIRST, 4, status=429), polled(FIRST, 5, status=429, early=True)
    other = polled(accepted("doc-2", who="worker-2"), 2)
    assert bill(FIRST, other, told, early, shocks=[killed(4.5)]) == {}
    assert bill(FIRST, other, told, early, shocks=[killed(4.5, "broker-1")]) == {}
    assert bill(FIRST, other, told, early, shocks=[killed(4.5, "worker-2")]) == {"early": ("doc-1",)}
    for blow in "outage", "rebalance":
        assert bill(FIRST, other, told, early, shocks=[shaken(4.5, blow, "group")]) == {"early": ("doc-1",)}
    assert bill(FIRST, other, told, early, shocks=[killed(3.5)]) == {"early": ("doc-1",)}
    by_other = polled(FIRST, 4.7, status=429, who="worker-2")
    of_submit = structs.replace(LATER, at=NOON + 4.8, status=429, job=None)
    assert bill(FIRST, told, by_other, of_submit, early, shocks=[killed(4.5)]) == {}
    again = polled(FIRST, 5.5, status=429, early=True)
    assert bill(FIRST, told, early, again, shocks=[killed(4.5)]) == {"early": ("doc-1",)}


# what cannot be judged


def test_inputs_share_no_name() -> None:
    """Where two inputs have one name, nothing can be said of either."""
    with pytest.raises(ValueError, match="the same name: doc-1"):
        judge([DOC, document(offset=1)], [])


def test_a_misspelt_trouble_is_no_trouble() -> None:
    """A mark with a trouble that the endpoint does not know is told, not passed over."""
    doc = document(fate="mising*2")
    with pytest.raises(ValueError, match="doc-1 names a trouble that does not exist: mising"):
        judge([doc], [annotated(doc)])
