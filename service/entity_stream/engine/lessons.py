"""What a labelled document teaches: a tag for each of its tokens. Where a label has to give way, it is said."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from msgspec import Struct

from entity_stream.engine.corpus import LabelledDocument
from entity_stream.engine.decoding import OUTSIDE
from entity_stream.engine.features import Line, read_lines


class Lesson(Struct, frozen=True):
    """A document as tokens and tags, line by line."""

    lines: list[Line]
    tags: list[list[str]]
    taught: list[bool]
    """Which lines somebody has labelled."""
    entities: frozenset[tuple[str, int, int]]
    """Category, first token and last token, counted from the start of the text."""


def lesson(document: LabelledDocument, report: Callable[[str], None]) -> Lesson:
    """Tag the tokens of a document. Labels that tokens cannot express exactly are reported."""
    lines = read_lines(document.text)
    starts = [start for line in lines for start in line.starts]
    ends = [end for line in lines for end in line.ends]
    tags = [OUTSIDE] * len(starts)
    entities = []
    for span in document.spans:
        first, last = bisect_right(ends, span.offset), bisect_left(starts, span.end) - 1
        name = f"{document.location}: {span.category} at {span.offset} + {span.length}"
        if first > last:
            report(f"{name} holds no word: it is not learnt")
        elif set(tags[first : last + 1]) != {OUTSIDE}:
            report(f"{name} shares a word with the label before it: it is not learnt")
        else:
            tags[first : last + 1] = [f"B-{span.category}", *[f"I-{span.category}"] * (last - first)]
            entities.append((span.category, first, last))
            if (starts[first], ends[last]) != (span.offset, span.end):
                report(f"{name} is learnt as {starts[first]} + {ends[last] - starts[first]}, whole words")
    taught = [any(part.touches(line.starts[0], line.ends[-1]) for part in document.regions) for line in lines]
    return Lesson(lines, _by_line(lines, tags), taught, frozenset(entities))


def _by_line(lines: Sequence[Line], tags: Sequence[str]) -> list[list[str]]:
    parts, at = [], 0
    for line in lines:
        parts.append(list(tags[at : at + len(line.words)]))
        at += len(line.words)
    return parts
