"""What a scenario states: jobs, network, quota, and what has to come of it. Each is a file in `scenarios/`.

A field that is none of these is refused where a file is read: a misspelled condition would never hold.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

FOLDER = Path(__file__).parent / "scenarios"


Range = tuple[float, float]
"""From the least to the most that a figure may come to."""


class Asserted(Struct, frozen=True, forbid_unknown_fields=True):
    """What has to come of a scenario."""

    gets_per_job: Range
    p50: Range
    """Seconds between the end of a job and our knowing it: half of all jobs."""
    p99: Range
    """The same, 99 in a hundred."""
    quota_used: Range
    """The part of the calls that were allowed from the first job to the last."""
    throttled: Range
    """How often 429 was answered."""


class Scenario(Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs of one kind."""

    title: str
    asserted: Asserted
    jobs: int = 1_500
    seed: int = 1
    window: int = 64
    per_second: float = 0.0
    """Jobs that arrive in a second, by chance; 0: whenever there is room in the window."""
    full: float = 0.2
    """The part of batches that have 25 documents; the others have 1 to 25."""
    fixed: float = 0.5
    """Seconds that a job takes."""
    per_document: float = 0.03
    """Seconds more for each of its documents."""
    jitter: float = 0.0
    """The part by which it takes longer or shorter, at the most."""
    spread: float = 0.0
    """Sigma of the log-normal distribution that it is multiplied with."""
    knee: int = 25
    """More documents than this take `knee_seconds` more."""
    knee_seconds: float = 0.0
    drift: float = 0.0
    """The part by which jobs take longer with each minute."""
    slow_rate: float = 0.0
    """Of so many jobs each takes `slow_seconds` longer."""
    slow_seconds: float = 0.0
    network: tuple[float, float] = (0.002, 0.01)
    """Seconds that a request or an answer is on its way, from and to."""
    skew: float = 1_234.567
    """Seconds by which the API's clock is ahead."""
    timestamps: bool = True
    """Jobs say when they were created and when they ended, as Azure's do: to the second, and to the microsecond."""
    quota: Sequence[tuple[float, float]] = ((0.0, 1_000.0),)
    """From when on how many calls a second are allowed."""
    burst: tuple[float, float] = (0.0, 0.0)
    """From when until when every call is answered with 429."""

    def documents(self, dice: Random) -> int:
        """Throw the size of a batch."""
        return 25 if dice.random() < self.full else dice.randint(1, 25)

    def lasting(self, documents: int, now: float, dice: Random) -> float:
        """Throw how long a job takes."""
        seconds = self.fixed + self.per_document * documents + (documents > self.knee) * self.knee_seconds
        seconds *= (1 + self.drift * now / 60) * dice.uniform(1 - self.jitter, 1 + self.jitter)
        seconds *= math.exp(dice.gauss(0, self.spread))
        return seconds + (dice.random() < self.slow_rate) * self.slow_seconds

    def rate(self, now: float) -> float:
        """Say how many calls a second are allowed."""
        return next(rate for since, rate in reversed(self.quota) if since <= max(0.0, now))

    def allowed(self, now: float) -> float:
        """Say for how many calls there was room so far."""
        ends = [since for since, _ in self.quota[1:]] + [math.inf]
        return sum(rate * max(0.0, min(now, end) - since) for (since, rate), end in zip(self.quota, ends, strict=True))

    def bursting(self, now: float) -> bool:
        """Tell whether every call is answered with 429."""
        since, until = self.burst
        return since <= now < until


def scenarios() -> dict[str, Scenario]:
    """Read all of them. Raises msgspec.ValidationError, which says what is wrong and where."""
    return {path.stem: msgspec.toml.decode(path.read_bytes(), type=Scenario) for path in sorted(FOLDER.glob("*.toml"))}
