"""What may excuse a duplicate: the brokers' own words about a group, and no word of the service about itself."""

import pytest

from tests.chaos.shocks import BROKERS, HEARD, RECOVERY, Rebalance, provoked, rebalances, shocks
from tests.judge.case import Shock

LOG = """\
2026-11-21T14:58:08.835Z INFO  GroupCoordinatorService: [GroupCoordinator id=1] Startup complete.
2026-11-21T14:58:11.220Z INFO  GroupMetadataManager: [GroupCoordinator id=1 topic=__consumer_offsets partition=0] \
Preparing to rebalance group g in state PreparingRebalance with old generation 1 (reason: Adding new member \
aiokafka-0.14.0-5d4d4dfa-2982-4536-8e8b-629781dd7e91 with group instance id null; client reason: not provided).
2026-11-21T14:58:11.300Z INFO  GroupMetadataManager: [GroupCoordinator id=1 topic=__consumer_offsets partition=0] \
Preparing to rebalance group other in state PreparingRebalance with old generation 1 (reason: whatever).
2026-11-21T14:58:11.684Z INFO  GroupMetadataManager: [GroupCoordinator id=1 topic=__consumer_offsets partition=0] \
Stabilized group g generation 2 with 2 members.
2026-11-21T14:58:15.706Z INFO  GroupMetadataManager: [GroupCoordinator id=1 topic=__consumer_offsets partition=0] \
Preparing to rebalance group g in state PreparingRebalance with old generation 2 (reason: explicit `LeaveGroup` \
request for (aiokafka-0.14.0-5d4d4dfa-2982-4536-8e8b-629781dd7e91) members.).
2026-11-21T14:58:15.706Z INFO  GroupMetadataManager: [GroupCoordinator id=1 topic=__consumer_offsets partition=0] \
Group g with generation 3 is now empty.
2026-11-21T14:58:21.271Z INFO  GroupMetadataManager: [GroupCoordinator id=1 topic=__consumer_offsets partition=0] \
Preparing to rebalance group g in state PreparingRebalance with old generation 3 (reason: removing member \
worker-2-d284c880-6887-44e9-8681-a64f7a6f1d2c on heartbeat expiration.).
"""


def test_the_brokers_tell_when_and_why_a_group_rebalanced() -> None:
    """Each rebalance of the group is found, with its end where the broker lived to say so, and without names."""
    first, second, third = rebalances(LOG, "g")
    assert second.began - first.began == pytest.approx(4.486)
    assert first.ended is not None
    assert first.ended - first.began == pytest.approx(0.464)
    assert first.why == "Adding new member a member with group instance id null"
    assert second.ended == second.began
    assert third.ended is None
    assert third.why == "removing member a member on heartbeat expiration."


def test_a_rebalance_excuses_until_all_have_heard_of_it() -> None:
    """It strikes at its beginning and is over when it ends, at the latest when a heartbeat has told everybody."""
    short, long, unended = shocks([Rebalance(10, 10.4, ""), Rebalance(20, 26, ""), Rebalance(30, None, "")])
    assert (short.at, short.until) == (10, 10.4)
    assert (long.at, long.until) == (20, 20 + HEARD)
    assert (unended.at, unended.until) == (30, 30 + HEARD)


def test_a_life_may_end_for_a_broker_that_was_away_and_for_nothing_else() -> None:
    """A run that begins again is provoked by an outage of ours and its aftermath, not by a kill of somebody."""
    done = [Shock(100, "SIGKILL worker-1.1", "worker-1.1"), Shock(200, "SIGTERM broker 1", BROKERS, until=210)]
    assert not provoked(101, done)
    assert not provoked(199, done)
    assert provoked(205, done)
    assert provoked(210 + RECOVERY - 1, done)
    assert not provoked(210 + RECOVERY + 1, done)
