"""What the opponents have in common."""

import json

import pytest

from tests.bench.rest import message, request, results

DOCUMENT = {"id": "doc-1", "text": "🚨 down"}


def test_a_submit_names_documents_by_their_place() -> None:
    """Texts go out in order, under their places, with project and deployment of the task."""
    body = request([DOCUMENT, {"id": "doc-2", "text": "up"}], "p", "d")
    assert body["analysisInput"]["documents"] == [{"id": "0", "text": "🚨 down"}, {"id": "1", "text": "up"}]
    assert (body["tasks"][0]["parameters"]["projectName"], body["tasks"][0]["parameters"]["deploymentName"]) == (
        "p",
        "d",
    )


@pytest.mark.parametrize("status", ["notStarted", "running"])
def test_a_job_that_runs_has_no_results(status: str) -> None:
    """While a job runs there is nothing, which is not the same as no entities."""
    assert results({"status": status}) is None
    found = results({"status": "succeeded", "tasks": {"items": [{"results": {"documents": []}}]}})
    assert found is not None
    assert not found


def test_a_job_that_failed_ends_the_opponent() -> None:
    """No opponent goes on as if a failed job had brought something."""
    with pytest.raises(RuntimeError, match="failed"):
        results({"status": "failed"})


def test_a_message_says_where_its_document_came_from() -> None:
    """Id, entities and source are published, characters as they are."""
    made = message(DOCUMENT, [{"text": "🚨"}], "documents", 3, 17)
    assert "🚨".encode() in made
    assert json.loads(made)["source"] == {"topic": "documents", "partition": 3, "offset": 17}
