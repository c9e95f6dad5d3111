"""From the probabilities of tags to entities, and how sure they are. Pure: no model is needed here.

Tags are BIO: B-x begins an entity of category x, I-x goes on with it, O is outside of all.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, fsum, log, tanh

from msgspec import Struct

OUTSIDE = "O"

Column = Mapping[str, float]
"""The marginal probability of the tags at one token. O is always there, others when they are possible."""

LEAST, MOST = 0.01, 0.99
"""Bounds of a confidence: nothing is impossible or certain."""
EDGE = 1e-6
"""Probabilities closer to 0 or 1 tell nothing more."""


class Stretch(Struct, frozen=True):
    """Neighbouring tokens that may belong to entities. Those on either side of it certainly do not."""

    start: int
    """Its first token, counted from the start of the text."""
    columns: list[Column]


class Found(Struct, frozen=True):
    """An entity: its tokens, from first to last, and the probability of the tag that each of them got."""

    category: str
    first: int
    last: int
    probabilities: tuple[float, ...]


def decode(stretch: Stretch, bias: float) -> Iterator[Found]:
    """Find the entities of a stretch. The bias favours entities over none: it buys recall with precision."""
    tags = best_path(stretch.columns, bias)
    for first, tag in enumerate(tags):
        if tag.startswith("B-"):
            category = tag[2:]
            end = first + 1
            while end < len(tags) and tags[end] == f"I-{category}":
                end += 1
            probabilities = tuple(stretch.columns[i][tags[i]] for i in range(first, end))
            yield Found(category, stretch.start + first, stretch.start + end - 1, probabilities)


def best_path(columns: Sequence[Column], bias: float) -> list[str]:
    """Choose the likeliest tags, token by token, among those where I-x only follows B-x or I-x (Viterbi)."""
    reached = {OUTSIDE: 0.0}
    steps: list[dict[str, str]] = []
    for column in columns:
        best = max(reached, key=reached.__getitem__)
        scores: dict[str, float] = {}
        step: dict[str, str] = {}
        for tag, probability in column.items():
            before = _begun(tag, reached) if tag.startswith("I-") else best
            if before:
                step[tag] = before
                scores[tag] = reached[before] + log(probability) + (0.0 if tag == OUTSIDE else bias)
        reached = scores
        steps.append(step)
    return _back(max(reached, key=reached.__getitem__), steps)


def _begun(tag: str, reached: Mapping[str, float]) -> str:
    """Tell the better of the tags that I-x may follow; empty where there is none."""
    open_tags = [one for one in (f"B-{tag[2:]}", tag) if one in reached]
    return max(open_tags, key=reached.__getitem__, default="")


def _back(tag: str, steps: Sequence[Mapping[str, str]]) -> list[str]:
    path: list[str] = []
    for step in reversed(steps):
        path.append(tag)
        tag = step[tag]
    return path[::-1]


def signs(found: Found) -> tuple[float, float, float, float]:
    """Give what a confidence is calibrated on: the weakest token, all of them, how many they are; and 1."""
    mean = fsum(log(one) for one in found.probabilities) / len(found.probabilities)
    return (_logit(min(found.probabilities)), _logit(exp(mean)), log(len(found.probabilities)), 1.0)


def confidence(found: Found, calibration: Sequence[float] = ()) -> float:
    """How sure an entity is: its weakest token, or what the calibration makes of its signs. Two decimals."""
    if calibration:
        score = fsum(weight * sign for weight, sign in zip(calibration, signs(found), strict=True))
        sure = (1 + tanh(score / 2)) / 2
    else:
        sure = min(found.probabilities)
    return round(min(max(sure, LEAST), MOST), 2)


def _logit(probability: float) -> float:
    bounded = min(max(probability, EDGE), 1 - EDGE)
    return log(bounded / (1 - bounded))
