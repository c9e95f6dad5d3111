"""What is read of a worker: its metrics, whatever their labels, and its log."""

from asyncio.subprocess import Process
from pathlib import Path
from typing import cast

from tests.chaos.workers import Life, Said, figures, keys

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


def test_what_a_life_has_said_is_read_line_by_line(tmp_path: Path) -> None:
    """Partitions are a list where they are named and a number where they are counted; other lines are left out."""
    (tmp_path / "log").write_text(
        '{"event": "read.assigned", "timestamp": "2026-11-21T15:00:00Z", "partitions": [0, 4]}\n'
        "Traceback (most recent call last):\n"
        '{"event": "commit.refused", "partitions": 2, "error": "whatever"}\n'
    )
    life = Life("worker-1.1", cast("Process", None), tmp_path / "log")
    assert life.said() == [
        Said("read.assigned", "2026-11-21T15:00:00Z", partitions=[0, 4]),
        Said("commit.refused", partitions=2),
    ]
    assert life.has_said("commit.refused")
    assert not life.has_said("read")


def test_every_life_has_a_key_of_its_own() -> None:
    """No two lives of any workers share a key."""
    assert keys(["worker-1", "worker-2"], 2) == ["worker-1.1", "worker-1.2", "worker-2.1", "worker-2.2"]
