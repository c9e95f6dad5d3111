"""B once, the service under a sampler: microseconds of CPU for a document, stage by stage.

The rule that keeps it honest: the whole is what Linux counted; the sampler only says how it is shared out.
"""

from collections.abc import Iterator

import msgspec

from tests.bench.arena import Arena
from tests.bench.plan import Contender, Scenario
from tests.bench.scenarios import run, told
from tests.bench.stages import Stack, by_stage
from tests.bench.table import markdown


async def profile(arena: Arena, scenario: Scenario, mode: Contender) -> Iterator[str]:
    """Run it in one mode; lay out where the time went."""
    await arena.endpoint.set(scenario.conditions)
    target = arena.log("samples")
    found = await run(arena, scenario, mode, "tests.bench.sampling", str(target))
    arena.tell(f"under the sampler {told(found)}")
    samples = msgspec.json.decode(target.read_bytes(), type=list[tuple[Stack, int]])
    spent = found.cpu * 1000
    shares = [(stage, f"{part * spent:.1f}", f"{part:.0%}") for stage, part in by_stage(samples)]
    return markdown([("", "µs a document", "part"), *shares, ("all", f"{spent:.1f}", "100%")])
