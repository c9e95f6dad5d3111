"""Crfsuite at work: learns weights, and tells with them where entities may be. Nothing else calls crfsuite."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pycrfsuite

from entity_stream.engine.decoding import OUTSIDE, Column, Stretch
from entity_stream.engine.features import Line, Preset, describe
from entity_stream.engine.lessons import Lesson

C1 = 0.05
"""Of L1 regularisation: most features end without a weight."""

CERTAIN = 0.99
"""A token that is outside with this probability stays so, whatever its neighbours and the bias say."""
NEGLIGIBLE = 1e-3
"""Tags of less probability are not considered."""


def learn(lessons: Sequence[Lesson], preset: Preset, c2: float, iterations: int) -> bytes:
    """Train a CRF with L-BFGS, L1 and L2 (c2) regularisation. The same lessons give the same weights."""
    trainer = pycrfsuite.Trainer(verbose=False)
    for lesson in lessons:
        for items, tags, taught in zip(describe(lesson.lines, preset), lesson.tags, lesson.taught, strict=True):
            if taught:
                trainer.append(items, tags)
    trainer.set_params({"c1": C1, "c2": c2, "max_iterations": iterations})
    return _train(trainer)


def weigh(examples: Iterable[tuple[Sequence[float], bool]]) -> tuple[float, ...]:
    """Fit a logistic regression: one weight for each sign, none when all examples are right or all wrong.

    It is the same thing as a CRF whose texts have one token each.
    """
    trainer = pycrfsuite.Trainer(verbose=False)
    size, seen = 0, set()
    for signs, right in examples:
        trainer.append([{str(i): sign for i, sign in enumerate(signs)}], [str(right)])
        size = len(signs)
        seen.add(right)
    if len(seen) < 2:
        return ()
    trainer.set_params({"c1": 0.0, "c2": 0.01})
    tagger, weights = pycrfsuite.Tagger(), _train(trainer)
    with tagger.open_inmemory(weights):  # crfsuite reads them where they lie: they have to outlive it
        told = tagger.info().state_features
    return tuple(told.get((str(i), "True"), 0.0) - told.get((str(i), "False"), 0.0) for i in range(size))


def _train(trainer: Any) -> bytes:  # noqa: ANN401 (crfsuite ships no types)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        trainer.train(str(path))
        return path.read_bytes()


class Tagger:
    """Weights in use. It holds the state of one text at a time: not for two threads."""

    def __init__(self, weights: bytes, preset: Preset) -> None:
        self._weights = weights  # read where they lie, so they have to stay
        self._preset = preset
        self._crf = pycrfsuite.Tagger()
        self._crf.open_inmemory(weights)
        tags = self._crf.labels()
        self._tags = [tag for tag in tags if tag != OUTSIDE]
        self._knows_outside = OUTSIDE in tags
        self._features = _features(self._crf)

    def stretches(self, lines: Sequence[Line]) -> Iterator[Stretch]:
        """Tell where entities may be, and the probabilities of the tags there."""
        columns: list[Column] = []
        token = 0
        for items in describe(lines, self._preset):
            # half of the features have no weight, and to hand one over costs ten times what leaving it out does
            self._crf.set([list(filter(self._features.__contains__, item)) for item in items])
            for at in range(len(items)):
                outside = self._crf.marginal(OUTSIDE, at) if self._knows_outside else 0.0
                if outside < CERTAIN:
                    columns.append(self._column(at, outside))
                elif columns:
                    yield Stretch(token - len(columns), columns)
                    columns = []
                token += 1
        if columns:
            yield Stretch(token - len(columns), columns)

    def _column(self, at: int, outside: float) -> Column:
        column = {OUTSIDE: max(outside, NEGLIGIBLE)}
        rest = 1.0 - outside
        for tag in self._tags:
            probability = self._crf.marginal(tag, at)
            if probability >= NEGLIGIBLE:
                column[tag] = probability
                rest -= probability
                if rest < NEGLIGIBLE:
                    break
        return column


def _features(crf: Any) -> frozenset[str]:  # noqa: ANN401
    """List the features that have weights: crfsuite tells them only in its dump, one a line behind a number."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump"
        crf.dump(str(path))
        dump = path.read_text(encoding="utf-8")
    listed = dump.partition("ATTRIBUTES = {")[2].partition("\n}")[0]
    return frozenset(line.partition(": ")[2] for line in listed.split("\n"))
