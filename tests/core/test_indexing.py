"""Code points and UTF-16 code units: whatever the text, the two ways of counting agree with Python's own encoder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_stream.core.indexing import utf16

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
