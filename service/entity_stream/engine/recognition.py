"""What a job asks for: the entities of its texts, each told in the unit that was asked for, as a piece of its text."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from entity_stream.core.indexing import element_starts, utf16
from entity_stream.core.model import Entity
from entity_stream.core.wire.service_job import Faulty, Found
from entity_stream.core.wire.service_submit import fault_in
from entity_stream.core.wire.shapes import TEXT_ELEMENTS, UTF16_UNITS, InputDocument
from entity_stream.engine.corpus import Span
from entity_stream.engine.crf import Model
from entity_stream.engine.jobs import Answers, Work

LANGUAGES: Final = frozenset(
    """
    af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id it ja
    jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my nb ne nl nn no om or pa pl ps pt ro ru sa sd si sk sl so
    sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh zu
    """.split()  # noqa: SIM905 (a list has one of them on each line)
)
"""The model reads whatever it was taught; a code that is none of these is a mistake of who sent it."""


def recognise(model: Model, work: Work) -> Answers:
    """Find the entities of each text, once, and tell them in each of the units that are asked for."""
    answers: dict[str, list[Found | Faulty]] = {unit: [] for unit in work.string_indexes}
    for document in work.documents:
        fault = fault_in(document, LANGUAGES)
        spans = [] if fault else model.predict(document.text)
        for unit, told in answers.items():
            told.append(Faulty(document.id, fault) if fault else _found(document, spans, unit))
    return {unit: tuple(told) for unit, told in answers.items()}


def _found(document: InputDocument, spans: Sequence[Span], unit: str) -> Found:
    text = document.text
    starts = element_starts(text)
    if unit == TEXT_ELEMENTS:
        entities = [_in_elements(text, span, starts) for span in spans]
    elif unit == UTF16_UNITS:
        index = utf16(text)
        entities = [_entity(text, span, *index.span_to_units(span.offset, span.length)) for span in spans]
    else:
        entities = [_entity(text, span, span.offset, span.length) for span in spans]
    return Found(document.id, tuple(entities), len(starts))


def _in_elements(text: str, span: Span, starts: Sequence[int]) -> Entity:
    """Widen a span that cuts a text element: a part of one cannot be told."""
    first = bisect_right(starts, span.offset) - 1
    behind = bisect_left(starts, span.end)
    end = starts[behind] if behind < len(starts) else len(text)
    whole = Span(span.category, starts[first], end - starts[first], span.confidence)
    return _entity(text, whole, first, behind - first)


def _entity(text: str, span: Span, offset: int, length: int) -> Entity:
    return Entity(text[span.offset : span.end], span.category, offset, length, span.confidence)
