"""Keeps the quotas of a line up with whose partitions are whose: the replicas of a group divide each of them.

What becomes ours, and what ceases to be, is known at once; what others have to do is known from looks at the group.
"""

from collections.abc import Collection, Mapping

from entity_stream.core.backlog import Look
from entity_stream.core.model import Place
from entity_stream.core.quota import Quota
from entity_stream.core.share import Seen
from entity_stream.moments import now
from entity_stream.tenures import Tenures


class Division:
    """The quotas of one line, by resource."""

    def __init__(self, quotas: Mapping[str, Quota], tenures: Tenures) -> None:
        """Divide them by what is held; as long as nobody has looked, all of it is ours."""
        self.quotas = quotas
        self._tenures = tenures
        self._group: Collection[Place] = ()
        self._ahead = 0.0  # the clock on the wall, less the loop's
        tenures.on_change(self._divide)

    def see(self, look: Look) -> None:
        """Take in a look at all partitions of the group."""
        self._group, self._ahead = look.parts.keys(), look.ahead
        records = {place: max(part.left, int(part.busy)) for place, part in look.parts.items()}
        ends = {place: part.end for place, part in look.parts.items()}
        self._divide(Seen(records, now() - look.taken_at, ends))

    def miss(self, group: Collection[Place], ahead: float) -> None:
        """Hear that a look failed: the partitions of the group, where they are known, and the clock on the wall."""
        self._group, self._ahead = group or self._group, ahead
        self._divide()

    def _divide(self, look: Seen | None = None) -> None:
        mine = {(each.topic, each.index): records for each, records in self._tenures.unfinished().items()}
        for quota in self.quotas.values():
            quota.share.see(now(), mine, self._group, look, self._ahead)
