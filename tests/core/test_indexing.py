"""Units of a text: UTF-16 agrees with Python's own encoder, text elements with the service and with the reader."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.indexing import element_starts, utf16
from entity_stream.core.wire.shapes import TEXT_ELEMENTS
from tests.core.language_samples import UNEVEN_TEXTS

CHARACTERS = st.sampled_from("a é\n\r\t\0\u0301\u200d\uffff\ud800\U00010000😀👩\U0010ffff")
TEXTS = st.text(CHARACTERS | st.characters())


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(TEXTS)
def test_every_code_point_stands_where_the_encoder_puts_it(text: str) -> None:
    """The units before a code point are as many as the encoder needs for the text before it."""
    index = utf16(text)
    assert [index.to_units(at) for at in range(len(text) + 1)] == [units(text[:at]) for at in range(len(text) + 1)]
    assert index.units == units(text)


@given(TEXTS)
def test_there_and_back_is_where_it_was(text: str) -> None:
    """A code point converted to units and back is itself."""
    index = utf16(text)
    for at in range(len(text) + 1):
        assert index.to_points(index.to_units(at)) == at


@given(TEXTS)
def test_an_offset_inside_a_character_is_refused(text: str) -> None:
    """Exactly the units that no code point begins at are refused."""
    index = utf16(text)
    begun = {index.to_units(at) for at in range(len(text) + 1)}
    for unit in range(index.units + 1):
        if unit not in begun:
            with pytest.raises(ValueError, match="middle of a character"):
                index.to_points(unit)


@given(TEXTS, st.data())
def test_spans_keep_what_they_hold(text: str, data: st.DataObject) -> None:
    """A span in units cuts out of the encoded text what the span in code points cuts out of the text."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    index = utf16(text)
    offset, length = index.span_to_units(start, end - start)
    cut = text.encode("utf-16-le", "surrogatepass")[2 * offset : 2 * (offset + length)]
    assert cut == text[start:end].encode("utf-16-le", "surrogatepass")
    assert index.span_to_points(offset, length) == (start, end - start)


@pytest.mark.parametrize("text", ["", "plain", "naïve", "😀"])
@pytest.mark.parametrize("beyond", [-1, 1])
def test_an_offset_outside_the_text_is_refused(text: str, beyond: int) -> None:
    """Neither direction knows an offset before the start or behind the end."""
    index = utf16(text)
    with pytest.raises(ValueError, match="outside a text"):
        index.to_units(beyond if beyond < 0 else len(text) + beyond)
    with pytest.raises(ValueError, match="outside a text"):
        index.to_points(beyond if beyond < 0 else index.units + beyond)


def test_a_plain_text_has_nothing_to_remember() -> None:
    """Without astral characters nothing is stored, and both ways of counting are one."""
    index = utf16("naïve" * 1_000)
    assert (index.astral, index.astral_units) == ((), ())
    assert index.to_units(4_321) == index.to_points(4_321) == 4_321


# text elements


VECTORS = Path(__file__).parents[1] / "contract" / "recordings" / "encoding" / "string-index-vectors.json"
RECORDED = [
    pytest.param(vector["text"], vector["entity"], vector["offset"][TEXT_ELEMENTS], id=vector["name"])
    for vector in json.loads(VECTORS.read_bytes())["vectors"]
]


@pytest.mark.parametrize(("text", "entity", "offset"), RECORDED)
def test_text_elements_are_counted_as_the_service_counts_them(text: str, entity: str, offset: int) -> None:
    """In the recorded texts the entity stands where the service says, in text elements."""
    assert element_starts(text)[offset] == text.index(entity)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", 0),
        ("a\rb\nc\r\nd", 7),
        ("🇩🇪🇫🇷🇩", 3),
        ("각가\u11a8", 2),
        ("\u1100\u1161\u11a8", 1),
        ("ท\u0e33", 1),
        ("👍🏽👍", 2),
        ("a\u200db", 2),
        ("\u0301a", 2),
        ("\u2028\u0301", 2),
        ("❤\ufe0f\u200d🔥", 1),
    ],
)
def test_text_elements_are_grapheme_clusters(text: str, elements: int) -> None:
    """What a reader sees as one character is one text element: flags, syllables, accents, emoji and line ends."""
    assert len(element_starts(text)) == elements


@given(UNEVEN_TEXTS)
def test_elements_cover_a_text_without_gaps(text: str) -> None:
    """Elements begin at the text's start, one behind the other, and never between CR and LF."""
    starts = list(element_starts(text))
    assert starts == sorted(set(starts))
    assert starts[:1] == ([0] if text else [])
    assert not any(text[at - 1 : at + 1] == "\r\n" for at in starts if at)
