"""The model: a linear-chain CRF over the tokens of a line. It is one file, and the same file finds the same.

The file is a line of JSON that says how to read the rest, and then the weights as crfsuite writes them.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from entity_stream.core.mistake import Mistake
from entity_stream.engine.corpus import LabelledDocument, Span, shuffled
from entity_stream.engine.decoding import confidence, decode
from entity_stream.engine.features import Preset, read_lines
from entity_stream.engine.lessons import lesson
from entity_stream.engine.tuning import choose
from entity_stream.engine.weights import Tagger, learn

__all__ = ["Card", "LabelledDocument", "Model", "Span", "train"]

VERSION = 1
"""Of the model's file. It grows when the features change, too: weights mean nothing to other features."""
ITERATIONS = 100
C2, C2_OF_FEW = 0.1, 0.01
FEW = 50
"""Documents. Below, the smaller C2 finds as much and is more honest about it."""
RETRAIN = "Train the model again with this version of Entity Stream."
NAME = "Name a file that `engine train` has saved."


class Card(Struct, frozen=True):
    """What a model is, beside its weights."""

    version: int
    preset: Preset
    categories: tuple[str, ...]
    bias: float
    """How much entities are favoured over none, for the sake of recall."""
    calibration: tuple[float, ...]
    """What makes confidences honest; empty where there was too little to learn it from."""
    checksum: int
    """CRC-32 of the weights: broken ones would end the process."""


class _Version(Struct, frozen=True):
    version: int


class Model:
    """Finds entities in texts. Make it with `train` or `load`. Not for two threads at a time."""

    def __init__(self, card: Card, weights: bytes) -> None:
        self.card = card
        self._weights = weights
        self._tagger = Tagger(weights, card.preset)

    @property
    def categories(self) -> tuple[str, ...]:
        """What it can find, sorted."""
        return self.card.categories

    def predict(self, text: str) -> list[Span]:
        """Find the entities of a text, any text: sorted, apart from each other, in code points."""
        lines = read_lines(text)
        starts = [start for line in lines for start in line.starts]
        ends = [end for line in lines for end in line.ends]
        return [
            Span(
                found.category,
                starts[found.first],
                ends[found.last] - starts[found.first],
                confidence(found, self.card.calibration),
            )
            for stretch in self._tagger.stretches(lines)
            for found in decode(stretch, self.card.bias)
        ]

    def save(self, path: Path) -> None:
        """Write the model to a file. Who reads meanwhile finds the old file or the new one."""
        partial = path.with_name(f"{path.name}.partial")
        partial.write_bytes(msgspec.json.encode(self.card) + b"\n" + self._weights)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model from a file; a Mistake says what is wrong with it."""
        try:
            head, _, weights = path.read_bytes().partition(b"\n")
            version = msgspec.json.decode(head, type=_Version).version
            if version != VERSION:
                raise Mistake(f"The model has version {version}, not {VERSION}", str(path), RETRAIN)
            card = msgspec.json.decode(head, type=Card)
        except OSError as error:
            raise Mistake(f"The model cannot be read: {error.strerror}", str(path), NAME) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Mistake(f"This is not a model: {error}", str(path), RETRAIN) from error
        if zlib.crc32(weights) != card.checksum:
            raise Mistake("The model is incomplete, or was changed", str(path), RETRAIN)
        return cls(card, weights)


def train(documents: Sequence[LabelledDocument], progress: Callable[[str], None] = lambda _: None) -> Model:
    """Learn from labelled documents. The same documents, in whatever order, give the same model."""
    lessons = [one for one in (lesson(document, progress) for document in shuffled(documents)) if any(one.taught)]
    categories = tuple(sorted({category for one in lessons for category, _, _ in one.entities}))
    if not categories:
        raise Mistake("There is nothing to learn", "the training documents", "Label entities in some of them.")
    labels = sum(len(one.entities) for one in lessons)
    progress(f"{len(lessons)} documents with {labels} labels of {len(categories)} categories")
    c2 = C2_OF_FEW if len(lessons) < FEW else C2
    choice = choose(lessons, c2, progress)
    weights = learn(lessons, choice.preset, c2, ITERATIONS)
    card = Card(VERSION, choice.preset, categories, choice.bias, choice.calibration, zlib.crc32(weights))
    return Model(card, weights)
