"""What the opponents have in common: what they are told, what a submit says, what to make of the answers.

The rule that keeps it honest: it imports nothing of the service, and no opponent has a better or worse copy of it.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

JOBS, DOCUMENTS = 64, 25
"""Jobs at once, and documents in each."""

FILLS_WITHIN = 0.2
"""Seconds that those who have read something wait for more."""

SUBMIT = "/language/analyze-text/jobs?api-version=2023-04-01"

Json: TypeAlias = dict[str, Any]


def options(module: str, description: str) -> argparse.Namespace:
    """Take everything from the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.bench.{module}", description=description)
    for name in ("bootstrap", "input", "output", "group", "url", "key", "project", "deployment"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--poll-every", type=float, required=True, help="seconds")
    return parser.parse_args()


def request(documents: Sequence[Json], project: str, deployment: str) -> Json:
    """Write the body of a submit; a document's id is its place."""
    texts = [{"id": str(place), "text": document["text"]} for place, document in enumerate(documents)]
    parameters = {"projectName": project, "deploymentName": deployment, "stringIndexType": "UnicodeCodePoint"}
    task = {"kind": "CustomEntityRecognition", "parameters": parameters}
    return {"analysisInput": {"documents": texts}, "tasks": [task]}


def results(job: Json) -> dict[str, Json] | None:
    """Read the entities of each document; None while the job runs. Raises RuntimeError when it has failed."""
    if job["status"] == "succeeded":
        found: Sequence[Json] = job["tasks"]["items"][0]["results"]["documents"]
        return {result["id"]: result["entities"] for result in found}
    if job["status"] not in {"notStarted", "running"}:
        raise RuntimeError(f"a job is {job['status']}")
    return None


def message(document: Json, entities: object, topic: str, partition: int, offset: int) -> bytes:
    """Write what is published for a document."""
    source = {"topic": topic, "partition": partition, "offset": offset}
    return json.dumps({"id": document["id"], "entities": entities, "source": source}, ensure_ascii=False).encode()
