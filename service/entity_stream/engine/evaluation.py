"""How good a model is. An entity is found when its category and both its ends are right, else it is missed.

So Azure counts, too. Its confusion matrix weighs characters, to show what counts cannot: that an
entity was nearly right. Both are made here so that they agree with the published example.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from msgspec import Struct

from entity_stream.engine.corpus import LabelledDocument, Region, Span

NONE = "$none"
"""The category of text outside of all entities."""


class Score(Struct, frozen=True):
    """Entities found, invented and missed. A ratio of nothing is 0."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """Of what was predicted, how much was expected."""
        return self.true_positives / max(self.true_positives + self.false_positives, 1)

    @property
    def recall(self) -> float:
        """Of what was expected, how much was predicted."""
        return self.true_positives / max(self.true_positives + self.false_negatives, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        right = 2 * self.true_positives
        return right / max(right + self.false_positives + self.false_negatives, 1)


class Figures(Struct, frozen=True):
    """Precision, recall and F1 over all categories."""

    precision: float
    recall: float
    f1: float


class Evaluation(Struct, frozen=True):
    """What became of the entities that people labelled."""

    entities: dict[str, Score]
    """By category, sorted: those that were expected or predicted."""
    confusion: dict[str, dict[str, float]]
    """By expected category, then by predicted: how many entities, or gaps between entities, in fractions."""

    @property
    def micro(self) -> Figures:
        """All entities count alike."""
        total = sum(self.entities.values(), Score())
        return Figures(total.precision, total.recall, total.f1)

    @property
    def macro(self) -> Figures:
        """All categories count alike; F1 is the mean of theirs."""
        scores = list(self.entities.values()) or [Score()]
        return Figures(
            fmean(score.precision for score in scores),
            fmean(score.recall for score in scores),
            fmean(score.f1 for score in scores),
        )


def evaluate(expected: Iterable[LabelledDocument], predicted: Iterable[Sequence[Span]]) -> Evaluation:
    """Compare documents with what was predicted for each of them, in the regions that somebody labelled."""
    entities: dict[str, Score] = {}
    confusion: dict[str, dict[str, float]] = {}
    for document, all_spans in zip(expected, predicted, strict=True):
        spans = [one for one in all_spans if any(part.touches(one.offset, one.end) for part in document.regions)]
        for category, score in _scores(document.spans, spans):
            entities[category] = entities.get(category, Score()) + score
        for region in document.regions:
            for category, shares in _shares(document, region, spans):
                row = confusion.setdefault(category, {})
                for told, share in shares.items():
                    row[told] = row.get(told, 0.0) + share
    return Evaluation(dict(sorted(entities.items())), confusion)


def _scores(expected: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[str, Score]]:
    wanted = {(one.category, one.offset, one.length) for one in expected}
    told = {(one.category, one.offset, one.length) for one in predicted}
    for category, _, _ in wanted & told:
        yield category, Score(true_positives=1)
    for category, _, _ in told - wanted:
        yield category, Score(false_positives=1)
    for category, _, _ in wanted - told:
        yield category, Score(false_negatives=1)


def _shares(
    document: LabelledDocument, region: Region, predicted: Sequence[Span]
) -> Iterator[tuple[str, dict[str, float]]]:
    """For each entity and each gap: its category, and which part of its characters was told to be which."""
    told = {at: one.category for one in predicted for at in range(one.offset, one.end)}
    for category, start, end in _segments(document, region):
        solid = [at for at in range(start, end) if not document.text[at].isspace()]
        counts = Counter(told.get(at, NONE) for at in solid)
        if solid:
            yield category, {name: count / len(solid) for name, count in counts.items()}


def _segments(document: LabelledDocument, region: Region) -> Iterator[tuple[str, int, int]]:
    """Cut a region into its entities and the gaps between them."""
    at, end = region.offset, min(region.offset + region.length, len(document.text))
    for span in document.spans:
        if region.touches(span.offset, span.end):
            yield NONE, at, span.offset
            yield span.category, span.offset, span.end
            at = max(at, span.end)
    yield NONE, at, end
