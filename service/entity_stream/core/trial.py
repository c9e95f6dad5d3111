"""Finding who is to blame in a batch that brings nothing as a whole: part by part, until each culprit stands alone.

What one part tells clears or blames the other: where the first brings all its results, nobody has to ask
whether the second is to blame. A document is convicted only by what became of it alone.
"""

from collections.abc import Generator, Iterator

from msgspec import Struct

from entity_stream.core.model import Batch, Reason


class Left(Struct, frozen=True):
    """What of a submitted batch has brought nothing, and why."""

    documents: Batch
    reason: Reason
    sent: float = 0.0
    """When it was submitted, as it is."""
    final: bool = False
    """It would bring nothing again, submitted as it is."""
    resource: str = ""
    """Where it brought nothing."""


def merged(first: Left, second: Left) -> Left:
    """Put together what is left of two parts that were submitted one after the other."""
    if not (first.documents and second.documents):
        return first if first.documents else second
    final = first.final and second.final
    sent = max(first.sent, second.sent)
    return Left(first.documents + second.documents, second.reason, sent, final, second.resource)


def by_route(left: Left) -> Iterator[Left]:
    """Part what is left of a batch that mixes routes, each in its order."""
    for route in dict.fromkeys(document.route for document in left.documents):
        documents = tuple(document for document in left.documents if document.route == route)
        yield Left(documents, left.reason, left.sent, left.final, left.resource)


ALONE = 3
"""How often a document that stands alone is submitted before it is convicted: a job may fail for no reason."""

FIRST_PART = 0.382
"""Of a batch that is divided: the golden section. A culprit in the first part costs two submits, as the second part
has to be run too, one in the second part costs one; so the first is smaller, and neither is the worse case."""

Trial = Generator[Batch, Left, list[Left]]
"""Yields what to submit next, is sent what of it is left, returns the convicted, each alone."""


def trial(left: Left, asked: int = 0) -> Trial:
    """Try what is left of a batch, which was `asked` already, as it is.

    One culprit among 25 documents is found by ten submits at the most, of which the good ones are part of one each.
    """
    if len(left.documents) == 1:
        return (yield from _alone(left, asked))
    cut = round(len(left.documents) * FIRST_PART)
    parts = left.documents[:cut], left.documents[cut:]
    first = yield parts[0]
    if not first.documents:
        return (yield from trial(Left(parts[1], left.reason)))  # blamed: it need not be asked as it is
    second = yield parts[1]
    convicted = []
    for part, still in zip(parts, (first, second), strict=True):
        if still.documents:
            convicted += yield from trial(still, asked=int(still.documents == part))
    return convicted


def _alone(left: Left, asked: int) -> Trial:
    while asked < ALONE and not (asked and left.final):
        left = yield left.documents
        if not left.documents:
            return []
        asked += 1
    return [left]
