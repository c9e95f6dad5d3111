"""The script of a seed: the same every time, with every kind of trouble in it, and as many kills as were asked for."""

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.script import SESSION, WORKERS, BrokerOut, Churn, Freeze, Kill, Script, Stop, script
from tests.chaos.weather import WEATHERS, conditions
from tests.judge.conditions import Conditions

SEEDS = st.integers(0, 1_000_000)
KILLS = st.integers(1, 60)


def written(seed: int, kills: int) -> Script:
    return script(seed, kills, list(WEATHERS))


@given(SEEDS, KILLS)
def test_a_seed_tells_everything(seed: int, kills: int) -> None:
    """Whoever is told seed and kills has the whole script."""
    assert written(seed, kills) == written(seed, kills)


def test_seeds_differ() -> None:
    """Another seed is another script."""
    assert len({written(seed, 10).acts for seed in range(20)}) == 20


@given(SEEDS, KILLS)
def test_as_many_are_killed_as_asked(seed: int, kills: int) -> None:
    """The victims of all kills are so many, of those that stay, and nobody is killed twice at one moment."""
    victims = [act.step.workers for act in written(seed, kills).acts if isinstance(act.step, Kill)]
    assert sum(map(len, victims)) == kills
    assert all(len(set(some)) == len(some) and set(some) <= set(range(1, WORKERS + 1)) for some in victims)


@given(SEEDS, KILLS)
def test_every_kind_of_trouble_comes(seed: int, kills: int) -> None:
    """However short a script is, it holds every kind of step, both ways to end a broker, and every weather."""
    plot = written(seed, kills)
    assert {type(act.step) for act in plot.acts} == {Kill, Stop, Freeze, Churn, BrokerOut}
    assert {act.step.how for act in plot.acts if isinstance(act.step, BrokerOut)} == {"SIGTERM", "SIGKILL"}
    assert {spell.weather for spell in plot.spells} == set(WEATHERS)


@given(SEEDS, KILLS)
def test_who_is_stopped_is_given_up_by_the_group(seed: int, kills: int) -> None:
    """A freeze lasts longer than the session; most workers are static members, and one is not."""
    plot = written(seed, kills)
    assert all(act.step.seconds > SESSION for act in plot.acts if isinstance(act.step, Freeze))
    assert 0 < len(plot.static) == WORKERS - 1


def test_the_weather_fills_the_script() -> None:
    """There is weather until the last act, and calm between two spells."""
    plot = written(1, 30)
    assert sum(spell.calm + spell.seconds for spell in plot.spells) >= plot.seconds()
    assert all(spell.calm >= 2 for spell in plot.spells)


def test_every_weather_is_one_that_the_judge_can_make() -> None:
    """Each name makes conditions other than the fair ones, and the fair ones are as they were."""
    fair = Conditions(keys=("worker-1.1",))
    assert conditions(fair, None) == fair
    assert all(conditions(fair, name) != fair and conditions(fair, name).keys == fair.keys for name in WEATHERS)
