"""What may excuse a duplicate: the brokers' own words about a group, and no word of the service about itself."""

import pytest

from tests.chaos.shocks import (
    BROKERS,
    GROUP,
    HEARD,
    RECOVERY,
    WOKEN,
    Rebalance,
    provoked,
    rebalances,
    shocks,
    were_away,
)
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
    assert {each.blow for each in (short, long, unended)} == {"rebalance"}


def again(at: float, who: str = "worker-1.1") -> Shock:
    return Shock(at, f"{who} begins again", who, blow="restart")


def test_a_run_may_begin_again_for_a_broker_that_was_away() -> None:
    """It is provoked by an outage of ours and its aftermath, not by a kill or a rebalance."""
    done = [
        Shock(100, "SIGKILL worker-1.1", "worker-1.1", blow="kill"),
        Shock(100, "rebalance", GROUP, blow="rebalance"),
        Shock(200, "SIGTERM broker 1", BROKERS, until=210, blow="outage"),
    ]
    for at, expected in (101, False), (199, False), (205, True), (209 + RECOVERY, True), (211 + RECOVERY, False):
        assert provoked(again(at), done) is expected
        assert were_away(at, done) is expected


def test_a_run_may_begin_again_in_a_process_that_was_stopped() -> None:
    """Who slept may find on waking that another has what was his; nobody else may, and not before, nor much later."""
    done = [Shock(100, "SIGSTOP worker-1.1", "worker-1.1", blow="stop")]
    for at, expected in (99, False), (101, True), (99 + WOKEN, True), (101 + WOKEN, False):
        assert provoked(again(at), done) is expected
    assert not provoked(again(101, "worker-2.1"), done)
