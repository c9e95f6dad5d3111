"""What is read of a worker: its metrics, whatever their labels."""

from tests.chaos.workers import figures, keys

SCRAPED = """\
# HELP entity_stream_outcomes_total Records whose outcome is published and committed.
# TYPE entity_stream_outcomes_total counter
entity_stream_outcomes_total{outcome="annotated"} 12.0
entity_stream_outcomes_total{outcome="deleted"} 3.0
entity_stream_jobs_in_flight 7.0
"""


def test_a_metric_is_the_sum_of_its_samples() -> None:
    """Samples of one name are added up; comments are no samples."""
    assert figures(SCRAPED) == {"entity_stream_outcomes_total": 15.0, "entity_stream_jobs_in_flight": 7.0}


def test_every_life_has_a_key_of_its_own() -> None:
    """No two lives of any workers share a key."""
    assert keys(["worker-1", "worker-2"], 2) == ["worker-1.1", "worker-1.2", "worker-2.1", "worker-2.2"]
