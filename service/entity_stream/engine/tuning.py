"""What training cannot learn is chosen on held-out documents: no model predicts what it has seen."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from entity_stream.engine.decoding import Found, Stretch, decode, signs
from entity_stream.engine.evaluation import Score
from entity_stream.engine.features import Preset
from entity_stream.engine.lessons import Lesson
from entity_stream.engine.weights import Tagger, learn, weigh

FOLDS = 3
ITERATIONS = 30
"""Enough to compare with, at a third of the time."""
SAMPLE = 300
"""Documents. More would not choose better, only later."""
BIASES = (0.5, 1.0, 1.5, 2.0, 3.0)
WORTHWHILE = 0.01
"""The F1 that a bias has to gain; less is noise."""
ENOUGH = 500
"""Predictions to calibrate on."""


class Choice(Struct, frozen=True):
    """How to describe a text, and what to make of the probabilities."""

    preset: Preset = "prose"
    bias: float = 0.0
    calibration: tuple[float, ...] = ()


class _Trial(Struct, frozen=True):
    """A preset, and what became of each lesson when it was held out."""

    preset: Preset
    lessons: Sequence[Lesson]
    stretches: list[list[Stretch]]

    def found(self, bias: float) -> list[list[Found]]:
        return [[one for part in parts for one in decode(part, bias)] for parts in self.stretches]

    def f1(self, bias: float = 0.0) -> float:
        score = Score()
        for lesson, found in zip(self.lessons, self.found(bias), strict=True):
            told = {(one.category, one.first, one.last) for one in found}
            right = len(told & lesson.entities)
            score += Score(right, len(told) - right, len(lesson.entities) - right)
        return score.f1

    def signs(self, bias: float) -> list[tuple[Sequence[float], bool]]:
        return [
            (signs(one), (one.category, one.first, one.last) in lesson.entities)
            for lesson, found in zip(self.lessons, self.found(bias), strict=True)
            for one in found
        ]


def choose(lessons: Sequence[Lesson], c2: float, progress: Callable[[str], None]) -> Choice:
    """Choose preset, bias and calibration by cross-validation. One document alone leaves no choice."""
    sample = lessons[:SAMPLE]
    if len(sample) < 2:
        return Choice()
    trials = [_try(sample, preset, c2) for preset in ("prose", "form")]
    best = max(trials, key=_Trial.f1)
    bias = max(BIASES, key=best.f1)
    if best.f1(bias) < best.f1() + WORTHWHILE:
        bias = 0.0
    examples = best.signs(bias)
    calibration = weigh(examples) if len(examples) >= ENOUGH else ()
    scores = ", ".join(f"{trial.preset} {trial.f1():.3f}" for trial in trials)
    progress(f"held out, F1 is {scores}; with a bias of {bias:g}, {best.preset} {best.f1(bias):.3f}")
    return Choice(best.preset, bias, calibration)


def _try(lessons: Sequence[Lesson], preset: Preset, c2: float) -> _Trial:
    folds = min(FOLDS, len(lessons))
    stretches: list[list[Stretch]] = [[] for _ in lessons]
    for fold in range(folds):
        others = [one for i, one in enumerate(lessons) if i % folds != fold]
        tagger = Tagger(learn(others, preset, c2, ITERATIONS), preset)
        for i in range(fold, len(lessons), folds):
            stretches[i] = list(tagger.stretches(lessons[i].lines))
    return _Trial(preset, lessons, stretches)
