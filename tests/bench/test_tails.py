"""Who was in a slow job."""

from tests.bench.figures import Delay, Tail
from tests.bench.tails import in_slow_jobs
from tests.judge.books import Event, Poll, Submit


def test_the_books_say_who_was_in_a_slow_job() -> None:
    """Documents of jobs that took that much longer are touched, all others are not, whoever polled how often."""
    events: list[Event] = [
        Submit(10.0, "key", 202, job="a", documents=["doc-1", "doc-2"], ends=11.0),
        Submit(10.5, "key", 202, job="b", documents=["doc-3"], ends=31.5),
        Submit(11.0, "key", 429, documents=["doc-4"]),
        Poll(12.0, "key", 200, "a"),
    ]
    assert in_slow_jobs(events, 20.0) == {"doc-3"}


def test_a_stretch_is_that_of_the_slow_end() -> None:
    """What slow jobs do to the others is told by the delay of 99 of 100."""
    assert Tail(Delay(1.0, 2.0), Delay(1.0, 3.0), 5).stretch == 1.5
