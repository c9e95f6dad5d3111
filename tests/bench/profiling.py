"""B once, the service under a sampler: microseconds of CPU for a document, stage by stage.

The rule that keeps it honest: the whole is what Linux counted; the sampler only says how it is shared out.
"""

from collections.abc import Iterator

import msgspec

from tests.bench.arena import Arena
from tests.bench.plan import Scenario
from tests.bench.scenarios import conditions, run_service, told
from tests.bench.stages import Stack, by_stage
from tests.bench.table import markdown


async def profile(arena: Arena, scenario: Scenario) -> Iterator[str]:
    """Run it; lay out where the time went."""
    await arena.endpoint.set(conditions(scenario))
    target = arena.log("samples")
    run = await run_service(arena, scenario, "tests.bench.sampling", str(target))
    arena.tell(f"under the sampler {told(run)}")
    samples = msgspec.json.decode(target.read_bytes(), type=list[tuple[Stack, int]])
    spent = run.cpu * 1000
    shares = [(stage, f"{part * spent:.1f}", f"{part:.0%}") for stage, part in by_stage(samples)]
    return markdown([("", "µs a document", "part"), *shares, ("all", f"{spent:.1f}", "100%")])
