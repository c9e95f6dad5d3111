"""What is done to the service, all of it chosen by a seed: the same seed, kills and nodes make the same script.

Nothing in here knows a process, a broker or a clock. Kinds of trouble are dealt like cards, not diced: each kind
comes in every script, however short.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

WORKERS: Final = 3
"""Seats that are taken all the time, numbered from 1; the next ones come and go."""

SESSION: Final = 6.0
"""Seconds of silence after which the broker gives a worker's partitions to others: the least the service takes."""

SMALLEST_RUN: Final = 10
"""Kills of a run that is short."""


class Kill(Struct, frozen=True, tag=True):
    """SIGKILL workers at one moment, in full work; start them again after a while."""

    workers: tuple[int, ...]
    away: float
    into: float = 0.0
    """Seconds of full work before."""


class Stop(Struct, frozen=True, tag=True):
    """SIGTERM a worker; start it again once it has left."""

    worker: int
    away: float


class Freeze(Struct, frozen=True, tag=True):
    """SIGSTOP a worker for longer than its session, then let it go on as if nothing had happened."""

    worker: int
    seconds: float


class Churn(Struct, frozen=True, tag=True):
    """Have a further member join, stay for some seconds and leave, so many times."""

    times: int
    stay: float


Leads = Literal["input", "group", "transactions"]


class BrokerOut(Struct, frozen=True, tag=True):
    """End the broker that leads the input, the group or all transactions, and start it again on what it kept."""

    how: Literal["SIGTERM", "SIGKILL"]
    leads: Leads
    away: float


class Blackout(Struct, frozen=True, tag=True):
    """SIGKILL the broker while workers are in full work, let them live on without it, SIGKILL them, start it again."""

    workers: tuple[int, ...]
    alone: float
    """Seconds that the workers live on."""


Step = Kill | Stop | Freeze | Churn | BrokerOut | Blackout


class Act(Struct, frozen=True):
    """A step, and the seconds of peace before it."""

    peace: float
    step: Step


class Spell(Struct, frozen=True):
    """A spell of weather at the endpoint: its name in weather.py, and the calm before it. It blows beside the acts."""

    calm: float
    weather: str
    seconds: float


class Script(Struct, frozen=True):
    """All that will be done."""

    acts: tuple[Act, ...]
    spells: tuple[Spell, ...] = ()
    static: frozenset[int] = frozenset()
    """Workers with a name of their own in the group: started again, they take their partitions back at once. One has
    none, so that partitions are dealt anew as well."""

    def seconds(self) -> float:
        """Estimate how long it takes; what the workers need to find themselves again is part of it."""
        return sum(act.peace + _seconds(act.step) for act in self.acts)


def script(seed: int, kills: int, weathers: Sequence[str]) -> Script:
    """Write the script of a seed: so many kills, the other steps in proportion, each weather at least once."""
    dice = random.Random(f"script {seed}")
    steps = [*_kills(dice, kills), *_others(dice, kills)]
    dice.shuffle(steps)
    acts = tuple(Act(round(dice.uniform(0.5, 2.5), 2), step) for step in steps)
    static = frozenset(dice.sample(range(1, WORKERS + 1), WORKERS - 1))
    return Script(acts, tuple(_spells(dice, weathers, Script(acts).seconds())), static)


def _kills(dice: random.Random, kills: int) -> Iterator[Kill]:
    """Deal so many kills, one, two or all three workers at once."""
    while kills > 0:
        victims = min(kills, dice.choice((1, 1, 2, WORKERS)))
        workers = tuple(sorted(dice.sample(range(1, WORKERS + 1), victims)))
        yield Kill(workers, _away(dice), round(dice.uniform(0.0, 1.5), 2))
        kills -= victims


def _others(dice: random.Random, kills: int) -> Iterator[Step]:
    for _ in range(max(1, kills // 8)):
        yield Stop(dice.randint(1, WORKERS), _away(dice))
    for _ in range(max(1, kills // 12)):
        yield Freeze(dice.randint(1, WORKERS), round(SESSION + dice.uniform(1.5, 5.0), 2))
    for _ in range(max(1, kills // 12)):
        yield Churn(dice.randint(2, 3), round(dice.uniform(1.0, 3.0), 2))
    for number in range(max(2, kills // 8)):
        how: Literal["SIGTERM", "SIGKILL"] = "SIGKILL" if number % 2 else "SIGTERM"
        yield BrokerOut(how, dice.choice(get_args(Leads)), round(dice.uniform(0.0, 6.0), 2))


def _away(dice: random.Random) -> float:
    """Seconds until a process is started again: at once more often than not."""
    return dice.choice((0.0, 0.0, round(dice.uniform(0.5, 4.0), 2)))


def _spells(dice: random.Random, weathers: Sequence[str], seconds: float) -> Iterator[Spell]:
    """Deal the weathers, all of them before any comes again, until the script's time is filled."""
    filled, stack, missing = 0.0, list[str](), set(weathers)
    while weathers and (missing or filled < seconds):
        stack = stack or dice.sample(weathers, len(weathers))
        spell = Spell(round(dice.uniform(2.0, 5.0), 2), stack.pop(), round(dice.uniform(2.5, 6.0), 2))
        missing.discard(spell.weather)
        filled += spell.calm + spell.seconds
        yield spell


SETTLING: Final = 7.0
"""Seconds until the group has missed a dead member and the others have taken over."""


def _seconds(step: Step) -> float:
    match step:
        case Kill(away=away, into=into):
            return into + away + SETTLING
        case Stop(away=away):
            return away + SETTLING
        case Freeze(seconds=seconds):
            return seconds + SETTLING
        case Churn(times, stay):
            return times * (stay + SETTLING / 2)
        case BrokerOut(away=away) | Blackout(alone=away):
            return away + SETTLING
