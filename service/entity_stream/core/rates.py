"""A quota as it is written: windows, as in `1000/min` or `submit 10/s, submit 600/min, poll 50/s`.

Whatever is not understood is told in words; nothing is guessed.
"""

import re
from typing import Final

from entity_stream.core.quota import BOTH, Operation, Rate, Rates

UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3_600.0, "day": 86_400.0}

WINDOW = re.compile(r"(?:([a-z]+) +)?([0-9]{1,7}) */ *([a-z]+)")

MOST_CALLS: Final = 1_000_000


class Unclear(ValueError):
    """A text that is no quota: what is wrong with it, as the end of a sentence, and what to write instead."""

    def __init__(self, complaint: str, fix: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self.fix = fix


def read(text: str, part: float = 1.0) -> Rates:
    """Read a quota, and take a part of it, above 0 and at most 1. Raises Unclear."""
    rates = [_rate(window.strip().lower()) for window in text.split(",")]
    for place, rate in enumerate(rates):
        if any((rate.seconds, rate.operations) == (other.seconds, other.operations) for other in rates[:place]):
            raise Unclear("which says two things of the same window", "Keep one of them.")
    return tuple(rate.part(part) for rate in rates)


def _rate(window: str) -> Rate:
    found = WINDOW.fullmatch(window)
    if not found:
        raise Unclear("which is not a quota", "Give calls per s, min, h or day: 1000/min, or submit 10/s, poll 50/s.")
    operation, calls, unit = found.groups()
    if operation not in {None, *Operation}:
        raise Unclear(f"and the API has no operation {operation}", "Write submit, poll, or nothing for both together.")
    if unit not in UNITS:
        raise Unclear(f"and {unit} is no unit of it", f"Use one of {', '.join(UNITS)}.")
    if not 1 <= int(calls) <= MOST_CALLS:
        raise Unclear(f"and a window holds 1 to {MOST_CALLS} calls", "Leave it out, if nothing is to be held.")
    return Rate(int(calls), UNITS[unit], (Operation(operation),) if operation else BOTH)
