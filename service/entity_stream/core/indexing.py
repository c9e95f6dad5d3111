"""Offsets in code points and in UTF-16 code units: an offset inside a character is refused, never rounded."""

import re
from bisect import bisect_left

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
