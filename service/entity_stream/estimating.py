"""What a backlog, or documents in files, will cost and take: from there to an estimate, before anything is sent."""

from collections.abc import Callable
from pathlib import Path

from entity_stream.core.estimate import Estimate, Reading, Stretch, Tally, at_quotas, estimate
from entity_stream.core.model import Partition, Record
from entity_stream.core.quota import Rates
from entity_stream.demo import documents
from entity_stream.edges.kafka_sample import read_backlog
from entity_stream.plan import KafkaConnection, Plan

Tell = Callable[[int, int | None], None]
"""Is told how many records have been read, and of how many, if that is known."""

NOW_AND_THEN = 1_000
"""Records between two words on how far we are."""


async def of_topic(
    connection: KafkaConnection, topic: str, plan: Plan, most: int | None, price: float | None, tell: Tell
) -> Estimate:
    """Estimate what a group has left in a topic, from all records or from about `most` of each partition.

    `price`: of 1,000 text records. Raises the Mistake that says why the topic cannot be read.
    """
    readings = await read_backlog(connection, topic, plan, most, tell)
    return estimate(readings, at_quotas(_quotas(plan)), price)


def of_files(path: Path, plan: Plan, price: float | None, tell: Tell) -> Estimate:
    """Estimate a folder of text files, one text file, or JSON Lines. Raises Mistake."""
    tally, number = Tally(plan.limits), 0
    for number, fed in enumerate(documents.read(path, "PATH"), 1):
        tally.add(Record(Partition(path.name, 0), number, fed.key, fed.value))
        if number % NOW_AND_THEN == 0:
            tell(number, None)
    return estimate([Reading(number, [Stretch(number, tally.count)])], at_quotas(_quotas(plan)), price)


def _quotas(plan: Plan) -> list[Rates]:
    """Tell the quotas of those who take new work."""
    return [each.quota or plan.quota for each in plan.resources if not each.draining]
