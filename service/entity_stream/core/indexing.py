"""Offsets in code points, UTF-16 code units and text elements.

An offset inside a character is refused, never rounded; of text elements only the starts are told.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from unicodedata import category

from msgspec import Struct

ASTRAL = re.compile("[\U00010000-\U0010ffff]")
"""The characters that are one code point and two UTF-16 code units."""


class Utf16(Struct, frozen=True):
    """How the UTF-16 code units of one text stand to its code points. Make it with `utf16`."""

    points: int
    """The text's length in code points."""
    astral: tuple[int, ...] = ()
    """Where the characters of two units stand, in code points."""
    astral_units: tuple[int, ...] = ()
    """Where the same characters stand, in units."""

    @property
    def units(self) -> int:
        """The text's length in UTF-16 code units."""
        return self.points + len(self.astral)

    def to_units(self, point: int) -> int:
        """UTF-16 code units before a code point. ValueError outside the text."""
        if not 0 <= point <= self.points:
            raise ValueError(f"{point} is outside a text of {self.points} code points")
        return point + bisect_left(self.astral, point)

    def to_points(self, unit: int) -> int:
        """Code points before a UTF-16 code unit. ValueError outside the text and inside a character."""
        if not 0 <= unit <= self.units:
            raise ValueError(f"{unit} is outside a text of {self.units} UTF-16 code units")
        before = bisect_left(self.astral_units, unit)
        if before and self.astral_units[before - 1] == unit - 1:
            raise ValueError(f"{unit} is in the middle of a character of two UTF-16 code units")
        return unit - before

    def span_to_units(self, offset: int, length: int) -> tuple[int, int]:
        """Offset and length in UTF-16 code units of a span in code points."""
        start = self.to_units(offset)
        return start, self.to_units(offset + length) - start

    def span_to_points(self, offset: int, length: int) -> tuple[int, int]:
        """Offset and length in code points of a span in UTF-16 code units."""
        start = self.to_points(offset)
        return start, self.to_points(offset + length) - start


def utf16(text: str) -> Utf16:
    """Learn a text's offsets once, convert many: a text without astral characters costs nothing more."""
    if text.isascii():
        return Utf16(len(text))
    astral = tuple(match.start() for match in ASTRAL.finditer(text))
    return Utf16(len(text), astral, tuple(point + units for units, point in enumerate(astral)))


# text elements

PLAIN: Final = re.compile(r"(?:[^\r\u0300-\U0010ffff]|\r(?!\n))*")
"""A text in which every character is a text element, as can be seen at once."""
KIND: Final = re.compile(
    "(?P<r>\r)|(?P<n>\n)|(?P<j>\u200d)|(?P<x>[\u0e33\u0eb3\u200c\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f])"
    "|(?P<L>[\u1100-\u115f\ua960-\ua97c])|(?P<V>[\u1160-\u11a7\ud7b0-\ud7c6])|(?P<T>[\u11a8-\u11ff\ud7cb-\ud7fb])"
    "|(?P<S>[\uac00-\ud7a3])|(?P<f>[\U0001f1e6-\U0001f1ff])|(?P<p>[\u2194\U0001f000-\U0001faff])"
)
"""How characters join others, in a letter. What is not listed goes by its category."""
KIND_BY_CATEGORY: Final = {"Mn": "x", "Me": "x", "Mc": "x", "Cc": "c", "Cf": "c", "Zl": "c", "Zp": "c", "So": "p"}
ELEMENT: Final = re.compile("rn|[rnc]|(?:ff|L*[VS][VT]*|L+|T+|p(?:x*jp)*|[^rnc])[xj]*")
"""A text element, in those letters: an extended grapheme cluster (Unicode TR 29) without the rarest rules."""


def element_starts(text: str) -> Sequence[int]:
    """Tell where each text element of a text begins, in code points."""
    if PLAIN.fullmatch(text):
        return range(len(text))
    return [element.start() for element in ELEMENT.finditer("".join(map(_kind, text)))]


@lru_cache(maxsize=16_384)
def _kind(char: str) -> str:
    listed = KIND.fullmatch(char)
    return (listed.lastgroup if listed else None) or KIND_BY_CATEGORY.get(category(char), "o")
