"""Submits as a plain client sends them, for the tests of the endpoint."""

import json
from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "2023-04-01"
PARAMETERS: Final = {"projectName": "project", "deploymentName": "deployment", "stringIndexType": "UnicodeCodePoint"}


def submit_body(texts: Mapping[str, str], **parameters: str) -> bytes:
    """Write a submit of texts by their wire ids; parameters of the task can be others."""
    documents = [{"id": wire_id, "text": text, "language": "en"} for wire_id, text in texts.items()]
    task = {"kind": "CustomEntityRecognition", "parameters": PARAMETERS | parameters}
    return json.dumps({"analysisInput": {"documents": documents}, "tasks": [task]}).encode()


def marked(*marks: str) -> dict[str, str]:
    """Give a text with each mark; the wire ids are `id-0`, `id-1` and so on."""
    return {f"id-{place}": f"<<{mark}>> the payments api is down again" for place, mark in enumerate(marks)}


def results_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the results out of a job with one task."""
    (item,) = body["tasks"]["items"]
    results: Mapping[str, Any] = item["results"]
    return results


def names_of(body: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say which names a job found in each document, by wire id."""
    return {
        document["id"]: [entity["text"] for entity in document["entities"] if entity["category"] == "Name"]
        for document in results_of(body)["documents"]
    }
