"""The report says in figures what was found, and tells the journey of the first culprits."""

from textwrap import dedent

from msgspec import structs

from tests.judge.case import Evidence, Shock
from tests.judge.checker import check, report
from tests.judge.journeys import SHOWN
from tests.judge.sketches import NOON, accepted, annotated, document, failed, killed, polled, rejected


def told(evidence: Evidence) -> str:
    """Check and report."""
    return report(check(evidence), evidence)


def test_a_journey_is_told_in_order_of_time() -> None:
    """A lost document's journey: written, submitted, polled, the job's end, the shock that came next, the position."""
    doc = document("doc-1743", 581, key=b"k-17", partition=2)
    company = tuple(f"doc-{number}" for number in range(24))
    refused = structs.replace(accepted("doc-1743", at=2.2), status=503, job=None, ends=None, fate=None, fault="down")
    submit = accepted("doc-1743", *company, at=2.93, lasts=0.5, job="5f3c0000-1111")
    polls = [polled(submit, 3 + number / 10, told="running") for number in range(4)]
    polls.append(polled(submit, 3.5, status=429, told="none", early=True, fault="poll-throttled"))
    shocks = [killed(-1), killed(2.5), Shock(NOON + 4.02, "SIGKILL worker-2", "worker-2"), killed(90)]
    evidence = Evidence([doc], [], {2: 600}, [refused, submit, *polls], shocks)
    journey = """\
      lost, early: doc-1743 (partition 2, offset 581, key k-17)
           3.00 s  written: a document
           3.20 s  submitted by worker-1 alone: 503 (down)
           3.50 s  SIGKILL worker-1
           3.93 s  submitted by worker-1 with 24 others: job 5f3c0000, 202
           4.00 s  polled by worker-1: 200, running, 3 more like it within 0.30 s
           4.43 s  job 5f3c0000 ends: succeeded
           4.50 s  polled by worker-1: 429 (poll-throttled), too early, none
           5.02 s  SIGKILL worker-2
         position of partition 2 is 600
    """
    assert dedent(journey) in dedent(told(evidence).split("\n\n")[1])


def test_outcomes_are_told_with_what_is_wrong_about_them() -> None:
    """Of an outcome is told where it is, what it is, and only what is not its input's own."""
    doc, poison = document(key=None), document("poison", 1, valid=False, fate="", at=NOON)
    strange = annotated(doc, 9, at=7, found=("doc-2",), source=(0, 5), key=b"\xff")
    outcomes = [annotated(doc, 4), strange, rejected(poison, 3, reason="wrong-type"), rejected(poison, 5)]
    text = told(Evidence([doc, poison], outcomes, {}, [failed("doc-1")], []))
    assert "5.00 s  published in output 0 at offset 4: annotated\n" in text
    assert (
        "7.00 s  published in output 0 at offset 9: annotated, names in it: doc-2,"
        " of partition 0, offset 5, key \\xff\n" in text
    )
    assert "0.00 s  written: what is no document\n" in text
    assert "published in dead-letters 0 at offset 3: rejected, wrong-type\n" in text
    assert "(partition 0, offset 0, no key)" in text
    assert "ends: failed, nothing of it\n" in text
    assert "position of partition 0 is not committed" in text


def test_what_has_no_input_is_told_too() -> None:
    """An outcome of nobody has a journey, and one that is only a call has a title."""
    call = structs.replace(accepted(status=429, job=None, at=9), early=True)
    evidence = Evidence([], [annotated(document("nobody"))], {}, [call], [])
    assert "unasked: nobody (no input)\n       0.00 s  published" in told(evidence)
    assert "early: a call by worker-1 (no input)\n" in told(evidence)


def test_each_culprit_is_told_once_and_the_rest_is_counted() -> None:
    """Whoever is guilty of two things has one journey, and beyond the first of each kind there are only figures."""
    docs = [document(f"doc-{number}", number) for number in range(20)]
    outcomes = [annotated(doc, 100 - doc.offset, found=()) for doc in docs[:2]]
    text = told(Evidence(docs, outcomes, {0: 99}, [accepted("doc-0", "doc-1")], []))
    assert "18  lost" in text
    assert " 2  mixed_up" in text
    assert text.count("\n  lost: ") == SHOWN
    assert (
        text.count("doc-1 ")
        == text.count("mixed_up, reordered: doc-1 ") + text.count("reordered, mixed_up: doc-1 ")
        == 1
    )
    assert "the first 5 of each kind" in text


def test_a_clean_run_is_told_in_figures_alone() -> None:
    """Without a fault there is a headline, what was tolerated, and no journey; without a terminal no colour."""
    doc = document()
    evidence = Evidence([doc], [annotated(doc), annotated(doc, 9, at=20)], {0: 1}, [accepted("doc-1")], [killed(5.5)])
    text = told(evidence)
    assert text.startswith("No fault (at_least_once). Inputs 1, aborted 0, outcomes 2, submits 1, polls 0, shocks 1\n")
    assert "1  redelivered" in text
    assert "written" not in text
    assert "\x1b" not in text
    assert "\x1b[1;32mNo fault" in report(check(evidence), evidence, colour=True)


def test_what_crashes_cost_is_told_as_a_share() -> None:
    """Of four documents one was billed again for a kill: a quarter, and no fault."""
    docs = [document(f"doc-{number}", number) for number in range(4)]
    books = [accepted(*(doc.name for doc in docs)), accepted("doc-1", at=9)]
    evidence = Evidence(docs, [annotated(doc) for doc in docs], {0: 4}, books, [killed(3.2)])
    assert "Billed again for a crash: 1, which is 25.000% of all inputs\n" in told(evidence)


def test_an_empty_world_can_be_told() -> None:
    """Where there is nothing, there is a headline."""
    assert told(Evidence([], [], {}, [], [])).startswith("No fault (at_least_once). Inputs 0")
