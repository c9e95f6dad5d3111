"""The troubles of the endpoint, by name: what each makes of its fair conditions.

A trouble must never be the fault of a document: whatever strikes here passes, so no outcome may show it. Rates
are low enough that no document meets bad luck as often in a row as the service tries (`ATTEMPTS`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tests.judge.conditions import Conditions, Duration, Fault, FaultName

ATTEMPTS: Final = 5
"""How often a worker tries what a job did not bring."""

FAIR: Final = Duration(fixed=0.9, per_document=0.01, jitter=0.15, tail_rate=0.01, tail_seconds=1.0)
"""Long enough that a worker has several jobs in flight at a leisurely pace of documents."""

RARE: Final = 0.02
OFTEN: Final = 0.15
MOSTLY: Final = 0.6


def _faults(rate: float, *names: FaultName) -> dict[str, Sequence[Fault]]:
    return {"faults": tuple(Fault(name, rate) for name in names)}


WEATHERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "outage: 503 for all": {"down": "status"},
    "outage: no answer": {"down": "hang"},
    "outage: connections reset": {"down": "reset"},
    "outage: no connection": {"down": "refused"},
    "refusal: 401 for all": {"refuse": 401},
    "storm: 429 in seconds": {"retry_after": "seconds", **_faults(MOSTLY, "throttled", "poll-throttled")},
    "storm: 429 until a date": {"retry_after": "date", **_faults(MOSTLY, "throttled", "poll-throttled")},
    "storm: 429 without a word": {"retry_after": "none", **_faults(OFTEN, "throttled", "poll-throttled")},
    "lies: results that miss, repeat and invent": {
        "faults": (Fault("missing", RARE), Fault("repeated", OFTEN), Fault("stranger", OFTEN))
    },
    "lies: answers to polls broken": _faults(
        OFTEN / 3, "cut-short", "broken-off", "not-json", "poll-500", "poll-503", "poll-reset"
    ),
    "lies: jobs that fail": _faults(RARE, "fails", "partial", "cancelled", "expired"),
    "lies: jobs that vanish": _faults(RARE, "vanishes"),
    "submits refused": _faults(
        OFTEN / 3, "status-500", "status-502", "status-503", "status-504", "status-408", "reset"
    ),
    "submits taken, answers lost": _faults(RARE, "accepted-hang", "accepted-reset", "accepted-500"),
}


def conditions(fair: Conditions, weather: str | None) -> Conditions:
    """Say what the endpoint does in this weather; None: the sun shines."""
    return msgspec.structs.replace(fair, **WEATHERS[weather]) if weather else fair
