"""All resources of a line: a batch goes to whoever can take it soonest, and a job stays with whoever took it.

Each route at each resource is a target that is called, spared, parked and doubted by itself: a model that is there and
right says nothing of another. What the routes of a resource share is its quota.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count

from entity_stream.calling import Calls, Elsewhere, Submitted
from entity_stream.core.backlog import Look
from entity_stream.core.choice import Offer, Turns
from entity_stream.core.model import Batch, Job, Place, Route, Target
from entity_stream.core.quota import Operation, Quota
from entity_stream.core.trial import Left
from entity_stream.core.verdict import Again, Done, Judged
from entity_stream.dividing import Division
from entity_stream.doubt import Doubt
from entity_stream.moments import now
from entity_stream.plan import Health, Plan
from entity_stream.ports import Language
from entity_stream.tenures import Grant, Tenures


class Takers:
    """Who takes the batches of one route."""

    def __init__(self, weights: Mapping[Target, float], window: int) -> None:
        self.news = asyncio.Event()
        """Set and cleared at once, which wakes whoever waits."""
        self._turns = Turns(weights)
        self._parts = {target: window * weight / sum(weights.values()) for target, weight in weights.items()}
        self._calls: dict[Target, Calls] = {}

    def join(self, target: Target, calls: Calls) -> None:
        """Have one more take them, if it takes new work at all."""
        if target in self._parts:
            self._calls[target] = calls

    def choose(self) -> tuple[Target, Calls]:
        """Choose who is to take the next batch."""
        chosen = self._turns.choose({each: calls.offer(self._parts[each]) for each, calls in self._calls.items()})
        return chosen, self._calls[chosen]

    def beat(self, offer: Offer) -> bool:
        """Tell whether one of them makes a better offer."""
        return len(self._calls) > 1 and any(calls.offer().beats(offer) for calls in self._calls.values())

    def answers(self) -> bool:
        """Tell whether any of them tells how its jobs are."""
        return any(calls.shut()[Operation.POLL] is None for calls in self._calls.values())

    def load(self) -> float:
        """Tell what part of its quota the one uses that uses the least, from 0 to 1."""
        return min((calls.load() for calls in self._calls.values()), default=1.0)

    def unable(self) -> list[str]:
        """Say why, if all of them refuse what is asked of them, or do not answer; nothing where no one refuses."""
        causes = {target: calls.parked or calls.shut()[Operation.SUBMIT] for target, calls in self._calls.items()}
        if not all(causes.values()) or not any(calls.parked for calls in self._calls.values()):
            return []
        return [f"{target}: {cause}" if len(causes) > 1 else str(cause) for target, cause in causes.items()]


class Resources:
    """The resources of one line, and their routes."""

    def __init__(self, languages: Mapping[Target, Language], plan: Plan, tenures: Tenures, stop: asyncio.Event) -> None:
        """Call each target by its language; the plan says what is special of its resource."""
        resources = {each.name: each for each in plan.resources}
        self._tickets = count()
        quotas = {name: Quota(each.quota or plan.quota, self._tickets) for name, each in resources.items()}
        self._division = Division(quotas, tenures)
        weights = {each: resources[each.resource].weight for each in languages if not resources[each.resource].draining}
        self._takers: dict[Route | None, Takers] = {}
        self._calls: dict[Target, Calls] = {}
        self._doubts: dict[Target, Doubt] = {}
        for target, language in languages.items():
            if target.route not in self._takers:
                mine = {each: weight for each, weight in weights.items() if each.route == target.route}
                self._takers[target.route] = Takers(mine, plan.window)
            takers = self._takers[target.route]
            calls = Calls(language, quotas[target.resource], plan, tenures, stop, takers)
            takers.join(target, calls)
            self._calls[target], self._doubts[target] = calls, Doubt(calls, plan, stop)

    def live_in(self, home: asyncio.TaskGroup) -> None:
        """Have probes that are asked again and again asked by tasks of this group."""
        for doubt in self._doubts.values():
            doubt.home = home

    def see(self, look: Look) -> None:
        """Take in where the whole group stands, and divide the quotas among its replicas."""
        self._division.see(look)

    def miss(self, group: Collection[Place], ahead: float) -> None:
        """Hear that nobody can tell where the group stands: we keep to what is surely ours of the quotas."""
        self._division.miss(group, ahead)

    def wake(self) -> None:
        """Have whoever waits look again: the stop has come, or partitions are gone."""
        for calls in self._calls.values():
            calls.wake()

    # one batch, one job

    async def submit(self, grant: Grant) -> tuple[str, Submitted] | None:
        """Submit until a resource takes or refuses what is still ours; tell which. None when nothing is, or we stop."""
        takers, ticket = self._takers[grant.batch[0].route], next(self._tickets)  # it keeps its turn wherever it goes
        while True:
            target, calls = takers.choose()
            match await calls.submit(grant, ticket):
                case Submitted() as submitted:
                    return target.resource, submitted
                case None:
                    return None
                case Elsewhere():
                    await asyncio.sleep(0)  # others may have a turn, too

    async def poll(self, job: Job, batch: Batch, sent: float, *, resumed: bool = False) -> Done[Judged] | Again | None:
        """Ask whoever owns a job until it has ended or is overdue; None when nothing of the batch is ours any more."""
        return await self._calls[self._target(job.resource, batch)].poll(job, batch, sent, resumed=resumed)

    def doubt(self, resource: str, batch: Batch) -> Doubt:
        """Give what is known for and against who was asked for a batch."""
        return self._doubts[self._target(resource, batch)]

    async def believes(self, lefts: Iterable[Left]) -> bool:
        """Tell whether what became of these, all of one route, stands. False: submit them again."""
        latest: dict[Doubt, float] = {}
        for left in lefts:
            doubt = self.doubt(left.resource, left.documents)
            latest[doubt] = max(left.sent, latest.get(doubt, left.sent))
        return all([await doubt.believes(sent) for doubt, sent in latest.items()])

    def _target(self, resource: str, batch: Batch) -> Target:
        """Find who was asked. A route that the resource serves no more is as good as another, to ask for a job."""
        target = Target(resource, batch[0].route)
        return target if target in self._calls else next(each for each in self._calls if each.resource == resource)

    # seen from outside

    def heard(self) -> int:
        """Count the answers of use so far."""
        return sum(calls.heard for calls in self._calls.values())

    def in_flight(self) -> int:
        """Count the jobs that are accepted and not known to have ended."""
        return sum(calls.in_flight for calls in self._calls.values())

    def load(self) -> float:
        """Tell what part of the quota is used that the most crowded route could use, from 0 to 1."""
        return max(takers.load() for takers in self._takers.values())

    def stranded(self) -> int:
        """Count the jobs whose owner does not answer, while others that take batches of the same route do."""
        return sum(
            calls.in_flight
            for target, calls in self._calls.items()
            if calls.shut()[Operation.POLL] is not None and self._takers[target.route].answers()
        )

    def parked(self) -> str | None:
        """Say why nothing can be submitted of some route, if all that take it refuse it until an operator mends it."""
        return next(("; ".join(causes) for takers in self._takers.values() if (causes := takers.unable())), None)

    def health(self) -> dict[str, Health]:
        """Tell of each resource how it is."""
        of: dict[str, list[tuple[Target, Calls]]] = {}
        for target, calls in self._calls.items():
            of.setdefault(target.resource, []).append((target, calls))
        return {name: _health(some, self._division.quotas[name]) for name, some in of.items()}


def _health(some: Sequence[tuple[Target, Calls]], quota: Quota) -> Health:
    """Put together how the routes of one resource are, and the quota that they share."""
    return Health(
        in_flight=sum(calls.in_flight for _, calls in some),
        parked=next((_told(target, calls.parked) for target, calls in some if calls.parked), None),
        frozen={each: quota.frozen(each, now()) for each in Operation},
        slowed={each: quota.slowed(each, now()) for each in Operation},
        shut={each: next(_causes(some, each), None) for each in Operation},
        rates={each: quota.rate(each, now()) for each in Operation},
        load=quota.load(now()),
        share=quota.share.part(now()),
    )


def _causes(some: Sequence[tuple[Target, Calls]], operation: Operation) -> Iterator[str]:
    return (_told(target, cause) for target, calls in some if (cause := calls.shut()[operation]))


def _told(target: Target, cause: str) -> str:
    return f"{target.route}: {cause}" if target.route else cause
