"""The first poll of most jobs is the last, soon after the answer is there, however long jobs take."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_stream.core.polling import LATEST_FIRST, LONGEST, SHORTEST, Polling, backoff

ROUNDING = 1e-9

guesses = st.floats(SHORTEST, LONGEST)
moments = st.floats(0, 1e5)


def carry(polling: Polling, submitted: float, duration: float) -> tuple[int, float]:
    """Carry one job as a caller does; return how often it was asked for, and its age when it was found ended."""
    polls, age, ran = 1, polling.first(), None
    while age < duration:
        ran = submitted + age
        age += polling.again(age)
        polls += 1
    polling.learn(submitted, submitted + age, ran)
    return polls, age


@settings(deadline=None)
@given(guesses, st.floats(SHORTEST, LATEST_FIRST * 8 / 9))
def test_it_settles_on_how_long_jobs_take(guess: float, duration: float) -> None:
    """From whatever guess, steady jobs are soon asked for about once, and late by an eighth at the most."""
    polling, now = Polling(guess), 0.0
    for _ in range(500):
        now += carry(polling, now, duration)[1]
    asked, late = 0, 0.0
    for _ in range(100):
        polls, age = carry(polling, now, duration)
        now, asked, late = now + age, asked + polls, max(late, age - duration)
    assert asked <= 125
    assert late <= duration / 8 + SHORTEST + ROUNDING


@given(st.floats(SHORTEST, LONGEST / 2))
def test_a_first_guess_is_soon_found_wanting(duration: float) -> None:
    """However much too long it was, a dozen jobs bring the wait near to what they take."""
    polling, now = Polling(LONGEST), 0.0
    for _ in range(12):
        now += carry(polling, now, duration)[1]
    assert polling.first() <= duration * 1.125 + SHORTEST + ROUNDING


@settings(deadline=None)
@given(guesses, st.floats(SHORTEST, LONGEST / 2), st.floats(SHORTEST, LONGEST / 2))
def test_it_follows_when_jobs_begin_to_take_longer_or_shorter(guess: float, before: float, after: float) -> None:
    """Longer is learned at the first job, shorter within a few hundred."""
    polling, now = Polling(guess), 0.0
    for duration in (before, after):
        for _ in range(400):
            now += carry(polling, now, duration)[1]
    assert after * 0.97 - ROUNDING <= polling.first() <= after * 1.125 + SHORTEST + ROUNDING


@given(guesses, st.lists(st.tuples(moments, st.floats(0, 1e4), st.booleans()), max_size=20))
def test_the_wait_keeps_its_bounds(guess: float, jobs: list[tuple[float, float, bool]]) -> None:
    """Whatever is learned, the first poll is neither sooner nor later than its bounds."""
    polling = Polling(guess)
    for submitted, age, ran in jobs:
        polling.learn(submitted, submitted + age, submitted + age / 2 if ran else None)
        assert SHORTEST <= polling.first() <= LATEST_FIRST


@given(st.floats(0, 1e6))
def test_the_pause_between_polls_keeps_its_bounds_and_grows_with_age(age: float) -> None:
    """A young job is asked for often, an old one seldom, none in a busy loop and none never."""
    polling = Polling()
    for part in (1, 8):  # before the first job has ended, and after it
        assert SHORTEST <= polling.again(age) <= LONGEST
        assert polling.again(age) <= polling.again(age * 1.5)
        assert polling.again(age) <= max(SHORTEST, age / part)
        polling.learn(0.0, 1.0, None)


@given(guesses, moments, st.lists(st.tuples(st.floats(0.001, 60), st.booleans()), min_size=1, max_size=64))
def test_jobs_in_step_teach_one_step(guess: float, submitted: float, ends: list[tuple[float, bool]]) -> None:
    """A window full of jobs that were submitted with the same wait moves it as far as the first of them."""
    polling, alone = Polling(guess), Polling(guess)
    for age, ran in sorted(ends):
        polling.learn(submitted, submitted + age, submitted + age / 2 if ran else None)
    age, ran = min(ends)
    alone.learn(submitted, submitted + age, submitted + age / 2 if ran else None)
    assert polling.first() == alone.first()


@given(guesses, moments, st.floats(0.1, 60))
def test_the_next_generation_teaches_again(guess: float, submitted: float, age: float) -> None:
    """A job that was submitted after the wait changed has its say."""
    polling = Polling(guess)
    polling.learn(submitted, submitted + age, submitted + age / 2)
    polling.learn(submitted + age, submitted + age + 9.0, submitted + age + 1.6)
    assert polling.first() == pytest.approx(1.8)


@given(guesses, st.floats(0.1, 10), st.floats(1, 100))
def test_a_busy_moment_teaches_nothing(guess: float, ran: float, late: float) -> None:
    """That a job was asked for late says nothing of how long it took: only when it still ran does."""
    polling, prompt = Polling(guess), Polling(guess)
    polling.learn(0.0, ran + late, ran)
    prompt.learn(0.0, ran + ran / 8, ran)
    assert polling.first() == prompt.first()


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_backoff_lies_between_half_of_its_ceiling_and_all_of_it(attempt: int, dice: float) -> None:
    """The ceiling doubles with each trouble in a row up to the cap, and the dice spread who comes back when."""
    ceiling = min(30.0, 0.25 * 2 ** min(attempt, 20))
    assert ceiling / 2 <= backoff(attempt, dice) <= ceiling
    assert backoff(attempt, dice) <= backoff(attempt + 1, dice)
    assert backoff(attempt, 0.0) < backoff(attempt, 0.5)
