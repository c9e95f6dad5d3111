"""The entities of a text in every unit: whichever is asked for, they name the same pieces of it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.indexing import element_starts
from entity_stream.core.wire.service_job import Found
from entity_stream.core.wire.shapes import CODE_POINTS, TEXT_ELEMENTS, UTF16_UNITS, InputDocument
from entity_stream.engine.crf import Model
from entity_stream.engine.jobs import Work
from entity_stream.engine.recognition import recognise
from entity_stream.sample import DOCUMENTS
from tests.core.language_samples import UNEVEN_TEXTS

REPORT = (DOCUMENTS / "incident-001.txt").read_bytes().decode()


@given(st.lists(UNEVEN_TEXTS, max_size=3))
def test_the_same_entities_are_told_in_every_unit(model: Path, several: list[str]) -> None:
    """Whatever the text, the three units name the same pieces of it: those of text elements are whole elements."""
    reports = [text + REPORT + text for text in several]
    documents = tuple(InputDocument(str(place), text) for place, text in enumerate(reports))
    told = recognise(Model.load(model), Work(documents, (CODE_POINTS, UTF16_UNITS, TEXT_ELEMENTS)))
    for text, *answers in zip(reports, *told.values(), strict=True):
        points, units, elements = (answer for answer in answers if isinstance(answer, Found))
        starts = [*element_starts(text), len(text)]
        assert points.characters == units.characters == elements.characters == len(starts) - 1
        encoded = text.encode("utf-16-le")
        for one in points.entities:
            assert text[one.offset : one.offset + one.length] == one.text
        for one in units.entities:
            assert encoded[2 * one.offset : 2 * (one.offset + one.length)].decode("utf-16-le") == one.text
        for one in elements.entities:
            assert text[starts[one.offset] : starts[one.offset + one.length]] == one.text
        assert [one.text for one in units.entities] == [one.text for one in points.entities]


def test_an_entity_that_ends_within_a_text_element_is_told_with_the_whole_of_it(model: Path) -> None:
    """An accent behind an entity is no part of it in code points, and belongs to its last element in text elements."""
    reader = Model.load(model)
    text = REPORT
    for span in reversed(reader.predict(REPORT)):
        text = f"{text[: span.end]}\u0301{text[span.end :]}"
    told = recognise(reader, Work((InputDocument("1", text),), (CODE_POINTS, TEXT_ELEMENTS)))
    (points,), (elements,) = told.values()
    assert isinstance(points, Found)
    assert isinstance(elements, Found)
    assert len(points.entities) > 3
    assert [f"{one.text}\u0301" for one in points.entities] == [one.text for one in elements.entities]
    assert [one.length for one in points.entities] == [one.length for one in elements.entities]
