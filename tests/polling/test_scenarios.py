"""In every scenario the service's own way of polling is what the scenario states, and better than any interval."""

import pytest

from entity_stream.core.polling import Polling
from tests.polling.scenario import Scenario, scenarios
from tests.polling.search import best, tried
from tests.polling.simulation import Fixed, World

EACH = pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in scenarios().items()])


@EACH
def test_it_does_what_the_scenario_states(scenario: Scenario) -> None:
    """GETs for a job, waiting beyond the true end, quota used and 429s are in the ranges of the file."""
    tally, asserted = World(scenario, Polling()).run(), scenario.asserted
    figures = {
        "gets_per_job": (tally.gets_per_job, asserted.gets_per_job),
        "p50": (tally.late(0.5), asserted.p50),
        "p99": (tally.late(0.99), asserted.p99),
        "quota_used": (tally.used, asserted.quota_used),
        "throttled": (tally.throttled, asserted.throttled),
    }
    assert not {name: each for name, each in figures.items() if not each[1][0] <= each[0] <= each[1][1]}
    assert len(tally.courses) == scenario.jobs


@EACH
def test_no_fixed_interval_is_as_good(scenario: Scenario) -> None:
    """The best one takes more GETs and waits longer; no other is at least as good in both."""
    ours, found = World(scenario, Polling()).run(), tried(scenario)
    theirs = best(found).tally
    assert ours.gets_per_job < theirs.gets_per_job
    assert ours.late(0.5) < theirs.late(0.5)
    assert not [
        each.interval
        for each in found
        if each.tally.gets_per_job <= ours.gets_per_job and each.tally.late(0.5) <= ours.late(0.5)
    ]


@EACH
def test_every_way_of_polling_meets_the_same_jobs(scenario: Scenario) -> None:
    """Sizes come in the same order, and as long as nothing drifts jobs take the same, whoever asks for them."""
    ours, theirs = (World(scenario, asking).run() for asking in (Polling(), Fixed(0.5)))
    sizes = [sorted(course.documents for course in tally.courses) for tally in (ours, theirs)]
    assert sizes[0] == sizes[1]
    took = [sorted(course.took for course in tally.courses) for tally in (ours, theirs)]
    assert scenario.drift or took[0] == pytest.approx(took[1])
