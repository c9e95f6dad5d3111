"""How the peers stand to the plain loop where they were measured before, so that a peer that is made slow is found out.

The rule that keeps it honest: these are measured figures, never adjusted to what a run here gives. A run in which a
peer is far off its own counts for nothing, and somebody has to find out why.
"""

from msgspec import Struct

from tests.bench.figures import Figure, Run
from tests.bench.plan import Contender


class Known(Struct, frozen=True):
    """A figure of a peer, in that of the plain loop."""

    scenario: str
    peer: Contender
    what: str
    figure: Figure[Run]
    ratio: float


def _rate(run: Run) -> float:
    return run.rate


def _cpu(run: Run) -> float:
    return run.cpu


KNOWN = (
    Known("A", Contender.FASTSTREAM, "documents a second", _rate, 1.03),
    Known("A", Contender.ARROYO, "documents a second", _rate, 1.16),
    Known("A", Contender.SDK, "documents a second", _rate, 4.9 / 593),
    Known("B", Contender.FASTSTREAM, "documents a second", _rate, 0.99),
    Known("B", Contender.FASTSTREAM, "CPU", _cpu, 1.05),
    Known("B", Contender.ARROYO, "documents a second", _rate, 1.76),
    Known("B", Contender.ARROYO, "CPU", _cpu, 0.43),
)
"""Measured on 2026-11-21 with FastStream 0.7 and sentry-arroyo on Apache Kafka 4.1.1: broker, endpoint and client on
the same two cores, one run, from first to last entity. That of the Azure SDK is of the same day and the same work, on
another broker.

In its first seconds the plain loop needs nearly twice the CPU that it needs later: httpx looks at all idle connections
with each request, and drops them after five. So these ratios hold for runs in which it does what it did there: 1,800 to
2,680 documents/s in B, at 0.37 to 0.48 CPU s for 1,000, and here does with its 15,000 documents."""
