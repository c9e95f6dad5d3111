"""What the answers to a job's polls add up to."""

from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.verdict import Again, Done, Freeze, Judged, Park, PollVerdict, Running, Wait
from entity_stream.core.vigil import ALONE, Solitude, Vigil

OVERDUE = 100.0
TROUBLES = [Wait("503"), Freeze("429"), Park("401")]
troubles = st.sampled_from(TROUBLES)
unended: st.SearchStrategy[PollVerdict] = st.one_of(troubles, st.just(Running()))


@given(st.lists(unended), st.sampled_from([Done(Judged((), ())), Again("failed")]))
def test_an_end_is_an_end_whatever_came_before(before: list[PollVerdict], end: Done[Judged] | Again) -> None:
    """A result, or the certainty that there is none, ends the vigil at once; else none, while it is young."""
    vigil = Vigil(0.0, OVERDUE)
    assert [vigil.hear(verdict, 1.0, 1.0, 1.0) for verdict in before] == [None] * len(before)
    assert vigil.hear(end, 1.0, 1.0, 1.0) is end
    assert vigil.ran == (1.0 if Running() in before else None)


@given(st.lists(unended))
def test_the_second_doubtful_answer_is_believed(between: list[PollVerdict]) -> None:
    """A job that is unknown once may be known the next time; unknown twice it is gone."""
    vigil, unknown = Vigil(0.0, OVERDUE), Again("404", certain=False)
    assert vigil.hear(unknown, 1.0, 1.0, 1.0) is None
    assert not any(vigil.hear(verdict, 1.0, 1.0, 1.0) for verdict in between)
    assert vigil.hear(unknown, 1.0, 1.0, 1.0) is unknown


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_job_that_runs_for_too_long_is_given_up(born: float, age: float) -> None:
    """Once it is older than `overdue`, and not before."""
    ended = Vigil(born, OVERDUE).hear(Running(), born, born + age, born)
    assert (ended is not None) == (born + age - born > OVERDUE)


@given(st.lists(troubles, max_size=200), st.floats(0, 10))
def test_in_an_outage_no_job_is_given_up(outage: list[Wait | Freeze | Park], last: float) -> None:
    """However long nobody is answered, and however old the job has become."""
    vigil = Vigil(0.0, OVERDUE)
    assert not any(vigil.hear(verdict, 0.0, 20.0 + 1_000 * n, last) for n, verdict in enumerate(outage))


def test_a_job_that_alone_meets_trouble_is_given_up_once_overdue() -> None:
    """While others are answered between its polls, trouble in a row is the job's own; a running answer begins anew."""
    vigil, now = Vigil(0.0, OVERDUE), 1_000.0
    heard = []
    for _ in range(ALONE + 1):
        heard.append(vigil.hear(Wait("500"), now, now, answered=now - 1))
        now += 10
    assert [one is not None for one in heard] == [False] * ALONE + [True]
    fresh = Vigil(0.0, 1e9)
    for _ in range(ALONE * 3):
        assert fresh.hear(Wait("500"), now, now, answered=now - 1) is None
        now += 10
    assert fresh.troubles == ALONE * 3
    fresh.hear(Running(), now - 0.5, now, now)
    assert fresh.troubles == 0
    assert fresh.ran == now - 0.5


@given(st.integers(1, 20))
def test_trouble_is_ones_own_when_others_are_answered_meanwhile(limit: int) -> None:
    """After so many troubles, each but the first with an answer to others before it, and no sooner."""
    solitude = Solitude(limit)
    assert [solitude.trouble(float(n), n - 0.5) for n in range(limit + 1)] == [False] * limit + [True]


@given(st.integers(2, 200))
def test_in_an_outage_nobody_is_alone(troubles: int) -> None:
    """However often a caller fails, while nobody else is answered it is not the caller."""
    solitude = Solitude(1)
    assert not any(solitude.trouble(float(n), 0.0) for n in range(troubles))
